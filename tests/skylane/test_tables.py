"""The commands of ``skylane table``, and clients of a site with tables of its own."""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pyarrow as pa
import pytest
import pyvo
import yaml
from astropy.table import Table as AstropyTable
from pyarrow import parquet

from skylane.testing import call, refused

pytestmark = pytest.mark.xdist_group("site")

SKY = """
name: sky
description: What this site has seen
tables:
- name: stars
  description: Stars
  primaryKey: "#stars.id"
  columns:
  - {name: id, datatype: long, nullable: false, description: Number, "ivoa:ucd": meta.id;meta.main}
  - {name: ra, datatype: double, "ivoa:ucd": pos.eq.ra;meta.main, "ivoa:unit": deg}
  - {name: dec, datatype: double, "ivoa:ucd": pos.eq.dec;meta.main, "ivoa:unit": deg}
  - {name: name, datatype: text}
  - {name: size, datatype: short, "votable:arraysize": "2"}
  indexes:
  - {name: stars_sky, columns: ["#stars.ra", "#stars.dec"]}
- name: odd "spectra"
  "@id": "#spectra"
  columns:
  - {name: star, "@id": "#spectra.star", datatype: long}
  - {name: flux, datatype: float, "votable:arraysize": "*", "ivoa:unit": Jy}
  - {name: where, datatype: text, "votable:xtype": "adql:REGION"}
  constraints:
  - {name: star of, "@type": ForeignKey, columns: ["#spectra.star"],
     referencedColumns: ["#stars.id"]}
"""

STARS = [
    {"id": 1, "ra": 10.0, "dec": 20.0, "name": "007", "size": [1, 2]},
    {"id": 2, "ra": 11.0, "dec": 21.0, "name": None, "size": [3, 4]},
    {"id": 3, "ra": None, "dec": 21.0, "name": "\u03b1", "size": None},
]
SPECTRA = [
    {"star": 1, "flux": [1.0, 2.5], "where": "CIRCLE ICRS 10 20 0.1"},
    {"star": 1, "flux": [], "where": None},
]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Give a folder with a declaration and the rows of its tables."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "sky.yaml").write_text(SKY, "utf-8")
    sizes = pa.list_(pa.int16(), 2)
    stars = pa.Table.from_pylist(STARS)
    stars = stars.set_column(4, "size", stars["size"].combine_chunks().cast(sizes))
    parquet.write_table(stars, folder / "stars.parquet")
    parquet.write_table(pa.Table.from_pylist(SPECTRA), folder / "spectra.parquet")
    return folder


def publish(files: Path, site: Path) -> str:
    return call(
        "table", "publish", files / "sky.yaml", "--site", site,
        "--data", f"stars={files / 'stars.parquet'}",
        "--data", f'odd "spectra"={files / "spectra.parquet"}',
    )  # fmt: skip


def test_a_declaration_becomes_tables_and_is_given_back(files, tmp_path):
    said = publish(files, tmp_path)
    assert "sky.stars: 3 rows" in said
    assert 'sky."odd ""spectra""": 2 rows' in said
    listed = call("table", "list", "--site", tmp_path)
    assert re.search(r"sky\.stars\s+3\s+5\s", listed)
    exported = call("table", "export", "--site", tmp_path)
    (tmp_path / "again.yaml").write_text(exported, "utf-8")
    # Without rows it is the same declaration: the rows stay.
    assert "sky.stars: 3 rows" in call(
        "table", "publish", tmp_path / "again.yaml", "--site", tmp_path
    )
    assert call("table", "export", "sky", "--site", tmp_path) == exported
    part = call("table", "export", "SKY.stars", "--site", tmp_path)
    assert "odd" not in part
    answer = call(
        "query", 'SELECT name, "size", flux FROM sky.stars JOIN sky."odd ""spectra""" ON id = star',
        "--site", tmp_path,
    )  # fmt: skip
    assert "007" in answer
    call("table", "drop", 'sky."odd ""spectra"""', "sky.stars", "--site", tmp_path)
    assert "no tables are published" in call("table", "list", "--site", tmp_path)


def judge(text: str):
    from felis.datamodel import Schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Schema.model_validate(yaml.safe_load(text))


def test_felis_takes_what_is_exported(files, tmp_path):
    publish(files, tmp_path)
    schema = judge(call("table", "export", "--site", tmp_path))
    assert [table.name for table in schema.tables] == ['odd "spectra"', "stars"]
    assert schema.tables[1].columns[0].ivoa_ucd == "meta.id;meta.main"
    observations = judge(call("table", "export", "ivoa.obscore", "--site", tmp_path))
    assert len(observations.tables[0].columns) > 30
    assert "obs_publisher_did" in str(observations.tables[0].primary_key)


FORMATS = ("csv", "vot", "fits", "parquet", "tsv", "csv.gz")


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_declared_and_published(form, tmp_path):
    table = AstropyTable(
        {"id": [1, 2], "ra": [10.0, 20.5], "dec": [-5.0, 5.0], "name": ["a", "b"]},
        units={"ra": "deg", "dec": "deg"},
    )
    file = tmp_path / f"my stars.{form}"
    names = {"vot": "votable", "csv": "ascii.csv", "tsv": "ascii.tab", "parquet": "parquet"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "parquet":
            parquet.write_table(
                pa.table({name: table[name].tolist() for name in table.colnames}), file
            )
        elif form == "csv.gz":
            import gzip

            with gzip.open(file, "wt") as out:
                out.write("id,ra,dec,name\n1,10.0,-5.0,a\n2,20.5,5.0,b\n")
        else:
            table.write(file, format=names.get(form, form))
    written = call("table", "declare", file, "--site", tmp_path)
    judge(written)
    assert "name: my stars" in written
    assert "pos.eq.ra;meta.main" in written
    if form in {"vot", "fits"}:
        assert "ivoa:unit: deg" in written
    (tmp_path / "d.yaml").write_text(written, "utf-8")
    said = call("table", "publish", tmp_path / "d.yaml", "--data", file, "--site", tmp_path)
    assert 'site."my stars": 2 rows' in said
    near = 'SELECT name FROM "my stars" WHERE DISTANCE(ra, dec, 20.5, 5.0) < 0.1'
    assert re.search(r"^ *b *$", call("query", near, "--site", tmp_path), re.MULTILINE)


def test_numbers_that_are_names_stay_texts(tmp_path):
    (tmp_path / "v.csv").write_text("version,n\n1.10,1\n1.20,2\n", "utf-8")
    (tmp_path / "d.yaml").write_text(
        "name: x\ntables: [{name: v, columns: [{name: Version, datatype: text},"
        " {name: n, datatype: double}, {name: more, datatype: int}]}]\n", "utf-8",
    )  # fmt: skip
    said = call("table", "publish", tmp_path / "d.yaml", "--data", tmp_path / "v.csv",
                "--site", tmp_path)  # fmt: skip
    assert "the file has no column more; it stays NULL" in " ".join(said.split())
    assert "1.10" in call("query", "SELECT * FROM v ORDER BY n", "--site", tmp_path)


WRONG = {
    "n\n300000\n": "row 1: 300000 does not fit the type short that is declared",
    "n\nx\n": "the file has texts and the declaration numbers",
    "n\n1.5\n": "row 1: 1.5 does not fit",
    "n,t\n1,abcdef\n": "row 1: 'abcdef' has the length 6 and the arraysize that is declared is 5*",
    "m\n1\n": "the file has no column n, which may not be NULL; it has m",
    "n\n1\n\n2\nx,y,z\n": "the text is no table",
}


@pytest.mark.parametrize("text", WRONG)
def test_rows_that_do_not_fit_are_named(text, tmp_path):
    (tmp_path / "rows.csv").write_text(text, "utf-8")
    (tmp_path / "d.yaml").write_text(
        "name: x\ntables: [{name: t, columns: [{name: n, datatype: short, nullable: false},"
        " {name: t, datatype: string, length: 5}]}]\n", "utf-8",
    )  # fmt: skip
    said = refused("table", "publish", tmp_path / "d.yaml", "--data", tmp_path / "rows.csv",
                   "--site", tmp_path)  # fmt: skip
    assert WRONG[text] in said
    assert "no tables are published" in call("table", "list", "--site", tmp_path)


def test_what_is_asked_wrongly_is_told(files, tmp_path):
    site = ("--site", tmp_path)
    assert "there is none" in refused("table", "load", "a.b", files / "stars.parquet", *site)
    assert "name one of those that are published: none" in refused("table", "export", *site)
    publish(files, tmp_path)
    assert "there is no published table 'sky.star'" in refused("table", "drop", "sky.star", *site)
    assert "there is no published schema 'sea'; there is sky" in refused(
        "table", "export", "sea", *site
    )
    assert "refers to stars by its foreign key star of" in refused(
        "table", "drop", "sky.stars", *site
    )
    declaration, rows = files / "sky.yaml", files / "stars.parquet"
    for data, sentence in (
        (rows, "has 2 tables; write TABLE=FILE"),
        (f"sun={rows}", "the declaration has no table sun; it has stars"),
        ("stars=absent.csv", "there is no file absent.csv"),
    ):
        said = refused("table", "publish", declaration, "--data", data, *site)
        assert sentence in said
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused("table", "publish", tmp_path / "bad.yaml", *site)
    assert "ivoa holds the standards' tables" in refused(
        "table", "declare", rows, "--name", "ivoa.obscore", *site
    )
    assert "is no name of a table" in refused("table", "declare", rows, "--name", "a.b.c", *site)


def test_tables_move_with_their_site(files, tmp_path, postgres_url, monkeypatch):
    site = tmp_path / "site"
    publish(files, site)
    said = call("store", "copy", "--to", postgres_url, "--site", site)
    assert "2 published tables with 5 rows" in said
    assert "holds 2 published tables already" in refused(
        "store", "copy", "--to", postgres_url, "--site", site
    )
    again = call("store", "copy", "--to", postgres_url, "--resume", "--site", site)
    assert "2 published tables were there already" in again
    asked = ("query", 'SELECT * FROM stars LEFT JOIN "odd ""spectra""" ON id = star ORDER BY id',
             "--site", site)  # fmt: skip
    before, exported = call(*asked), call("table", "export", "--site", site)
    monkeypatch.setenv("SKYLANE_STORE__URL", postgres_url)
    assert sorted(call(*asked).splitlines()) == sorted(before.splitlines())
    assert call("table", "export", "--site", site) == exported
    # New rows in PostgreSQL, and the way back.
    call("table", "load", "sky.stars", files / "stars.parquet", "--site", site)
    back = tmp_path / "back" / "skylane.db"
    back.parent.mkdir()
    call("store", "copy", "--to", back, "--site", site)
    monkeypatch.delenv("SKYLANE_STORE__URL")
    asked = (*asked[:-1], back.parent)
    assert sorted(call(*asked).splitlines()) == sorted(before.splitlines())


# Clients ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def served(request, files, cli, survey, tmp_path_factory):
    """Give the URL of a server, to which tables were added while it ran."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postgres":
            patch.setenv("SKYLANE_STORE__URL", request.getfixturevalue("fresh_postgres")())
        cli.run("ingest", survey.folder, "--workers", 0, "--site", folder)
        process, url = cli.start(folder)
        publish(files, folder)
        yield url
        cli.stop(process)


@pytest.fixture
def service(served):
    """Give a client, which leaves closing to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield pyvo.dal.TAPService(f"{served}/tap")
        gc.collect()


def test_pyvo_sees_and_asks_them(service):
    table = service.tables["sky.stars"]
    assert table.description == "Stars"
    assert [column.name for column in table.columns][:3] == ["id", "ra", "dec"]
    assert table.columns[1].ucd == "pos.eq.ra;meta.main"
    assert "indexed" in table.columns[1].flags
    rows = service.search(
        'SELECT s.id, s.name, "size", flux FROM sky.stars AS s'
        ' LEFT JOIN sky."odd ""spectra""" AS o ON o.star = s.id ORDER BY s.id'
    )
    assert list(rows["id"]) == [1, 1, 2, 3]
    assert rows["name"][0] == "007"
    assert {len(flux) for flux in rows["flux"][:2]} == {0, 2}
    job = service.run_async("SELECT COUNT(*) AS n FROM stars WHERE ra > 10.5")
    assert job["n"][0] == 1


@pytest.mark.stilts
@pytest.mark.skipif(not shutil.which("stilts"), reason="stilts is not installed")
def test_taplint_finds_nothing_wrong_with_them(served):
    done = subprocess.run(
        ["stilts", "taplint", f"tapurl={served}/tap", "report=EWF",
         "stages=TMV TME TMS TMC CPV MDQ QGE EXA"],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    faults = [line for line in done.stdout.splitlines() if re.match(r"[EWF]-", line)]
    assert faults == [], done.stdout
