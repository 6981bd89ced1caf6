"""Rows of the database as Arrow record batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import pyarrow as pa

from obscore.adql.sqlite.arrays import unpack_lists
from vodal.errors import QueryError
from vodal.tables.columns import Column

__all__ = ["joined", "make_array", "make_batch", "make_schema"]

_MISFITS = (pa.ArrowException, KeyError, OverflowError, TypeError, ValueError)
"""What Arrow raises for a value that is not of its column's type."""

_WHOLE = {int, type(None)}


def make_schema(columns: Sequence[Column]) -> pa.Schema:
    """Give the Arrow schema of a table's columns; names may repeat."""
    return _schema(tuple(columns))


@lru_cache(maxsize=256)
def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.arrow_type()) for column in columns])


def make_batch(
    columns: Sequence[Column], schema: pa.Schema, rows: Sequence[tuple[Any, ...]]
) -> pa.RecordBatch:
    """Turn rows into a batch.

    SQLite types each value by itself, so that a column may hold an integer among doubles; values
    are brought to their column's type.

    Raises
    ------
    QueryError
        If a value does not fit its column's type.
    """
    try:
        if columns and _are_whole(schema, rows):
            # All columns at once, from rows as they are: twice as fast as one by one.
            cells = pa.array(rows, type=pa.struct(list(schema)))
            return pa.RecordBatch.from_struct_array(cells)
    except _MISFITS:
        pass
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    arrays = [
        make_array(column, kind, cells)
        for column, kind, cells in zip(columns, schema.types, values, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def joined(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Make one batch of several, at least one, with the same columns."""
    if len(parts) == 1:
        return parts[0]
    (whole,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return whole


def _are_whole(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Tell whether the columns of whole numbers hold nothing else, and no column holds arrays.

    Asked for integers, Arrow would cut the fraction off a double in silence.
    """
    for place, kind in enumerate(schema.types):
        if pa.types.is_list(kind):
            # Kept packed; Arrow would take their bytes for the elements.
            return False
        if pa.types.is_integer(kind):
            found = set(map(type, map(itemgetter(place), rows)))
            if not found <= _WHOLE:
                return False
    return True


def make_array(column: Column, kind: pa.DataType, cells: Sequence[Any]) -> pa.Array:
    """Turn the values of one column into an array of its type.

    Raises
    ------
    QueryError
        If a value does not fit.
    """
    try:
        if pa.types.is_list(kind):
            return _lists(kind, cells)
        if pa.types.is_boolean(kind) and set(map(type, cells)) <= _WHOLE:
            # Not for others: a fraction is as true as 1, and would be cut off here.
            return pa.array(cells, pa.int64()).cast(kind)
        if pa.types.is_integer(kind):
            # By their own type first, so that no fraction is cut off.
            return pa.array(cells).cast(kind)
        return pa.array(cells, type=kind)
    except _MISFITS:
        # Rare: one value of another type than the column's. Looked at one by one.
        return _coerced_array(column, kind, cells)


def _lists(kind: pa.ListType, cells: Sequence[Any]) -> pa.Array:
    """Make an array of lists; SQLite keeps them packed."""
    found = set(map(type, cells))
    if str in found:
        # It would be taken for a list of its characters.
        raise TypeError
    if bytes in found:
        return unpack_lists(cells, kind)
    if pa.types.is_boolean(kind.value_type):
        return pa.array(cells, pa.list_(pa.int64())).cast(kind)
    return pa.array(cells, kind)


def _coerced_array(column: Column, kind: pa.DataType, cells: Sequence[Any]) -> pa.Array:
    try:
        return pa.array([_coerced(cell, kind) for cell in cells], type=kind)
    except _MISFITS:
        raise QueryError(
            f"a value of the column '{column.name}' does not fit its type {column.datatype};"
            " multiply by 1.0 to compute with floating-point numbers"
        ) from None


def _coerced(cell: Any, kind: pa.DataType) -> Any:
    if cell is None:
        return None
    if pa.types.is_string(kind):
        return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
    if pa.types.is_boolean(kind):
        return bool(cell)
    number = float(cell) if isinstance(cell, str) else cell
    if pa.types.is_integer(kind):
        # A whole number that SQLite computed as a double.
        if isinstance(number, float) and not (math.isfinite(number) and number.is_integer()):
            raise ValueError
        return int(number)
    return float(number)
