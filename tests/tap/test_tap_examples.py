"""The examples of a site: each gives rows of what is there, before and after an ingest."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import time
from xml.etree import ElementTree as ET

import httpx
import pytest
import pyvo
from astropy.io.votable import parse_single_table
from astropy.table import Table

from obscore.adql.schema import ColumnDef, Schema, TableDef
from obscore.store.sqlite.engine import SqliteEngine
from obscore.store.sqlite.store import SqliteStore
from obscore.tap.examples import SiteExamples, examples_page, make_examples
from obscore.tap.holdings import look
from obscore.tap.metadata import PUBLISHED
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.regions import Circle
from vodal.tables.columns import Column
from vodal.testing.server import serve

XHTML = "{http://www.w3.org/1999/xhtml}"
needs_stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")


@pytest.fixture
def store(tmp_path):
    """Make an empty store; gives its file and its writer."""
    path = tmp_path / "skylane.db"
    writer = SqliteStore(path)
    yield path, writer
    writer.close()


def runner_on(path):
    return QueryRunner(SqliteEngine(path), TapSettings())


def queries(url) -> dict[str, tuple[str, str | None]]:
    """Give the queries of the page by id, and what is to be uploaded with each."""
    answer = httpx.get(f"{url}/examples", timeout=30)
    assert answer.headers["content-type"].startswith("application/xhtml+xml")
    page = ET.fromstring(answer.content)
    assert page.find(f"{XHTML}body").attrib["vocab"] == "http://www.ivoa.net/rdf/examples#"
    found = {}
    for div in page.iter(f"{XHTML}div"):
        if div.attrib["id"] != "moc":
            assert div.attrib["typeof"] == "example"
            assert div.attrib["resource"] == f"#{div.attrib['id']}"
            assert div.findtext("*[@property='name']")
        parts = [item.text for item in div.iter(f"{XHTML}pre")]
        found[div.attrib["id"]] = (parts[0], parts[1] if len(parts) > 1 else None)
    return found


def rows_of(url, query, upload=None) -> int:
    data = {"LANG": "ADQL", "QUERY": query}
    files = {}
    if upload is not None:
        data["UPLOAD"] = "targets,param:list"
        files = {"list": ("targets.csv", upload, "text/csv")}
    answer = httpx.post(f"{url}/sync", data=data, files=files, timeout=30)
    assert answer.status_code == 200, answer.text
    return len(parse_single_table(io.BytesIO(answer.content)).array)


ALL = {
    "cone", "overlap", "nearest", "moc", "density", "upload", "summary", "extent", "instruments",
    "latest", "night", "observation", "columns", "tables",
}  # fmt: skip


def test_every_example_gives_rows(tap):
    found = queries(tap.url)
    assert set(found) == ALL
    for name, (query, upload) in found.items():
        assert rows_of(tap.url, query, upload) > 0, name
        assert (upload is not None) == (name == "upload")


def test_the_links_of_the_page_run_the_queries(tap):
    page = ET.fromstring(httpx.get(f"{tap.url}/examples").content)
    links = [item.attrib["href"] for item in page.iter(f"{XHTML}a")]
    assert len(links) == len(ALL) - 1
    for link in links[:3]:
        answer = httpx.get(f"{tap.url}/{link}")
        assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")


@pytest.mark.usefixtures("pyvo_sockets")
def test_pyvo_runs_them(tap):
    service = pyvo.dal.TAPService(tap.url)
    found = queries(tap.url)
    assert len(service.examples) == len(found) - 1
    for example in service.examples:
        text = example["QUERY"]
        if "TAP_UPLOAD" not in text:
            assert len(example.execute()) > 0, text
            continue
        (upload,) = [item for _, item in found.values() if item]
        targets = Table.read(upload, format="ascii.csv")
        assert len(service.search(text, uploads={"targets": targets})) >= len(targets)


@pytest.mark.stilts
@needs_stilts
def test_taplint_runs_them(tap):
    done = subprocess.run(
        ["stilts", "taplint", f"tapurl={tap.url}", "report=EWFS", "stages=TME CAP EXA"],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    faults = [line for line in done.stdout.splitlines() if re.match(r"[EWF]-", line)]
    assert faults == [], done.stdout
    assert "S-EXA-" in done.stdout


def test_an_empty_site_has_examples_for_its_metadata(site_app, store):
    path, _ = store
    with serve(site_app(path)) as server:
        found = queries(f"{server.url}/tap")
        assert set(found) == {"columns", "tables"}
        for query, _ in found.values():
            assert rows_of(f"{server.url}/tap", query) > 0


def test_a_site_without_a_store_has_a_page(site_app, tmp_path):
    with serve(site_app(tmp_path / "none.db")) as server:
        assert set(queries(f"{server.url}/tap")) == {"columns", "tables"}
        assert "TAP_SCHEMA.tables" in httpx.get(f"{server.url}/tap/").text


def test_they_follow_the_store(site_app, store):
    path, writer = store
    with serve(site_app(path)) as server:
        url = f"{server.url}/tap"
        assert set(queries(url)) == {"columns", "tables"}
        for band in (0, 1):
            one = make_observation(
                "ivo://x/y?1", Circle(10.0 + band, 5.0, 0.5), position=(10.0 + band, 5.0), band=band
            )
            writer.write([make_file("file:///1", one, version=str(band))])
            until = time.monotonic() + 10
            while f"POINT('ICRS', {10 + band}, 5)" not in str(queries(url)):
                assert time.monotonic() < until
                time.sleep(0.2)
            found = queries(url)
            assert set(found) == ALL
            assert f"filter = '{'gr'[band]}'" in found["latest"][0]
            for name, (query, upload) in found.items():
                assert rows_of(url, query, upload) > 0, name


def test_what_gives_no_rows_is_left_out(store):
    path, writer = store
    bare = make_observation(
        "ivo://x/y?1", None, t_min=None, t_max=None, em_min=None, em_max=None, s_fov=None,
        filter=None, instrument_name=None, obs_id="it's",
    )  # fmt: skip
    writer.write([make_file("file:///1", bare)])
    runner = runner_on(path)
    found = {item.id: item.query for item in SiteExamples(runner).examples()}
    assert set(found) == {
        "summary", "extent", "instruments", "latest", "observation", "columns", "tables"
    }  # fmt: skip
    assert "obs_id = 'it''s'" in found["observation"]


@pytest.mark.parametrize("value", ["a\x07b", "line\nend", "x" * 300, "\ufffe", "it's"])
def test_odd_texts_do_not_break_the_page(store, value):
    path, writer = store
    odd = make_observation(
        "ivo://x/y?1", Circle(1, 2, 0.5), position=(1.0, 2.0), filter=value, obs_collection=value,
        obs_id='"<&]]>', instrument_name=value,
    )  # fmt: skip
    writer.write([make_file("file:///1", odd)])
    examples = SiteExamples(runner_on(path)).examples()
    page = ET.fromstring(examples_page(examples))
    assert len(list(page.iter(f"{XHTML}div"))) == len(examples) >= 4


def test_declared_tables_have_one_each():
    own = TableDef("my data", "Odd", "files", (ColumnDef(Column("uri", "char", "*")),))
    published = Schema((*PUBLISHED.tables, own))
    found = {item.id: item for item in make_examples(None, published)}
    assert found["table-my-data-Odd"].query == 'SELECT TOP 10 *\nFROM "my data".Odd'


def test_the_store_is_asked_little(store):
    path, writer = store
    writer.write(list(make_catalogue(20)))
    runner = runner_on(path)
    site = SiteExamples(runner)
    first = site.examples()
    assert site.examples() is first
    site._looked -= 60
    assert site.examples() is first, "made anew although nothing has changed"
    held = look(runner)
    assert held is not None
    assert held == look(runner)
    assert held.count == 20
