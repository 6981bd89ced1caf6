"""Tables that a site publishes itself: published, loaded, queried, dropped; in each store."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from obscore.declared.reading import read_declaration
from obscore.declared.rows import DeclaredRows, matched
from obscore.declared.tables import DeclaredColumn, DeclaredIndex, DeclaredSchema, DeclaredTable
from obscore.explain.told import explanation_lines
from obscore.store.postgres.backend import PostgresBackend
from obscore.store.postgres.pool import Address, connect
from obscore.store.settings import StoreSettings
from obscore.store.sqlite.backend import SqliteBackend
from obscore.store.sqlite.readers import fetch, open_reader
from obscore.tap.examples import SiteExamples
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from obscore.testing import make_catalogue
from vodal.errors import (
    NotFoundError,
    QueryError,
    ReplacedError,
    ServiceUnavailable,
    UsageError,
)
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

JOBS = Path(__file__).with_name("publishing_jobs.py")

STARS = """
name: cat
description: Catalogues
tables:
- name: stars
  description: Stars
  primaryKey: "#stars.id"
  columns:
  - {name: id, datatype: long, nullable: false, "ivoa:ucd": meta.id;meta.main, "tap:principal": 1}
  - {name: ra, datatype: double, "ivoa:ucd": pos.eq.ra;meta.main, "ivoa:unit": deg}
  - {name: dec, datatype: double, "ivoa:ucd": pos.eq.dec;meta.main, "ivoa:unit": deg}
  - {name: mag, datatype: float, description: Brightness, "ivoa:unit": mag}
  indexes:
  - {name: stars_sky, columns: ["#stars.ra", "#stars.dec"]}
  - {name: stars_mag, columns: ["#stars.mag"]}
"""


def file_of(folder: Path, columns: list[Column], data: dict[str, list]) -> UploadedTable:
    """Write rows as the readers of files do."""
    path = folder / f"{os.urandom(4).hex()}.arrow"
    schema = pa.schema([pa.field(item.name, item.arrow_type()) for item in columns])
    batch = pa.record_batch([pa.array(data[f.name], f.type) for f in schema], schema=schema)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(batch)
    return UploadedTable("x", tuple(columns), path, batch.num_rows)


def rows_of(folder: Path, table: DeclaredTable, data: dict[str, list]) -> DeclaredRows:
    columns = [item.column for item in table.columns if item.name in data]
    return matched(table, file_of(folder, columns, data))[0]


def star_data(count: int, seed: int = 1) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    return {
        "id": list(range(count)),
        "ra": rng.uniform(0, 360, count).tolist(),
        "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, count))).tolist(),
        "mag": [float(np.float32(value)) for value in rng.normal(20, 2, count)],
    }


def stars() -> DeclaredSchema:
    return read_declaration(STARS)[0]


class Site:
    """A store with what publishes and what asks."""

    def __init__(self, backend, where: str) -> None:
        self.backend, self.where = backend, where
        backend.prepare()
        self.tables = backend.tables()
        self.engine = backend.engine(connections=2, wait_s=5.0, batch_rows=1000)
        self.runner = QueryRunner(self.engine, TapSettings())

    def ask(self, query: str, **options) -> list[tuple]:
        stream = self.runner.run(query, 100_000, "http://site", **options)
        return [tuple(row.values()) for batch in stream.batches for row in batch.to_pylist()]

    def load(self, folder: Path, schema: DeclaredSchema, **data) -> None:
        rows = {
            table.name: rows_of(folder, table, data[table.name])
            for table in schema.tables
            if table.name in data
        }
        self.tables.publish(schema, rows)

    def close(self) -> None:
        self.tables.close()
        self.runner.close()


def backend_at(where: str):
    """Give the store at a URL of PostgreSQL, or in a file."""
    if where.startswith("postgresql:"):
        return PostgresBackend(StoreSettings(url=where))
    return SqliteBackend(Path(where))


@pytest.fixture(params=["sqlite", "postgres"])
def site(request, tmp_path):
    if request.param == "sqlite":
        where = str(tmp_path / "skylane.db")
    else:
        where = request.getfixturevalue("postgres_url")
    made = Site(backend_at(where), where)
    yield made
    made.close()


def test_a_published_table_is_asked_like_any_other(site, tmp_path):
    data = star_data(3000)
    site.load(tmp_path, stars(), stars=data)
    assert site.ask("SELECT COUNT(*) FROM cat.stars") == [(3000,)]
    assert site.ask("SELECT id, ra, dec, mag FROM stars ORDER BY id") == list(
        zip(*data.values(), strict=True)
    )
    stream = site.runner.run("SELECT * FROM cat.stars", 1, "")
    assert [item.name for item in stream.columns] == ["id", "ra", "dec", "mag"]
    assert stream.columns[3].unit == "mag"
    assert stream.columns[1].ucd == "pos.eq.ra;meta.main"
    assert stream.columns[3].datatype == "float"
    list(stream.batches)


def test_tap_schema_tells_of_it(site, tmp_path):
    site.load(tmp_path, stars())
    assert site.ask("SELECT schema_name, description FROM TAP_SCHEMA.schemas "
                    "WHERE schema_name = 'cat'") == [("cat", "Catalogues")]  # fmt: skip
    assert site.ask(
        "SELECT table_name, table_type, description FROM TAP_SCHEMA.tables"
        " WHERE schema_name = 'cat'"
    ) == [("cat.stars", "table", "Stars")]
    assert site.ask(
        "SELECT column_name, datatype, unit, ucd, indexed, principal, column_index"
        " FROM TAP_SCHEMA.columns WHERE table_name = 'cat.stars' ORDER BY column_index"
    ) == [
        ("id", "long", None, "meta.id;meta.main", 1, 1, 0),
        ("ra", "double", "deg", "pos.eq.ra;meta.main", 1, 0, 1),
        ("dec", "double", "deg", "pos.eq.dec;meta.main", 1, 0, 2),
        ("mag", "float", "mag", None, 1, 0, 3),
    ]


def test_positions_are_found_as_brute_force_finds_them(site, tmp_path):
    data = star_data(4000)
    data["ra"][:5] = [0.0, 359.999, 10.0, None, 120.0]
    data["dec"][:5] = [0.0, 0.001, 90.0, 10.0, None]
    site.load(tmp_path, stars(), stars=data)
    for ra, dec, radius in ((0, 0, 3), (40, 89.5, 2), (200, -30, 8)):
        near = sorted(
            number
            for number, a, d in zip(data["id"], data["ra"], data["dec"], strict=True)
            if a is not None and d is not None and separation(a, d, ra, dec) <= radius
        )
        assert near
        for condition in (
            f"1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius}))",
            f"DISTANCE(ra, dec, {ra}, {dec}) <= {radius}",
        ):
            found = site.ask(f"SELECT id FROM cat.stars WHERE {condition} ORDER BY id")
            assert [row[0] for row in found] == near


def separation(ra1, dec1, ra2, dec2):
    a, b, c, d = map(math.radians, (ra1, dec1, ra2, dec2))
    h = math.sin((d - b) / 2) ** 2 + math.cos(b) * math.cos(d) * math.sin((c - a) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(h))))


def test_it_is_joined_with_observations_and_uploads_by_the_index(site, tmp_path):
    writer = site.backend.writer()
    writer.write(list(make_catalogue(50, half_width_deg=4.0)))
    writer.close()
    # Who asks is connected already when the table and its index are made.
    assert site.ask("SELECT COUNT(*) FROM ivoa.obscore") == [(50,)]
    site.load(tmp_path, stars(), stars=star_data(3000))
    joined = (
        "SELECT COUNT(*) FROM ivoa.obscore AS o JOIN cat.stars AS s"
        " ON 1 = CONTAINS(POINT(s.ra, s.dec), o.s_region)"
    )
    slow = (
        "SELECT COUNT(*) FROM ivoa.obscore AS o, cat.stars AS s"
        " WHERE 0 < 1 * CONTAINS(POINT(s.ra, s.dec), o.s_region)"
    )
    assert site.ask(joined) == site.ask(slow)
    assert site.ask(joined)[0][0] > 20
    upload = replace(
        file_of(
            tmp_path,
            [Column("n", "int"), Column("ra", "double"), Column("dec", "double")],
            {"n": [1, 2], "ra": [10.0, 200.0], "dec": [10.0, -30.0]},
        ),
        name="mine",
    )
    query = (
        "SELECT m.n, s.id FROM TAP_UPLOAD.mine AS m JOIN cat.stars AS s"
        " ON 1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(m.ra, m.dec, 5)) ORDER BY m.n, s.id"
    )
    found = site.ask(query, uploads=[upload])
    apart = [
        (number, row[0])
        for number, ra, dec in ((1, 10.0, 10.0), (2, 200.0, -30.0))
        for row in site.ask(
            f"SELECT id FROM stars WHERE DISTANCE(ra, dec, {ra}, {dec}) < 5 ORDER BY id"
        )
    ]
    assert found == apart
    assert {number for number, _ in found} == {1, 2}
    for asked in (
        joined,
        query.replace("TAP_UPLOAD.mine", "ivoa.obscore").replace("m.n", "m.obs_id")
        .replace("m.ra, m.dec", "m.s_ra, m.s_dec"),
        "SELECT * FROM stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(1, 2, 3))",
    ):  # fmt: skip
        plan = plan_of(site, asked)
        assert re.search(r"cat\.stars.*found by the spatial index", plan), plan
    plan = plan_of(site, "SELECT * FROM stars WHERE mag < 13")
    assert "found by the index of mag" in plan, plan
    for column in ("id", "mag"):
        plan = plan_of(site, f"SELECT TOP 5 * FROM stars ORDER BY {column}")
        assert f"in the order of the index of {column}" in plan, plan


def test_a_published_table_gets_an_example(site, tmp_path):
    examples = SiteExamples(site.runner)
    assert {item.id for item in examples.examples()} == {"columns", "tables"}
    site.load(tmp_path, stars(), stars=star_data(5))
    examples._looked -= 60
    found = {item.id: item.query for item in examples.examples()}
    assert len(site.ask(found["table-cat-stars"])) == 5


def plan_of(site, query: str) -> str:
    """Give what is told of the database's plan."""
    return "\n".join(explanation_lines(site.runner.explain(query)))


ALL = [
    Column("flag", "boolean"), Column("mask", "bit", "5"), Column("tiny", "unsignedByte"),
    Column("short", "short"), Column("int", "int"), Column("long", "long"),
    Column("float", "float"), Column("double", "double"), Column("letter", "char"),
    Column("text", "char", "*"), Column("wide", "unicodeChar", "12*"),
    Column("time", "char", "*", xtype="timestamp"), Column("z", "doubleComplex"),
    Column("bytes", "unsignedByte", "*"), Column("pair", "int", "2"),
    Column("grid", "double", "2x3"), Column("many", "float", "*"), Column("flags", "boolean", "*"),
    Column("size", "long"), Column('odd "name', "int"), Column("a:b", "char", "*"),
    Column("where", "char", "*", xtype="adql:REGION"), Column("Ünï", "short"),
]  # fmt: skip
"""Every datatype, and names that need quotes."""

VALUES = [
    [True, [True, False, True, True, False], 255, -32768, -(2**31), 2**62 + 1, 1.5, 1e-300, "x",
     "a 'text'\n\"here\"", "\u00e9\u4e2d\U0001f30d", "2024-02-29T23:59:60.5", [1.0, -2.0],
     [0, 127, 255], [1, -2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.5, -2.5, 3.5], [True, False, True],
     7, 1, ":", "CIRCLE ICRS 10 20 1", 1],
    [None] * len(ALL),
    [False, [False] * 5, 0, 0, 0, 0, 0.0, -0.0, "y", "", "", "", [0.0, 0.0], [], [0, 0],
     [0.0] * 6, [], [], 0, 0, "", "POLYGON 1 1 2 1 2 2", -1],
]  # fmt: skip


def test_all_types_are_given_back(site, tmp_path):
    table = DeclaredTable(
        'my "odd" table.x',
        tuple(DeclaredColumn(item) for item in ALL),
        indices=(DeclaredIndex("r", ("where",)), DeclaredIndex("i", ('odd "name', "size"))),
    )
    schema = DeclaredSchema("select", (table,))
    data = {item.name: [row[at] for row in VALUES] for at, item in enumerate(ALL)}
    site.tables.publish(schema, {table.name: rows_of(tmp_path, table, data)})
    name = '"select"."my ""odd"" table.x"'
    stream = site.runner.run(f"SELECT * FROM {name}", 10, "")
    rows = [list(row.values()) for batch in stream.batches for row in batch.to_pylist()]
    key = repr
    assert sorted(rows, key=key) == sorted(VALUES, key=key)
    assert [item.name for item in stream.columns] == [item.name for item in ALL]
    assert [item.arraysize for item in stream.columns] == [item.arraysize for item in ALL]
    assert site.ask(
        f'SELECT "odd ""name", "size" FROM {name} WHERE 1 = CONTAINS(POINT(10, 20.5), "where")'
    ) == [(1, 7)]
    told = site.ask(
        "SELECT column_name FROM TAP_SCHEMA.columns AS c JOIN TAP_SCHEMA.tables AS t"
        " ON t.table_name = c.table_name WHERE t.schema_name = '\"select\"'"
    )
    assert ('"odd ""name"',) in told
    assert ("tiny",) in told
    assert ('"Ünï"',) in told


# Changes ------------------------------------------------------------------------------------------


def test_servers_see_a_change_at_once(site, tmp_path):
    other = site.backend.engine(connections=1, wait_s=5.0, batch_rows=100)
    runner = QueryRunner(other, TapSettings())
    try:
        with pytest.raises(QueryError, match="unknown table"):
            runner.run("SELECT * FROM cat.stars", 1, "")
        site.load(tmp_path, stars(), stars=star_data(10))
        list(runner.run("SELECT * FROM cat.stars", 1, "").batches)
        first = runner.published()
        assert runner.published() is first
        site.tables.drop([("cat", "stars")])
        # Where asking takes time, a server looks when the query fails.
        with pytest.raises(QueryError, match="unknown table"):
            list(runner.run("SELECT * FROM cat.stars", 1, "").batches)
        assert site.ask("SELECT * FROM TAP_SCHEMA.tables WHERE table_name = 'cat.stars'") == []
        assert site.ask("SELECT * FROM TAP_SCHEMA.schemas WHERE schema_name = 'cat'") == []
    finally:
        runner.close()


def test_a_query_on_its_way_gets_the_new_rows(site, tmp_path):
    site.load(tmp_path, stars(), stars=star_data(10))
    on_its_way = site.runner.run("SELECT id FROM cat.stars ORDER BY id", 100, "")
    gone = site.runner.run("SELECT id FROM cat.stars", 100, "")
    changed = site.runner.run("SELECT mag FROM cat.stars", 100, "")
    begun = site.runner.run("SELECT id FROM cat.stars", 100, "")
    first = begun.start()
    site.load(tmp_path, stars(), stars=star_data(20))
    assert sum(batch.num_rows for batch in on_its_way.batches) == 20
    # What had begun ends with what it began with.
    assert first.num_rows + sum(batch.num_rows for batch in begun.batches) == 10
    other = read_declaration(STARS.replace('ivoa:unit": mag', 'ivoa:unit": Jy'))[0]
    site.load(tmp_path, other, stars=star_data(5))
    with pytest.raises(ReplacedError, match="ask again"):
        list(changed.batches)
    site.tables.drop([("cat", "stars")])
    with pytest.raises(QueryError, match="unknown table"):
        list(gone.batches)


def test_descriptions_change_without_the_rows(site, tmp_path):
    site.load(tmp_path, stars(), stars=star_data(10))
    before = site.tables.publication().tables[0]
    other = read_declaration(STARS.replace("Brightness", "How bright it is"))[0]
    site.load(tmp_path, other)
    after = site.tables.publication().tables[0]
    assert (after.number, after.token, after.rows) == (before.number, before.token, 10)
    assert site.ask(
        "SELECT description FROM TAP_SCHEMA.columns"
        " WHERE column_name = 'mag' AND table_name = 'cat.stars'"
    ) == [("How bright it is",)]
    wider = read_declaration(STARS.replace("mag, datatype: float", "mag, datatype: double"))[0]
    with pytest.raises(UsageError, match="not those that its 10 rows were loaded for"):
        site.load(tmp_path, wider)
    site.load(tmp_path, wider, stars=star_data(3))
    assert site.ask("SELECT COUNT(*) FROM stars") == [(3,)]


WRONG = {
    "twice": ({"id": [1, 1, 2]}, "primary key: two rows have the same id: 1"),
    "null": ({"id": [1, None, 2]}, "column id, row 2: there is no value"),
}


@pytest.mark.parametrize("case", WRONG)
def test_rows_that_do_not_fit_leave_the_old_ones(site, tmp_path, case):
    site.load(tmp_path, stars(), stars=star_data(10))
    changes, sentence = WRONG[case]
    with pytest.raises(UsageError, match=sentence):
        site.load(tmp_path, stars(), stars=star_data(3) | changes)
    assert site.ask("SELECT COUNT(*) FROM stars") == [(10,)]
    assert leftovers(site) == 1
    site.load(tmp_path, stars(), stars=star_data(7))
    assert site.ask("SELECT COUNT(*) FROM stars") == [(7,)]


KEYS = (
    STARS
    + """
- name: spectra
  columns:
  - {name: star, datatype: long}
  constraints:
  - name: spectra_star
    description: Whose light it is
    "@type": ForeignKey
    columns: ["#spectra.star"]
    referencedColumns: ["#stars.id"]
"""
)


def test_keys_are_told_and_lead_somewhere(site, tmp_path):
    schema = read_declaration(KEYS)[0]
    site.load(tmp_path, schema, stars=star_data(5), spectra={"star": [1, 1, 4, None]})
    assert site.ask(
        "SELECT k.from_table, k.target_table, c.from_column, c.target_column, k.description"
        " FROM TAP_SCHEMA.keys AS k JOIN TAP_SCHEMA.key_columns AS c ON k.key_id = c.key_id"
        " WHERE k.from_table = 'cat.spectra'"
    ) == [("cat.spectra", "cat.stars", "star", "id", "Whose light it is")]
    assert site.ask("SELECT COUNT(*) FROM spectra JOIN stars ON star = id") == [(3,)]
    with pytest.raises(UsageError, match="spectra refers to stars by its foreign key spectra_star"):
        site.tables.drop([("cat", "stars")])
    without_id = replace(schema.tables[0], columns=schema.tables[0].columns[1:], primary_key=())
    with pytest.raises(UsageError, match="no column id"):
        site.tables.publish(replace(schema, tables=(without_id,)), {})
    site.tables.drop([("cat", "stars"), ("cat", "spectra")])
    assert site.tables.publication().tables == ()


def test_names_differ_by_more_than_case(site, tmp_path):
    site.load(tmp_path, stars())
    with pytest.raises(UsageError, match="called stars and Stars"):
        site.load(tmp_path, replace(stars(), tables=(replace(stars().tables[0], name="Stars"),)))
    with pytest.raises(UsageError, match="there is a schema cat"):
        site.load(tmp_path, replace(stars(), name="CAT"))
    publication = site.tables.publication()
    assert publication.named("CAT.Stars").full_name == "cat.stars"
    assert publication.named('"cat"."stars"').full_name == "cat.stars"
    for name in ("cat.sta", "stars", "a.b.c", ".", "x.stars"):
        with pytest.raises((NotFoundError, UsageError)):
            publication.named(name)


def run_job(job: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(JOBS), job, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_process_that_dies_leaves_the_old_rows(site, tmp_path):
    site.load(tmp_path, stars(), stars=star_data(10))
    process = run_job("load", site.where, str(tmp_path), "300000")
    assert process.stdout is not None
    # It says so once some rows are there, and waits.
    assert process.stdout.readline() == "loading\n"
    with pytest.raises(ServiceUnavailable, match="another process is publishing"):
        site.load(tmp_path, stars(), stars=star_data(3))
    # An ingest goes on meanwhile.
    writer = site.backend.writer()
    writer.write(list(make_catalogue(2)))
    writer.close()
    assert process.poll() is None
    assert site.ask("SELECT COUNT(*) FROM ivoa.obscore") == [(2,)]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert site.ask("SELECT COUNT(*) FROM stars") == [(10,)]
    site.load(tmp_path, stars(), stars=star_data(3))
    assert site.ask("SELECT COUNT(*) FROM stars") == [(3,)]
    assert leftovers(site) == 1


def leftovers(site) -> int:
    """Count the tables that hold rows of published ones."""
    if site.where.startswith("postgresql:"):
        with psycopg.connect(site.where) as connection:
            rows = connection.execute(
                "SELECT relname FROM pg_class WHERE relname ~ '^published_[0-9]+$'"
            ).fetchall()
        return len(rows)
    connection = open_reader(Path(site.where), published_only=False)
    names = fetch(connection, "SELECT name FROM sqlite_schema WHERE name GLOB 'published_[0-9]*'")
    connection.close()
    return len([name for (name,) in names if "rtree" not in name])


def test_readers_go_on_while_rows_are_replaced(site, tmp_path):
    site.load(tmp_path, stars(), stars=star_data(100))
    stop = threading.Event()
    seen: set[int] = set()
    failures: list[Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(site.ask("SELECT COUNT(*) FROM cat.stars")[0][0])
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    for count in (200, 300, 400, 500):
        site.load(tmp_path, stars(), stars=star_data(count))
    stop.set()
    thread.join(20)
    assert not failures
    assert seen <= {100, 200, 300, 400, 500}
    assert len(seen) > 1


def test_preparing_again_keeps_what_is_published(site, tmp_path):
    site.load(tmp_path, stars(), stars=star_data(2000))
    told = "SELECT * FROM TAP_SCHEMA.columns WHERE table_name = 'cat.stars' ORDER BY column_index"
    before = site.ask(told)
    if site.where.startswith("postgresql:"):
        with psycopg.connect(site.where, autocommit=True) as connection:
            # Functions of another version, and a role that may read nothing.
            connection.execute("COMMENT ON SCHEMA adql IS 'older'")
            connection.execute("REVOKE ALL ON ALL TABLES IN SCHEMA skylane FROM skylane_query")
            connection.execute("DELETE FROM skylane.tap_schema_columns")
    site.backend.prepare()
    site.backend.writer().close()
    assert site.ask(told) == before
    near = "SELECT COUNT(*) FROM stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(1, 2, 20))"
    assert site.ask(near)[0][0] > 10


def test_users_may_read_and_nothing_else(fresh_postgres, tmp_path):
    where = fresh_postgres()
    site = Site(backend_at(where), where)
    site.load(tmp_path, stars(), stars=star_data(10))
    site.close()
    connection = connect(Address(where, role="skylane_query"))
    assert connection.execute("SELECT count(*) FROM published_1").fetchone() == (10,)
    for statement in ("DELETE FROM published_1", "DROP TABLE published_1", "TRUNCATE published_1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
    connection.close()
