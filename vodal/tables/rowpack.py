"""Rows of BINARY2 packed by compiled code, for many rows of the usual columns.

`vodal.tables.packing` packs column by column and then joins; this goes row by row, writes each
byte once and lets other threads run meanwhile. Both write the same bytes.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vodal.addresses import copy, reader, writer
from vodal.compiled import in_turn, uncounted
from vodal.tables.columns import Column

__all__ = ["is_plain", "load", "pack_many"]

Longs = NDArray[np.int64]

_TEXT = 0
"""Width of a column of texts; others have cells of 2, 4 or 8 bytes."""

_WIDTHS = {"short": 2, "int": 4, "long": 8, "float": 4, "double": 8}
_NULLS = {
    "float": int.from_bytes(struct.pack(">f", math.nan), "big", signed=True),
    "double": int.from_bytes(struct.pack(">d", math.nan), "big", signed=True),
}
"""What stands for a null in a column, as a whole number of the same bits; 0 in others."""

_LENGTH_BYTES = 4

_BLANKS = 0x2020202020202020
_HIGHEST = -0x7F7F7F7F7F7F7F80
"""Eight blanks; the highest bit of eight bytes, as a signed number."""

_read8, _read16, _read32, _read64 = (reader(bits) for bits in (8, 16, 32, 64))
_write8, _write16, _write32, _write64 = (writer(bits) for bits in (8, 16, 32, 64))


class _Sources(NamedTuple):
    """Where the values of the columns lie."""

    widths: Longs
    nulls: Longs
    """What stands for a null."""
    masks: Longs
    """Addresses of the bits that tell what is not null; 0 where nothing is."""
    firsts: Longs
    """The first row's number in them and in the values."""
    values: Longs
    """Addresses of the numbers, or of the texts."""
    offsets: Longs
    """Addresses of the offsets of the texts, 32 bits each."""


@uncounted
def _is_plain(start: int, size: int) -> bool:
    """Tell whether a text is ASCII that XML can carry."""
    end, words = start + size, start + size - size % 8
    found = 0
    for place in range(start, words, 8):
        # Of eight bytes at once: a highest bit that is set, before or after 32 is taken away.
        word = _read64(place)
        found |= word | (word - _BLANKS)
    if found & _HIGHEST == 0:
        start = words
    # A line feed has brought us here, or all but a few bytes are known to be plain.
    for place in range(start, end):
        byte = _read8(place)
        # Signed: what is beyond ASCII is negative.
        if byte < 32 and byte not in (9, 10, 13):
            return False
    return True


@uncounted
def measure(sources: _Sources, rows: int) -> int:
    """Give the bytes that the texts of rows have; -1 if one is not plain."""
    total = 0
    for column in range(len(sources.widths)):
        if sources.widths[column] == _TEXT:
            offsets = sources.offsets[column] + 4 * sources.firsts[column]
            start, end = _read32(offsets), _read32(offsets + 4 * rows)
            if not _is_plain(sources.values[column] + start, end - start):
                return -1
            total += end - start
    return total


@uncounted
def _is_there(mask: int, place: int) -> bool:
    return mask == 0 or (_read8(mask + (place >> 3)) >> (place & 7)) & 1 == 1


@uncounted
def _put_cell(sources: _Sources, column: int, place: int, target: int) -> Any:
    """Write a cell that is not null; gives the address behind it."""
    width, values = sources.widths[column], sources.values[column]
    if width == _TEXT:
        offsets = sources.offsets[column] + 4 * place
        start = _read32(offsets)
        size = _read32(offsets + 4) - start
        _write32(target, size)
        copy(target + _LENGTH_BYTES, values + start, size)
        return target + _LENGTH_BYTES + size
    if width == 8:
        _write64(target, _read64(values + 8 * place))
    elif width == 4:
        _write32(target, _read32(values + 4 * place))
    else:
        _write16(target, _read16(values + 2 * place))
    return target + width


@uncounted
def _put_null(width: int, null: int, target: int) -> int:
    """Write what stands for a null; gives the address behind it."""
    if width == 8:
        _write64(target, null)
        return target + 8
    if width == 2:
        _write16(target, null)
        return target + 2
    # A text without characters too.
    _write32(target, null)
    return target + 4


@uncounted
def pack(sources: _Sources, rows: int, target: int) -> int:
    """Write rows to an address; gives the one behind them."""
    columns = len(sources.widths)
    mask_bytes = (columns + 7) // 8
    for row in range(rows):
        flags = target
        for place in range(mask_bytes):
            _write8(flags + place, 0)
        target += mask_bytes
        for column in range(columns):
            place = sources.firsts[column] + row
            if _is_there(sources.masks[column], place):
                target = _put_cell(sources, column, place, target)
            else:
                byte = flags + (column >> 3)
                _write8(byte, _read8(byte) | (128 >> (column & 7)))
                target = _put_null(sources.widths[column], sources.nulls[column], target)
    return target


class _Known(NamedTuple):
    """What is known of some columns."""

    schema: pa.Schema
    widths: Longs
    nulls: Longs
    fixed: int
    """Bytes of a row without its texts."""


@lru_cache(maxsize=256)
def _known(columns: tuple[Column, ...]) -> _Known | None:
    """Look at columns; None if one is of a rare type."""
    sizes = []
    for column in columns:
        if column.datatype in _WIDTHS and column.arraysize is None:
            sizes.append(_WIDTHS[column.datatype])
        elif column.datatype == "char" and column.arraysize == "*":
            sizes.append(_TEXT)
        else:
            return None
    schema = pa.schema([(column.name, column.arrow_type()) for column in columns])
    widths = np.array(sizes, np.int64)
    nulls = np.array([_NULLS.get(column.datatype, 0) for column in columns], np.int64)
    fixed = (len(columns) + 7) // 8 + int(np.where(widths == _TEXT, _LENGTH_BYTES, widths).sum())
    return _Known(schema, widths, nulls, fixed)


def _addresses(array: pa.Array) -> tuple[int, int, int, int]:
    """Give where an array's mask, first value, values and offsets lie."""
    mask, *others = array.buffers()
    values = others[-1]
    return (
        mask.address if mask is not None and array.null_count else 0,
        array.offset,
        values.address if values is not None else 0,
        others[0].address if len(others) > 1 else 0,
    )


def _sources(columns: tuple[Column, ...], batch: pa.RecordBatch) -> tuple[_Known, _Sources] | None:
    """Find the values of a batch; None if one of its columns is of a rare type or of another."""
    known = _known(columns)
    if known is None or not (
        batch.schema.equals(known.schema) or batch.schema.types == known.schema.types
    ):
        return None
    found = np.array([_addresses(array) for array in batch.columns], np.int64).reshape(-1, 4)
    return known, _Sources(known.widths, known.nulls, *found.T.copy())


def is_plain(columns: tuple[Column, ...], batch: pa.RecordBatch) -> bool:
    """Tell whether columns are of the usual types and all texts are ASCII that XML can carry.

    Parameters
    ----------
    columns
        As the document declares them.
    batch
        Of these columns.
    """
    found = _sources(columns, batch)
    return found is not None and measure(found[1], batch.num_rows) >= 0


def pack_many(columns: tuple[Column, ...], batch: pa.RecordBatch) -> memoryview | None:
    """Pack the rows of a batch as BINARY2.

    Parameters
    ----------
    columns
        As the document declares them.
    batch
        Of these columns; at least one row.

    Returns
    -------
    memoryview or None
        None if the batch must be packed in the general way: a column is of a rare type, or a text
        holds characters that are written as others.
    """
    found = _sources(columns, batch)
    if found is None:
        return None
    known, sources = found
    rows = batch.num_rows
    text_bytes = measure(sources, rows)
    if text_bytes < 0:
        return None
    # A null text may have bytes that are not written.
    made = np.empty(rows * known.fixed + text_bytes, np.uint8)
    start = int(made.__array_interface__["data"][0])
    end = pack(sources, rows, start)
    return made[: end - start].data


@in_turn(pack)
def load() -> None:
    """Compile, or read from the disk what was compiled before."""
    columns = (Column("name", "char", "*"), Column("number", "double"))
    batch = pa.record_batch([pa.array(["a"]), pa.array([1.0])], names=["name", "number"])
    pack_many(columns, batch)
