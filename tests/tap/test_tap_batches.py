"""Rows to Arrow: SQLite's loose types become those of the columns."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscore.tap.batches import make_batch, make_schema
from vodal.errors import QueryError
from vodal.tables.columns import Column

TEXT = Column("t", "char", "*")
INT = Column("i", "int")
LONG = Column("l", "long")
DOUBLE = Column("d", "double")
BOOLEAN = Column("b", "boolean")


def batch(columns, rows):
    return make_batch(columns, make_schema(columns), rows)


@given(
    st.lists(
        st.tuples(
            st.none() | st.text(st.characters(exclude_categories=["Cs"])),
            st.none() | st.integers(-(2**31), 2**31 - 1),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False),
        )
    )
)
def test_values_and_nulls_come_back(rows):
    made = batch((TEXT, INT, LONG, DOUBLE), rows)
    assert made.num_rows == len(rows)
    assert list(zip(*(column.to_pylist() for column in made.columns), strict=True)) == rows


def test_mixed_values_are_brought_to_their_columns_type():
    rows = [(1, 2.0, 3, 1), (b"x\xff", 4, 5.5, 0), (None, None, None, None)]
    made = batch((TEXT, INT, DOUBLE, BOOLEAN), rows)
    assert made.column(0).to_pylist() == ["1", "x\ufffd", None]
    assert made.column(1).to_pylist() == [2, 4, None]
    assert made.column(2).to_pylist() == [3.0, 5.5, None]
    assert made.column(3).to_pylist() == [True, False, None]
    assert made.schema.types == [pa.string(), pa.int32(), pa.float64(), pa.bool_()]


def test_two_columns_of_one_name_stay_two():
    assert batch((INT, INT), [(1, 2)]).num_columns == 2


@pytest.mark.parametrize("value", [2**31, 2.5, "word", float("inf")])
def test_what_does_not_fit_is_an_error_that_names_the_column(value):
    with pytest.raises(QueryError, match="column 'i' does not fit its type int"):
        batch((INT,), [(1,), (value,)])
