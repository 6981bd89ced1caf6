"""Rows that are written to PostgreSQL by column are those that are written one by one."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from obscore.store.postgres.lists import TextListDumper
from obscore.store.postgres.writing import copy_by_column, copy_by_row

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    st.sampled_from(["", "\\N", "\\.", '"', "a,b", "\r\n", " a ", "NULL", "{1,2}"]),
)
KINDS = {
    "text": TEXTS,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "float8": st.floats(allow_nan=False),
    "bytea": st.binary(max_size=4),
    "float8[]": st.sampled_from(["{1,2.5}", "{-0.1}"]),
}
ROW = st.tuples(*(st.one_of(st.none(), values) for values in KINDS.values()))


@pytest.fixture(scope="module")
def connection(postgres_cluster):
    with psycopg.connect(postgres_cluster.create("by_column")) as opened:
        columns = ", ".join(f'"c{at}" {kind}' for at, kind in enumerate(KINDS))
        for name in ("many", "each"):
            opened.execute(f"CREATE TEMPORARY TABLE {name} ({columns})")
        opened.commit()
        yield opened


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5))
def test_rows_by_column_are_those_one_by_one(connection, rows):
    columns = {f"c{at}": list(cells) for at, cells in enumerate(zip(*rows, strict=True))}
    half = len(rows) // 2
    parts = [
        {name: cells[some] for name, cells in columns.items()}
        for some in (slice(half), slice(half, None))
    ]
    copy_by_column(connection, "many", list(columns), parts[bool(not half) :])
    copy_by_row(connection, "each", list(columns), parts)
    found = [
        connection.execute(f"SELECT * FROM {name} ORDER BY ctid").fetchall()
        for name in ("many", "each")
    ]
    connection.rollback()
    # As texts, which tell -0.0 from 0.0.
    assert repr(found[0]) == repr(found[1])
    assert [row[:4] for row in found[0]] == [row[:4] for row in rows]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(TEXTS, st.none()), max_size=4))
@example(["a", "b"])
@example(["a", 'b"', '"c'])
def test_lists_of_texts_reach_the_server_as_they_are(connection, texts):
    with connection.cursor() as cursor:
        cursor.adapters.register_dumper(list, TextListDumper)
        ((found,),) = cursor.execute("SELECT CAST(%s AS TEXT[])", [texts]).fetchall()
    assert found == texts
