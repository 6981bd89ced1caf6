"""``skylane query``: every format, uploads, and what happens when something is wrong."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table
from click.testing import CliRunner
from pyarrow import parquet

from obscore.store.sqlite.store import SqliteStore
from obscore.testing import make_catalogue
from skylane.cli import main
from vodal.tables.formats import FORMATS

ROWS = 30
ALL = "SELECT obs_publisher_did, s_ra, access_estsize FROM ivoa.obscore"
MATCH = """
    SELECT t.name, u.weight, o.obs_id FROM TAP_UPLOAD.t AS t
    JOIN TAP_UPLOAD."my table" AS u ON t.name = u.name
    JOIN ivoa.obscore AS o ON 1 = CONTAINS(POINT(t.ra, t.dec), CIRCLE(o.s_ra, o.s_dec, 0.001))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("query")
    store = SqliteStore(path / "skylane.db")
    store.write(list(make_catalogue(ROWS)))
    store.close()
    return path


@pytest.fixture
def query(folder):
    def run(adql: str, *options: object, code: int = 0):
        words = ["query", adql, "--site", str(folder), *map(str, options)]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == code, done.output
        return done

    return run


def test_rows_are_shown_aligned(query):
    lines = query("SELECT TOP 2 obs_id, s_ra FROM ivoa.obscore").stdout.splitlines()
    assert lines[0].split() == ["obs_id", "s_ra"]
    assert lines[-1] == "# 2 rows"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("rows.vot", lambda path: len(parse(path).get_first_table().array)),
        ("rows.xml", lambda path: len(parse(path).get_first_table().array)),
        ("rows.csv", lambda path: len(Table.read(path, format="ascii.csv"))),
        ("rows.TSV", lambda path: len(path.read_text().splitlines()) - 1),
        ("rows.fits", lambda path: fits.getheader(path, 1)["NAXIS2"]),
        ("rows.fit", lambda path: fits.getheader(path, 1)["NAXIS2"]),
        ("rows.json", lambda path: path.read_text().count("\n[")),
        ("rows.parquet", lambda path: parquet.read_table(path).num_rows),
        ("rows.arrows", lambda path: pa.ipc.open_stream(path.read_bytes()).read_all().num_rows),
        ("rows.html", lambda path: path.read_text().count("<tr><td>")),
        ("rows.txt", lambda path: len(path.read_text().splitlines()) - 4),
    ],
)
def test_the_ending_of_the_file_chooses_the_format(query, tmp_path, name, read):
    done = query(ALL, "-o", tmp_path / name)
    assert done.stdout == ""
    assert f"Wrote {tmp_path / name}" in done.stderr
    assert read(tmp_path / name) == ROWS
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("item", FORMATS, ids=lambda item: item.name)
def test_every_format_goes_to_standard_output_or_a_file_of_any_name(query, tmp_path, item):
    said = query(f"{ALL} ORDER BY s_ra", "-f", item.name).stdout_bytes
    query(f"{ALL} ORDER BY s_ra", "-f", item.media_type, "-o", tmp_path / "rows.data")
    written = (tmp_path / "rows.data").read_bytes()
    assert said == written
    assert query(f"{ALL} ORDER BY s_ra", "-f", item.name, "-o", "-").stdout_bytes == written


def test_tables_of_products_carry_the_descriptors_of_the_services(query, tmp_path):
    query(ALL, "-o", tmp_path / "rows.vot")
    assert "adhoc:service" in (tmp_path / "rows.vot").read_text()


def test_uploads_join(query, tmp_path):
    query(ALL, "-o", tmp_path / "all.fits")
    row = fits.getdata(tmp_path / "all.fits", 1)[5]
    query(
        f"SELECT s_ra AS ra, s_dec AS dec, 'here' AS name FROM ivoa.obscore"
        f" WHERE obs_publisher_did = '{row['obs_publisher_did']}'",
        "-o", tmp_path / "t.vot",
    )  # fmt: skip
    (tmp_path / "u.csv").write_text("name,weight\nhere,2.5\nthere,3.5\n")
    uploads = [
        "--upload",
        f"t={tmp_path / 't.vot'}",
        "--upload",
        f'"my table"={tmp_path / "u.csv"}',
    ]
    lines = query(MATCH, *uploads, "-f", "csv").stdout.splitlines()
    assert lines[0] == "name,weight,obs_id"
    assert len(lines) == 2
    assert lines[1].startswith("here,2.5,")
    assert "TAP_UPLOAD.t" in query(MATCH, *uploads, "--explain").stdout


def test_maxrec_cuts_and_says_so(query, tmp_path):
    done = query(ALL, "--maxrec", 7, "-f", "tsv")
    assert len(done.stdout.splitlines()) == 8
    assert "more than 7 rows" in done.stderr
    assert "OVERFLOW" in query(ALL, "--maxrec", 7).stdout
    query(ALL, "--maxrec", 0, "-o", tmp_path / "none.vot")
    assert len(parse(tmp_path / "none.vot").get_first_table().array) == 0


@pytest.mark.parametrize(
    ("adql", "options", "sentence"),
    [
        ("SELECT nothing FROM ivoa.obscore", (), "line 1, column 8"),
        (ALL, ("-o", "rows.doc"), "-o takes a file that ends in .vot, .xml, .csv"),
        (ALL, ("-f", "excel"), "'excel' is not available; take one of votable"),
        (ALL, ("-o", "nowhere/rows.csv"), "nowhere/rows.csv: No such file or directory"),
        (ALL, ("--upload", "t"), "--upload takes NAME=FILE, not 't'"),
        (ALL, ("--upload", "t=nothing.vot"), "there is no file nothing.vot"),
        (ALL, ("--upload", "a b=t.csv"), "'a b' is no name of a table"),
        (ALL, ("--upload", "t=t.csv", "--upload", "T=t.csv"), "names the table 'T' twice"),
        (ALL, ("--upload", "t=empty"), "--upload t: the file is empty"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    query, tmp_path, monkeypatch, adql, options, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("n\n1\n")
    (tmp_path / "empty").touch()
    done = query(adql, *options, code=1)
    assert sentence in done.stderr
    assert done.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "empty"}


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    # Far more than a pipe holds.
    adql = "SELECT a.* FROM ivoa.obscore AS a, ivoa.obscore AS b"
    words = [sys.executable, "-m", "skylane", "query", adql, "-f", "csv", "--site", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"dataproduct_type,")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0
