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
        self._texts = [np.empty(int(room), np.uint8) for room in self._rooms]
        self._starts = np.array([text.ctypes.data for text in self._texts], np.int64)
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
        # A single row may be larger than all that.
        former = self._texts[column]
        grown = np.empty(max(needed, min(2 * former.size, _MOST_TEXT)), np.uint8)
        used = int(self._offsets[column, rows])
        grown[:used] = former[:used]
        self._texts[column] = grown
        self._starts[column], self._rooms[column] = grown.ctypes.data, grown.size
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
        kinds = self.layout.schema.types
        arrays = [self._array(column, kind) for column, kind in enumerate(kinds)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.layout.schema)

    def _array(self, column: int, kind: pa.DataType) -> pa.Array:
        rows = self.rows
        valid = self._valid[column, :rows]
        nulls = rows - int(np.count_nonzero(valid))
        mask = pa.py_buffer(np.packbits(valid, bitorder="little")) if nulls else None
        held = self.layout.kinds[column]
        if held >= TEXT:
            offsets = self._offsets[column, : rows + 1]
            data = self._texts[column][: offsets[-1]]
            buffers = [mask, pa.py_buffer(offsets), pa.py_buffer(data)]
            if held == TEXT:
                texts = pa.Array.from_buffers(kind, rows, buffers, nulls)
                if data.size and int(data.max()) >= 128:
                    texts.validate(full=True)
                return texts
            packed = pa.Array.from_buffers(pa.binary(), rows, buffers, nulls).to_pylist()
            return make_array(self.layout.columns[column], kind, packed)
        if held == FLAG:
            bits = np.packbits(self._whole[column, :rows] != 0, bitorder="little")
            return pa.Array.from_buffers(kind, rows, [mask, pa.py_buffer(bits)], nulls)
        source: NDArray[Any] = self._real if held == REAL else self._whole
        with np.errstate(over="ignore"):
            # A double that is too large for a float becomes an infinity.
            numbers = source[column, :rows].astype(kind.to_pandas_dtype(), copy=False)
        return pa.Array.from_buffers(kind, rows, [mask, pa.py_buffer(numbers)], nulls)
