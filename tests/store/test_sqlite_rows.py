"""Rows of SQLite by compiled code: the same as by apsw's tuples, whatever the values."""

from __future__ import annotations

import subprocess
import sys

import apsw
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.adql.sqlite.arrays import pack_lists
from obscore.store import cells
from obscore.store.sqlite.routines import routines
from obscore.store.sqlite.rows import TupleRows, column_rows, stepping
from obscore.tap.batches import make_schema
from vodal.errors import QueryError
from vodal.tables.columns import Column

COLUMNS = (
    Column("t", "char", "*"),
    Column("b", "boolean"),
    Column("u", "unsignedByte"),
    Column("s", "short"),
    Column("i", "int"),
    Column("l", "long"),
    Column("f", "float"),
    Column("d", "double"),
    Column("a", "double", "*"),
)
LONG = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
DOUBLE = st.floats(allow_nan=False)
ARRAY = st.lists(st.floats(allow_nan=False), max_size=4).map(
    lambda values: pack_lists(pa.array([values], pa.list_(pa.float64())))[0]
)
RIGHT = (
    TEXT, st.integers(0, 1), st.integers(0, 255), st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1), LONG, st.floats(width=32, allow_nan=False), DOUBLE, ARRAY,
)  # fmt: skip
ODD = st.one_of(TEXT, LONG, DOUBLE, st.binary(max_size=8), st.integers(-3, 300), st.just(7.0))

ROWS_RIGHT = st.tuples(*(st.none() | kind for kind in RIGHT))
ROWS_ODD = st.tuples(*(st.none() | kind | ODD for kind in RIGHT))


stepping.wait()


class Table:
    """A table of nine columns without types, and both ways to read it."""

    def __init__(self, rows=()):
        self.connection = apsw.Connection(":memory:")
        self.connection.execute(f"CREATE TABLE x ({', '.join(c.name for c in COLUMNS)})")
        self.connection.executemany("INSERT INTO x VALUES (?,?,?,?,?,?,?,?,?)", rows)

    def by_tuples(self, columns=COLUMNS, sql="SELECT * FROM x"):
        cursor = self.connection.execute(sql)
        return self._all(TupleRows(cursor, columns, make_schema(columns)), 7)

    def by_columns(self, columns=COLUMNS, sql="SELECT * FROM x", first=1, count=7):
        """Begin with tuples, or from the first row."""
        schema = make_schema(columns)
        cursor = self.connection.execute(sql)
        try:
            if not first:
                rows = column_rows(self.connection, sql, columns, schema, is_on_row=True)
                return [] if rows is None else self._all(rows, count)
            rows = TupleRows(cursor, columns, schema)
            begun = rows.take(first)
            batches = [] if begun is None else [begun]
            if not rows.ended:
                rows = column_rows(self.connection, sql, columns, schema)
                assert rows is not None
                batches += self._all(rows, count)
        finally:
            cursor.close(True)
        return batches

    @staticmethod
    def _all(rows, count):
        batches = []
        while not rows.ended:
            batch = rows.take(count)
            if batch is not None:
                assert 0 < batch.num_rows <= count
                batch.validate(full=True)
                batches.append(batch)
        return batches


def told(batches):
    # By their texts, since an infinity must be the same one and 0.0 is not -0.0.
    return [repr(row) for batch in batches for row in zip(*(column.to_pylist() for column in
            batch.columns), strict=True)]  # fmt: skip


def outcome(way, column, sql):
    try:
        return told(way((column,), sql))
    except QueryError as error:
        return str(error)


def test_sqlite_gives_its_functions():
    assert routines() is not None


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS_RIGHT, max_size=30))
def test_values_that_fit_are_the_same_in_both_ways(rows):
    table = Table(rows)
    expected = told(table.by_tuples())
    assert told(table.by_columns()) == expected
    assert told(table.by_columns(first=0)) == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(ROWS_ODD, min_size=2, max_size=6))
def test_values_of_other_types_are_brought_to_their_columns_in_both_ways(rows):
    table = Table(rows)
    # One column at a time: the first that does not fit would hide the others.
    for column in COLUMNS:
        sql = f"SELECT {column.name} FROM x"
        assert outcome(table.by_columns, column, sql) == outcome(table.by_tuples, column, sql)


def test_texts_of_any_length_find_room(monkeypatch):
    monkeypatch.setattr(cells, "_MOST_TEXT", 10_000)
    texts = ["x" * size for size in (1, 5, 100, 0, 3_000, 9_000, 200, 40_000, 1, 8_000, 8_000)]
    table = Table((text, 1, 1, 1, 1, 1, 1.5, 1.5, None) for text in texts)
    batches = table.by_columns(count=100)
    assert [text for batch in batches for text in batch.column(0).to_pylist()] == texts
    # Batches end early where they are large.
    assert [batch.num_rows for batch in batches] == [1, 4, 2, 1, 2, 1]


def test_large_batches_are_whole():
    table = Table()
    sql = """WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
        SELECT 'row ' || n, n % 3 > 0, n % 256, n % 30000, n, n * 1000000007, n * 0.25, n * 0.1,
        NULL FROM n"""
    batches = table.by_columns(sql=sql, first=500, count=4000)
    assert [batch.num_rows for batch in batches] == [500, 4000, 4000, 4000, 4000, 3500]
    assert told(batches) == told(table.by_tuples(sql=sql))


def test_a_query_that_ended_gives_no_more():
    table = Table([(None,) * 9] * 5)
    assert [batch.num_rows for batch in table.by_columns(first=2, count=3)] == [2, 3]
    assert [batch.num_rows for batch in table.by_columns(first=5)] == [5]
    assert [batch.num_rows for batch in table.by_columns(first=0, count=9)] == [5]
    assert table.by_columns(first=0, sql="SELECT * FROM x LIMIT 0") == []


def failing(table, function, sql="SELECT boom(l) FROM x", name="boom"):
    table.connection.create_scalar_function(name, function)
    return table.by_columns((COLUMNS[5],), sql, count=100)


def test_what_a_function_in_python_raises_comes_out():
    def boom(value):
        if value == 3:
            raise KeyError("three")
        return value

    table = Table((None, None, None, None, None, n, None, None, None) for n in range(6))
    with pytest.raises(KeyError, match="three"):
        failing(table, boom)
    # The connection is as good as before.
    assert len(table.by_tuples()) == 1


def test_errors_of_the_database_are_those_of_apsw():
    rows = [(None, None, None, None, None, n, None, None, None) for n in (1, 2, 0)]
    table = Table(rows)
    with pytest.raises(apsw.SQLError, match="integer overflow"):
        table.by_columns((COLUMNS[5],), "SELECT abs(l - 1 - 9223372036854775807) FROM x")


def test_an_interrupted_query_ends_as_one():
    table = Table()
    calls = []
    sql = """WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)
        SELECT n FROM n WHERE n < 3"""
    table.connection.set_progress_handler(lambda: calls.append(1) or len(calls) > 5, 1000)
    with pytest.raises(apsw.InterruptError):
        table.by_columns((COLUMNS[5],), sql)


def test_a_text_that_is_not_utf8_is_an_error_in_both_ways():
    sql = "SELECT 'a' UNION ALL SELECT CAST(x'FF41' AS TEXT)"
    for way in (Table().by_tuples, Table().by_columns):
        with pytest.raises(ValueError, match=r"(?i)utf-?8"):
            way((COLUMNS[0],), sql)


def test_rows_found_in_the_rtree_are_read_on():
    table = Table()
    table.connection.execute("CREATE VIRTUAL TABLE r USING rtree(id, a, b)")
    table.connection.execute(
        """INSERT INTO r WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 5000)
        SELECT n, n, n + 1 FROM n"""
    )
    batches = table.by_columns((COLUMNS[5],), "SELECT id FROM r WHERE a > 100", count=1000)
    assert sum(batch.num_rows for batch in batches) == 4900


def test_a_short_answer_loads_no_compiler(tmp_path):
    code = f"""
import sys
from pathlib import Path
from obscore.store.sqlite.backend import SqliteBackend
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from vodal.tables.votable import write_votable
backend = SqliteBackend(Path({str(tmp_path / "store.db")!r}))
backend.prepare()
runner = QueryRunner(backend.engine(connections=1, wait_s=1, batch_rows=10), TapSettings())
query = "SELECT table_name FROM tap_schema.tables"
assert b"</VOTABLE>" in b"".join(write_votable(runner.run(query, 10, "http://site")))
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
