"""How SQLite keeps arrays: a letter for the type of their elements, and the elements' bytes.

The letter makes a cell readable without its column, as it is after UNION or in a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["array_values", "pack_lists", "unpack_lists"]

_LETTERS: dict[pa.DataType, tuple[bytes, str]] = {
    pa.bool_(): (b"b", "u1"),
    pa.uint8(): (b"B", "u1"),
    pa.int16(): (b"h", "<i2"),
    pa.int32(): (b"i", "<i4"),
    pa.int64(): (b"q", "<i8"),
    pa.float32(): (b"f", "<f4"),
    pa.float64(): (b"d", "<f8"),
}
_DTYPES = {letter: np.dtype(dtype) for letter, dtype in _LETTERS.values()}

_UNKNOWN = 2
"""A boolean element that is not known."""


def pack_lists(array: pa.Array) -> list[bytes | None]:
    """Give the cells of an array of lists as SQLite keeps them."""
    letter, dtype = _LETTERS[array.type.value_type]
    flat = array.flatten()
    if pa.types.is_boolean(flat.type):
        flat = flat.cast(pa.uint8()).fill_null(_UNKNOWN)
    data = flat.to_numpy(zero_copy_only=False).astype(dtype, copy=False).tobytes()
    size = np.dtype(dtype).itemsize
    cells: list[bytes | None] = []
    start = 0
    for length in array.value_lengths().to_pylist():
        if length is None:
            cells.append(None)
            continue
        end = start + length * size
        cells.append(letter + data[start:end])
        start = end
    return cells


def unpack_lists(cells: Sequence[bytes | None], kind: pa.DataType) -> pa.Array:
    """Give packed cells as an array of lists, elements brought to its type.

    Raises
    ------
    ValueError, KeyError
        If a cell is no packed array.
    """
    wanted, dtype = _LETTERS[kind.value_type]
    present = [cell for cell in cells if cell is not None]
    if all(cell[:1] == wanted for cell in present):
        values = np.frombuffer(b"".join(cell[1:] for cell in present), dtype)
        size = np.dtype(dtype).itemsize
        lengths = [0 if cell is None else (len(cell) - 1) // size for cell in cells]
    else:
        parts = [np.empty(0) if cell is None else array_values(cell) for cell in cells]
        values = np.concatenate(parts).astype(dtype)
        lengths = [len(part) for part in parts]
    flat = pa.array(values)
    if pa.types.is_boolean(kind.value_type):
        flat = pa.array(values == 1, mask=values == _UNKNOWN)
    offsets = pa.array([0, *accumulate(lengths)], pa.int32())
    mask = pa.array([cell is None for cell in cells], pa.bool_())
    return pa.ListArray.from_arrays(offsets, flat.cast(kind.value_type), mask=mask)


def array_values(cell: bytes) -> NDArray[np.generic]:
    """Give the elements of one packed cell.

    Raises
    ------
    ValueError, KeyError
        If it is none.
    """
    return np.frombuffer(cell[1:], _DTYPES[cell[:1]])
