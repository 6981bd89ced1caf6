"""EXPLAIN over the wire: what is told instead of rows, in every format, and by jobs."""

from __future__ import annotations

import gc
import io
import re
import time
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx
import pytest
import pyvo
from astropy.io.votable import parse_single_table
from astropy.table import Table

from obscore.explain.told import COLUMNS
from obscore.tap.settings import TapSettings
from vodal.tables.formats import FORMATS
from vodal.testing.server import serve

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
NEAR = (
    "SELECT * FROM ivoa.obscore"
    " WHERE CONTAINS(POINT('ICRS', s_ra, s_dec), CIRCLE('ICRS', 150.1, 2.2, 5)) = 1"
    " AND s_fov > 0.1 ORDER BY t_exptime"
)


def ask(tap, query=NEAR, headers=None, **params):
    data = {"LANG": "ADQL", "QUERY": query, "EXPLAIN": "1", **params}
    return httpx.post(f"{tap.url}/sync", data=data, headers=headers, timeout=30)


def test_it_is_text_unless_a_format_is_asked_for(tap):
    answer = ask(tap)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[0].startswith("1. ivoa.obscore: ")
    assert "of 401, found by" in lines[0]
    assert "spatial index" in lines[0]
    assert "     row by row: s_fov > 0.1" in lines
    assert "2. the rows are sorted for ORDER BY" in lines
    assert "  - 60 s of database time in /sync; in /async 600 s, up to 14400 s" in lines
    assert "  - 100,000 rows are given (MAXREC); MAXREC may be up to 10,000,000" in lines


@pytest.mark.parametrize("item", FORMATS, ids=lambda item: item.name)
def test_every_format_has_it(tap, item):
    answer = ask(tap, RESPONSEFORMAT=item.name)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == item.media_type.partition(";")[0]
    assert len(answer.content) > 100


def test_the_votable_has_steps_limits_and_hints(tap):
    answer = ask(tap, "SELECT * FROM ivoa.obscore WHERE s_fov > 0.1", RESPONSEFORMAT="votable")
    table = parse_single_table(io.BytesIO(answer.content)).to_table(use_names_over_ids=True)
    assert table.colnames == [column.name for column in COLUMNS]
    assert list(table["step"]) == list(range(1, len(table) + 1))
    assert table["row_by_row"][0] == "s_fov > 0.1"
    assert (table["rows_found"][0], table["table_rows"][0]) == (401, 401)
    assert {"read", "limit", "hint"} == set(table["action"])
    assert "EXPLAIN" not in str(answer.content)


def test_a_browser_gets_a_page(tap):
    answer = ask(tap, headers=BROWSER)
    assert answer.headers["content-type"].startswith("text/html")
    assert "2. the rows are sorted for ORDER BY\n" in answer.text, answer.text
    nasty = ask(tap, "SELECT * FROM ivoa.obscore WHERE obs_id = '<b>&'", headers=BROWSER).text
    assert "obs_id = '&lt;b&gt;&amp;'" in nasty
    assert "<b>" not in nasty


def test_json_is_for_programs(tap):
    told = ask(tap, RESPONSEFORMAT="json").json()
    assert "ivoa.obscore" in str(told)


@pytest.mark.parametrize("value", ["0", "false", "no"])
def test_it_can_be_said_that_rows_are_wanted(tap, value):
    answer = ask(tap, "SELECT TOP 1 obs_id FROM ivoa.obscore", EXPLAIN=value, RESPONSEFORMAT="csv")
    assert answer.text.startswith("obs_id")


def test_wrong_requests_are_told_as_ever(tap):
    wrong = ask(tap, EXPLAIN="maybe")
    assert wrong.status_code == 400
    assert "EXPLAIN takes 1 or 0, not 'maybe'" in wrong.text
    wrong = ask(tap, "SELECT nothing FROM ivoa.obscore")
    assert wrong.status_code == 400
    assert "unknown column nothing" in wrong.text


def test_nothing_is_run(tap, site_app):
    endless = (
        "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c"
        " WHERE a.s_ra + b.s_ra + c.s_ra < -1"
    )
    with serve(site_app(tap.database, TapSettings(sync_limit_s=0.2))) as server:
        params = {"LANG": "ADQL", "QUERY": endless, "EXPLAIN": "true"}
        answer = httpx.get(f"{server.url}/tap/sync", params=params, timeout=30)
    assert answer.status_code == 200
    assert "2. for each row so far, ivoa.obscore AS b: all 401 rows" in answer.text
    assert "  - 0.2 s of database time in /sync\n" in answer.text


def test_uploads_are_explained(tap):
    data = {
        "LANG": "ADQL", "EXPLAIN": "1", "UPLOAD": "mine,param:list",
        "QUERY": "SELECT o.obs_id FROM TAP_UPLOAD.mine AS t JOIN ivoa.obscore AS o"
                 " ON CONTAINS(POINT('ICRS', t.ra, t.dec), o.s_region) = 1",
    }  # fmt: skip
    files = {"list": ("list.csv", "ra,dec\n150.1,2.2\n10,20\n", "text/csv")}
    answer = httpx.post(f"{tap.url}/sync", data=data, files=files, timeout=30)
    assert answer.status_code == 200, answer.text
    assert "TAP_UPLOAD.mine AS t: all 2 rows" in answer.text
    assert "found by the spatial index" in answer.text
    assert "CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1" in answer.text


def finished(job):
    """Wait for a job; gives its result."""
    until = time.monotonic() + 20
    while (phase := httpx.get(f"{job}/phase").text) != "COMPLETED":
        assert phase in {"QUEUED", "EXECUTING"}
        assert time.monotonic() < until
        time.sleep(0.05)
    return httpx.get(f"{job}/results/result")


def test_a_job_explains_too(tap):
    asked = {"LANG": "ADQL", "QUERY": NEAR, "EXPLAIN": "1", "PHASE": "RUN"}
    made = httpx.post(f"{tap.url}/async", data=asked)
    answer = finished(made.headers["location"])
    assert answer.headers["content-type"].startswith("text/plain")
    assert "2. the rows are sorted for ORDER BY" in answer.text


def test_pyvo_reads_it_as_a_table(tap):
    service = pyvo.dal.TAPService(tap.url)
    rows = service.run_sync(NEAR, EXPLAIN="1", RESPONSEFORMAT="votable").to_table()
    assert isinstance(rows, Table)
    del service
    gc.collect()
    assert "spatial index" in rows["found_by"][0]


def test_the_page_of_the_service_runs_and_explains(tap):
    answer = httpx.get(f"{tap.url}/", headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")
    assert httpx.get(tap.url, follow_redirects=True).text == answer.text
    page = ET.fromstring(
        re.sub(r"<meta [^>]*>", "", answer.text)
        .replace("<!DOCTYPE html>", "")
        .replace(" selected", ' selected="1"')
        .replace('name="LANG" value="ADQL">', 'name="LANG" value="ADQL"/>')
        .replace('size="8">', 'size="8"/>')
    )
    links = {link.attrib["href"] for link in page.iter("a")}
    assert "../moc/" in links
    # Coverage maps are another service, which is not on this site.
    for link in links - {"../moc/"}:
        assert httpx.get(f"{tap.url}/{link}").status_code == 200
    query = page.find(".//textarea").text
    for more in ({}, {"EXPLAIN": "1"}):
        asked = {"LANG": "ADQL", "QUERY": query, "MAXREC": "10", "RESPONSEFORMAT": "html", **more}
        shown = httpx.get(f"{tap.url}/sync?{urlencode(asked)}", headers=BROWSER)
        assert (shown.status_code, shown.headers["content-type"][:9]) == (200, "text/html")
    assert [item.text for item in page.iter("button")] == [
        "Run", "Explain", "Run in the background"
    ]  # fmt: skip
    asked = {"LANG": "ADQL", "QUERY": query, "PHASE": "RUN", "RESPONSEFORMAT": "html"}
    made = httpx.post(f"{tap.url}/async", data=asked)
    assert finished(made.headers["location"]).status_code == 200
