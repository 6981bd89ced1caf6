"""Rows of a result of libpq into columns, compiled.

What runs here holds no lock of Python's, so that another thread can write the rows before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import types
from numpy.typing import NDArray

from obscore.store.cells import REAL, TEXT, Cells, Layout
from vodal.addresses import caller, copy, reader, writer
from vodal.compiled import in_turn, uncounted

__all__ = [
    "BYTE",
    "DONE",
    "DOUBLE",
    "FULL",
    "INT",
    "LONG",
    "MISFIT",
    "SHORT",
    "WORDS",
    "fill",
    "load",
]

DOUBLE, LONG, INT, SHORT, BYTE, WORDS = range(6)
"""How a column's values are written: in 8, 8, 4, 2 bytes or one, the highest first; as text."""

DONE, FULL, MISFIT = 0, -1, -2
"""All rows were put; the texts of a column have no room for the next one; a number is not of its
column's type."""

Longs = NDArray[np.int64]

_value = caller(types.int64, types.int64, types.int32, types.int32)
_int = caller(types.int32, types.int64, types.int32, types.int32)
_read_8, _read_4, _read_2, _read_1 = reader(64), reader(32), reader(16), reader(8)
_write_8, _write_4, _write_2 = writer(64), writer(32), writer(16)


@uncounted
def _put_text(
    source: int, size: int, place: tuple[int, int], texts: tuple[Any, Longs, Longs], state: Longs
) -> int:
    offsets, starts, rooms = texts
    column, row = place
    end = offsets[column, row]
    if end + size > rooms[column]:
        state[2] = end + size
        return FULL
    if size:
        copy(starts[column] + end, source, size)
    offsets[column, row + 1] = end + size
    return DONE


@uncounted
def _put_number(
    source: int, form: int, kind: int, bounds: tuple[int, int], place: tuple[int, int],
    numbers: tuple[Any, Any], scratch: tuple[int, Longs],
) -> int:  # fmt: skip
    """Put a number into a column; the bytes are turned round on their way."""
    whole, real = numbers
    address, held = scratch
    if form <= LONG:
        _write_8(address, _read_8(source))
        number = held[0]
        if form == DOUBLE:
            whole[place] = number  # the same memory as the doubles
            return DONE
    elif form == INT:
        _write_4(address, _read_4(source))
        number = _read_4(address)
    elif form == SHORT:
        _write_2(address, _read_2(source))
        number = _read_2(address)
    else:
        number = _read_1(source)
    if kind == REAL:
        real[place] = number
        return DONE
    if not bounds[0] <= number <= bounds[1]:
        return MISFIT
    whole[place] = number
    return DONE


@uncounted
def fill(
    calls: Longs, result: int, rows: tuple[int, int], layout: tuple[Longs, Longs, Longs],
    forms: Longs, numbers: tuple[Any, Any, Any], texts: tuple[Any, Longs, Longs], state: Longs,
    scratch: tuple[int, Longs],
) -> int:  # fmt: skip
    """Put rows of a result into columns.

    Parameters
    ----------
    calls
        `obscore.store.postgres.libpq.result_functions`.
    result
        Its address.
    rows
        The first of the result's rows to put, and the one to stop before.
    layout, numbers, texts, state
        Of `Cells`, which must have room for so many rows.
    forms
        How the values of each column are written.
    scratch
        Address of 8 bytes, and the same as an array.

    Returns
    -------
    int
        `DONE`; `FULL` or `MISFIT` when a row is not finished.
    """
    kinds, lows, highs = layout
    whole, real, valid = numbers
    offsets = texts[0]
    row, start = state[0], max(state[1], 0)
    for number in range(rows[0], rows[1]):
        for column in range(start, len(kinds)):
            place = (column, row)
            is_null = _int(calls[2], (result, number, column)) != 0
            valid[column, row] = not is_null
            code = DONE
            if is_null:
                whole[column, row] = 0
                if kinds[column] >= TEXT:
                    offsets[column, row + 1] = offsets[column, row]
            elif kinds[column] >= TEXT:
                source = _value(calls[0], (result, number, column))
                size = _int(calls[1], (result, number, column))
                code = _put_text(source, size, place, texts, state)
            else:
                source = _value(calls[0], (result, number, column))
                bounds = (lows[column], highs[column])
                code = _put_number(
                    source, forms[column], kinds[column], bounds, place, (whole, real), scratch
                )  # fmt: skip
            if code != DONE:
                state[0], state[1] = row, column
                return code
        row += 1
        start = 0
    state[0], state[1] = row, -1
    return DONE


@in_turn(fill)
def load() -> None:
    """Compile, or read from the disk what was compiled before."""
    layout = Layout((), pa.schema([]))
    cells = Cells(layout, np.zeros(0), 0)
    held = np.zeros(1, np.int64)
    fill(
        np.zeros(3, np.int64), 0, (0, 0), layout.arrays, np.zeros(0, np.int64), cells.numbers,
        cells.texts, cells.state, (held.ctypes.data, held),
    )  # fmt: skip
