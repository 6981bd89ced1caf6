"""Rows of a running statement into columns, compiled.

What runs here holds no lock of Python's, so that another thread can write the rows before.
"""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types
from numpy.typing import NDArray

from obscore.store.cells import REAL, TEXT, WHOLE, Cells, Layout
from obscore.store.sqlite.routines import (
    BLOB_VALUE,
    FLOAT_VALUE,
    INTEGER_VALUE,
    NULL_VALUE,
    TEXT_VALUE,
)
from vodal.addresses import caller, copy
from vodal.compiled import in_turn, uncounted

__all__ = ["DONE", "FULL", "MISFIT", "ROW", "fill", "find_busy", "load"]

ROW, DONE = 100, 101
"""SQLite's results of a step."""

FULL, MISFIT = -1, -2
"""The texts of a column have no room for the next one; a value is not of its column's type."""

_TWO_TO_63 = 2.0**63

Longs = NDArray[np.int64]

_next = caller(types.int64, types.int64, types.int64)
_step = caller(types.int32, types.int64)
_column_value = caller(types.int64, types.int64, types.int32)
_number = caller(types.int32, types.int64)
_long = caller(types.int64, types.int64)
_double = caller(types.float64, types.int64)


@uncounted
def _put_text(
    calls: Longs, value: int, found: int, wanted: int, place: tuple[int, int],
    texts: tuple[Any, Longs, Longs], state: Longs,
) -> int:  # fmt: skip
    """Put a text or blob into a column; gives 1, 0 for a null, or what hinders."""
    offsets, starts, rooms = texts
    column, row = place
    end = offsets[column, row]
    is_there = 0
    if found == wanted:
        source = _long(calls[5] if wanted == TEXT_VALUE else calls[6], (value,))
        size = _number(calls[7], (value,))
        if end + size > rooms[column]:
            state[2] = end + size
            return FULL
        if size:
            copy(starts[column] + end, source, size)
        end += size
        is_there = 1
    elif found != NULL_VALUE:
        return MISFIT
    offsets[column, row + 1] = end
    return is_there


@uncounted
def _put_number(
    calls: Longs, value: int, found: int, kind: int, bounds: tuple[int, int],
    place: tuple[int, int], numbers: tuple[Any, Any],
) -> int:  # fmt: skip
    """Put a number into a column; gives 1, 0 for a null, or what hinders."""
    whole, real = numbers
    if found == NULL_VALUE:
        whole[place] = 0
        return 0
    if found == INTEGER_VALUE:
        number = _long(calls[3], (value,))
        if kind == REAL:
            real[place] = number
            return 1
    elif found == FLOAT_VALUE:
        double = _double(calls[4], (value,))
        if kind == REAL:
            real[place] = double
            return 1
        if kind != WHOLE or not (-_TWO_TO_63 <= double < _TWO_TO_63 and double == floor(double)):
            return MISFIT
        number = np.int64(double)
    else:
        return MISFIT
    if not bounds[0] <= number <= bounds[1]:
        return MISFIT
    whole[place] = number
    return 1


@uncounted
def fill(
    calls: Longs, statement: int, layout: tuple[Longs, Longs, Longs],
    numbers: tuple[Any, Any, Any], texts: tuple[Any, Longs, Longs], state: Longs, count: int,
) -> int:  # fmt: skip
    """Step a statement and put its rows into columns, until there are ``count``.

    Parameters
    ----------
    calls
        `Routines.addresses`.
    statement
        Its address.
    layout, numbers, texts, state
        Of `Cells`.
    count
        Rows that the columns hold at most.

    Returns
    -------
    int
        `ROW` when there are ``count`` rows; `FULL` or `MISFIT` when a row is not finished; `DONE`
        at the end, or SQLite's error.
    """
    kinds, lows, highs = layout
    whole, real, valid = numbers
    row, start = state[0], state[1]
    code = ROW
    while row < count:
        if start < 0:
            code = _step(calls[0], (statement,))
            if code != ROW:
                break
            start = 0
        for column in range(start, len(kinds)):
            value = _column_value(calls[1], (statement, column))
            found, kind = _number(calls[2], (value,)), kinds[column]
            if kind >= TEXT:
                wanted = TEXT_VALUE if kind == TEXT else BLOB_VALUE
                put = _put_text(calls, value, found, wanted, (column, row), texts, state)
            else:
                bounds = lows[column], highs[column]
                put = _put_number(
                    calls, value, found, kind, bounds, (column, row), (whole, real)
                )  # fmt: skip
            if put < 0:
                state[0], state[1] = row, column
                return put
            valid[column, row] = put
        row += 1
        start = -1
    state[0], state[1] = row, -1
    return code


@uncounted
def find_busy(calls: Longs, database: int, found: Longs) -> int:
    """Find the statements that a connection is running.

    Parameters
    ----------
    calls
        `Routines.searching`.
    database
        The connection's address.
    found
        Where their addresses go.

    Returns
    -------
    int
        How many there are; no more than have room.
    """
    count, statement = 0, 0
    while count < len(found):
        statement = _next(calls[0], (database, statement))
        if statement == 0:
            break
        if _number(calls[1], (statement,)) != 0:
            found[count] = statement
            count += 1
    return count


@in_turn(fill)
def load() -> None:
    """Compile, or read from the disk what was compiled before."""
    # Without room nothing is called.
    find_busy(np.zeros(2, np.int64), 0, np.empty(0, np.int64))
    cells = Cells(Layout((), pa.schema([])), np.zeros(0), 0)
    fill(np.zeros(8, np.int64), 0, cells.layout.arrays, cells.numbers, cells.texts, cells.state, 0)
