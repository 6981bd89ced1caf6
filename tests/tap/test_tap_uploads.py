"""Tables uploaded with queries, over the wire: plain HTTP, pyvo and STILTS."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import warnings
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io.votable import parse_single_table
from astropy.table import MaskedColumn, Table

from obscore.adql.tokens import RESERVED
from obscore.tap.settings import TapSettings
from vodal.errors import TooLargeError, UsageError
from vodal.regions import Point
from vodal.sphere import contains
from vodal.testing.server import serve
from vodal.uploads.settings import UploadSettings
from vodal.uploads.tables import UploadSource, parse_uploads

needs_stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")

CSV = b"name,ra,dec\na,150.1,2.2\nb,10,-20\n"


def ask(tap, query, files=None, url=None, **params):
    given = {"LANG": "ADQL", "QUERY": query, **params}
    url = url or f"{tap.url}/sync"
    if files is None:
        return httpx.post(url, data=given)
    return httpx.post(url, data=given, files=files)


def rows(answer):
    assert answer.status_code == 200, answer.text
    return [tuple(row) for row in parse_single_table(io.BytesIO(answer.content)).to_table()]


def fault(answer, status=400):
    assert answer.status_code == status, answer.text
    info = ET.fromstring(answer.content).find(".//{*}INFO[@name='QUERY_STATUS']")
    assert info.get("value") == "ERROR"
    return info.text


# The parameter --------------------------------------------------------------------------------


def test_names_and_uris():
    assert parse_uploads(["a,param:x;b , http://h/p?q=1,2 ;", '"my; ""t""",param:y'], 9) == (
        UploadSource("a", "param:x"),
        UploadSource("b", "http://h/p?q=1,2"),
        UploadSource('my; "t"', "param:y"),
    )


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("t", "UPLOAD 't' is not understood; it is written UPLOAD=name,uri"),
        ("t,", "the table 't' has no URI"),
        (",param:x", "'' is no name of a table"),
        ("a b,param:x", "'a b' is no name of a table"),
        ("tap_upload.t,param:x", "is no name of a table"),
        ("select,param:x", "select is a reserved word of ADQL"),
        ('"",param:x', "1 to 128 characters"),
        ("a" * 200 + ",param:x", "1 to 128 characters"),
        ("t,param:x;T,param:y", "names the table 'T' twice"),
        ('t,param:x;"T",param:y', "names the table 'T' twice"),
        ("t,http://h/a;b", "UPLOAD 'b' is not understood"),
    ],
)
def test_what_is_wrong_with_a_value_is_told(value, sentence):
    with pytest.raises(UsageError) as caught:
        parse_uploads([value], 9, RESERVED)
    assert sentence in caught.value.message


def test_the_number_of_tables_is_limited():
    with pytest.raises(TooLargeError, match="max_tables is 2"):
        parse_uploads(["a,param:x", "b,param:y;c,param:z"], 2)


# Over the wire --------------------------------------------------------------------------------


def test_a_table_is_joined_with_the_catalogue(tap):
    found = rows(
        ask(
            tap,
            "SELECT t.name, o.obs_publisher_did FROM TAP_UPLOAD.t AS t JOIN ivoa.obscore AS o"
            " ON 1 = CONTAINS(POINT('ICRS', t.ra, t.dec), o.s_region)",
            {"x": ("t.csv", CSV, "text/csv")},
            UPLOAD="t,param:x",
        )
    )
    places = {"a": Point(150.1, 2.2), "b": Point(10.0, -20.0)}
    assert sorted(found) == sorted(
        (name, item.did)
        for name, place in places.items()
        for item in tap.observations
        if contains(item.region, place)
    )
    assert ("a", "ivo://skylane.test/nasty?a b&c=d#e/\u00e9.fits") in found


def test_several_tables_in_several_formats(tap):
    fits = io.BytesIO()
    Table({"n": [1, 2], "x": [0.5, 1.5]}).write(fits, format="fits")
    answer = ask(
        tap,
        'SELECT a.n, a.x, b.m, "C".m FROM TAP_UPLOAD.a AS a JOIN TAP_UPLOAD.b AS b ON a.n = b.n'
        ' JOIN TAP_UPLOAD."my table" AS "C" ON "C".n = a.n ORDER BY a.n',
        [
            ("one", ("f", fits.getvalue(), "application/fits")),
            ("two", ("g.gz", gzip.compress(b"n\tm\n1\tu\n2\tv\n"), "application/gzip")),
            # No file name: a parameter may hold a table too.
            ("three", (None, "n,m\n2,w\n1,z\n")),
        ],
        UPLOAD='a,param:one;b,param:TWO;"my table",param:three',
    )
    assert rows(answer) == [(1, 0.5, "u", "z"), (2, 1.5, "v", "w")]


def test_uploads_may_be_named_in_the_url(tap):
    url = f"{tap.url}/sync?LANG=ADQL&QUERY=SELECT+COUNT(*)+FROM+TAP_UPLOAD.t&UPLOAD=t,param:x"
    assert rows(httpx.post(url, files={"x": ("t", CSV)})) == [(2,)]
    # A table in the body of a plain form.
    answer = ask(tap, "SELECT name FROM TAP_UPLOAD.t", UPLOAD="t,param:x", x="name\na\nb\n")
    assert rows(answer) == [("a",), ("b",)]


def test_files_without_upload_are_passed_over(tap):
    answer = ask(tap, "SELECT TOP 1 calib_level FROM ivoa.obscore", {"x": ("t", b"\0\xff" * 99)})
    assert len(rows(answer)) == 1


@pytest.mark.parametrize(
    ("upload", "content", "sentence"),
    [
        ("t,param:y", CSV, "UPLOAD t: the request has no part 'y'"),
        ("t,param:x", b"", "UPLOAD t: the file is empty"),
        ("t,param:x", b"<VOTABLE><!ENTITY", "UPLOAD t: the VOTable is not well-formed"),
        ("t,file:///etc/passwd", CSV, "with the request only (param:name), not from 'file:'"),
        ("t,http://127.0.0.1/x", CSV, "with the request only (param:name), not from 'http:'"),
        ("t,vos://space/x", CSV, "with the request only (param:name), not from 'vos:'"),
        ("t", CSV, "UPLOAD 't' is not understood"),
    ],
)
def test_what_is_wrong_is_told_in_a_votable(tap, upload, content, sentence):
    answer = ask(tap, "SELECT * FROM TAP_UPLOAD.t", {"x": ("t", content)}, UPLOAD=upload)
    assert sentence in fault(answer)


def test_a_table_that_was_not_uploaded_is_unknown(tap):
    answer = ask(tap, "SELECT * FROM TAP_UPLOAD.u", {"x": ("t", CSV)}, UPLOAD="t,param:x")
    assert "unknown table TAP_UPLOAD.u; did you mean TAP_UPLOAD.t" in fault(answer)
    assert "unknown table" in fault(ask(tap, "SELECT * FROM TAP_UPLOAD.t"))


def test_each_limit_has_its_own_error(tap, site_app):
    limits = UploadSettings(
        max_tables=1, max_bytes=2000, max_table_bytes=3000, max_rows=3, max_columns=4,
        max_cell_bytes=50,
    )  # fmt: skip
    query = "SELECT * FROM TAP_UPLOAD.t"
    with serve(site_app(tap.database, TapSettings(uploads=limits))) as server:
        url = f"{server.url}/tap/sync"
        for content, sentence in [
            (b"a\n1\n2\n3\n4\n", ("UPLOAD t: the table has more rows than this service takes"
                " (max_rows is 3)")),
            (b"a,b,c,d,e\n", "more columns than this service takes (max_columns is 4)"),
            (b"a\n" + b"x" * 60, "(max_cell_bytes is 50)"),
            (gzip.compress(b"a\n" + b"1\n" * 5000), "(max_table_bytes is 3000)"),
            (b"a\n" + b"1" * 2500, ("the uploaded files have more bytes than this service takes"
                " (tap.uploads.max_bytes is 2000)")),
        ]:  # fmt: skip
            answer = ask(tap, query, {"x": ("t", content)}, url, UPLOAD="t,param:x")
            assert sentence in fault(answer, 413)
        two = [("x", ("t", b"a\n1\n")), ("y", ("t", b"a\n1\n"))]
        assert "(tap.uploads.max_tables is 1)" in fault(
            ask(tap, query, two[:1], url, UPLOAD="t,param:x;u,param:y"), 413
        )
        assert "(tap.uploads.max_tables is 1)" in fault(
            ask(tap, query, two, url, UPLOAD="t,param:x"), 413
        )


def test_a_body_beyond_all_limits_is_not_read(tap, site_app):
    limits = TapSettings(uploads=UploadSettings(max_bytes=1000))
    with serve(site_app(tap.database, limits)) as server:
        many = {"QUERY": "x" * 20_000_000, "LANG": "ADQL"}
        answer = httpx.post(f"{server.url}/tap/sync", data=many)
        assert "the parameters of the body are over" in fault(answer, 413)
        answer = httpx.post(f"{server.url}/tap/sync", data=many, files={"x": ("t", b"a")})
        assert "the parameters of the body are over" in fault(answer, 413)


def test_no_uploads_can_be_had(tap, site_app):
    settings = TapSettings(uploads=UploadSettings(max_tables=0))
    with serve(site_app(tap.database, settings)) as server:
        answer = ask(
            tap, "SELECT * FROM TAP_UPLOAD.t", {"x": ("t", CSV)}, f"{server.url}/tap/sync",
            UPLOAD="t,param:x",
        )  # fmt: skip
        assert "(tap.uploads.max_tables is 0)" in fault(answer, 413)
        assert b"uploadMethod" not in httpx.get(f"{server.url}/tap/capabilities").content
    capabilities = httpx.get(f"{tap.url}/capabilities").text
    assert "TAPRegExt#upload-inline" in capabilities
    assert "TAPRegExt#upload-https" not in capabilities
    assert 'unit="row">1000000</hard></uploadLimit>' in capabilities.replace("\n", "")


def test_the_files_of_a_request_are_removed(tap, tmp_path, monkeypatch, site_app):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serve(site_app(tap.database)) as server:
        url = f"{server.url}/tap/sync"
        files = {"x": ("t", CSV)}
        assert len(rows(ask(tap, "SELECT * FROM TAP_UPLOAD.t", files, url, UPLOAD="t,param:x")))
        fault(ask(tap, "SELECT nothing FROM TAP_UPLOAD.t", files, url, UPLOAD="t,param:x"))
        fault(ask(tap, "SELECT * FROM TAP_UPLOAD.t", {"x": ("t", b"")}, url, UPLOAD="t,param:x"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("pyvo_sockets")
def test_pyvo_uploads_tables_and_files(tap, tmp_path):
    service = pyvo.dal.TAPService(tap.url)
    table = Table({"name": ["a", "b"], "ra": [150.1, 10.0], "dec": [2.2, -20.0]})
    table["ra"].unit = table["dec"].unit = "deg"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(tmp_path / "t.vot", format="votable")
        query = "SELECT * FROM TAP_UPLOAD.t ORDER BY name"
        for given in (table, str(tmp_path / "t.vot")):
            result = service.run_sync(query, uploads={"t": given})
            assert [dict(row) for row in result] == [
                {"name": "a", "ra": 150.1, "dec": 2.2}, {"name": "b", "ra": 10.0, "dec": -20.0},
            ]  # fmt: skip
            assert str(result.getdesc("ra").unit) == "deg"
    assert service.upload_methods[0].ivo_id.endswith("#upload-inline")


def finished(url):
    for _ in range(100):
        job = ET.fromstring(httpx.get(url, params={"WAIT": "5"}).content)
        if job.find("{*}phase").text in {"COMPLETED", "ERROR", "ABORTED"}:
            return job
    raise AssertionError("the job did not end")


def test_a_job_keeps_its_tables_until_it_ends(tap):
    made = httpx.post(f"{tap.url}/async", files={"x": ("t", CSV)}, data={"UPLOAD": "t,param:x"})
    job = made.headers["location"]
    # Parameters may come one by one, and so may tables.
    more = {"u": ("u.csv", b"name,n\na,1\nb,2\n", "text/csv")}
    query = (
        "SELECT t.name, u.n FROM TAP_UPLOAD.t AS t JOIN TAP_UPLOAD.u AS u ON t.name = u.name"
        " ORDER BY u.n"
    )
    httpx.post(f"{job}/parameters", files=more, data={"UPLOAD": "u,param:u"})
    httpx.post(f"{job}/parameters", data={"LANG": "ADQL", "QUERY": query})
    httpx.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert finished(job).find("{*}phase").text == "COMPLETED"
    assert rows(httpx.get(f"{job}/results/result")) == [("a", 1), ("b", 2)]
    httpx.delete(job)


def test_a_job_says_which_table_cannot_be_read(tap):
    data = {
        "LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:x",
        "PHASE": "RUN",
    }  # fmt: skip
    made = httpx.post(f"{tap.url}/async", files={"x": ("t", b"<VOTABLE>")}, data=data)
    job = made.headers["location"]
    assert finished(job).find("{*}phase").text == "ERROR"
    answer = httpx.get(f"{job}/error")
    assert "UPLOAD t: the VOTable is not well-formed" in fault(answer, 200)


@pytest.mark.usefixtures("pyvo_sockets")
def test_pyvo_uploads_to_jobs(tap):
    service = pyvo.dal.TAPService(tap.url)
    table = Table({"n": [1, 2, 3]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = service.run_async("SELECT SUM(n) AS s FROM TAP_UPLOAD.t", uploads={"t": table})
    assert result["s"][0] == 6


def every_type():
    table = Table(
        {
            "flag": [True, False],
            "byte": np.array([0, 255], "u1"),
            "short": np.array([-(2**15), 1], "i2"),
            "int": MaskedColumn(np.array([2**31 - 1, 0], "i4"), mask=[False, True]),
            "long": np.array([2**63 - 1, -(2**63)]),
            "float": np.array([0.1, np.inf], "f4"),
            "double": np.array([1e-300, np.nan]),
            "text": ["a<b&c", "жuk"],
            "z": np.array([1 + 2j, -1j], "c8"),
            "w": np.array([[1j, 2], [3, 4]], "c16"),
            "v": np.array([[1, 2, 3], [4, 5, 6]], "i4"),
            "m": np.arange(8.0).reshape(2, 2, 2),
        }
    )
    table["double"].unit = "mJy"
    table["double"].description = "Flux density"
    return table


@pytest.mark.parametrize("form", ["tabledata", "binary2"])
@pytest.mark.parametrize("answer_form", ["votable/td", "votable/b2"])
def test_what_astropy_uploads_it_gets_back(tap, form, answer_form):
    table = every_type()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sent = io.BytesIO()
        table.write(sent, format="votable", tabledata_format=form)
        answer = ask(
            tap, "SELECT * FROM TAP_UPLOAD.t", {"x": ("t", sent.getvalue())},
            UPLOAD="t,param:x", RESPONSEFORMAT=answer_form,
        )  # fmt: skip
        before = parse_single_table(io.BytesIO(sent.getvalue()))
        after = parse_single_table(io.BytesIO(answer.content))
    for one, two in zip(before.fields, after.fields, strict=True):
        assert (one.name, one.datatype, str(one.unit), one.description) == (
            two.name, two.datatype, str(two.unit), two.description,
        )  # fmt: skip
        sizes = {one.arraysize, two.arraysize}
        assert len(sizes - {"1", None}) <= 1
    for name in table.colnames:
        one, two = before.array[name], after.array[name]
        assert np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(two)), name
        assert np.ma.allequal(np.ma.fix_invalid(one) if name == "double" else one, two), name


@pytest.mark.stilts
@needs_stilts
def test_stilts_uploads_tables(tap, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    done = subprocess.run(
        ["stilts", "tapquery", f"tapurl={tap.url}", "sync=true", "nupload=2",
         f"upload1={path}", "upname1=t", "ufmt1=csv", f"upload2={path}", "upname2=u", "ufmt2=csv",
         ("adql=SELECT t.name, u.ra FROM TAP_UPLOAD.t AS t JOIN TAP_UPLOAD.u AS u"
         " ON t.name = u.name ORDER BY t.name"), "ofmt=csv"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["name,ra", "a,150.1", "b,10.0"]


@pytest.mark.stilts
@needs_stilts
def test_taplint_finds_nothing_wrong_with_uploads(tap):
    done = subprocess.run(
        ["stilts", "taplint", f"tapurl={tap.url}", "stages=CAP UPL", "report=EWF"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line[:2] in {"E-", "W-", "F-"}]
    assert not said, done.stdout


def test_many_clients_upload_at_once(tap):
    from concurrent.futures import ThreadPoolExecutor

    def one(number):
        content = "n\n" + "\n".join(str(number + i) for i in range(100))
        answer = ask(
            tap, "SELECT MIN(n), COUNT(*) FROM TAP_UPLOAD.t", {"x": ("t", content.encode())},
            UPLOAD="t,param:x",
        )  # fmt: skip
        return rows(answer)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == [[(i, 100)] for i in range(24)]
