"""A small sky in a real database, and what queries can see of it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from obscore import adql
from obscore.adql import ColumnDef, Schema, SpatialIndex, TableDef
from obscore.adql.postgres.install import functions_sql
from obscore.adql.postgres.printer import PostgresPrinter
from obscore.adql.postgres.shapes import row_cap, shape_array
from obscore.adql.sqlite.printer import Printer
from vodal.regions import Circle, Range, shape_text, shape_to_bytes
from vodal.sphere import bounding_cap, box_polygon, cap_box
from vodal.tables.columns import Column
from vodal.testing.postgres import sphere_script

DATA = Path(__file__).parent / "data"

OBSCORE = (
    ColumnDef(Column("dataproduct_type", "char", "*", ucd="meta.code.class")),
    ColumnDef(Column("calib_level", "int", description="Calibration level")),
    ColumnDef(Column("obs_collection", "char", "*", ucd="meta.id"), indexed=True),
    ColumnDef(Column("obs_id", "char", "*", ucd="meta.id"), indexed=True),
    ColumnDef(
        Column("obs_publisher_did", "char", "*", ucd="meta.ref.ivoid"),
    ),
    ColumnDef(Column("access_url", "char", "*"), sql="{base_url} || '/files/' || {alias}.\"id\""),
    ColumnDef(Column("access_estsize", "long", unit="kbyte")),
    ColumnDef(Column("s_ra", "double", unit="deg", ucd="pos.eq.ra", utype="obscore:Char.s_ra")),
    ColumnDef(Column("s_dec", "double", unit="deg", ucd="pos.eq.dec")),
    ColumnDef(Column("s_fov", "double", unit="deg")),
    ColumnDef(Column("s_region", "char", "*", ucd="pos.outline", xtype="adql:REGION")),
    ColumnDef(Column("t_min", "double", unit="d")),
    ColumnDef(Column("em_min", "double", unit="m")),
    ColumnDef(Column("facility_name", "char", "*")),
    ColumnDef(Column("instrument_name", "char", "*")),
)


def text_columns(*names):
    return tuple(ColumnDef(Column(name, "char", "*")) for name in names)


TAP_COLUMNS = (
    *(
        ColumnDef(Column(name, "char", "*"))
        for name in ("table_name", "column_name", "description")
    ),
    ColumnDef(Column("size", "int")),
    ColumnDef(Column("column_index", "int")),
)


SCHEMA = Schema(
    (
        TableDef(
            "ivoa", "obscore", "obscore", OBSCORE, utype="ivo", spatial=SpatialIndex()
        ),
        TableDef("TAP_SCHEMA", "columns", "tap_columns", TAP_COLUMNS),
        TableDef(
            "TAP_SCHEMA",
            "schemas",
            "tap_schemas",
            text_columns("schema_name", "utype", "description"),
        ),
        TableDef(
            "TAP_SCHEMA", "tables", "tap_tables", text_columns("schema_name", "table_name", "utype")
        ),
        TableDef(
            "TAP_UPLOAD",
            "targets",
            "upload_1",
            (
                ColumnDef(Column("ra", "double", unit="deg")),
                ColumnDef(Column("dec", "double", unit="deg")),
                ColumnDef(Column("name", "unicodeChar", "*")),
                ColumnDef(Column("Mixed Case", "short")),
                ColumnDef(Column("shape", "char", "*", xtype="circle")),
            ),
        ),
        TableDef("test", "numbers", "numbers", (
            ColumnDef(Column("id", "long")),
            ColumnDef(Column("i", "int")),
            ColumnDef(Column("j", "long")),
            ColumnDef(Column("x", "double", unit="m")),
            ColumnDef(Column("y", "float", unit="m")),
            ColumnDef(Column("a", "char", "*")),
            ColumnDef(Column("b", "char", "*")),
        )),
    )
)  # fmt: skip

BASE_URL = "http://archive.test"


def make_sky():
    """Make footprints of all shapes, some at the poles and across RA 0, some absent."""
    rng = random.Random(20)
    rows = []
    for i in range(300):
        ra = rng.choice([rng.uniform(0, 360), rng.uniform(-2, 2) % 360, rng.uniform(8, 12)])
        dec = rng.choice([rng.uniform(-90, 90), rng.uniform(87, 90), rng.uniform(-12, 12)])
        size = rng.choice([0.2, 1.0, 5.0])
        shape = rng.choice(
            [
                box_polygon(ra, dec, size, size * 0.7),
                Circle(ra, dec, size),
                Range(ra, (ra + size) % 360, max(-90, dec - size), min(90, dec + size)),
                None if i % 7 == 0 else Circle(ra, dec, size / 3),
            ]
        )
        has_position = i % 11 != 0
        rows.append((
            i, rng.choice(["image", "cube", None]), i % 4, rng.choice(["a", "B", "Sky_1"]),
            f"obs{i}", f"ivo://x/y?{i}", rng.choice([i * 100, None]),
            ra if has_position else None, dec if has_position else None, size, shape,
            rng.choice([59000.5 + i, None]), rng.choice([5e-7, None]), "T", rng.choice(["c", "d"]),
        ))  # fmt: skip
    return rows


NUMBERS = [
    (1, 0, 0, 0.0, 1.5, "abc", "ABC"),
    (2, 1, -7, 2.5, -1.5, "a_c", "a%c"),
    (3, -3, 2**62, -2.5, 0.25, "", "b"),
    (4, 7, -(2**63), 1e300, 3.0, "ünï", "ÜNÏ"),
    (5, None, 2**63 - 1, None, None, None, "x"),
    (6, 2, None, 0.1, 1e30, "abcabc", None),
    (7, -1, 3, -0.5, 0.0, "it's", "it's"),
]


@pytest.fixture(scope="session")
def sky():
    return make_sky()


@pytest.fixture(scope="session")
def database(sky):
    connection = apsw.Connection(":memory:")
    adql.register(connection)
    connection.execute("""
        CREATE TABLE obscore (id INTEGER PRIMARY KEY, dataproduct_type TEXT, calib_level INTEGER,
            obs_collection TEXT, obs_id TEXT, obs_publisher_did TEXT, access_estsize INTEGER,
            s_ra REAL, s_dec REAL, s_fov REAL, s_region TEXT, t_min REAL, em_min REAL,
            facility_name TEXT, instrument_name TEXT, s_region_shape BLOB) STRICT;
        CREATE INDEX ix_id ON obscore (obs_id);
        CREATE VIRTUAL TABLE obscore_rtree USING rtree(id, xmin, xmax, ymin, ymax, zmin, zmax);
        CREATE TABLE tap_columns (table_name TEXT, column_name TEXT, description TEXT,
            "size" INTEGER, column_index INTEGER);
        INSERT INTO tap_columns VALUES ('ivoa.obscore', 's_ra', 'RA', NULL, 1),
            ('TAP_SCHEMA.tables', 'utype', NULL, 8, 2);
        CREATE TABLE tap_schemas (schema_name TEXT, utype TEXT, description TEXT);
        INSERT INTO tap_schemas VALUES ('ivoa', NULL, 'ObsCore'), ('TAP_SCHEMA', 'u', NULL);
        CREATE TABLE tap_tables (schema_name TEXT, table_name TEXT, utype TEXT);
        INSERT INTO tap_tables VALUES ('ivoa', 'ivoa.obscore', 'x'),
            ('TAP_SCHEMA', 'TAP_SCHEMA.tables', NULL);
        CREATE TABLE upload_1 (ra REAL, dec REAL, name TEXT, "Mixed Case" INTEGER, shape TEXT);
        INSERT INTO upload_1 VALUES (10, 0.5, 'near', 1, '10 0.5 2'), (0.1, 0, 'zero', 2, NULL),
            (10, 88, 'pole', NULL, 'CIRCLE ICRS 10 88 1'), (NULL, 1, 'none', 4, 'nonsense');
        CREATE TABLE numbers (id INTEGER, i INTEGER, j INTEGER, x REAL, y REAL, a TEXT, b TEXT);
    """)
    with connection:
        for row in sky:
            *values, shape = (*row[:10], *row[11:], row[10])
            text = None if shape is None else shape_text(shape)
            packed = None if shape is None else shape_to_bytes(shape)
            values = (*values[:10], text, *values[10:], packed)
            connection.execute(f"INSERT INTO obscore VALUES ({','.join('?' * 16)})", values)
            boxes = []
            if shape is not None:
                boxes.append(cap_box(*bounding_cap(shape)))
            if row[7] is not None:
                boxes.append(cap_box(*bounding_cap(Circle(row[7], row[8], 0))))
            if boxes:
                united = [(min if k % 2 == 0 else max)(box[k] for box in boxes) for k in range(6)]
                connection.execute(
                    "INSERT INTO obscore_rtree VALUES (?,?,?,?,?,?,?)", (row[0], *united)
                )
        connection.executemany("INSERT INTO numbers VALUES (?,?,?,?,?,?,?)", NUMBERS)
    return connection


@pytest.fixture(scope="session")
def schema():
    return SCHEMA


@pytest.fixture(scope="session")
def numbers():
    return NUMBERS


POSTGRES_TABLES = """
    CREATE TABLE obscore (id bigint PRIMARY KEY, dataproduct_type text COLLATE "C",
        calib_level int, obs_collection text COLLATE "C", obs_id text COLLATE "C",
        obs_publisher_did text COLLATE "C", access_estsize bigint, s_ra float8, s_dec float8,
        s_fov float8, s_region text COLLATE "C", t_min float8, em_min float8,
        facility_name text COLLATE "C", instrument_name text COLLATE "C",
        s_region_array float8[], s_cap scircle);
    CREATE INDEX ix_id ON obscore (obs_id);
    CREATE INDEX ix_cap ON obscore USING gist (s_cap);
    CREATE TABLE tap_columns (table_name text COLLATE "C", column_name text COLLATE "C",
        description text COLLATE "C", "size" int, column_index int);
    INSERT INTO tap_columns VALUES ('ivoa.obscore', 's_ra', 'RA', NULL, 1),
        ('TAP_SCHEMA.tables', 'utype', NULL, 8, 2);
    CREATE TABLE tap_schemas (schema_name text COLLATE "C", utype text COLLATE "C",
        description text COLLATE "C");
    INSERT INTO tap_schemas VALUES ('ivoa', NULL, 'ObsCore'), ('TAP_SCHEMA', 'u', NULL);
    CREATE TABLE tap_tables (schema_name text COLLATE "C", table_name text COLLATE "C",
        utype text COLLATE "C");
    INSERT INTO tap_tables VALUES ('ivoa', 'ivoa.obscore', 'x'),
        ('TAP_SCHEMA', 'TAP_SCHEMA.tables', NULL);
    CREATE TABLE upload_1 (ra float8, dec float8, name text COLLATE "C", "Mixed Case" bigint,
        shape text COLLATE "C");
    INSERT INTO upload_1 VALUES (10, 0.5, 'near', 1, '10 0.5 2'), (0.1, 0, 'zero', 2, NULL),
        (10, 88, 'pole', NULL, 'CIRCLE ICRS 10 88 1'), (NULL, 1, 'none', 4, 'nonsense');
    CREATE TABLE numbers (id bigint, i int, j bigint, x float8, y float8, a text COLLATE "C",
        b text COLLATE "C");
"""

POSTGRES_SCHEMA = Schema(
    tuple(
        replace(
            table,
            spatial=table.spatial
            and SpatialIndex(region_sql="s_region_array", rtree="", key="s_cap"),
        )
        for table in SCHEMA.tables
    )
)


@pytest.fixture(scope="session")
def postgres(postgres_cluster, sky) -> Iterator[psycopg.Connection]:
    """Give the same sky in a database whose own order of texts is not that of their characters."""
    url = postgres_cluster.url("adql_sky")
    postgres_cluster.psql("postgres", (
        "CREATE DATABASE adql_sky TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu"
        " ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
    ))  # fmt: skip
    postgres_cluster.psql("adql_sky", sphere_script())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(functions_sql().encode())
        connection.execute(POSTGRES_TABLES)
        with connection.cursor() as cursor:
            for row in sky:
                *values, shape = (*row[:10], *row[11:], row[10])
                text = None if shape is None else shape_text(shape)
                array = None if shape is None else shape_array(shape)
                cap = row_cap(shape, None if row[7] is None else (row[7], row[8]))
                values = (*values[:10], text, *values[10:], array, cap)
                cursor.execute(f"INSERT INTO obscore VALUES ({','.join(['%s'] * 17)})", values)
            cursor.executemany(f"INSERT INTO numbers VALUES ({','.join(['%s'] * 7)})", NUMBERS)
        connection.execute("ANALYZE")
        yield connection


@dataclass(frozen=True)
class Case:
    """A database that answers queries."""

    name: str
    schema: Schema
    printer: Callable[[], Any]
    execute: Callable[[str, dict[str, object]], list[tuple[Any, ...]]]

    def translate(self, query: str, limit: int | None = None) -> adql.Translated:
        return adql.translate(query, self.schema, limit=limit, printer=self.printer)

    def run(self, query: str, limit: int | None = None) -> list[tuple[Any, ...]]:
        """Give what a query answers."""
        return self.rows(self.translate(query, limit))

    def rows(self, translated: adql.Translated) -> list[tuple[Any, ...]]:
        rows = self.execute(translated.sql, translated.params | {"base_url": BASE_URL})
        for row in rows:
            assert len(row) == len(translated.columns)
        return rows


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def case(request) -> Case:
    """Give each database in turn."""
    if request.param == "sqlite":
        database = request.getfixturevalue("database")
        return Case(
            "sqlite", SCHEMA, Printer, lambda sql, values: database.execute(sql, values).fetchall()
        )
    connection = request.getfixturevalue("postgres")
    return Case(
        "postgres", POSTGRES_SCHEMA, PostgresPrinter,
        lambda sql, values: connection.execute(sql, values, binary=True).fetchall(),
    )  # fmt: skip


@pytest.fixture(scope="session")
def run(case):
    """Give what a query answers: tuples of its rows."""
    return case.run


@pytest.fixture(scope="session")
def plan(database):
    """Give SQLite's plan of a query."""

    def explain(query):
        translated = adql.translate(query, SCHEMA)
        rows = database.execute(
            f"EXPLAIN QUERY PLAN {translated.sql}", translated.params | {"base_url": BASE_URL}
        )
        return "\n".join(row[3] for row in rows)

    return explain


@pytest.fixture(scope="session")
def both(database, postgres):
    """Give what both databases answer, embedded one first; None where one took too long."""

    def answers(query):
        translated = adql.translate(query, SCHEMA)
        values = translated.params | {"base_url": BASE_URL}
        try:
            embedded = database.execute(translated.sql, values).fetchall()
        except apsw.InterruptError:
            embedded = None
        translated = adql.translate(query, POSTGRES_SCHEMA, printer=PostgresPrinter)
        values = translated.params | {"base_url": BASE_URL}
        try:
            postgres.execute("SET statement_timeout = '2s'")
            other = postgres.execute(translated.sql, values, binary=True).fetchall()
        except psycopg.errors.QueryCanceled:
            other = None
        finally:
            postgres.execute("RESET statement_timeout")
        return embedded, other

    return answers


def read_cases(name):
    """Read queries and what is expected of each: blocks of lines, the last starting with ``->``."""
    cases = []
    for block in (DATA / name).read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith("#")]
        if not lines:
            continue
        expected = lines.pop()[3:] if lines[-1].startswith("-> ") else ""
        cases.append(("\n".join(lines), expected))
    return cases


def check_golden(name, answers):
    """Compare with the file, or write it anew if SKYLANE_REWRITE_GOLDEN is set."""
    cases = read_cases(name)
    if os.environ.get("SKYLANE_REWRITE_GOLDEN"):
        text = "\n\n".join(f"{query}\n-> {answers[query]}" for query, _ in cases)
        (DATA / name).write_text(f"{text}\n", encoding="utf-8")
        return
    for query, expected in cases:
        assert answers[query] == expected, query


@pytest.fixture(scope="session")
def cases():
    return read_cases


@pytest.fixture(scope="session")
def golden():
    return check_golden
