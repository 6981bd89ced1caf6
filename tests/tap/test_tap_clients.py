"""What Firefly, TOPCAT, STILTS and pyvo do with a service, beyond what other tests ask of them.

Firefly's and TOPCAT's queries are those of their own code: forms, old first arguments and all.
"""

from __future__ import annotations

import contextlib
import gc
import io
import shutil
import subprocess
import warnings
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io.votable import parse_single_table
from astropy.table import Table

from obscore.columns import COLUMN_NAMES, COLUMNS
from obscore.tap.settings import TapSettings
from vodal.regions import Circle, Point, parse_shape
from vodal.sphere import contains, intersects

needs_stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")
XS = "{http://www.w3.org/2001/XMLSchema-instance}"


def ask(tap, query, uploads=None, **params):
    data = {"LANG": "ADQL", "QUERY": query, **params}
    files = {}
    if uploads:
        data["UPLOAD"] = ";".join(f"{name},param:{name}" for name in uploads)
        files = {name: (f"{name}.csv", text, "text/csv") for name, text in uploads.items()}
    answer = httpx.post(f"{tap.url}/sync", data=data, files=files, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def rows_of(answer) -> Table:
    return parse_single_table(io.BytesIO(answer.content)).to_table(use_names_over_ids=True)


def stilts(*arguments) -> str:
    done = subprocess.run(
        ["stilts", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def pyvo_service(tap):
    """Give a pyvo client, which leaves closing to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pyvo.dal.TAPService(tap.url)
        gc.collect()


# Firefly ---------------------------------------------------------------------------------------

SHAPES = {
    "circle": ("CIRCLE('ICRS', 150.1, 2.2, 20)", Circle(150.1, 2.2, 20.0)),
    "pole": ("CIRCLE('ICRS', 10, 88, 9)", Circle(10.0, 88.0, 9.0)),
    "polygon": ("POLYGON('ICRS', 350, -10, 20, -10, 20, 15, 350, 15)",
                parse_shape("POLYGON ICRS 350 -10 20 -10 20 15 350 15")),
}  # fmt: skip

FORMS = {
    "CONTAINS(POINT('ICRS', s_ra, s_dec), {shape}) = 1": lambda at, _, shape: contains(shape, at),
    "CONTAINS({shape}, s_region) = 1": lambda _, region, shape: contains(region, shape),
    "CONTAINS(s_region, {shape}) = 1": lambda _, region, shape: contains(shape, region),
    "INTERSECTS(s_region, {shape}) = 1": lambda _, region, shape: intersects(region, shape),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", FORMS)
def test_each_of_fireflys_forms_is_exact_and_uses_the_spatial_index(tap, form, shape):
    text, region = SHAPES[shape]
    where = form.format(shape=text)
    query = f"SELECT obs_publisher_did FROM ivoa.obscore WHERE ({where})"
    found = set(rows_of(ask(tap, query))["obs_publisher_did"])
    wanted = {
        item.row["obs_publisher_did"]
        for item in tap.observations
        if item.region is not None
        and FORMS[form](Point(item.row["s_ra"], item.row["s_dec"]), item.region, region)
    }
    assert found == wanted
    said = ask(tap, query, EXPLAIN="1").text
    assert "found by the spatial index" in said, said


def test_fireflys_search_around_many_positions_uses_the_index(tap):
    targets = "id,ra_in,dec_in\n1,150.1,2.2\n2,10,88\n3,,\n4,355,-3\n"
    query = (
        "SELECT ut.id, o.obs_publisher_did FROM ivoa.obscore AS o, TAP_UPLOAD.upload_table AS ut"
        " WHERE CONTAINS(POINT('ICRS', ut.ra_in, ut.dec_in), o.s_region) = 1"
    )
    found = rows_of(ask(tap, query, {"upload_table": targets}))
    wanted = {
        (number, item.row["obs_publisher_did"])
        for number, ra, dec in ((1, 150.1, 2.2), (2, 10.0, 88.0), (4, 355.0, -3.0))
        for item in tap.observations
        if item.region is not None and contains(item.region, Point(ra, dec))
    }
    assert {(int(row["id"]), row["obs_publisher_did"]) for row in found} == wanted
    assert wanted
    said = ask(tap, query, {"upload_table": targets}, EXPLAIN="1").text
    assert "found by the spatial index" in said, said


def test_fireflys_choices_come_from_kept_counts_side_by_side(tap):
    names = ("obs_collection", "instrument_name", "facility_name", "dataproduct_subtype")

    def values(name):
        # By GET, as Firefly asks.
        params = {"LANG": "ADQL", "QUERY": f"SELECT DISTINCT {name} FROM ivoa.obscore"}
        return rows_of(httpx.get(f"{tap.url}/sync", params=params, timeout=30))[name]

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(names, pool.map(values, names), strict=True))
    for name in names:
        known = {item.row.get(name) for item in tap.observations}
        told = {None if np.ma.is_masked(value) or value == "" else value for value in found[name]}
        assert told == known, name
        said = ask(tap, f"SELECT DISTINCT {name} FROM ivoa.obscore", EXPLAIN="1").text
        assert "the kept counts answer it" in said


def test_firefly_asks_for_keys_and_capabilities(tap):
    rows = rows_of(ask(
        tap,
        "SELECT * FROM TAP_SCHEMA.keys INNER JOIN TAP_SCHEMA.key_columns"
        " ON TAP_SCHEMA.keys.key_id = TAP_SCHEMA.key_columns.key_id",
    ))  # fmt: skip
    assert "TAP_SCHEMA.columns" in set(rows["from_table"])
    answer = httpx.get(f"{tap.url}/capabilities")
    assert answer.status_code == 200
    (access,) = [
        item for item in ET.fromstring(answer.content) if item.get(f"{XS}type") == "tr:TableAccess"
    ]
    models = {item.get("ivo-id") for item in access.iter("dataModel")}
    assert "ivo://ivoa.net/std/ObsCore#core-1.1" in models


def test_an_answer_has_what_firefly_shows(tap):
    answer = parse_single_table(io.BytesIO(ask(tap, "SELECT * FROM ivoa.obscore").content))
    fields = {field.name: field for field in answer.fields}
    assert tuple(fields) == COLUMN_NAMES
    for item in COLUMNS:
        column, field = item.column, fields[item.name]
        told = (field.ucd, field.utype, field.unit and str(field.unit), field.xtype)
        assert told == (column.ucd, column.utype, column.unit, column.xtype), item.name
        if item.mandatory:
            assert field.utype.startswith("obscore:")
    rows = answer.to_table(use_names_over_ids=True)
    assert set(rows["access_format"]) == {"application/x-votable+xml;content=datalink"}
    words = {str(text).split()[0] for text in rows["s_region"]}
    assert words <= {"POLYGON", "CIRCLE"}
    assert str(rows["access_estsize"].unit) == "kbyte"


# TOPCAT and STILTS -----------------------------------------------------------------------------


@pytest.mark.stilts
@needs_stilts
@pytest.mark.parametrize("sync", ["true", "false"])
@pytest.mark.parametrize("form", ["TABLEDATA", "BINARY", "BINARY2"])
def test_stilts_uploads_and_joins(tap, tmp_path, sync, form):
    path = tmp_path / "targets.csv"
    path.write_text("name,ra,dec\nhere,150.1,2.2\nnowhere,,\n")
    said = stilts(
        "tapquery", f"tapurl={tap.url}", f"sync={sync}", "nupload=1", f"upload1={path}",
        "ufmt1=csv", "upname1=mine", f"upvotformat={form}", "maxrec=1000",
        *(() if sync == "true" else ("poll=50", "executionduration=30", "delete=always")),
        ("adql=SELECT t.name, o.obs_publisher_did FROM TAP_UPLOAD.mine AS t JOIN ivoa.obscore AS o"
         " ON 1 = CONTAINS(POINT('ICRS', t.ra, t.dec), o.s_region)"), "ofmt=csv",
    )  # fmt: skip
    wanted = [
        item for item in tap.observations
        if item.region is not None and contains(item.region, Point(150.1, 2.2))
    ]  # fmt: skip
    assert len(wanted) >= 1
    assert said.count("here,") == len(wanted)
    assert "nowhere" not in said


@pytest.mark.stilts
@needs_stilts
@pytest.mark.parametrize("sync", ["true", "false"])
def test_stilts_matches_a_table_with_the_catalogue(tap, tmp_path, sync):
    ra, dec = tap.observations[7].row["s_ra"], tap.observations[7].row["s_dec"]
    path = tmp_path / "targets.csv"
    path.write_text(f"name,ra,dec\none,{ra},{dec}\ntwo,{ra},{-dec}\n")
    said = stilts(
        "tapskymatch", f"in={path}", "ifmt=csv", "inlon=ra", "inlat=dec", f"tapurl={tap.url}",
        "taptable=ivoa.obscore", "taplon=s_ra", "taplat=s_dec", "tapcols=obs_publisher_did",
        "sr=0.001", "find=all", f"sync={sync}", "ofmt=csv",
    )  # fmt: skip
    header, *rows = said.split("\n")
    assert "obs_publisher_did" in header
    assert [row.split(",")[0] for row in rows if row] == ["one"]
    assert tap.observations[7].row["obs_publisher_did"] in said


@pytest.mark.stilts
@needs_stilts
def test_stilts_says_what_is_wrong_with_a_query(tap):
    done = subprocess.run(
        ["stilts", "tapquery", f"tapurl={tap.url}", "sync=false", "parse=false", "poll=50",
         "adql=SELECT nothing FROM ivoa.obscore"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "unknown column nothing" in done.stderr


# pyvo ------------------------------------------------------------------------------------------


def test_pyvo_knows_the_service(tap):
    settings = TapSettings()
    with pyvo_service(tap) as service:
        assert service.available
        assert service.up_since is not None
        assert (service.maxrec, service.hardlimit) == (settings.default_rows, settings.max_rows)
        capability = service.get_tap_capability()
        (language,) = capability.languages
        assert language.name == "ADQL"
        assert {item.content for item in language.versions} == {"2.0", "2.1"}
        assert capability.uploadlimit.hard.content == settings.uploads.max_rows
        assert capability.executionduration.hard == settings.async_max_limit_s
        assert len(capability.outputformats) > 5
        assert {item.ivo_id.rpartition("#")[2] for item in service.upload_methods} >= {
            "upload-inline"
        }
        tables = service.tables
        assert {"ivoa.obscore", "TAP_SCHEMA.tables", "TAP_SCHEMA.key_columns"} <= set(tables.keys())
        columns = {item.name: item for item in tables["ivoa.obscore"].columns}
        assert tuple(columns) == COLUMN_NAMES
        assert columns["s_ra"].unit == "deg"
        assert "std" in columns["s_ra"].flags or columns["s_ra"].std
        (key,) = tables["TAP_SCHEMA.columns"].foreignkeys
        assert key.targettable == "TAP_SCHEMA.tables"
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            service.describe()
            tables["ivoa.obscore"].describe()
        assert "ivoa.obscore" in text.getvalue()


def test_pyvo_uploads_what_it_was_given_before(tap):
    with pyvo_service(tap) as service:
        found = service.search("SELECT TOP 5 obs_publisher_did, s_ra FROM ivoa.obscore")
        again = service.search(
            "SELECT o.s_ra FROM TAP_UPLOAD.earlier AS f JOIN ivoa.obscore AS o"
            " ON f.obs_publisher_did = o.obs_publisher_did ORDER BY f.s_ra",
            uploads={"earlier": found},
        )
        assert list(again["s_ra"]) == sorted(found["s_ra"])


def test_pyvo_goes_on_with_a_job_by_its_address(tap):
    with pyvo_service(tap) as service:
        table = Table({"n": [3, 4]})
        job = service.submit_job(
            "SELECT t.n, COUNT(*) AS c FROM TAP_UPLOAD.t AS t, ivoa.obscore GROUP BY t.n"
            " ORDER BY t.n",
            uploads={"t": table}, maxrec=10,
        )  # fmt: skip
        job.run()
        other = pyvo.dal.AsyncTAPJob(job.url)
        other.wait(timeout=20)
        other.raise_if_error()
        assert other.phase == "COMPLETED"
        assert other.result_uri.endswith("/results/result")
        assert list(other.fetch_result()["c"]) == [len(tap.observations)] * 2
        other.delete()
        assert httpx.get(job.url).status_code == 404


def test_pyvo_raises_the_error_of_a_job(tap):
    with pyvo_service(tap) as service:
        job = service.submit_job("SELECT 1 / 0 AS x, nothing FROM ivoa.obscore")
        job.run()
        job.wait(phases={"ERROR"}, timeout=20)
        assert "unknown column nothing" in job.job.errorsummary.message.content
        with pytest.raises(pyvo.dal.DALQueryError, match="unknown column nothing"):
            job.raise_if_error()
        job.delete()
