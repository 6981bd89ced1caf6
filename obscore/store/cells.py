"""The memory of a batch that compiled code fills, and the Arrow arrays that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from obscore.tap.batches import make_array
from vodal.tables.columns import Column

__all__ = ["BYTES", "FLAG", "REAL", "TEXT", "WHOLE", "Cells", "Layout"]

REAL, WHOLE, FLAG, TEXT, BYTES = range(5)
"""What a column holds: doubles, whole numbers, truth, texts, or arrays packed in bytes."""

_MOST_TEXT = 64 << 20
"""Bytes of one column's texts after which a batch ends early."""

_WIDEST = 64
_OFFSET_BYTES = 4
_BEYOND_ASCII = 128

_LONGS = (-(2**63), 2**63 - 1)
_BOUNDS = {
    pa.uint8(): (0, 2**8 - 1),
    pa.int16(): (-(2**15), 2**15 - 1),
    pa.int32(): (-(2**31), 2**31 - 1),
}


def _kind(kind: pa.DataType) -> int:
    if pa.types.is_list(kind):
        return BYTES
    if pa.types.is_string(kind):
        return TEXT
    if pa.types.is_boolean(kind):
        return FLAG
    return WHOLE if pa.types.is_integer(kind) else REAL


class Layout:
    """What the columns of a table hold.

    Parameters
    ----------
    columns, schema
        Of the table.
    """

    def __init__(self, columns: Sequence[Column], schema: pa.Schema) -> None:
        self.columns = tuple(columns)
        self.schema = schema
        self.kinds = np.array([_kind(kind) for kind in schema.types], np.int64)
        bounds = np.array([_BOUNDS.get(kind, _LONGS) for kind in schema.types], np.int64)
        lows, highs = bounds.reshape(-1, 2).T.copy()
        self.arrays = self.kinds, lows, highs
        """What each column holds, and the least and the greatest whole number."""


class Cells:
    """The columns of one batch, each with its own memory.

    Parameters
    ----------
    layout
        What they hold.
    widths
        Of each column the bytes of text to expect in a row.
    rows
        Rows that they have room for.
    """

    def __init__(self, layout: Layout, widths: NDArray[np.float64], rows: int) -> None:
        columns = len(layout.kinds)
        self.layout = layout
        self._whole = np.empty((columns, rows), np.int64)
        self._real = self._whole.view(np.float64)
        self._valid = np.empty((columns, rows), np.uint8)
        self.numbers = self._whole, self._real, self._valid
        """Columns x rows: numbers, the same memory as doubles, and whether there is a value."""
        self._offsets = np.zeros((columns, rows + 1), np.int32)
        rooms = np.where(layout.kinds >= TEXT, np.minimum(widths * rows * 1.1 + 64, _MOST_TEXT), 0)
        self._rooms = rooms.astype(np.int64)
        self.places = np.cumsum(self._rooms) - self._rooms
        self.common = np.empty(int(self._rooms.sum()), np.uint8)
        self.grown: dict[int, NDArray[np.uint8]] = {}
        """Texts of columns that had not room enough in the common memory."""
        self._starts = self.places + _address(self.common)
        self.texts = self._offsets, self._starts, self._rooms
        """Columns x (rows + 1): where in its column each text starts and the last one ends; the
        address of each column's texts, and how many bytes fit there."""
        self.state = np.array([0, -1, 0], np.int64)
        """Rows that are finished; the column to go on with in the row on which the statement
        stands, -1 to step first; the bytes that a column needs for which there was no room."""

    @property
    def rows(self) -> int:
        """Rows that are there and finished."""
        return int(self.state[0])

    def widths(self) -> NDArray[np.float64]:
        """Give the bytes of text that a row has, by column."""
        return self._offsets[:, self.rows] / max(self.rows, 1)

    def grow(self) -> bool:
        """Make room for the text that had none; tells whether there is now.

        There is not where the batch is large enough to end here.
        """
        rows, column, needed = (int(value) for value in self.state)
        if rows and needed > _MOST_TEXT:
            return False
        used, room = int(self._offsets[column, rows]), int(self._rooms[column])
        # A single row may be larger than all that.
        grown = np.empty(max(needed, min(2 * room, _MOST_TEXT)), np.uint8)
        former, start = self.grown.get(column), int(self.places[column])
        grown[:used] = self.common[start : start + used] if former is None else former[:used]
        self.grown[column] = grown
        self._starts[column], self._rooms[column] = _address(grown), grown.size
        return True

    def batch(self) -> pa.RecordBatch:
        """Give the finished rows.

        Raises
        ------
        ValueError
            If a text is not UTF-8.
        QueryError
            If an array is none.
        """
        return pa.RecordBatch.from_arrays(_Arrays(self).all(), schema=self.layout.schema)


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


class _Arrays:
    """Makes the arrays of `Cells`, which stay where they are."""

    def __init__(self, cells: Cells) -> None:
        self._layout = cells.layout
        self._rows = rows = cells.rows
        self._cells = cells
        self._whole, self._real, valid = cells.numbers
        valid = valid[:, :rows]
        self._nulls = rows - valid.sum(axis=1, dtype=np.int64)
        self._masks = np.packbits(valid, axis=1, bitorder="little")
        offsets = cells.texts[0]
        self._sizes = offsets[:, rows]
        self._numbers, self._offsets, self._common = map(
            pa.py_buffer, (self._whole, offsets, cells.common)
        )

    def all(self) -> list[pa.Array]:
        kinds = zip(self._layout.schema.types, self._layout.kinds.tolist(), strict=True)
        return [self._array(column, *kind) for column, kind in enumerate(kinds)]

    def _array(self, column: int, kind: pa.DataType, held: int) -> pa.Array:
        nulls = int(self._nulls[column])
        mask = pa.py_buffer(self._masks[column]) if nulls else None
        if held >= TEXT:
            return self._texts(column, kind, mask, nulls)
        if held == FLAG:
            bits = np.packbits(self._whole[column, : self._rows] != 0, bitorder="little")
            return pa.Array.from_buffers(kind, self._rows, [mask, pa.py_buffer(bits)], nulls)
        return pa.Array.from_buffers(kind, self._rows, [mask, self._values(column, kind)], nulls)

    def _values(self, column: int, kind: pa.DataType) -> pa.Buffer:
        """Give numbers in the type of their column."""
        if kind.bit_width == _WIDEST:
            size = self._whole.shape[1] * (_WIDEST // 8)
            return self._numbers.slice(column * size, self._rows * (_WIDEST // 8))
        source: NDArray[Any] = self._real if pa.types.is_floating(kind) else self._whole
        with np.errstate(over="ignore"):
            # A double that is too large for a float becomes an infinity.
            return pa.py_buffer(source[column, : self._rows].astype(kind.to_pandas_dtype()))

    def _texts(
        self, column: int, kind: pa.DataType, mask: pa.Buffer | None, nulls: int
    ) -> pa.Array:
        cells, size = self._cells, int(self._sizes[column])
        step = cells.texts[0].strides[0]
        offsets = self._offsets.slice(column * step, (self._rows + 1) * _OFFSET_BYTES)
        grown = cells.grown.get(column)
        if grown is None:
            start = int(cells.places[column])
            data, seen = self._common.slice(start, size), cells.common[start : start + size]
        else:
            data, seen = pa.py_buffer(grown).slice(0, size), grown[:size]
        if self._layout.kinds[column] == BYTES:
            packed = pa.Array.from_buffers(pa.binary(), self._rows, [mask, offsets, data], nulls)
            return make_array(self._layout.columns[column], kind, packed.to_pylist())
        texts = pa.Array.from_buffers(kind, self._rows, [mask, offsets, data], nulls)
        if size and int(seen.max()) >= _BEYOND_ASCII:
            texts.validate(full=True)
        return texts
