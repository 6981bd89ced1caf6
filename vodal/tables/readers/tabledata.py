"""Cells of TABLEDATA, text, to Arrow (VOTable 1.4 section 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vodal.errors import UsageError
from vodal.tables.readers.fields import Field

__all__ = ["cells_to_array"]

_TRUE = {"true", "t", "1"}
_FALSE = {"false", "f", "0"}
_UNKNOWN = {"", "?"}
_HEX = re.compile(r"([+-]?)0[xX]([0-9A-Fa-f]+)")


def cells_to_array(field: Field, cells: Sequence[str], first_row: int) -> pa.Array:
    """Turn the cells of one column into an array of the column's type.

    An empty cell is null, and so is the number that VALUES declares as null. Texts are kept as
    they are.

    Parameters
    ----------
    field
        What they are.
    cells
        As written.
    first_row
        Number of the first of these rows, from 1, for errors.

    Raises
    ------
    UsageError
        If a cell is not what its column declares; names the row.
    """
    kind = field.column.arrow_type()
    if pa.types.is_string(kind):
        return pa.array([cell or None for cell in cells], kind)
    if pa.types.is_list(kind):
        return _lists(field, cells, first_row)
    words = [cell.strip() for cell in cells]
    array = _items(field, words, lambda place: first_row + place)
    if field.null is not None:
        array = _without(array, field.null)
    return array


def _without(array: pa.Array, null: int) -> pa.Array:
    """Make a number null."""
    try:
        missing = pa.scalar(null, array.type)
    except (pa.ArrowInvalid, OverflowError):
        return array
    return pc.if_else(pc.equal(array, missing), pa.scalar(None, array.type), array)


def _items(field: Field, words: Sequence[str], row_of: Callable[[int], int]) -> pa.Array:
    """Read scalars, or all elements of arrays."""
    kind = field.column.arrow_type()
    if pa.types.is_list(kind):
        kind = kind.value_type
    if not pa.types.is_boolean(kind):
        try:
            return pa.array([word or None for word in words], pa.string()).cast(kind)
        except pa.ArrowInvalid:
            pass  # Rare forms, or a fault: looked at one by one.
    read = _boolean if pa.types.is_boolean(kind) else _number
    values = []
    for place, word in enumerate(words):
        try:
            values.append(read(word, kind))
        except (ValueError, OverflowError, pa.ArrowInvalid):
            raise UsageError(
                f"row {row_of(place)}: '{word[:40]}' in the column '{field.column.name}' is no"
                f" {field.datatype}"
            ) from None
    return pa.array(values, kind)


def _boolean(word: str, _kind: pa.DataType) -> bool | None:
    word = word.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if word in _UNKNOWN:
        return None
    raise ValueError(word)


def _number(word: str, kind: pa.DataType) -> float | int | None:
    if not word:
        return None
    if pa.types.is_floating(kind):
        return float(word.replace("_", "x"))
    hexadecimal = _HEX.fullmatch(word)
    number = (
        int(hexadecimal[1] + hexadecimal[2], 16) if hexadecimal else int(word.replace("_", "x"))
    )
    pa.scalar(number, kind)
    return number


def _lists(field: Field, cells: Sequence[str], first_row: int) -> pa.Array:
    if field.datatype == "bit":
        # Bits may stand with or without blanks between them.
        split = [list("".join(cell.split())) for cell in cells]
    else:
        split = [cell.split() for cell in cells]
    counts = np.array([len(words) for words in split], np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    flat = _items(
        field,
        [word for words in split for word in words],
        lambda place: first_row + int(np.searchsorted(offsets, place, "right")) - 1,
    )
    _check_counts(field, counts, first_row)
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), flat, mask=pa.array(counts == 0)
    )


def _check_counts(field: Field, counts: NDArray[np.int64], first_row: int) -> None:
    each = 2 if field.datatype.endswith("Complex") else 1
    wrong = counts % each != 0
    if field.items is not None:
        wrong |= (counts != 0) & (counts != each * field.items)
    if wrong.any():
        row = int(wrong.argmax())
        raise UsageError(
            f"row {first_row + row}: {counts[row]} values in the column '{field.column.name}',"
            f" whose arraysize is {field.column.arraysize or 1}"
        )
