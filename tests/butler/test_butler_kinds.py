"""Repositories of other kinds than one folder with SQLite: registry, datastores, composites."""

from __future__ import annotations

import sys

import psycopg
import pytest
from lsst.daf.butler import DatasetType
from lsst.daf.butler.tests import MetricsExample

from obscore.settings import ObsCoreSettings
from obscore.sources.base import Problem
from obscore.sources.butler.testing import begin_repository
from obscore.sources.choice import configured_sources
from vodal.errors import UsageError
from vodal.testing.archive import serve_archive

pytestmark = pytest.mark.xdist_group("butler")

_CHAINED = "lsst.daf.butler.datastores.chainedDatastore.ChainedDatastore"
_IN_MEMORY = "lsst.daf.butler.datastores.inMemoryDatastore.InMemoryDatastore"
_OF_FILES = "lsst.daf.butler.datastores.fileDatastore.FileDatastore"
_JSON = "lsst.daf.butler.formatters.json.JsonFormatter"


def source_of(place, **more):
    butler = {"repository": place, "collections": ["Cam/first", "Cam/raw"],
              "dataset_types": ["raw", "visit_image"], **more}  # fmt: skip
    settings = ObsCoreSettings.model_validate({"collections": {"images": {"butler": butler}}})
    (source,) = configured_sources(settings)
    return source


def filled(folder, configuration=None):
    made = begin_repository(folder, configuration)
    with made.butler() as butler:
        made.add_visit(butler, 101)
        made.add_calibrated(butler, 101, "Cam/first")
    return made


def told(source):
    """Give what is told of each file, but for what no two repositories have alike."""
    return [
        (one.relative, one.stat.size_bytes, one.parts,
         {name: value for name, value in one.facts.items()
          if name not in {"id", "obs_publisher_did"}})
        for one in source.walk()
    ]  # fmt: skip


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return told(source_of(filled(tmp_path_factory.mktemp("usual")).root))


def test_the_registry_may_be_postgresql(tmp_path, postgres_url, usual):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION btree_gist")
    db = postgres_url.replace("postgresql:", "postgresql+psycopg:")
    made = filled(tmp_path, {"registry": {"db": db, "namespace": "survey"}})
    source = source_of(made.root)
    assert told(source) == usual
    where = source_of(made.root, where="instrument = 'Cam' AND visit = 101 AND detector = 2")
    assert len(list(where.walk())) == 2
    assert len(list(source.newest(0.0))) == 4
    assert list(source.newest(4e9)) == []


def test_datastores_may_be_a_chain(tmp_path, usual):
    parts = [{"cls": _OF_FILES, "root": f"<butlerRoot>/{name}", "records": {"table": name}}
             for name in ("near", "far")]  # fmt: skip
    chain = [{"datastore": part} for part in ({"cls": _IN_MEMORY}, *parts)]
    made = filled(tmp_path, {"datastore": {"cls": _CHAINED, "datastores": chain}})
    assert told(source_of(made.root)) == usual
    assert all(size > 0 for _, size, _, _ in usual)


def test_what_is_taken_apart_is_refused_by_name(tmp_path):
    parts = {"output": "StructuredDataDict", "summary": "StructuredDataDict"}
    made = begin_repository(tmp_path, {
        "storageClasses": {"Parts": {"pytype": "lsst.daf.butler.tests.MetricsExample",
                                     "components": parts}},
        "datastore": {"composites": {"disassembled": {"Parts": True}},
                      "formatters": {"StructuredDataDict": _JSON}},
    })  # fmt: skip
    with made.butler() as butler:
        made.add_visit(butler, 101)
        names = ("instrument", "visit", "detector")
        kind = DatasetType("metric", names, "Parts", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        butler.put(MetricsExample({"a": 1}, {"b": 2}, [1]), kind, instrument="Cam", visit=101,
                   detector=1, run="Cam/first")  # fmt: skip
    (problem,) = source_of(made.root, dataset_types=["metric"]).walk()
    assert isinstance(problem, Problem)
    assert problem.reason == "no-file"
    assert (
        problem.message == "the dataset is kept in several files, one for each of output, summary"
    )


def test_a_library_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    path = tmp_path / "butler.yaml"
    path.write_text(
        "registry: {db: 'postgresql+psycopg2://u:secret@db.example/x'}\n"
        f"datastore: {{cls: {_OF_FILES}, root: {tmp_path}}}\n"
    )
    words = r"images\.butler\.repository: the Butler repository \S+ needs the library psycopg2"
    with pytest.raises(UsageError, match=words):
        list(source_of(str(path)).walk())


def test_a_butler_server_is_refused_by_name(tmp_path):
    """What it needs of further libraries does not matter: its addresses expire."""
    server = "lsst.daf.butler.remote_butler.RemoteButler"
    (tmp_path / "butler.yaml").write_text(
        f"cls: {server}\nremote_butler: {{url: <butlerRoot>, authentication: cadc}}\n"
    )
    words = r"images\.butler\.repository: \S+ is a Butler server, whose addresses of files expire"
    with serve_archive(tmp_path) as archive:
        for place in (f"{archive.url}/", str(tmp_path), f"{tmp_path}/butler.yaml"):
            with pytest.raises(UsageError, match=words):
                list(source_of(place).walk())
        place = f"{archive.url}/none"
        with pytest.raises(UsageError, match=r"images\.butler\.repository: .*none"):
            list(source_of(place).walk())
