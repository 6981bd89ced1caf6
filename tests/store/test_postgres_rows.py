"""Rows of PostgreSQL as columns: compiled code gives what Python's values give."""

from __future__ import annotations

import random

import psycopg
import pyarrow as pa
import pytest

from obscore.store.postgres.libpq import result_functions
from obscore.store.postgres.pool import Address, connect
from obscore.store.postgres.rows import ResultRows, chunks
from obscore.tap.batches import make_schema
from vodal.errors import QueryError
from vodal.tables.columns import Column

COLUMNS = (
    Column("number", "long"),
    Column("d", "double"),
    Column("f", "float"),
    Column("l", "long"),
    Column("i", "int"),
    Column("s", "short"),
    Column("b", "unsignedByte"),
    Column("flag", "boolean"),
    Column("true", "boolean"),
    Column("whole", "double"),
    Column("t", "char", "*"),
    Column("u", "unicodeChar", "*"),
)
TYPES = (
    "bigint", "float8", "float8", "bigint", "int", "int", "smallint", "bigint", "boolean", "int",
    "text", "varchar",
)  # fmt: skip


@pytest.fixture(scope="module")
def connection(fresh_postgres):
    chunks.wait()
    assert chunks.module is not None
    assert result_functions() is not None
    opened = connect(Address(fresh_postgres()))
    yield opened
    opened.close()


def maybe(rng, value):
    return None if rng.random() < 0.2 else value


def made_rows(count, seed=3):
    rng = random.Random(seed)
    texts = ["", "plain", "жuk \U0001f52d", "a'b\"c\\%s\n", "x" * 300, "\x01"]
    return [
        (
            number,
            maybe(rng, rng.choice([0.0, -0.0, 1e-310, 1.5, -1e308, float("inf"), rng.random()])),
            maybe(rng, rng.choice([0.5, 1e39, float("-inf")])),
            maybe(rng, rng.choice([-(2**63), 2**63 - 1, 0, rng.randrange(10**12)])),
            maybe(rng, rng.choice([-(2**31), 2**31 - 1, 7])),
            maybe(rng, rng.choice([-(2**15), 2**15 - 1, -1])),
            maybe(rng, rng.choice([0, 255])),
            maybe(rng, rng.choice([0, 1])),
            maybe(rng, rng.choice([True, False])),
            maybe(rng, rng.choice([-5, 2**31 - 1])),
            maybe(rng, rng.choice(texts)),
            maybe(rng, rng.choice(texts)),
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def table(connection):
    columns = ", ".join(
        f'"{column.name}" {kind}' for column, kind in zip(COLUMNS, TYPES, strict=True)
    )
    connection.execute(f"CREATE TABLE cells ({columns})")
    with connection.cursor().copy("COPY cells FROM STDIN") as copy:
        for row in made_rows(3_000):
            copy.write_row(row)


def taken(connection, sql, values=None, columns=COLUMNS, *, sizes=(10_000,), compiled):
    """Give all batches of a query, so many rows at a time in turn."""
    rows = ResultRows(
        connection, sql, values or {}, columns, make_schema(columns), compiled=compiled
    )
    batches = []
    try:
        while not rows.ended:
            batch = rows.take(sizes[len(batches) % len(sizes)])
            if batch is not None:
                batch.validate(full=True)
                batches.append(batch)
    finally:
        rows.close()
    assert not connection.closed
    return batches


SQL = "SELECT * FROM cells WHERE number >= %(low)s::bigint ORDER BY number LIMIT %(most)s::bigint"


@pytest.mark.parametrize("sizes", [(10_000,), (500, 10_000), (51, 777, 3), (1_000,), (60,)])
def test_compiled_code_gives_what_python_gives(connection, table, sizes):
    values = {"low": 1, "most": 2_700}
    slow = taken(connection, SQL, values, sizes=sizes, compiled=False)
    fast = taken(connection, SQL, values, sizes=sizes, compiled=True)
    assert pa.Table.from_batches(fast).equals(pa.Table.from_batches(slow))
    assert [batch.num_rows for batch in fast] == [batch.num_rows for batch in slow]
    assert sum(batch.num_rows for batch in fast) == 2_700


def test_no_rows_and_few_rows(connection, table):
    for most in (0, 1, 50, 51, 500, 501):
        for compiled in (False, True):
            batches = taken(connection, SQL, {"low": 0, "most": most}, compiled=compiled)
            assert sum(batch.num_rows for batch in batches) == most


def test_texts_that_need_more_room_than_was_expected(connection):
    columns = (Column("t", "char", "*"), Column("u", "char", "*"), Column("n", "long"))
    sql = "SELECT repeat('é', n * n), repeat('y', 7), n::bigint FROM generate_series(1, 400) AS n"
    slow, fast = (
        taken(connection, sql, columns=columns, compiled=compiled) for compiled in (False, True)
    )
    assert pa.Table.from_batches(fast).equals(pa.Table.from_batches(slow))


def test_a_batch_of_very_long_texts_ends_early(connection):
    columns = (Column("t", "char", "*"),)
    sql = "SELECT repeat('x', 1000000) FROM generate_series(1, 150)"
    batches = taken(connection, sql, columns=columns, compiled=True)
    assert sum(batch.num_rows for batch in batches) == 150
    assert len(batches) > 1
    assert {len(text) for batch in batches for text in batch.column(0).to_pylist()} == {1_000_000}


@pytest.mark.parametrize("kind", ["short", "int", "unsignedByte"])
def test_a_number_out_of_range_is_told(connection, kind):
    columns = (Column("n", kind),)
    sql = "SELECT CASE WHEN n = 300 THEN 5000000000 ELSE 7 END FROM generate_series(1, 400) AS n"
    for compiled in (False, True):
        with pytest.raises(QueryError, match="does not fit its type"):
            taken(connection, sql, columns=columns, compiled=compiled)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_arrays_are_left_to_python(connection):
    columns = (Column("a", "double", "*"), Column("b", "boolean", "*"))
    sql = "SELECT ARRAY[n, NULL]::float8[], ARRAY[1, 0]::bigint[] FROM generate_series(1, 99) AS n"
    (batch,) = taken(connection, sql, columns=columns, compiled=True)
    assert batch.to_pylist()[4] == {"a": [5.0, None], "b": [True, False]}


def test_values_reach_the_server_as_they_are(connection):
    given = {
        "text": "it's \\ \"%s\" $1 {a,b}", "texts": ['a"b', "c\\d", "", "NULL", "{,}", "é"],
        "number": -(2**63), "real": 1e-300, "reals": [0.1, float("inf")], "longs": [1, 2**62],
    }  # fmt: skip
    columns = tuple(Column(name, "char", "*") for name in "abcdefg")
    sql = (
        "SELECT %(text)s::text, %(texts)s::text[]::text, %(number)s::bigint::text,"
        " %(real)s::float8::text, %(reals)s::float8[]::text, %(longs)s::bigint[]::text,"
        " %(text)s::text || '%%'"
    )
    (batch,) = taken(connection, sql, given, columns, compiled=True)
    assert list(batch.to_pylist()[0].values()) == [
        given["text"], '{"a\\"b","c\\\\d","","NULL","{,}",é}', str(-(2**63)), "1e-300",
        "{0.1,Infinity}", "{1,4611686018427387904}", given["text"] + "%",
    ]  # fmt: skip


def test_a_query_is_ended_before_its_end(connection):
    columns = (Column("n", "long"),)
    sql = "SELECT generate_series(1, 1000000000)::bigint"
    rows = ResultRows(connection, sql, {}, columns, make_schema(columns))
    assert rows.take(600).num_rows == 600
    rows.close()
    if not connection.closed:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_error_after_some_rows_is_raised_and_leaves_the_connection(fresh_postgres):
    with connect(Address(fresh_postgres())) as connection:
        columns = (Column("n", "long"),)
        sql = "SELECT 1000 / (5000 - n)::bigint FROM generate_series(1, 6000) AS n"
        for compiled in (False, True):
            with pytest.raises(psycopg.errors.DivisionByZero):
                taken(connection, sql, columns=columns, compiled=compiled)
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_few_rows_too_many_do_not_cost_a_connection(connection):
    columns = (Column("n", "long"),)
    sql = "SELECT n::bigint FROM generate_series(1, 2001) AS n"
    rows = ResultRows(connection, sql, {}, columns, make_schema(columns))
    assert rows.take(2_001).num_rows == 2_001
    rows.close()
    assert not connection.closed
    assert connection.execute("SELECT 1").fetchone() == (1,)
