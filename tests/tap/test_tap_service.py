"""The service over the wire: by plain HTTP, pyvo and STILTS."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import threading
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io.votable import parse, parse_single_table

from obscore.adql.userdefined.catalogue import USER_FUNCTIONS
from obscore.columns import COLUMN_NAMES, COLUMNS
from obscore.store.sqlite.store import SqliteStore
from obscore.tap.capabilities import FEATURES
from obscore.tap.settings import TapSettings
from obscore.testing import make_file, make_observation
from vodal.regions import Circle, Point
from vodal.sphere import contains
from vodal.testing.jobs import make_runner
from vodal.testing.server import serve

needs_stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")


def ask(tap, query, method="GET", **more):
    given = {"LANG": "ADQL", "QUERY": query, **more}
    if method == "GET":
        return httpx.get(f"{tap.url}/sync", params=given)
    return httpx.post(f"{tap.url}/sync", data=given)


def status(document: bytes) -> tuple[str, str]:
    """Give value and text of the last QUERY_STATUS."""
    infos = [
        element
        for element in ET.fromstring(document).iter("{http://www.ivoa.net/xml/VOTable/v1.3}INFO")
        if element.attrib["name"] == "QUERY_STATUS"
    ]
    return infos[-1].attrib["value"], infos[-1].text or ""


def table(answer):
    assert answer.status_code == 200, answer.text
    return parse_single_table(io.BytesIO(answer.content)).to_table()


def test_every_column_comes_back_as_it_was_written(tap):
    answer = ask(tap, "SELECT * FROM ivoa.obscore ORDER BY obs_publisher_did")
    votable = parse_single_table(io.BytesIO(answer.content))
    assert [field.name for field in votable.fields] == list(COLUMN_NAMES)
    for field, item in zip(votable.fields, COLUMNS, strict=True):
        declared = item.column
        assert (field.utype, field.ucd, field.xtype) == (
            declared.utype, declared.ucd, declared.xtype,
        )  # fmt: skip
        assert str(field.unit or "") == (declared.unit or "")
    rows = votable.to_table()
    by_did = {item.did: item for item in tap.observations}
    assert len(rows) == len(by_did)
    for row in rows:
        observation = by_did[row["obs_publisher_did"]]
        assert datetime.fromisoformat(row["last_modified"]) <= datetime.now(UTC).replace(
            tzinfo=None
        )
        for name in set(COLUMN_NAMES) - {"access_url", "access_format", "last_modified"}:
            wanted, found = observation.row.get(name), row[name]
            if wanted is None:
                assert np.ma.is_masked(found) or found == "" or np.isnan(found), name
            else:
                assert found == wanted, name


def test_access_url_names_the_product_on_this_site(tap):
    rows = table(ask(tap, "SELECT obs_publisher_did, access_url, access_format FROM ivoa.obscore"))
    for row in rows:
        parts = urlsplit(row["access_url"])
        assert row["access_url"].startswith(f"{tap.site}/datalink/links?ID=")
        assert parse_qs(parts.query) == {"ID": [row["obs_publisher_did"]]}
        assert row["access_format"] == "application/x-votable+xml;content=datalink"


def test_access_url_follows_the_host(tap, site_app):
    with serve(site_app(tap.database)) as server:
        answer = httpx.get(
            f"{server.url}/tap/sync",
            params={"LANG": "ADQL", "QUERY": "SELECT TOP 1 access_url FROM ivoa.obscore"},
            headers={"Host": "archive.example.org"},
        )
    assert table(answer)["access_url"][0].startswith(
        "http://archive.example.org/datalink/links?ID="
    )


def test_post_and_multipart_answer_as_get_does(tap):
    query = "SELECT TOP 3 obs_id FROM ivoa.obscore ORDER BY obs_id"
    got = table(ask(tap, query))
    assert list(table(ask(tap, query, "POST"))["obs_id"]) == list(got["obs_id"])
    parts = {"lang": (None, "ADQL"), "query": (None, query), "Request": (None, "doQuery")}
    answer = httpx.post(f"{tap.url}/sync", files=parts)
    assert list(table(answer)["obs_id"]) == list(got["obs_id"])


def test_a_position_finds_the_footprints_that_hold_it(tap):
    for ra, dec in [(150.1, 2.2), (0.0, 0.0), (10.0, 90.0), (200.0, -89.9), (359.9, 45.0)]:
        expected = {item.did for item in tap.observations if contains(item.region, Point(ra, dec))}
        for point in (f"POINT({ra}, {dec})", f"POINT('ICRS', {ra}, {dec})"):
            rows = table(
                ask(
                    tap,
                    "SELECT obs_publisher_did FROM ivoa.obscore"
                    f" WHERE 1 = CONTAINS({point}, s_region)",
                )
            )
            assert set(rows["obs_publisher_did"]) == expected


def test_maxrec_cuts_and_says_so(tap):
    total = len(tap.observations)
    query = "SELECT obs_id FROM ivoa.obscore"
    for wanted, given, said in [
        (0, 0, "OVERFLOW"), (1, 1, "OVERFLOW"), (total - 1, total - 1, "OVERFLOW"),
        (total, total, "OK"), (total + 1, total, "OK"),
    ]:  # fmt: skip
        answer = ask(tap, query, MAXREC=str(wanted))
        assert len(table(answer)) == given
        assert status(answer.content)[0] == said
    # TOP is the user's own wish, no overflow.
    answer = ask(tap, "SELECT TOP 5 obs_id FROM ivoa.obscore", MAXREC="5")
    assert (len(table(answer)), status(answer.content)[0]) == (5, "OK")


def test_the_columns_alone_are_described(tap):
    answer = ask(tap, "SELECT obs_id, s_ra FROM ivoa.obscore", MAXREC="0")
    fields = parse_single_table(io.BytesIO(answer.content)).fields
    assert [field.name for field in fields] == ["obs_id", "s_ra"]


def test_an_empty_answer_is_still_a_table(tap):
    answer = ask(tap, "SELECT obs_id, s_ra FROM ivoa.obscore WHERE obs_id = 'none'")
    assert (len(table(answer)), status(answer.content)[0]) == (0, "OK")
    answer = ask(tap, "SELECT obs_id, s_ra FROM ivoa.obscore WHERE obs_id = 'none'", FORMAT="csv")
    assert answer.text.split() == ["obs_id,s_ra"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("votable", "application/x-votable+xml"),
        ("votable/td", "application/x-votable+xml;serialization=TABLEDATA"),
        ("csv", "text/csv"),
        ("tsv", "text/tab-separated-values"),
    ],
)
def test_formats(tap, name, media_type):
    answer = ask(tap, "SELECT TOP 2 obs_id FROM ivoa.obscore", RESPONSEFORMAT=name)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media_type)
    assert "exp" in answer.text or name == "votable"


def test_an_answer_with_identifiers_carries_the_descriptor(tap):
    answer = ask(tap, "SELECT obs_publisher_did AS x, obs_publisher_did FROM ivoa.obscore")
    votable = parse(io.BytesIO(answer.content))
    meta = [item for item in votable.resources if item.type == "meta"]
    assert len(meta) == 1
    inputs = [param for group in meta[0].groups for param in group.iter_fields_and_params()]
    field = votable.get_first_table().get_field_by_id(inputs[0].ref)
    assert field.name == "obs_publisher_did"
    without = parse(io.BytesIO(ask(tap, "SELECT obs_id FROM ivoa.obscore").content))
    assert [item.type for item in without.resources] == ["results"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT obs_id FRM ivoa.obscore", r"line 1, column \d+"),
        ("SELECT obs_id\nFROM ivoa.obscore\nWHERE nothing = 1", r"line 3, column 7"),
        ("SELECT * FROM files", "files"),
        ("SELECT byte_index FROM ivoa.obscore", "byte_index"),
        ("SELECT file_id FROM ivoa.obscore", "file_id"),
        ("SELECT * FROM obscore_rtree", "obscore_rtree"),
        ("SELECT * FROM sqlite_schema", "sqlite_schema"),
        ("DELETE FROM ivoa.obscore", "line 1"),
        ("SELECT 1; DROP TABLE obscore", "line 1"),
        ("SELECT load_extension('x') FROM ivoa.obscore", "(?i)load_extension"),
        ("(" * 20_000, "line 1"),
        ("", "QUERY is missing"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_a_document_that_says_where(tap, query, sentence):
    answer = ask(tap, query, "POST")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/x-votable+xml"
    value, text = status(answer.content)
    assert value == "ERROR"
    assert re.search(sentence, text), text


def test_an_error_of_the_database_is_told_without_its_words(catalogue, tmp_path, site_app):
    path = tmp_path / "broken.db"
    shutil.copy(catalogue[0], path)
    with path.open("r+b") as file:
        # Beyond the first pages, which hold the layout.
        file.seek(200_000)
        file.write(b"\xff" * 300_000)
    with serve(site_app(path)) as server:
        params = {"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore"}
        answer = httpx.get(f"{server.url}/tap/sync", params=params)
        assert answer.status_code in {200, 500}
        value, text = status(answer.content)
        assert value == "ERROR"
        assert "malformed" not in text
        assert "log tells why" in text


def test_what_is_not_there_is_a_document_too(tap):
    answer = httpx.get(f"{tap.url}/nothing")
    assert (answer.status_code, status(answer.content)[0]) == (404, "ERROR")
    assert httpx.delete(f"{tap.url}/sync").status_code == 405


def test_head_has_no_body(tap):
    answer = httpx.head(
        f"{tap.url}/sync", params={"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore"}
    )
    assert (answer.status_code, answer.content) == (200, b"")


FORMS = {
    "AREA": "SELECT AREA(s_region) AS x {}",
    "BOX": "SELECT CONTAINS(POINT(1, 1), BOX(1, 1, 2, 2)) AS x {}",
    "CENTROID": "SELECT CENTROID(s_region) AS x {}",
    "CIRCLE": "SELECT CIRCLE(s_ra, s_dec, 1) AS x {}",
    "CONTAINS": "SELECT CONTAINS(POINT(s_ra, s_dec), s_region) AS x {}",
    "COORD1": "SELECT COORD1(POINT(s_ra, s_dec)) AS x {}",
    "COORD2": "SELECT COORD2(CENTROID(s_region)) AS x {}",
    "COORDSYS": "SELECT COORDSYS(POINT(s_ra, s_dec)) AS x {}",
    "DISTANCE": "SELECT DISTANCE(s_ra, s_dec, 1, 1) AS x {}",
    "INTERSECTS": "SELECT INTERSECTS(s_region, POLYGON(0, 0, 1, 0, 1, 1)) AS x {}",
    "POINT": "SELECT POINT(s_ra, s_dec) AS x {}",
    "POLYGON": "SELECT POLYGON(0, 0, 1, 0, 1, 1) AS x {}",
    "REGION": "SELECT REGION('CIRCLE ICRS 1 1 1') AS x {}",
    "LOWER": "SELECT LOWER(filter) AS x {}",
    "UPPER": "SELECT UPPER(filter) AS x {}",
    "ILIKE": "SELECT filter AS x {} WHERE obs_id ILIKE 'NIGHT%'",
    "WITH": "WITH part AS (SELECT * {}) SELECT obs_id FROM part",
    "UNION": "SELECT obs_id {0} UNION SELECT filter {0}",
    "EXCEPT": "SELECT obs_id {0} EXCEPT SELECT filter {0}",
    "INTERSECT": "SELECT obs_id {0} INTERSECT SELECT obs_id {0}",
    "CAST": "SELECT CAST(s_ra AS INTEGER) AS x {}",
    "IN_UNIT": "SELECT IN_UNIT(s_ra, 'rad') AS x {}",
    "OFFSET": "SELECT obs_id {} ORDER BY obs_id OFFSET 3",
}


@pytest.mark.parametrize("form", [form for forms in FEATURES.values() for form in forms])
def test_every_declared_feature_works(tap, form):
    answer = ask(tap, FORMS[form].format("FROM ivoa.obscore"), MAXREC="3")
    assert len(table(answer)) == 3


@pytest.mark.usefixtures("pyvo_sockets")
def test_the_user_defined_functions_are_declared_with_their_signatures(tap):
    capability = pyvo.dal.TAPService(tap.url).get_tap_capability()
    (language,) = capability.languages
    for form in USER_FUNCTIONS:
        declared = language.get_udf(form.name)
        assert declared is not None, form.name
        assert declared.description
    listed = language.get_feature_list("ivo://ivoa.net/std/TAPRegExt#features-udf")
    assert [item.form for item in listed] == [form.signature for form in USER_FUNCTIONS]
    answer = ask(tap, "SELECT ivo_healpix_index(6, s_ra, s_dec) AS x FROM ivoa.obscore")
    assert table(answer)["x"].dtype.kind == "i"


@pytest.mark.usefixtures("pyvo_sockets")
def test_pyvo_finds_its_way(tap):
    service = pyvo.dal.TAPService(tap.url)
    assert service.hardlimit == TapSettings().max_rows
    assert service.maxrec == TapSettings().default_rows
    assert "ivoa.obscore" in service.tables
    assert len(service.tables["ivoa.obscore"].columns) == len(COLUMN_NAMES)
    rows = service.search("SELECT TOP 3 * FROM ivoa.obscore")
    assert len(rows) == 3
    assert unquote(rows[0]["access_url"]).endswith(rows[0]["obs_publisher_did"])
    with pytest.raises(pyvo.dal.DALQueryError, match="line 1, column"):
        service.run_sync("SELECT nothing FROM ivoa.obscore")
    assert len(service.run_sync("SELECT obs_id FROM ivoa.obscore", maxrec=2)) == 2


@pytest.mark.usefixtures("pyvo_sockets")
def test_pyvo_warns_of_an_answer_cut_by_the_service(tap, site_app):
    with serve(site_app(tap.database, TapSettings(default_rows=5))) as server:
        service = pyvo.dal.TAPService(f"{server.url}/tap")
        with pytest.warns(pyvo.dal.DALOverflowWarning):
            assert len(service.search("SELECT obs_id FROM ivoa.obscore")) == 5


def test_firefly_asks_for_the_tables_as_it_does(tap):
    rows = table(
        ask(
            tap,
            "SELECT * FROM tap_schema.schemas INNER JOIN tap_schema.tables"
            " ON tap_schema.schemas.schema_name = tap_schema.tables.schema_name",
        )
    )
    assert "ivoa.obscore" in set(rows["table_name"])
    columns = table(
        ask(tap, "SELECT * FROM TAP_SCHEMA.columns WHERE table_name LIKE 'ivoa.obscore'")
    )
    assert list(columns["column_name"][np.argsort(columns["column_index"])]) == list(COLUMN_NAMES)
    rows = table(ask(tap, "SELECT DISTINCT filter FROM ivoa.obscore"))
    assert set(rows["filter"]) == {"g", "r", "i"}


@pytest.mark.stilts
@needs_stilts
def test_stilts_tapquery_gives_the_rows(tap, tmp_path):
    out = tmp_path / "out.csv"
    subprocess.run(
        [
            "stilts", "tapquery", f"tapurl={tap.url}", "sync=true",
            "adql=SELECT obs_publisher_did, s_ra FROM ivoa.obscore ORDER BY obs_publisher_did",
            f"out={out}", "ofmt=csv",
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    lines = out.read_text().splitlines()
    assert len(lines) == len(tap.observations) + 1


@pytest.mark.stilts
@needs_stilts
def test_taplint_finds_no_error(tap):
    # Not LOC and UPL: no planning tables and no uploads are declared.
    stages = "TMV TME TMS TMC CPV CAP AVV QGE QPO QAS UWS MDQ OBS EXA"
    done = subprocess.run(
        ["stilts", "taplint", f"tapurl={tap.url}", "report=EWF", f"stages={stages}"],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    faults = [line for line in done.stdout.splitlines() if re.match(r"[EWF]-", line)]
    assert faults == [], done.stdout


def test_rows_written_meanwhile_are_found_at_once(tmp_path, site_app):
    path = tmp_path / "skylane.db"
    with serve(site_app(path)) as server:
        url = f"{server.url}/tap/sync"
        params = {
            "LANG": "ADQL",
            "QUERY": "SELECT COUNT(*) AS n FROM ivoa.obscore",
            "FORMAT": "csv",
        }
        before = httpx.get(url, params=params)
        assert before.status_code == 500
        assert "ingest something first" in status(before.content)[1]
        available = httpx.get(f"{server.url}/tap/availability").text
        assert "false" in available
        store = SqliteStore(path)
        for number in range(3):
            observation = make_observation(f"ivo://x/y?{number}", Circle(1.0, 1.0, 1.0))
            store.write([make_file(f"file:///{number}", observation)])
            assert httpx.get(url, params=params).text.split() == ["n", str(number + 1)]
        assert "true" in httpx.get(f"{server.url}/tap/availability").text
        store.close()


def test_a_query_over_its_time_is_stopped_and_the_next_one_served(tap, site_app):
    settings = TapSettings(sync_limit_s=0.3, connections=1)
    with serve(site_app(tap.database, settings)) as server:
        url = f"{server.url}/tap/sync"
        slow = (
            "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c"
            " WHERE a.s_ra + b.s_ra + c.s_ra < -1"
        )
        began = time.monotonic()
        answer = httpx.get(url, params={"LANG": "ADQL", "QUERY": slow})
        assert time.monotonic() - began < 3.0
        assert answer.status_code == 503
        said = status(answer.content)[1]
        assert "stopped after 0.3 s" in said
        assert re.search(r"compares every row of ivoa.obscore AS \w \(401\) with every row", said)
        assert re.search("no condition joins them. What helps: join [abc] and [abc] by", said)
        quick = {"LANG": "ADQL", "QUERY": "SELECT TOP 1 obs_id FROM ivoa.obscore"}
        assert httpx.get(url, params=quick).status_code == 200


def test_a_query_over_its_time_is_told_of_async(tap, site_app, tmp_path):
    settings = TapSettings(sync_limit_s=0.1)
    with serve(site_app(tap.database, settings, make_runner(tmp_path))) as server:
        params = {
            "LANG": "ADQL",
            "QUERY": "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b,"
            " ivoa.obscore AS c WHERE a.s_ra + b.s_ra + c.s_ra < -1",
        }
        said = status(httpx.get(f"{server.url}/tap/sync", params=params).content)[1]
        assert said.endswith("As a job in /async a query may take up to 14400 s")


def test_clients_that_go_away_give_their_places_free(tap, site_app):
    settings = TapSettings(connections=2, batch_rows=10)
    query = "SELECT a.* FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c"
    with serve(site_app(tap.database, settings)) as server:
        url = f"{server.url}/tap/sync"
        given = {"LANG": "ADQL", "QUERY": query, "MAXREC": "10000000"}
        for _ in range(5):
            with httpx.stream("GET", url, params=given) as answer:
                assert answer.status_code == 200
                next(answer.iter_bytes())
        quick = {"LANG": "ADQL", "QUERY": "SELECT TOP 1 obs_id FROM ivoa.obscore"}
        assert httpx.get(url, params=quick, timeout=15).status_code == 200


def test_a_client_that_goes_away_stops_its_query(tap, site_app):
    settings = TapSettings(connections=1, sync_limit_s=60, wait_limit_s=10)
    slow = (
        "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c"
        " WHERE a.s_ra + b.s_ra + c.s_ra < -1"
    )
    with serve(site_app(tap.database, settings)) as server:
        url = f"{server.url}/tap/sync"
        for method in ("GET", "POST"):
            given = {"LANG": "ADQL", "QUERY": slow}
            sent = {"params": given} if method == "GET" else {"data": given}
            with pytest.raises(httpx.ReadTimeout):
                httpx.request(method, url, timeout=0.5, **sent)
            quick = {"LANG": "ADQL", "QUERY": "SELECT TOP 1 obs_id FROM ivoa.obscore"}
            began = time.monotonic()
            assert httpx.get(url, params=quick, timeout=15).status_code == 200
            assert time.monotonic() - began < 5.0


def test_a_client_that_stops_reading_is_dropped(tap, site_app):
    settings = TapSettings(connections=1, stall_limit_s=0.5, wait_limit_s=10)
    query = "SELECT a.* FROM ivoa.obscore AS a, ivoa.obscore AS b"
    with serve(site_app(tap.database, settings)) as server:
        url = f"{server.url}/tap/sync"
        given = {"LANG": "ADQL", "QUERY": query, "MAXREC": "10000000"}
        quick = {"LANG": "ADQL", "QUERY": "SELECT TOP 1 obs_id FROM ivoa.obscore"}
        with httpx.stream("GET", url, params=given) as stalled:
            next(stalled.iter_bytes())
            # It holds the only place, and now reads nothing more.
            assert httpx.get(url, params=quick, timeout=15).status_code == 200


def test_many_clients_at_once(tap):
    failures: list[str] = []

    def work() -> None:
        for _ in range(5):
            answer = ask(tap, "SELECT TOP 50 * FROM ivoa.obscore WHERE s_dec > 0")
            if answer.status_code != 200:
                failures.append(answer.text)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
