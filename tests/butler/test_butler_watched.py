"""What is put into a Butler while it is watched, and what is taken out."""

from __future__ import annotations

import time

import pytest
from lsst.daf.butler import DatasetRef, FileDataset

from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate, Problem
from obscore.sources.butler.testing import FORMATTER, begin_repository
from obscore.sources.choice import configured_sources
from obscore.sources.polling import PollingWatch

pytestmark = pytest.mark.xdist_group("butler")


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Give a repository of one visit, which the tests change."""
    made = begin_repository(tmp_path_factory.mktemp("grown"))
    with made.butler() as butler:
        made.add_visit(butler, 101)
        made.add_calibrated(butler, 101, "Cam/first")
    return made


def source_of(repository, *kinds, **more):
    own = {"repository": repository.root, "collections": ["Cam/first", "Cam/raw"],
           "dataset_types": list(kinds), **more}  # fmt: skip
    settings = ObsCoreSettings.model_validate({"collections": {"images": {"butler": own}}})
    (source,) = configured_sources(settings)
    return source


def test_polling_asks_for_what_is_new_and_walks_for_what_has_gone(grown, monkeypatch):
    source = source_of(grown, "visit_image")
    watch = PollingWatch([source], 0.001)
    watch.begin()
    try:
        assert watch.changes(0.01) == []
        asked = []
        newest = source.newest
        monkeypatch.setattr(source, "newest", lambda since: asked.append(since) or newest(since))
        monkeypatch.setattr(watch, "_walk_due", [float("inf")])
        with grown.butler() as butler:
            grown.add_visit(butler, 102)
            grown.add_calibrated(butler, 102, "Cam/first")
        changes = watch.changes(0.01)
        assert [change.kind for change in changes] == ["begun", "begun"]
        assert {change.found.facts["visit"] for change in changes} == {102}
        assert len(asked) == 1
        # Told once, though it is asked for again.
        assert watch.changes(0.01) == []
        gone = [ref for ref in grown.refs.values() if ref.datasetType.name == "visit_image"][-1]
        with grown.butler() as butler:
            butler.pruneDatasets([gone], disassociate=True, unstore=True, purge=True)
        assert watch.changes(0.01) == []
        monkeypatch.setattr(watch, "_walk_due", [0.0])
        (change,) = watch.changes(0.01)
        assert change.kind == "gone"
        assert change.uri.endswith("/visit_image-102-2.fits")
    finally:
        watch.close()


def test_only_what_was_put_since_is_new(grown):
    source = source_of(grown, "raw")
    everything = [item.uri for item in source.walk()]
    assert everything
    assert [item.uri for item in source.newest(time.time() - 86_400.0)] == everything
    assert list(source.newest(time.time() + 86_400.0)) == []


def test_datasets_of_one_file_are_its_products(grown):
    """As raws of some cameras: the Butler has each detector as a dataset."""
    with grown.butler() as butler:
        grown.add_visit(butler, 103)
        path, _ = grown.write_image("both.fits", 0.0, 20.0)
        kind = butler.get_dataset_type("visit_image")
        refs = [
            DatasetRef(kind, butler.registry.expandDataId(instrument="Cam", visit=103, detector=at),
                       run="Cam/first")
            for at in (1, 2)
        ]  # fmt: skip
        butler.ingest(FileDataset(str(path), refs, formatter=FORMATTER), transfer="direct")
    where = "instrument = 'Cam' AND visit = 103"
    (file,) = source_of(grown, "visit_image", where=where).walk()
    assert isinstance(file, Candidate)
    assert len(file.parts) == 2
    assert [part.facts["detector"] for part in file.parts] == [1, 2]
    assert file.parts[0].region != file.parts[1].region
    assert {part.facts["obs_publisher_did"][-36:] for part in file.parts} == {
        str(ref.id) for ref in refs
    }


def test_what_the_datastore_cannot_give_is_a_problem_by_name(grown):
    with grown.butler() as butler:
        grown.add_visit(butler, 104)
        data_id = butler.registry.expandDataId(instrument="Cam", visit=104, detector=1)
        ref = DatasetRef(butler.get_dataset_type("visit_image"), data_id, run="Cam/first")
        butler.registry._importDatasets([ref])
    where = "instrument = 'Cam' AND visit = 104"
    (problem,) = source_of(grown, "visit_image", where=where).walk()
    assert isinstance(problem, Problem)
    assert problem.reason == "no-file"
    assert problem.uri == f"butler:visit_image/{ref.id}"
    assert "no file" in problem.message
