"""Rows of BINARY2 by compiled code: the bytes that the general way writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from table_cases import ASCII_TEXT, batch_of, scalars

from vodal.tables import binary
from vodal.tables.binary import BinaryRows
from vodal.tables.columns import Column

binary.compiled.wait()
pack_many = binary.compiled.module.pack_many

KINDS = ("short", "int", "long", "float", "double", "char")


@st.composite
def usual(draw):
    rows = draw(st.integers(1, 12))
    columns, values = [], []
    for number in range(draw(st.integers(1, 20))):
        datatype = draw(st.sampled_from(KINDS))
        is_text = datatype == "char"
        cells = ASCII_TEXT if is_text else scalars(datatype)
        columns.append(Column(f"c{number}", datatype, "*" if is_text else None))
        values.append(draw(st.lists(st.none() | cells, min_size=rows, max_size=rows)))
    return tuple(columns), values


@settings(deadline=None)
@given(usual(), st.data())
def test_compiled_rows_are_those_of_the_general_way(table, data):
    columns, values = table
    batch = batch_of(columns, values)
    start = data.draw(st.integers(0, batch.num_rows - 1))
    batch = batch.slice(start, data.draw(st.integers(1, batch.num_rows - start)))
    assert bytes(pack_many(columns, batch)) == bytes(BinaryRows(columns)._pack_many(batch))


def test_a_text_behind_a_null_is_not_written():
    texts = pa.array(["one", "two", "three"])
    _, offsets, data = texts.buffers()
    hidden = pa.Array.from_buffers(
        pa.string(), 3, [pa.py_buffer(bytes([0b101])), offsets, data], null_count=1
    )
    columns = (Column("t", "char", "*"),)
    batch = pa.record_batch([hidden], names=["t"])
    shown = pa.record_batch([pa.array(["one", None, "three"])], names=["t"])
    assert bytes(pack_many(columns, batch)) == bytes(BinaryRows(columns)._pack_many(shown))


@pytest.mark.parametrize("text", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "a\x00b", "a\x1fb"])
def test_characters_that_are_written_as_others_take_the_general_way(text):
    columns = (Column("t", "char", "*"), Column("n", "int"))
    batch = batch_of(columns, [["a", text, None] * 40, [1, 2, 3] * 40])
    assert pack_many(columns, batch) is None
    # Not those before and after the rows that are asked for.
    assert pack_many(columns, batch.slice(0, 1)) is not None
    rows = BinaryRows(columns)
    assert b"?" in bytes(rows.pack(batch))
    assert rows.replaced == ({"t"} if not text.isascii() else set())


@pytest.mark.parametrize(
    "column",
    [Column("x", "boolean"), Column("x", "int", "3"), Column("x", "char", "5"),
     Column("x", "unicodeChar", "*"), Column("x", "unsignedByte")],
)  # fmt: skip
def test_columns_of_rare_types_take_the_general_way(column):
    batch = pa.record_batch([pa.nulls(3, column.arrow_type())], names=["x"])
    assert pack_many((column,), batch) is None


def test_many_rows_are_packed_by_compiled_code(monkeypatch):
    columns = (Column("t", "char", "*"), Column("n", "int"))
    batch = batch_of(columns, [["a"] * 200, [1] * 200])
    expected = bytes(BinaryRows(columns).pack(batch))
    monkeypatch.setattr(BinaryRows, "_pack_many", None)
    assert bytes(BinaryRows(columns).pack(batch)) == expected
