"""A few rows, value by value, are written as many are, column by column."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.tables.columns import Column, ResultStream
from vodal.tables.few import FEW, tabledata_few
from vodal.tables.votable import write_votable

COLUMNS = (
    Column("text", "char", "*"),
    Column("wide", "unicodeChar", "*"),
    Column("small", "short"),
    Column("number", "int"),
    Column("size", "long"),
    Column("truth", "boolean"),
)

TEXTS = st.none() | st.text(
    st.sampled_from("ab0 \t\n\r&<>\"'\x00\x0b\x1f\x7f\x85é\ufffe\uffff\U0001f52d"), max_size=6
)
ROWS = st.lists(
    st.tuples(
        TEXTS,
        TEXTS,
        st.none() | st.integers(-(2**15), 2**15 - 1),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def batch_of(rows):
    cells = list(zip(*rows, strict=True))
    arrays = [pa.array(some, one.arrow_type()) for one, some in zip(COLUMNS, cells, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[one.name for one in COLUMNS])


def document(*batches):
    stream = ResultStream(COLUMNS, iter(batches))
    return b"".join(write_votable(stream, serialization="TABLEDATA"))


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_few_rows_are_written_as_they_are_among_many(rows):
    few = tabledata_few(COLUMNS, batch_of(rows))
    many = document(batch_of(rows * (FEW + 1)))
    assert few is not None
    assert few * (FEW + 1) in many
    assert few in document(batch_of(rows))


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (Column("x", "double"), pa.array([0.1])),
        (Column("x", "char", "3"), pa.array(["abcd"])),
        (Column("x", "int", "*"), pa.array([[1]], pa.list_(pa.int32()))),
        (Column("x", "char", "*"), pa.array(["a"]).dictionary_encode()),
    ],
)
def test_rare_columns_are_left_to_the_general_way(column, array):
    batch = pa.RecordBatch.from_arrays([array], names=["x"])
    assert tabledata_few([column], batch) is None
