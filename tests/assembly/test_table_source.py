"""Tables of products as a source: formats, places, units, and what a second run does."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import psycopg
import pytest
from astropy import units as u
from astropy.table import Table
from astropy.time import Time
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate, Problem
from obscore.sources.choice import configured_sources, source_of, with_folders
from obscore.sources.table.place import Base
from obscore.sources.table.repeats import Met
from obscore.sources.table.settings import TableSettings
from obscore.sources.table.source import TableSource
from vodal.errors import UsageError

ROWS = 7


def products() -> Table:
    """Give a table as a pipeline writes it, in units of its own."""
    number = np.arange(ROWS)
    table = Table()
    table["visit"] = number + 100
    table["path"] = [f"raw/{n:03d}.fits" for n in number]
    table["s_ra"] = (350.0 + 3 * number) % 360 * u.deg
    table["s_dec"] = (number - 3.0) * 60 * u.arcmin
    table["t_min"] = (60000.0 + number) * u.d
    table["t_exptime"] = (number + 1.0) * u.min
    table["em_min"] = np.full(ROWS, 550.0) * u.nm
    table["em_max"] = np.full(ROWS, 0.7) * u.um
    table["seeing"] = (0.5 + number / 10) * u.arcsec
    table["target_name"] = [f"field {n}" for n in number]
    return table


def write(table: Table, folder, name: str):
    path = folder / name
    if name.endswith((".vot", ".fits")):
        form = "votable" if name.endswith(".vot") else "fits"
        table.write(path, format=form, overwrite=True)
    elif name == "astropy.parquet":
        table.write(path, overwrite=True)
    elif name.endswith(".parquet"):
        # VOParquet: the units are in the metadata.
        table.write(
            path,
            format="parquet.votable",
            overwrite=True,
            metadata={name: {} for name in table.colnames},
        )
    else:
        table.write(path, format="ascii.ecsv" if name.endswith("ecsv") else "csv", overwrite=True)
    return path


def run(store, path, **own):
    mapping = own.pop("mapping", {"s_resolution": "fact:seeing", "obs_id": "v{fact:visit}"})
    settings = ObsCoreSettings.model_validate(
        {"collections": {"raw": {"table": {"path": str(path), **own}, "mapping": mapping}}}
    )
    (source,) = configured_sources(settings)
    told = []
    summary = ingest(source, store, settings, report=told.append)
    return summary, told


def expected(store, folder):
    table = products()
    rows = store.rows()
    assert [row["obs_id"] for row in rows] == [f"v{visit}" for visit in table["visit"]]
    for name, unit in (("s_ra", u.deg), ("s_dec", u.deg), ("t_min", u.d), ("t_exptime", u.s),
                       ("em_min", u.m), ("em_max", u.m)):  # fmt: skip
        got = np.array([row[name] for row in rows])
        np.testing.assert_allclose(got, table[name].quantity.to_value(unit), rtol=1e-12, atol=0)
    assert [row["s_resolution"] for row in rows] == pytest.approx(list(table["seeing"]))
    assert [row["target_name"] for row in rows] == list(table["target_name"])
    assert list(store.files) == [(folder / path).as_uri() for path in table["path"]]
    assert [row["obs_publisher_did"] for row in rows] == [
        f"ivo://skylane.example/raw?{path}" for path in table["path"]
    ]


@pytest.mark.parametrize("name", ["p.ecsv", "p.vot", "p.parquet", "astropy.parquet", "p.fits"])
def test_units_that_a_table_declares_are_converted(memory_store, tmp_path, name):
    summary, _ = run(memory_store, write(products(), tmp_path, name))
    assert (summary.statuses["added"], summary.products) == (ROWS, ROWS)
    expected(memory_store, tmp_path)


def test_a_csv_has_its_units_from_the_mapping(memory_store, tmp_path):
    path = write(products(), tmp_path, "p.csv.gz")
    run(memory_store, path, mapping={
        "s_resolution": "fact:seeing", "obs_id": "v{fact:visit}",
        "s_dec": {"fact": "s_dec", "unit": "arcmin"}, "em_min": {"fact": "em_min", "unit": "nm"},
        "em_max": {"fact": "em_max", "unit": "um"},
        "t_exptime": {"fact": "t_exptime", "factor": 60},
    })  # fmt: skip
    expected(memory_store, tmp_path)


def test_a_query_is_asked_and_its_secret_stays_one(memory_store, tmp_path):
    table = products()
    table["s_dec"] = table["s_dec"].quantity.to(u.deg)
    database = sqlite3.connect(tmp_path / "products.db")
    database.execute("CREATE TABLE products (visit, path, s_ra, s_dec, t_min)")
    columns = (list(map(float if name[:2] in {"s_", "t_"} else str, table[name]))
               for name in ("visit", "path", "s_ra", "s_dec", "t_min"))  # fmt: skip
    database.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?)", zip(*columns, strict=True))
    database.commit()
    database.close()
    settings = TableSettings.model_validate(
        {"url": f"sqlite:///{tmp_path}/products.db", "base": str(tmp_path),
         "query": "SELECT visit, path, s_ra, s_dec, t_min FROM products WHERE visit < '104'"}
    )  # fmt: skip
    found = list(TableSource(settings, "raw").walk())
    assert [one.relative for one in found] == list(table["path"][:4])
    assert [one.parts[0].facts["s_dec"] for one in found] == pytest.approx(list(table["s_dec"][:4]))
    wrong = settings.model_copy(update={"query": "SELECT nobody FROM products"})
    with pytest.raises(UsageError, match="no such column: nobody"):
        list(TableSource(wrong, "raw").walk())
    secret = TableSettings.model_validate(
        {"url": "postgresql://me:hush@127.0.0.1:1/x", "query": "SELECT 1"}
    )
    with pytest.raises(UsageError) as error:
        list(TableSource(secret, "raw").walk())
    assert "127.0.0.1" in str(error.value)
    assert "hush" not in f"{error.value} {secret!r}"


def test_a_query_is_asked_of_postgresql(memory_store, postgres_url, tmp_path):
    with psycopg.connect(postgres_url) as database:
        database.execute(
            "CREATE TABLE exposure AS SELECT n AS visit, 'raw/' || n || '.fits' AS path,"
            " (n % 360)::numeric AS s_ra, timestamptz '2026-11-30 12:00:00+02' AS t_min,"
            " ARRAY[1.5, 2.5] AS pair FROM generate_series(1, 5000) AS n"
        )
    settings = TableSettings.model_validate(
        {"url": postgres_url, "base": str(tmp_path),
         "query": "SELECT *, 10.0::float8 AS s_dec FROM exposure"
                  " WHERE path LIKE 'raw/%' AND ' :no parameter' <> path ORDER BY path"}
    )  # fmt: skip
    found = list(TableSource(settings, "raw").walk())
    assert sorted(one.parts[0].facts["visit"] for one in found) == list(range(1, 5001))
    assert found[0].parts[0].facts == {
        "visit": 1, "path": "raw/1.fits", "s_ra": 1.0, "t_min": "2026-11-30T10:00:00",
        "pair": "1.5 2.5", "s_dec": 10.0,
    }  # fmt: skip
    own = ObsCoreSettings.model_validate({"collections": {"raw": {"headers": False}}})
    ingest(TableSource(settings, "raw"), memory_store, own)
    # Times of a database are moments: their MJD is that of astropy.
    wanted = Time("2026-11-30T10:00:00", scale="utc").mjd
    assert {row["t_min"] for row in memory_store.rows()} == {wanted}


def test_a_second_run_writes_what_changed_and_nothing_else(memory_store, tmp_path):
    table = products()
    path = write(table, tmp_path, "p.ecsv")
    run(memory_store, path)
    before, writes = dict(memory_store.files), len(memory_store.writes)
    summary, _ = run(memory_store, path)
    assert (summary.statuses["unchanged"], len(memory_store.writes)) == (ROWS, writes)
    table["target_name"] = ["another" if n == 3 else f"field {n}" for n in range(ROWS)]
    table.remove_row(5)
    summary, told = run(memory_store, write(table, tmp_path, "p.ecsv"))
    assert summary.statuses == {"unchanged": ROWS - 2, "updated": 1, "vanished": 1}
    (gone,) = (one for one in told if one.status == "vanished")
    assert gone.uri.endswith("raw/005.fits")
    changed = [uri for uri, file in memory_store.files.items() if before[uri] is not file]
    assert [uri[-8:] for uri in changed] == ["003.fits"]


def test_rows_of_nothing_sound_are_told_one_by_one(memory_store, tmp_path):
    table = products()
    table["t_max"] = table["t_min"] + 1
    table["t_max"][1] = 1.0
    table["s_dec"][2] = 95 * 60
    wrong = ["../outside.fits", "/etc/passwd", "", "raw/000.fits"]
    table["path"] = [*table["path"][:3], *wrong]
    summary, told = run(memory_store, write(table, tmp_path, "p.ecsv"))
    assert summary.statuses == {"added": 1, "refused": 6}
    refused = {one.message.partition(":")[0]: one for one in told if one.status == "refused"}
    assert {row: one.reason for row, one in refused.items()} == {
        "row 2": "row:order", "row 3": "row:position", "row 4": "row:uri", "row 5": "row:uri",
        "row 6": "row:uri", "row 7": "row:scattered",
    }  # fmt: skip
    assert "not below" in refused["row 5"].message
    json.loads(refused["row 7"].to_json())


def test_rows_of_one_file_are_parts_of_it(memory_store, tmp_path):
    table = products()[:4]
    table["path"] = ["a.fits", "a.fits", "b.fits", "b.fits"]
    table["ext"] = ["S1", "S2", "S1", "S2"]
    summary, _ = run(memory_store, write(table, tmp_path, "p.ecsv"), hdu="ext")
    assert (summary.statuses["added"], summary.products) == (2, 4)
    assert [row["obs_publisher_did"].rpartition("?")[2] for row in memory_store.rows()] == [
        "a.fits:S1", "a.fits:S2", "b.fits:S1", "b.fits:S2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("own", "cell", "uri", "relative"),
    [
        ({}, "raw/a b.fits", "{base}/raw/a%20b.fits", "raw/a b.fits"),
        ({"base": "https://x.example/d/"}, "a/b.fits", "https://x.example/d/a/b.fits", "a/b.fits"),
        ({"base": "https://x.example/d"}, "https://x.example/d/a.fits",
         "https://x.example/d/a.fits", "a.fits"),
        ({}, "s3://bucket/k/a.fits", "s3://bucket/k/a.fits", "bucket/k/a.fits"),
        ({"uri": "https://y.example/{visit}/{path}"}, "a.fits",
         "https://y.example/7/a.fits", "y.example/7/a.fits"),
    ],
)  # fmt: skip
def test_where_a_file_lies(tmp_path, own, cell, uri, relative):
    (tmp_path / "p.csv").write_text(f"visit,path\n7,{cell}\n")
    settings = TableSettings(path=str(tmp_path / "p.csv"), **own)
    (found,) = TableSource(settings, "raw").walk()
    assert isinstance(found, Candidate)
    assert (found.uri, found.relative) == (uri.format(base=tmp_path.as_uri()), relative)


_NAMES = st.text(st.sampled_from("a1./_-:é \n%+"), max_size=7)


@pytest.mark.parametrize("base", ["/data/n é", "https://archive.example/a%20b/", "s3://b"])
@given(texts=st.lists(st.one_of(_NAMES, st.just("r/a-1.fits"), st.none()), max_size=3))
@example(texts=["r/a-1.fits", "r/b.fits"])
@example(texts=["r/a.fits", "r/../b.fits"])
@example(texts=["a\nb"])
def test_plain_places_of_many_are_those_of_each(base, texts):
    place = Base(base)
    found = place.locate_plain(texts)
    if found is None:
        assert texts != ["r/a-1.fits"] * len(texts) or not texts
    else:
        assert found == [place.locate(text) for text in texts]


def test_numbers_of_regions_and_empty_words_are_understood(memory_store, tmp_path):
    (tmp_path / "p.vot").write_text(
        """<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
        <FIELD name="path" datatype="char" arraysize="*"/>
        <FIELD name="s_region" datatype="double" arraysize="*" xtype="polygon" unit="deg"/>
        <FIELD name="facility_name" datatype="char" arraysize="*"/>
        <DATA><TABLEDATA><TR><TD>a.fits</TD><TD>10 1 11 1 10.5 2</TD><TD>N/A</TD></TR></TABLEDATA>
        </DATA></TABLE></RESOURCE></VOTABLE>"""
    )
    run(memory_store, tmp_path / "p.vot", null=["N/A"], mapping={})
    (row,) = memory_store.rows()
    assert row["s_region"].startswith("POLYGON ICRS ")
    assert 1.0 < row["s_dec"] < 2.0
    assert row.get("facility_name") is None


def test_what_cannot_be_followed_is_named_by_its_key(tmp_path):
    path = write(products(), tmp_path, "p.ecsv")
    for own, match in (
        ({"uri": "{nowhere}"}, r"collections\.raw\.table\.uri.*'nowhere'.*visit"),
        ({"hdu": "ext"}, r"table\.hdu.*'ext'"),
        ({"base": "ftp://x"}, "base: 'ftp://x'"),
    ):
        with pytest.raises(UsageError, match=match):
            list(TableSource(TableSettings(path=str(path), **own), "raw").walk())
    table = products()
    table["t_exptime"].unit = "kg"
    with pytest.raises(UsageError, match=r"t_exptime.*'kg'"):
        list(TableSource(TableSettings(path=str(write(table, tmp_path, "w.ecsv"))), "raw").walk())
    with pytest.raises(UsageError, match="no table"):
        list(TableSource(TableSettings(path=str(tmp_path / "none.csv")), "raw").walk())
    for wrong in (
        {},
        {"path": "a", "url": "b", "query": "c"},
        {"url": "b"},
        {"path": "a", "uri": "{"},
    ):
        with pytest.raises(ValidationError):
            TableSettings.model_validate(wrong)


def test_a_table_named_by_a_user_is_a_source(tmp_path):
    path = write(products(), tmp_path, "night.ecsv")
    source = source_of(path, ObsCoreSettings())
    assert (type(source), source.collection) == (TableSource, "night")
    assert not with_folders(ObsCoreSettings(), [source]).collections["night"].reads_headers
    settings = ObsCoreSettings.model_validate(
        {"collections": {"raw": {"table": {"path": str(path), "hdu": "visit"}}}}
    )
    # Separated text is a list of files, unless a collection has it for its table.
    other = write(products(), tmp_path, "night.csv")
    assert type(source_of(other, settings)) is not TableSource
    assert source_of(other, settings, collection="raw").settings.path == str(other)
    assert source_of(path, settings).settings.hdu == "visit"
    assert source_of(path, settings).collection == "raw"


def test_what_was_met_is_found_among_much(tmp_path):
    met, plain = Met(), set()
    rng = np.random.default_rng(5)
    for size in (3, 1000, 1, 500, 2000, 0, 700):
        texts = [f"u{n}" for n in rng.integers(0, 4000, size)]
        assert met.had(texts).tolist() == [text in plain for text in texts]
        met.add(texts)
        plain.update(texts)
    source = TableSource(TableSettings(path=str(write(products(), tmp_path, "p.csv"))), "raw")
    assert source.exists((tmp_path / "raw/003.fits").as_uri())
    assert not source.exists((tmp_path / "raw/030.fits").as_uri())
    assert not any(isinstance(one, Problem) for one in source.walk())
