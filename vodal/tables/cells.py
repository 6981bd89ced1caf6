"""Arrow arrays as text, one string a cell, computed column by column, and cells joined to lines.

`conform` brings whatever a database gave into the type that a column declares; `text` gives its
cells as strings, null where the value is null. Characters that XML 1.0 cannot carry (controls
other than tab, line feed and carriage return; U+FFFE, U+FFFF) become ``?`` in every format, so
that all formats of one answer tell the same.

Scalars that Arrow takes are made once: where ``dateutil`` is not installed, pyarrow looks for it
in every folder of the path each time it makes one, which costs 0.15 ms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vodal.tables.columns import Column

__all__ = [
    "EMPTY",
    "any_empty",
    "array_length",
    "conform",
    "data_and_offsets",
    "holds",
    "is_ascii",
    "join_lines",
    "list_text",
    "number_text",
    "text",
    "text_length",
]

_SUSPECT = np.zeros(256, dtype=np.bool_)
_SUSPECT[[*range(9), 11, 12, *range(14, 32), 0xEF]] = True
"""Bytes that can begin a character that XML cannot carry (0xEF begins U+FFFE and U+FFFF)."""

_INVALID = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}]"

EMPTY = pa.scalar("", pa.string())
"""An empty text."""

_NULL_TEXT = pa.scalar(None, pa.string())
_UNKNOWN = pa.scalar("?", pa.string())
_ZERO_LENGTH = pa.scalar(0, pa.int32())
_NAN, _INFINITE, _MINUS_INFINITE = (
    pa.scalar(name, pa.string()) for name in ("NaN", "+Inf", "-Inf")
)
_ZERO = pa.scalar(0)
_FILLERS = {
    kind: pa.scalar(value, kind)
    for kind, value in (
        (pa.float32(), np.nan),
        (pa.float64(), np.nan),
        (pa.uint8(), 0),
        (pa.int16(), 0),
        (pa.int32(), 0),
        (pa.int64(), 0),
    )
}
"""What stands for a null element within an array."""


_FEW = 100
"""Elements up to which Python's own values are looked at faster than the bytes of all."""


def data_and_offsets(array: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Give the bytes of a string or binary array and where each element starts in them.

    Returns
    -------
    data, offsets
        Views without copy; element ``i`` is ``data[offsets[i]:offsets[i + 1]]``, offsets start
        at 0. Where an element is null, its bytes may be anything.
    """
    if len(array) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int32)
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[array.offset : array.offset + len(array) + 1]
    if data_buffer is None:
        return np.empty(0, np.uint8), np.zeros(len(array) + 1, np.int32)
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0] if offsets[0] else offsets


def holds(array: pa.Array, characters: bytes) -> bool:
    """Tell whether any of some ASCII characters is in a string array."""
    data, _ = data_and_offsets(array)
    if not data.size:
        return False
    least, most = int(data.min()), int(data.max())
    # One pass a character, each far faster than a table looked up byte by byte.
    return any(bool((data == byte).any()) for byte in characters if least <= byte <= most)


def is_ascii(array: pa.Array) -> bool:
    """Tell whether a string array holds ASCII only."""
    if len(array) <= _FEW:
        return all(value is None or value.isascii() for value in array.to_pylist())
    data, _ = data_and_offsets(array)
    return data.size == 0 or int(data.max()) < 128


def _product(arraysize: str) -> int:
    """Multiply the dimensions of an arraysize without ``*``."""
    return math.prod(int(part) for part in arraysize.split("x"))


def any_empty(array: pa.Array) -> bool:
    """Tell whether an element of a string array may be empty; a null may count as one."""
    _, offsets = data_and_offsets(array)
    return bool((offsets[1:] == offsets[:-1]).any())


def array_length(column: Column) -> int | None:
    """Give the number of elements of a fixed-size cell; None if it varies; 1 for a scalar.

    ``2x3`` is 6; ``*``, ``8*`` and ``2x*`` vary. A complex value counts as two elements.
    """
    each = 2 if column.datatype.endswith("Complex") else 1
    if column.arraysize is None:
        return each
    if column.arraysize.endswith("*"):
        return None
    return each * _product(column.arraysize)


def text_length(column: Column) -> tuple[int | None, bool]:
    """Give the largest number of characters of a text, and whether shorter ones stay short.

    None stands for no bound: ``*``, ``8x*``.
    """
    size = "1" if column.arraysize is None else column.arraysize
    varying = size.endswith("*")
    bound = size.removesuffix("*")
    return (None if not bound or bound.endswith("x") else _product(bound)), varying


def _is_clean(array: pa.Array) -> bool:
    """Tell whether no character of a string array can be one that XML cannot carry."""
    data, _ = data_and_offsets(array)
    if not data.size or (int(data.min()) >= 32 and int(data.max()) < 128):
        return True
    return not _SUSPECT[data].any()


def conform(column: Column, array: pa.Array) -> pa.Array:
    """Bring an array into the Arrow type that its column declares.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a value does not fit, for example a long in a column declared int.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    wanted = column.arrow_type()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.type != wanted:
        array = array.cast(wanted)
    if pa.types.is_string(wanted) and not _is_clean(array):
        array = pc.replace_substring_regex(array, pattern=_INVALID, replacement="?")
    return array


def number_text(
    array: pa.Array,
    nan: pa.Scalar = _NAN,
    infinite: pa.Scalar = _INFINITE,
    minus_infinite: pa.Scalar = _MINUS_INFINITE,
) -> pa.Array:
    """Give numbers or booleans as strings; a null stays null.

    Parameters
    ----------
    array
        The numbers; each is written in the shortest form that reads back equal.
    nan, infinite, minus_infinite
        What stands for the numbers that have no digits.
    """
    cells = array.cast(pa.string())
    if not pa.types.is_floating(array.type):
        return cells
    finite = pc.is_finite(array)
    if pc.all(finite, skip_nulls=True, min_count=0).as_py():
        return cells
    unbounded = pc.if_else(pc.greater(array, _ZERO), infinite, minus_infinite)
    return pc.if_else(finite, cells, pc.if_else(pc.is_nan(array), nan, unbounded))


def list_text(array: pa.Array, cells: pa.Array, separator: str) -> pa.Array:
    """Join the texts of the elements of each list; null where the list is null.

    Parameters
    ----------
    array
        The lists.
    cells
        The texts of their elements, flattened, none of them null.
    separator
        What comes between.
    """
    lengths = pc.fill_null(pc.list_value_length(array), _ZERO_LENGTH)
    offsets = np.zeros(len(array) + 1, np.int32)
    np.cumsum(lengths.to_numpy(zero_copy_only=False), out=offsets[1:])
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), cells), separator)
    return pc.if_else(pc.is_valid(array), joined, _NULL_TEXT) if array.null_count else joined


def text(column: Column, array: pa.Array) -> pa.Array:
    """Give the cells of a conforming array as strings.

    Numbers are written in the shortest form that reads back equal, booleans as ``true`` and
    ``false``, bits as 1 and 0, the elements of arrays with blanks between. A null stays null.
    """
    if pa.types.is_string(array.type):
        length = None if column.arraysize is None else text_length(column)[0]
        return array if length is None else pc.utf8_slice_codeunits(array, 0, length)
    if column.datatype == "bit":
        array = _bits_as_numbers(array)
    if pa.types.is_list(array.type):
        flat = array.flatten()
        if pa.types.is_boolean(flat.type):
            # The sign of VOTable for an element that is not known; numbers have none.
            cells = pc.fill_null(number_text(flat), _UNKNOWN)
        else:
            cells = number_text(pc.fill_null(flat, _FILLERS[flat.type]))
        return list_text(array, cells, " ")
    return number_text(array)


def _bits_as_numbers(array: pa.Array) -> pa.Array:
    """Give bits, alone or in lists, as 0 and 1."""
    wanted = pa.list_(pa.uint8()) if pa.types.is_list(array.type) else pa.uint8()
    return array.cast(wanted)


@cache
def _scalar(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.string())


def join_lines(cells: Sequence[pa.Array], start: str, separator: str, end: str) -> bytes:
    """Join the cells of each row to a line, and the lines to one text in UTF-8.

    Parameters
    ----------
    cells
        String arrays of the same length, at least one; a null is written as nothing.
    start, separator, end
        Before the first cell of each line, between cells, after the last.
    """
    if not len(cells[0]):
        return b""
    # The start of each line goes to the end of the line before, which spares a pass.
    closed = _joined(cells[-1], _scalar(end + start), EMPTY)
    data, _ = data_and_offsets(_joined(*cells[:-1], closed, _scalar(separator)))
    opening = start.encode()
    return b"".join((opening, data[: data.size - len(opening)].data))


def _joined(*parts: pa.Array | pa.Scalar) -> pa.Array:
    return pc.binary_join_element_wise(*parts, null_handling="replace", null_replacement="")
