"""A few rows as BINARY2 or TABLEDATA, value by value.

`vodal.tables.binary` packs column by column, and so does `vodal.tables.votable` for TABLEDATA; that
costs the same for one row as for a thousand, and most answers have ten. Both ways write the same
bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any

import pyarrow as pa

from vodal.tables.columns import Column

__all__ = ["FEW", "pack_few", "tabledata_few"]

FEW = 100
"""Rows up to which this way is the faster one."""

_NUMBERS: dict[str, tuple[Struct, Any]] = {
    "short": (Struct(">h"), 0),
    "int": (Struct(">i"), 0),
    "long": (Struct(">q"), 0),
    "float": (Struct(">f"), float("nan")),
    "double": (Struct(">d"), float("nan")),
}
"""How a number is written, and what stands for a null."""

_LENGTH = Struct(">i")

_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML cannot carry; they become ``?`` in every format."""

_Cells = Callable[[Sequence[Any]], list[bytes]]


def _numbers(datatype: str) -> _Cells:
    form, null = _NUMBERS[datatype]
    pack = form.pack
    return lambda values: [pack(null if value is None else value) for value in values]


def _texts(codec: str, unit_bytes: int) -> _Cells:
    def cells(values: Sequence[str | None]) -> list[bytes]:
        made = []
        for value in values:
            text = (_INVALID.sub("?", value) if value else "").encode(codec, "replace")
            made.append(_LENGTH.pack(len(text) // unit_bytes) + text)
        return made

    return cells


@lru_cache(maxsize=256)
def _packers(columns: tuple[Column, ...]) -> tuple[_Cells, ...] | None:
    """Give what packs each column; None where one is of a rare type."""
    packers = []
    for column in columns:
        if column.datatype in _NUMBERS and column.arraysize is None:
            packers.append(_numbers(column.datatype))
        elif column.datatype == "char" and column.arraysize == "*":
            packers.append(_texts("ascii", 1))
        elif column.datatype == "unicodeChar" and column.arraysize == "*":
            packers.append(_texts("utf-16-be", 2))
        else:
            return None
    return tuple(packers)


def _masks(lists: Sequence[list[Any]], rows: int) -> list[bytes]:
    """Pack the flags of null cells, first column in the highest bit of the first byte."""
    width = (len(lists) + 7) // 8
    masks = [0] * rows
    for number, values in enumerate(lists):
        if None in values:
            bit = 1 << (8 * width - 1 - number)
            for row, value in enumerate(values):
                if value is None:
                    masks[row] |= bit
    return [mask.to_bytes(width, "big") for mask in masks]


def pack_few(columns: tuple[Column, ...], batch: pa.RecordBatch) -> tuple[bytes, set[str]] | None:
    """Pack the rows of a batch as BINARY2, if all columns are of the usual types.

    Parameters
    ----------
    columns
        As the document declares them.
    batch
        Of these columns.

    Returns
    -------
    rows, replaced
        The packed rows, and the names of the columns where ``?`` was written for a character
        beyond ASCII. None if the batch must be packed in the general way.
    """
    packers = _packers(columns)
    if packers is None:
        return None
    for column, kind in zip(columns, batch.schema.types, strict=True):
        if kind != column.arrow_type():
            return None
    lists = [array.to_pylist() for array in batch.columns]
    cells = [_masks(lists, batch.num_rows)]
    cells += [pack(values) for pack, values in zip(packers, lists, strict=True)]
    replaced = {
        column.name
        for column, values in zip(columns, lists, strict=True)
        if column.datatype == "char"
        and not all(value is None or value.isascii() for value in values)
    }
    return b"".join(chain.from_iterable(zip(*cells, strict=True))), replaced


_PLAIN = re.compile("[\t\n -%'-;=?-~]*")
"""Text that stands in an element as it is: ASCII but for the signs below and for controls."""

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})

_Texts = Callable[[Sequence[Any]], list[str]]


def _texts_of(values: Sequence[str | None]) -> list[str]:
    plain = _PLAIN.fullmatch
    return [
        (value if plain(value) else _INVALID.sub("?", value).translate(_ESCAPES)) if value else ""
        for value in values
    ]


def _integers_of(values: Sequence[int | None]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _truths_of(values: Sequence[bool | None]) -> list[str]:
    return ["" if value is None else "true" if value else "false" for value in values]


_TEXTS: dict[tuple[str, str | None], _Texts] = {
    ("char", "*"): _texts_of,
    ("unicodeChar", "*"): _texts_of,
    ("short", None): _integers_of,
    ("int", None): _integers_of,
    ("long", None): _integers_of,
    ("boolean", None): _truths_of,
}
"""By datatype and arraysize. Floats are not among them: their digits are Arrow's choice."""


def tabledata_few(columns: Sequence[Column], batch: pa.RecordBatch) -> bytes | None:
    """Write the rows of a batch as TABLEDATA, if all columns are of the usual types.

    Parameters
    ----------
    columns
        As the document declares them.
    batch
        Of these columns.

    Returns
    -------
    rows
        None if the batch must be written in the general way.
    """
    cells = []
    for column, array in zip(columns, batch.columns, strict=True):
        texts = _TEXTS.get((column.datatype, column.arraysize))
        if texts is None or array.type != column.arrow_type():
            return None
        cells.append(texts(array.to_pylist()))
    rows = map("</TD><TD>".join, zip(*cells, strict=True))
    return "".join([f"<TR><TD>{row}</TD></TR>\n" for row in rows]).encode()
