"""What the databases do for the queries that clients send: each looks rows up in the spatial index.

The plans are kept in ``data/plans-<store>.txt``, in short; SKYLANE_REWRITE_GOLDEN writes them anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import apsw
import pyarrow as pa
import pytest

from obscore.sia.request import read_request
from obscore.store.postgres.engine import PostgresEngine
from obscore.tap.metadata import PUBLISHED
from obscore.tap.settings import TapSettings
from obscore.testing import make_catalogue
from vodal.params import Params
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

DATA = Path(__file__).parent / "data"
KNOWN_VERSION = 15
"""Of PostgreSQL, whose plans are kept word for word."""

POLYGON = "POLYGON('ICRS', 10, 0, 11, 0, 11, 1, 10, 1)"
CIRCLE = "CIRCLE('ICRS', 10.68, 41.27, 0.1)"
POINT = "POINT('ICRS', 10.68, 41.27)"
STORED = "POINT('ICRS', s_ra, s_dec)"
ROWS = "SELECT * FROM ivoa.obscore WHERE"
PAIR = "POINT('ICRS', t.ra, t.dec)"

QUERIES = {
    # Firefly's search panel.
    "firefly point in region": f"{ROWS} CONTAINS({POINT}, s_region)=1",
    "firefly region holds circle": f"{ROWS} CONTAINS({CIRCLE}, s_region)=1",
    "firefly region holds polygon": f"{ROWS} CONTAINS({POLYGON}, s_region)=1",
    "firefly region in circle": f"{ROWS} CONTAINS(s_region, {CIRCLE})=1",
    "firefly region meets circle": f"{ROWS} INTERSECTS(s_region, {CIRCLE})=1",
    "firefly region meets polygon": f"{ROWS} INTERSECTS(s_region, {POLYGON})=1",
    "firefly cone": f"{ROWS} CONTAINS({STORED}, {CIRCLE})=1",
    "firefly cone, band and time": (
        f"{ROWS} (CONTAINS({STORED}, {CIRCLE})=1) AND (em_min <= 5e-7 AND em_max >= 4e-7)"
        " AND (t_min >= 59000 AND t_max <= 61000) AND dataproduct_type = 'image'"
    ),
    "firefly positions of a list": (
        "SELECT t.name, ivoa.obscore.* FROM ivoa.obscore, TAP_UPLOAD.t"
        f" WHERE CONTAINS({PAIR}, s_region)=1"
    ),
    "firefly circles of a list": (
        "SELECT o.* FROM ivoa.obscore AS o, TAP_UPLOAD.t AS t"
        " WHERE INTERSECTS(o.s_region, CIRCLE('ICRS', t.ra, t.dec, 0.01))=1"
    ),
    # TOPCAT's windows and examples.
    "topcat cone": f"SELECT TOP 2000 * FROM ivoa.obscore WHERE 1=CONTAINS({STORED}, {CIRCLE})",
    "topcat match with an upload": (
        "SELECT TOP 1000 * FROM ivoa.obscore AS db JOIN TAP_UPLOAD.t AS t ON 1=CONTAINS("
        "POINT('ICRS', db.s_ra, db.s_dec), CIRCLE('ICRS', t.ra, t.dec, 5./3600.))"
    ),
    "topcat distance": (
        "SELECT TOP 1000 DISTANCE(POINT(s_ra, s_dec), POINT(10.68, 41.27)) AS d, obs_id"
        f" FROM ivoa.obscore WHERE DISTANCE({STORED}, {POINT}) < 0.2 ORDER BY d"
    ),
    # What pyvo makes of a position, and what its pages show.
    "pyvo intersects": f"{ROWS} 1 = INTERSECTS({CIRCLE}, s_region)",
    "pyvo intersects, two coordinates": (
        f"{ROWS} INTERSECTS(CIRCLE(10.68, 41.27, 0.1), s_region) = 1"
    ),
    "pyvo region": f"{ROWS} CONTAINS(POINT(10.68, 41.27), s_region) = 1 AND calib_level >= 2",
    "pyvo match with an upload": (
        "SELECT t.name, o.obs_publisher_did FROM TAP_UPLOAD.t AS t JOIN ivoa.obscore AS o"
        f" ON 1 = CONTAINS({PAIR}, o.s_region)"
    ),
    "pyvo match by distance": (
        "SELECT t.name, o.obs_id FROM TAP_UPLOAD.t AS t JOIN ivoa.obscore AS o"
        " ON DISTANCE(t.ra, t.dec, o.s_ra, o.s_dec) < 0.1"
    ),
    "left join with an upload": (
        "SELECT t.name, o.obs_id FROM TAP_UPLOAD.t AS t LEFT JOIN ivoa.obscore AS o"
        f" ON CONTAINS({PAIR}, o.s_region) = 1"
    ),
    # OR and NOT around them.
    "one of two places": (
        f"{ROWS} CONTAINS({POINT}, s_region)=1 OR CONTAINS(POINT(83.8, -5.4), s_region)=1"
    ),
    "one of two kinds": f"{ROWS} CONTAINS({POINT}, s_region)=1 OR CONTAINS({STORED}, {CIRCLE})=1",
    "or in an upload": (
        "SELECT o.obs_id FROM ivoa.obscore AS o, TAP_UPLOAD.t AS t"
        f" WHERE CONTAINS({PAIR}, o.s_region)=1 OR DISTANCE(o.s_ra, o.s_dec, t.ra, t.dec) < 0.1"
    ),
    "not and not": f"{ROWS} CONTAINS({POINT}, s_region)=1 AND NOT (calib_level < 2)",
    "not unequal": f"{ROWS} NOT (CONTAINS({POINT}, s_region) = 0 OR calib_level < 2)",
    "not far": f"{ROWS} NOT DISTANCE({STORED}, {POINT}) > 0.2",
    "through a sub-query": (
        "SELECT q.obs_id FROM (SELECT * FROM ivoa.obscore WHERE calib_level > 1) AS q"
        f" WHERE CONTAINS({POINT}, q.s_region)=1"
    ),
    "a map": f"{ROWS} INTERSECTS(s_region, MOC('6/1000-1003')) = 1",
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def engine(request, make_backend):
    backend = make_backend(request.param, list(make_catalogue(1500, half_width_deg=0.5)))
    engine = backend.engine(connections=1, wait_s=20.0, batch_rows=10_000)
    if request.param == "postgres":
        with engine._pool.connection() as connection:
            connection.execute("RESET ROLE; SET default_transaction_read_only = off")
            connection.execute("ANALYZE")
            connection.close()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    columns = (Column("name", "char", "*"), Column("ra", "double"), Column("dec", "double"))
    schema = pa.schema([pa.field(column.name, column.arrow_type()) for column in columns])
    rows = [
        [f"p{i}" for i in range(40)],
        [9.0 * i for i in range(40)],
        [2.0 * i for i in range(40)],
    ]
    path = tmp_path_factory.mktemp("upload") / "t.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(pa.table([pa.array(row) for row in rows], schema))
    return UploadedTable("t", columns, path, 40)


def steps_of(engine, query, upload):
    """Give the plan in short: how tables are read, and by what."""
    uploads = [upload] if "TAP_UPLOAD" in query else []
    schema = PUBLISHED.with_tables(engine.declare(uploads))
    translated = engine.translate(query, schema, limit=20_001)
    values = {**translated.params, "base_url": ""}
    if isinstance(engine, PostgresEngine):
        with engine._lent(translated.sql, uploads, limit_s=10.0) as (connection, _):
            rows = connection.execute(f"EXPLAIN (COSTS OFF) {translated.sql}", values)
            return list(filter(None, (in_short(row[0]) for row in rows)))
    from obscore.store.sqlite.uploads import attached

    with (
        engine._pool.reader(10.0) as (connection, deadline),
        attached(connection, deadline, uploads, translated.sql),
    ):
        connection.authorizer, guard = None, connection.authorizer
        rows = connection.execute(f"EXPLAIN QUERY PLAN {translated.sql}", values).fetchall()
        connection.authorizer = guard
        return [row[-1] for row in rows]


def in_short(line):
    """Keep a step of PostgreSQL's plan and by which column it looks up, without the values."""
    found = re.match(r"( *)(?:->  )?(\S.*)", line)
    indent, text = found[1], found[2]
    if text.startswith("Index Cond"):
        columns = re.findall(r"\(?\(?(\w+) (?:&&|[<>=]+)", text)
        return f"{indent}by {', '.join(columns)}"
    if ": " in text:
        return None
    return f"{indent}{text}"


def looks_up(engine, steps):
    """Tell whether rows of the catalogue come from the spatial index alone."""
    if isinstance(engine, PostgresEngine):
        return any("s_cap" in step for step in steps) and not any(
            re.search(r"Seq Scan on obscore\b", step) for step in steps
        )
    return any("obscore_rtree VIRTUAL TABLE INDEX" in step for step in steps)


ORDERED = {
    "SELECT TOP 5 * FROM ivoa.obscore ORDER BY t_min": "t_min",
    "SELECT TOP 5 * FROM ivoa.obscore ORDER BY t_min DESC": "t_min",
    "SELECT TOP 5 * FROM ivoa.obscore WHERE calib_level > 1 ORDER BY target_name": "target_name",
    "SELECT TOP 5 * FROM ivoa.obscore ORDER BY obs_id": "obs_id",
    "SELECT TOP 5 * FROM ivoa.obscore ORDER BY obs_publisher_did DESC": "obs_publisher_did",
    "SELECT * FROM ivoa.obscore WHERE obs_id = 'x'": "obs_id",
    "SELECT * FROM ivoa.obscore WHERE obs_id LIKE 'x%'": "obs_id",
    "SELECT * FROM ivoa.obscore WHERE t_min BETWEEN 1 AND 2": "t_min",
    "SELECT * FROM ivoa.obscore WHERE t_max > 99999": "t_max",
    "SELECT * FROM ivoa.obscore WHERE obs_publisher_did IN ('a', 'b')": "obs_publisher_did",
    "SELECT MIN(t_min), MAX(t_max) FROM ivoa.obscore": "t_min",
}


@pytest.mark.parametrize("query", ORDERED)
def test_orders_and_plain_conditions_use_the_columns_index(engine, query, upload):
    steps = steps_of(engine, query, upload)
    # SQLite's index of a unique column has no name that tells which.
    wanted = ORDERED[query] if isinstance(engine, PostgresEngine) else "INDEX"
    assert any(wanted in step for step in steps), steps
    assert not any("Sort" in step or "TEMP B-TREE" in step for step in steps), steps


def page_of(engine):
    return DATA / f"plans-{'postgres' if isinstance(engine, PostgresEngine) else 'sqlite'}.txt"


def version_of(engine):
    if not isinstance(engine, PostgresEngine):
        return KNOWN_VERSION
    with engine._pool.connection() as connection:
        return connection.info.server_version // 10_000


def test_every_query_looks_up_the_spatial_index(engine, upload):
    plans = {}
    for name, query in QUERIES.items():
        steps = steps_of(engine, query, upload)
        assert looks_up(engine, steps), (name, steps)
        plans[name] = steps
    page = "\n".join(f"# {name}\n" + "\n".join(plans[name]) + "\n" for name in QUERIES)
    if os.environ.get("SKYLANE_REWRITE_GOLDEN"):
        page_of(engine).write_text(page, encoding="utf-8")
    if version_of(engine) == KNOWN_VERSION:
        assert page == page_of(engine).read_text(encoding="utf-8")


WIDE = {
    "band and time": (
        f"{ROWS} INTERSECTS(s_region, CIRCLE(10.68, 41.27, 1.0)) = 1"
        " AND em_min < 6e-7 AND em_max > 6e-7 AND t_min > 58500"
    ),
    "point and band": f"{ROWS} CONTAINS({POINT}, s_region) = 1 AND em_min < 6e-7 AND em_max > 6e-7",
    "cone and collection": (
        f"{ROWS} CONTAINS({STORED}, {CIRCLE}) = 1 AND obs_collection = 'c1' AND em_min < 6e-7"
    ),
    "uploaded points and band": (
        "SELECT o.obs_id FROM TAP_UPLOAD.t AS t JOIN ivoa.obscore AS o"
        f" ON CONTAINS({PAIR}, o.s_region) = 1 WHERE o.em_min < 6e-7 AND o.t_min > 58500"
    ),
    "uploaded circles and one band of six": (
        "SELECT o.obs_id FROM TAP_UPLOAD.t AS t JOIN ivoa.obscore AS o"
        " ON INTERSECTS(CIRCLE(t.ra, t.dec, 0.5), o.s_region) = 1"
        " WHERE o.em_min > 7.5e-7 AND o.t_min > 58500"
    ),
}
"""Conditions beside that of the sky, each of which a sixth of the rows or more fulfil."""

MORE_ROWS = """
INSERT INTO obscore SELECT (jsonb_populate_record(o, jsonb_build_object(
    'id', o.id + n * 100000, 'obs_publisher_did', o.obs_publisher_did || '-' || n,
    'obs_collection', 'c' || n % 4, 'em_min', (3 + n % 6) * 1e-7, 'em_max', (4 + n % 6) * 1e-7,
    't_min', 58000 + 10 * n + o.id % 10))).*
FROM obscore AS o, generate_series(1, 100) AS n
"""


@pytest.fixture(scope="module")
def large_engine(make_backend):
    """Give a store in PostgreSQL whose planner has something to choose from."""
    backend = make_backend("postgres", list(make_catalogue(300, half_width_deg=0.1)))
    engine = backend.engine(connections=1, wait_s=20.0, batch_rows=10_000)
    with engine._pool.connection() as connection:
        connection.execute("RESET ROLE; SET default_transaction_read_only = off")
        connection.execute(MORE_ROWS)
        connection.execute("ANALYZE")
        connection.close()
    yield engine
    engine.close()


@pytest.mark.parametrize("query", WIDE.values(), ids=WIDE)
def test_no_second_index_is_read_for_a_wide_condition(large_engine, upload, query):
    steps = steps_of(large_engine, query, upload)
    assert [step.strip() for step in steps if step.strip().startswith("by ")] == ["by s_cap"], steps


def test_a_narrow_condition_is_looked_up_before_a_wide_region(large_engine, upload):
    query = f"{ROWS} INTERSECTS(s_region, CIRCLE(10.68, 41.27, 30.0)) = 1 AND obs_id = 'x'"
    assert any("obs_id" in step for step in steps_of(large_engine, query, upload))


# Each index takes its time with each row; those that cannot serve are left out.
MANY_ROWS = {
    "sqlite": """
        PRAGMA synchronous = off;
        DROP INDEX ix_obscore_t_min;
        DROP INDEX ix_obscore_t_max;
        DROP INDEX ix_obscore_obs_id;
        DROP INDEX ix_obscore_target_name;
        DROP INDEX ix_obscore_last_modified;
        DROP INDEX ix_obscore_instrument_name;
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
        INSERT INTO obscore (id, file_id, hdus, calib_level, obs_collection, obs_id,
            obs_publisher_did, dataproduct_type, em_min, em_max)
        SELECT o.id + n * 100, o.file_id, o.hdus, 2, o.obs_collection, o.obs_id || n,
            o.obs_publisher_did || '-' || n, 'image', 5e-7, 6e-7 FROM obscore AS o, n
        """,
    "postgres": """
        DROP INDEX ix_obscore_s_cap, ix_obscore_t_min, ix_obscore_t_max, ix_obscore_obs_id,
            ix_obscore_target_name, ix_obscore_last_modified, ix_obscore_instrument_name;
        INSERT INTO obscore (id, file_id, hdus, calib_level, obs_collection, obs_id,
            obs_publisher_did, dataproduct_type, em_min, em_max)
        SELECT o.id + n * 100, o.file_id, o.hdus, 2, o.obs_collection, o.obs_id || n,
            o.obs_publisher_did || '-' || n, 'image', 5e-7, 6e-7
        FROM obscore AS o, generate_series(1, 10000) AS n
        """,
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def engine_of_many(request, make_backend):
    """Give a store of a hundred thousand images, most of them alike in all but their names."""
    backend = make_backend(request.param, list(make_catalogue(10, half_width_deg=0.1)))
    if request.param == "sqlite":
        connection = apsw.Connection(str(backend.path))
        connection.execute(MANY_ROWS["sqlite"])
        connection.close()
    engine = backend.engine(connections=1, wait_s=20.0, batch_rows=10_000)
    if request.param == "postgres":
        with engine._pool.connection() as connection:
            connection.execute("RESET ROLE; SET default_transaction_read_only = off")
            connection.execute(MANY_ROWS["postgres"])
            connection.execute("ANALYZE")
            connection.close()
    yield engine
    engine.close()


@pytest.mark.xdist_group("plans-of-many")
def test_identifiers_of_image_access_are_looked_up_in_any_case(engine_of_many, upload):
    is_postgres = isinstance(engine_of_many, PostgresEngine)
    for count in (1, 3, 50) if is_postgres else (1, 3, 50, 1000):
        for more in ((), (("BAND", "5.5e-7"),), (("COLLECTION", "synthetic"),)):
            ids = [("ID", f"IVO://Skylane.TEST/Synthetic?{number}") for number in range(count)]
            query = read_request(Params([*ids, *more]), TapSettings()).query
            steps = steps_of(engine_of_many, query, upload)
            assert any("ix_obscore_lower_obs_publisher_did" in step for step in steps), (
                count,
                more,
                steps,
            )
            assert not any("Seq Scan" in step or "SCAN" in step for step in steps), steps
