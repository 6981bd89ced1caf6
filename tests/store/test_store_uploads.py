"""Uploaded tables in queries, on both stores."""

from __future__ import annotations

import math
import re
import threading
import time

import apsw
import numpy as np
import psycopg
import pyarrow as pa
import pytest

from obscore.store.postgres.engine import PostgresEngine
from obscore.store.sqlite.engine import SqliteEngine
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from obscore.testing import make_catalogue
from vodal.errors import ArchiveError, DeadlineError, QueryError, ServiceUnavailable
from vodal.regions import Circle, Point
from vodal.sphere import contains, intersects
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

KINDS = ("sqlite", "postgres")


@pytest.fixture(scope="module")
def catalogue():
    return [item for file in make_catalogue(300, half_width_deg=2.0) for item in file.observations]


@pytest.fixture(scope="module", params=KINDS)
def engine(request, make_backend):
    """Give the engine of each store, with one connection."""
    backend = make_backend(request.param, list(make_catalogue(300, half_width_deg=2.0)))
    engine = backend.engine(connections=1, wait_s=20.0, batch_rows=10_000)
    yield engine
    engine.close()


@pytest.fixture
def runner(engine):
    return QueryRunner(engine, TapSettings())


@pytest.fixture
def is_sqlite(engine):
    return isinstance(engine, SqliteEngine)


def table_of(folder, name, columns, values, batch_rows=1000):
    schema = pa.schema([pa.field(column.name, column.arrow_type()) for column in columns])
    path = folder / f"{len(list(folder.iterdir()))}.arrow"
    whole = pa.table([pa.array(v, t) for v, t in zip(values, schema.types, strict=True)], schema)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(whole, batch_rows)
    return UploadedTable(name, tuple(columns), path, whole.num_rows)


def rows_of(runner, query, *uploads, **options):
    stream = runner.run(query, 100_000, "http://x", uploads=uploads, **options)
    return [tuple(row.values()) for batch in stream.batches for row in batch.to_pylist()]


def points(folder, count=200, name="t", seed=3):
    rng = np.random.default_rng(seed)
    ra = rng.uniform(0, 360, count)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    columns = [Column("name", "char", "*"), Column("ra", "double"), Column("dec", "double")]
    return table_of(folder, name, columns, [[f"p{i}" for i in range(count)], ra, dec])


ALL_TYPES = [
    (Column("flag", "boolean"), [True, False, None]),
    (Column("bit", "bit"), [True, False, None]),
    (Column("byte", "unsignedByte"), [0, 255, None]),
    (Column("short", "short"), [-(2**15), 2**15 - 1, None]),
    (Column("int", "int", unit="m"), [-(2**31), 2**31 - 1, None]),
    (Column("long", "long", ucd="meta.id"), [-(2**63), 2**63 - 1, None]),
    (Column("float", "float"), [0.1, -math.inf, None]),
    (Column("double", "double", description="d"), [1e-300, math.inf, None]),
    (Column("char", "char", "*"), ["a'b\"c;--", "", None]),
    (Column("unicode", "unicodeChar", "*", utype="a:b"), ["жuk \U0001f52d", "\t", None]),
    (Column("when", "char", "*", xtype="timestamp"), ["2024-01-01T00:00:00.5", "2024-01-01", None]),
    (Column("flags", "boolean", "*"), [[True, None], [], None]),
    (Column("bits", "bit", "3"), [[True, False, True], [False] * 3, None]),
    (Column("bytes", "unsignedByte", "2"), [[1, 2], [0, 255], None]),
    (Column("ints", "int", "2x2"), [[1, 2, 3, 4], [-1, -2, -3, -4], None]),
    (Column("longs", "long", "*"), [[2**63 - 1], [], None]),
    (Column("floats", "float", "*"), [[0.5, math.inf], [], None]),
    (Column("doubles", "double", "2x*"), [[0.1, 0.2], [], None]),
    (Column("z", "floatComplex"), [[1.0, -1.0], [0.0, 0.5], None]),
    (Column("w", "doubleComplex", "2"), [[1.0, 2.0, 3.0, 4.0], [0.0] * 4, None]),
    (Column("point", "double", "2", xtype="point"), [[10.0, 20.0], [0.0, -90.0], None]),
    (Column("words", "char", "3x2"), ["ab cd ", "abcdef", None]),
    (Column("select", "int"), [1, 2, 3]),
    (Column('odd "name" {alias} :base_url', "int"), [1, 2, 3]),
]


def test_every_type_goes_through_the_database(runner, tmp_path):
    columns = [column for column, _ in ALL_TYPES]
    table = table_of(tmp_path, "t", columns, [values for _, values in ALL_TYPES])
    stream = runner.run("SELECT * FROM TAP_UPLOAD.t", 100, "http://x", uploads=[table])
    batches = list(stream.batches)
    for column, result in zip(columns, stream.columns, strict=True):
        for name in (
            "name",
            "datatype",
            "arraysize",
            "unit",
            "ucd",
            "utype",
            "xtype",
            "description",
        ):
            assert getattr(result, name) == getattr(column, name)
    with pa.ipc.open_file(str(table.path)) as file:
        assert pa.Table.from_batches(batches).equals(file.read_all())
    query = (
        'SELECT "select", "odd ""name"" {alias} :base_url" FROM tap_upload.T AS x WHERE "flag" = 1'
    )
    assert rows_of(runner, query, table) == [(1, 1)]
    # Through a sub-query, a set and a comparison.
    inner = "SELECT z, longs, flag FROM t UNION ALL SELECT z, longs, flag FROM t"
    found = rows_of(runner, f"SELECT COUNT(*) FROM ({inner}) AS u WHERE flag IS NULL", table)
    assert found == [(2,)]


def test_arrays_of_several_types_meet_in_a_union(runner, tmp_path):
    columns = [Column("a", "double", "*"), Column("b", "int", "*")]
    table = table_of(tmp_path, "t", columns, [[[0.5], None], [[1, 2], []]])
    found = rows_of(runner, "SELECT a FROM t UNION ALL SELECT b FROM t", table)
    assert sorted(found, key=repr) == [(None,), ([0.5],), ([1.0, 2.0],), ([],)]


def test_a_geometry_is_text_or_numbers(runner, tmp_path):
    columns = [
        Column("s", "char", "*", xtype="adql:REGION"),
        Column("c", "double", "3", xtype="circle"),
        Column("p", "double", "*", xtype="polygon"),
        Column("x", "char", "*", xtype="point"),
    ]
    values = [
        ["CIRCLE ICRS 10 20 1", "nonsense"],
        [[10.0, 20.0, 1.0], [0.0, 0.0, -1.0]],
        [[9.0, 19.0, 11.0, 19.0, 11.0, 21.0, 9.0, 21.0], [1.0, 2.0]],
        ["10 20", "POSITION ICRS 10 95"],
    ]
    table = table_of(tmp_path, "t", columns, values)
    for name in ("s", "c", "p"):
        query = f"SELECT CONTAINS(POINT(10, 20.5), {name}), AREA({name}) FROM t"
        inside, outside = rows_of(runner, query, table)
        assert inside[0] == 1
        assert inside[1] > 3.0
        assert outside == (None, None)
    assert rows_of(runner, "SELECT COORD1(x), COORD2(x) FROM t", table) == [(10, 20), (None, None)]
    assert len(rows_of(runner, "SELECT s FROM t WHERE CONTAINS(POINT(10, 20), s) = 1", table)) == 1


def expected_pairs(catalogue, table):
    with pa.ipc.open_file(str(table.path)) as file:
        rows = file.read_all().to_pylist()
    return sorted(
        (row["name"], item.did)
        for row in rows
        for item in catalogue
        if contains(item.region, Point(row["ra"], row["dec"]))
    )


FORMS = [
    "FROM t JOIN ivoa.obscore AS o ON CONTAINS(POINT('ICRS', t.ra, t.dec), o.s_region) = 1",
    "FROM ivoa.obscore AS o JOIN t ON 1 = CONTAINS(POINT(t.ra, t.dec), o.s_region)",
    "FROM ivoa.obscore AS o, t WHERE CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1",
    (
        "FROM t LEFT JOIN ivoa.obscore AS o ON INTERSECTS(POINT(t.ra, t.dec), o.s_region) = 1"
        " WHERE o.obs_id IS NOT NULL"
    ),
    (
        "FROM ivoa.obscore AS o LEFT JOIN t ON CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1"
        " WHERE t.name IS NOT NULL"
    ),
    (
        "FROM t RIGHT JOIN ivoa.obscore AS o ON CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1"
        " WHERE t.name IS NOT NULL"
    ),
    (
        "FROM (SELECT name, ra, dec FROM t) AS t JOIN ivoa.obscore AS o"
        " ON CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1"
    ),
    (
        "FROM t JOIN ivoa.obscore AS o ON CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1"
        " OR CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1"
    ),
]


def steps_of(runner, query, table):
    """Give the database's plan of a query, on a connection as users' queries have it."""
    engine = runner._engine
    schema = runner.published().schema.with_tables(engine.declare([table]))
    translated = engine.translate(query, schema)
    if isinstance(engine, PostgresEngine):
        with engine._lent(translated.sql, [table], limit_s=10.0) as (connection, _):
            sql = f"EXPLAIN {translated.sql}"
            rows = connection.execute(sql, {**translated.params, "base_url": ""})
            return [row[0] for row in rows]
    from obscore.store.sqlite.uploads import attached

    with (
        engine._pool.reader(10.0) as (connection, deadline),
        attached(connection, deadline, [table], translated.sql),
    ):
        cursor = connection.cursor()
        connection.authorizer, guard = None, connection.authorizer
        cursor.execute(
            f"EXPLAIN QUERY PLAN {translated.sql}", {**translated.params, "base_url": ""}
        )
        captured = [row[-1] for row in cursor]
        cursor.close()
        connection.authorizer = guard
    return captured


def check_plan(runner, query, table):
    """See that one table is walked, and rows of the other are looked up by the spatial index."""
    steps = steps_of(runner, query, table)
    if isinstance(runner._engine, PostgresEngine):
        assert any(re.search("Index.*_cap", step) for step in steps), steps
        assert sum("Seq Scan" in step for step in steps) == 1, steps
        return
    assert any("VIRTUAL TABLE INDEX" in step for step in steps), steps
    scans = [step for step in steps if step.startswith("SCAN t")]
    assert len([step for step in scans if "VIRTUAL" not in step]) == 1, steps


@pytest.mark.parametrize("form", FORMS)
def test_joins_from_either_side_use_an_index(form, runner, catalogue, tmp_path):
    table = points(tmp_path)
    query = f"SELECT t.name, o.obs_publisher_did {form}"
    assert sorted(rows_of(runner, query, table)) == expected_pairs(catalogue, table)
    check_plan(runner, query, table)


@pytest.mark.parametrize(
    "query",
    [
        (
            "SELECT o.obs_publisher_did FROM ivoa.obscore AS o WHERE EXISTS (SELECT 1 FROM t"
            " WHERE CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1)"
        ),
        (
            "SELECT t.name FROM t WHERE EXISTS (SELECT 1 FROM ivoa.obscore AS o"
            " WHERE CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1)"
        ),
    ],
)
def test_a_correlated_query_looks_up_the_inner_table(query, runner, catalogue, tmp_path):
    table = points(tmp_path)
    pairs = expected_pairs(catalogue, table)
    place = 1 if query.startswith("SELECT o") else 0
    assert sorted({row[0] for row in rows_of(runner, query, table)}) == sorted(
        {pair[place] for pair in pairs}
    )
    check_plan(runner, query, table)


def test_cones_around_uploaded_positions(runner, catalogue, tmp_path):
    table = points(tmp_path, 60)
    with pa.ipc.open_file(str(table.path)) as file:
        rows = file.read_all().to_pylist()
    expected = sorted(
        (row["name"], item.did)
        for row in rows
        for item in catalogue
        if intersects(Circle(row["ra"], row["dec"], 3.0), item.region)
    )
    query = (
        "SELECT t.name, o.obs_publisher_did FROM t JOIN ivoa.obscore AS o"
        " ON INTERSECTS(CIRCLE('ICRS', t.ra, t.dec, 3), o.s_region) = 1"
    )
    assert sorted(rows_of(runner, query, table)) == expected
    check_plan(runner, query, table)


def test_two_uploads_are_matched_by_position(runner, tmp_path):
    one, two = points(tmp_path, 300), points(tmp_path, 300, "u")
    query = (
        "SELECT t.name, u.name FROM t JOIN u ON DISTANCE(POINT(t.ra, t.dec), POINT(u.ra, u.dec))"
        " < 0.001"
    )
    found = rows_of(runner, query, one, two)
    assert sorted(found) == sorted((f"p{i}", f"p{i}") for i in range(300))


def test_positions_at_the_edges_are_found(runner, tmp_path):
    columns = [
        Column("a", "double", ucd="pos.eq.ra;meta.main"),
        Column("b", "float", ucd="pos.eq.dec;meta.main"),
    ]
    values = [
        [0.0, 360.0, 359.9999, -0.5, 12.0, None, 1.0, 5.0],
        [0.0, 0.0, 0.0, 0.0, 90.0, 1.0, None, 95.0],
    ]
    table = table_of(tmp_path, "t", columns, values)
    query = "SELECT a FROM t WHERE CONTAINS(POINT(a, b), CIRCLE(0, 0, 0.6)) = 1"
    assert [row[0] for row in rows_of(runner, query, table)] == [0.0, 360.0, 359.9999, -0.5]
    query = "SELECT a FROM t WHERE CONTAINS(POINT(a, b), CIRCLE(200, 90, 0.1)) = 1"
    assert rows_of(runner, query, table) == [(12.0,)]


# The connection afterwards --------------------------------------------------------------------


def test_nothing_is_left_behind(runner, tmp_path):
    table = points(tmp_path)
    for _ in range(3):
        assert rows_of(runner, "SELECT COUNT(*) FROM t", table) == [(200,)]
    with pytest.raises(QueryError):
        rows_of(runner, "SELECT COUNT(*) FROM TAP_UPLOAD.t")
    # Cut short, failed, cancelled, too slow.
    stream = runner.run("SELECT a.name FROM t AS a, t AS b", 10**6, "", uploads=[table])
    next(stream.batches)
    stream.batches.close()
    with pytest.raises(DeadlineError):
        rows_of(runner, "SELECT COUNT(*) FROM t a, t b, t c, t d", table, limit_s=0.2)
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(ServiceUnavailable):
        rows_of(runner, "SELECT COUNT(*) FROM t a, t b, t c, t d", table, cancelled=cancelled)
    check_closed(runner._engine)
    assert [item.suffix for item in tmp_path.iterdir()] == [".arrow"]


def check_closed(engine):
    """See that a connection shows nothing but what is published."""
    if isinstance(engine, PostgresEngine):
        refused = [
            "SELECT * FROM tap_upload_1",
            "CREATE TEMP TABLE x (y int)",
            "SELECT * FROM files",
        ]
        with engine._pool.connection() as connection:
            for sql in refused:
                with pytest.raises(psycopg.Error):
                    connection.execute(sql)
        return
    with engine._pool.reader() as (connection, _):
        connection.authorizer, guard = None, connection.authorizer
        assert "uploads" not in connection.db_names()
        connection.authorizer = guard
        for sql in ("SELECT * FROM tap_upload_1", "ATTACH ':memory:' AS x", "SELECT * FROM files"):
            with pytest.raises(apsw.Error):
                connection.execute(sql)


def test_only_the_uploaded_tables_are_open(runner, is_sqlite, tmp_path):
    if not is_sqlite:
        pytest.skip("in PostgreSQL the role's rights do not change")
    from obscore.store.sqlite.uploads import attached

    table = points(tmp_path)
    with (
        runner._engine._pool.reader() as (connection, deadline),
        attached(connection, deadline, [table], "tap_upload_1_rtree"),
    ):
        assert connection.execute("SELECT count(*) FROM tap_upload_1").fetchall() == [(200,)]
        assert connection.execute("SELECT count(*) FROM tap_upload_1_rtree").fetchall() == [(200,)]
        for sql in (
            "SELECT * FROM files",
            "SELECT * FROM uploads.sqlite_schema",
            "DELETE FROM tap_upload_1",
            "INSERT INTO uploads.tap_upload_1_rtree VALUES (1, 0, 0, 0, 0, 0, 0)",
            "CREATE TABLE uploads.x (y)",
            "CREATE TEMP TABLE x (y)",
            "DETACH uploads",
            "ATTACH ':memory:' AS x",
        ):
            with pytest.raises(apsw.Error):
                connection.execute(sql).fetchall()


def test_loading_stops_at_the_deadline(runner, tmp_path):
    # So many that no machine loads them within the limit.
    count = 2_000_000
    table = table_of(tmp_path, "t", [Column("n", "int")], [np.arange(count)], 100_000)
    began = time.monotonic()
    with pytest.raises(DeadlineError):
        rows_of(runner, "SELECT COUNT(*) FROM t", table, limit_s=0.05)
    assert time.monotonic() - began < 2.0
    assert rows_of(runner, "SELECT SUM(n) FROM t", table) == [(count * (count - 1) // 2,)]


def test_a_lost_file_is_our_fault(runner, tmp_path):
    table = points(tmp_path)
    table.path.unlink()
    with pytest.raises((ArchiveError, OSError)):
        rows_of(runner, "SELECT * FROM t", table)
    assert rows_of(runner, "SELECT COUNT(*) FROM ivoa.obscore") == [(300,)]
