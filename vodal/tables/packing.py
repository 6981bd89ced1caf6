"""Cells as big-endian bytes, column by column, as VOTable's and FITS's binary rows hold them.

A column becomes either a block of the same number of bytes for each row, or cells of varying size
with their numbers of elements. What stands for a null is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vodal.tables.cells import EMPTY, array_length, data_and_offsets, is_ascii, text_length
from vodal.tables.columns import Column

__all__ = [
    "Bytes2D",
    "Nulls",
    "Varying",
    "as_bytes",
    "as_varying",
    "ascii_text",
    "join_rows",
    "pack_char",
    "pack_lists",
    "pack_scalars",
    "pack_unicode",
    "padded_text",
    "without_nulls",
]

Bytes2D = NDArray[np.uint8]

_DTYPES = {
    "unsignedByte": "u1",
    "short": ">i2",
    "int": ">i4",
    "long": ">i8",
    "float": ">f4",
    "double": ">f8",
    "floatComplex": ">f4",
    "doubleComplex": ">f8",
}

_UTF16_UNITS = np.ones(256, dtype=np.int8)
_UTF16_UNITS[0x80:0xC0] = 0
_UTF16_UNITS[0xF0:] = 2
"""How many UTF-16 units a character takes, counted at the first byte of its UTF-8 form."""

_FALSE = pa.scalar(False)
_ZERO_LENGTH = pa.scalar(0, pa.int32())
_NO_BYTES = pa.scalar(b"", pa.binary())
_NAN = {kind: pa.scalar(np.nan, kind) for kind in (pa.float32(), pa.float64())}


@dataclass(frozen=True, slots=True)
class Nulls:
    """What stands for a null in a column of whole numbers or of booleans; for others it is NaN."""

    number: int = 0
    flag: int = ord("?")


@dataclass(frozen=True, slots=True)
class Varying:
    """Cells whose size varies."""

    counts: NDArray[np.integer[Any]]
    """The number of elements of each cell."""
    cells: pa.Array
    """Their bytes."""


def as_bytes(values: NDArray[Any], rows: int) -> Bytes2D:
    """See a contiguous array as ``rows`` rows of bytes."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(rows, -1)


def as_varying(data: NDArray[np.uint8], offsets: NDArray[Any]) -> pa.Array:
    """See bytes as cells that start at some offsets; the last offset ends the last cell."""
    return pa.Array.from_buffers(
        pa.binary(),
        len(offsets) - 1,
        [None, pa.py_buffer(offsets.astype(np.int32, copy=False)), pa.py_buffer(data)],
    )


@cache
def _number(value: int, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(value, kind)


def pack_scalars(datatype: str, array: pa.Array, nulls: Nulls) -> Bytes2D:
    """Pack numbers, booleans or bits; a null bit is 0."""
    rows = len(array)
    if datatype == "bit":
        # A single bit is the first of its byte (VOTable 1.4 section 2.1); astropy 8 looks for it
        # in the fifth place.
        known = pc.fill_null(array, _FALSE).to_numpy(zero_copy_only=False)
        return np.where(known, np.uint8(0x88), np.uint8(0)).reshape(rows, 1)
    if datatype == "boolean":
        known = pc.fill_null(array, _FALSE).to_numpy(zero_copy_only=False)
        cells = np.where(known, np.uint8(ord("T")), np.uint8(ord("F")))
        if array.null_count:
            cells[array.is_null().to_numpy(zero_copy_only=False)] = nulls.flag
        return cells.reshape(rows, 1)
    if array.null_count:
        filler = _NAN.get(array.type)
        if filler is None:
            filler = _number(nulls.number, array.type)
        array = pc.fill_null(array, filler)
    dtype = np.dtype(_DTYPES[datatype])
    values = array.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return as_bytes(values, rows) if rows else np.empty((0, dtype.itemsize), np.uint8)


def ascii_text(array: pa.Array) -> tuple[pa.Array, bool]:
    """Give text as ASCII, ``?`` for every other character, and whether there was any other."""
    if is_ascii(array):
        return array, False
    return pc.replace_substring_regex(array, pattern=r"[^\x00-\x7f]", replacement="?"), True


def padded_text(array: pa.Array, width: int) -> Bytes2D:
    """Pack ASCII text of at most ``width`` characters, filled up with NUL bytes."""
    if not width or not len(array):
        return np.zeros((len(array), width), np.uint8)
    data, _ = data_and_offsets(pc.ascii_rpad(array, width, padding="\0"))
    return data.reshape(len(array), width)


def pack_char(column: Column, array: pa.Array) -> Bytes2D | Varying:
    """Pack ASCII text without nulls as the column's array size has it."""
    length, varying = text_length(column)
    if length is not None:
        array = pc.utf8_slice_codeunits(array, 0, length)
    if varying:
        return Varying(pc.binary_length(array).to_numpy(), array.cast(pa.binary()))
    assert length is not None
    return padded_text(array, length)


def _utf16(array: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Give the text of an array as UTF-16 (big-endian) and where each element starts, in bytes."""
    data, offsets = data_and_offsets(array)
    if data.size == 0 or int(data.max()) < 128:
        wide = np.zeros(2 * data.size, np.uint8)
        wide[1::2] = data
        return wide, offsets.astype(np.int64) * 2
    units = np.concatenate([[0], np.cumsum(_UTF16_UNITS[data], dtype=np.int64)])
    encoded = data.tobytes().decode("utf-8").encode("utf-16-be")
    return np.frombuffer(encoded, np.uint8), units[offsets] * 2


def pack_unicode(column: Column, array: pa.Array) -> Bytes2D | Varying:
    """Pack text without nulls as UTF-16, as the column's array size has it.

    Readers take ``unicodeChar`` so; lengths count 16-bit units.
    """
    units, varying = text_length(column)
    if units is None:
        data, offsets = _utf16(array)
        return Varying(np.diff(offsets) // 2, as_varying(data, offsets))
    # Bounded text is rare: row by row, never cutting a pair of surrogates.
    cells = []
    for value in array.to_pylist():
        cell = value.encode("utf-16-be")[: 2 * units].decode("utf-16-be", "ignore")
        cells.append(cell.encode("utf-16-be"))
    if varying:
        counts = np.array([len(cell) // 2 for cell in cells], np.int32)
        return Varying(counts, pa.array(cells, pa.binary()))
    padded = b"".join(cell.ljust(2 * units, b"\0") for cell in cells)
    return np.frombuffer(padded, np.uint8).reshape(len(array), 2 * units)


def _lengths(array: pa.Array) -> NDArray[np.int32]:
    """Give the number of values of each list, 0 for a null."""
    lengths = pc.fill_null(pc.list_value_length(array), _ZERO_LENGTH)
    numbers: NDArray[np.int32] = lengths.to_numpy(zero_copy_only=False)
    return numbers


def _check_lengths(column: Column, array: pa.Array, length: int) -> None:
    """Refuse a cell that has not the number of elements that its column declares."""
    lengths = pc.list_value_length(array)
    if not pc.all(pc.equal(lengths, length), min_count=0).as_py():
        raise ValueError(f"the column {column.name} takes {length} values in each cell")


def _pack_bits(column: Column, array: pa.Array) -> Bytes2D | Varying:
    """Pack arrays of bits, eight to a byte, the first in the highest place."""
    length = array_length(column)
    cells = [
        None if cell is None else np.packbits(np.array(cell, np.bool_)).tobytes()
        for cell in array.to_pylist()
    ]
    if length is None:
        return Varying(_lengths(array), pa.array([cell or b"" for cell in cells], pa.binary()))
    _check_lengths(column, array, length)
    width = (length + 7) // 8
    whole = b"".join(bytes(width) if cell is None else cell for cell in cells)
    return np.frombuffer(whole, np.uint8).reshape(len(array), width)


def pack_lists(column: Column, array: pa.Array, nulls: Nulls) -> Bytes2D | Varying:
    """Pack arrays of numbers, booleans or bits.

    Raises
    ------
    ValueError
        If a cell does not have the number of elements that its column declares.
    """
    if column.datatype == "bit":
        return _pack_bits(column, array)
    flat = array.flatten()
    packed = pack_scalars(column.datatype, flat, nulls)
    length = array_length(column)
    if length is None:
        counts = _lengths(array)
        is_complex = column.datatype.endswith("Complex")
        if is_complex and (counts % 2).any():
            raise ValueError(f"the column {column.name} takes pairs of numbers")
        offsets = np.zeros(len(array) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        cells = as_varying(packed.reshape(-1), offsets * packed.shape[1])
        return Varying(counts // 2 if is_complex else counts, cells)
    _check_lengths(column, array, length)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    one_null = pack_scalars(column.datatype, pa.nulls(length, flat.type), nulls).reshape(-1)
    fixed = np.empty((len(array), one_null.size), np.uint8)
    fixed[:] = one_null
    fixed[valid] = packed.reshape(-1, one_null.size)
    return fixed


def _block(parts: Sequence[Bytes2D]) -> Bytes2D:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _block_cells(parts: Sequence[Bytes2D], rows: int) -> pa.Array:
    block = _block(parts)
    offsets = np.arange(rows + 1, dtype=np.int64) * block.shape[1]
    return as_varying(block.reshape(-1), offsets)


def join_rows(cells: Sequence[Bytes2D | Varying], rows: int) -> memoryview:
    """Join packed columns to rows, without a Python loop over the rows.

    Neighbouring cells of fixed size are one block of bytes a row; the number of elements that
    precedes a cell of varying size (32 bits) goes to the end of the block before it; Arrow joins
    blocks and varying cells row by row.

    Parameters
    ----------
    cells
        One for each column, in order; at least one.
    rows
        Their number of rows; at least one. The joined rows must stay below 2 GiB.
    """
    fixed: list[Bytes2D] = []
    joined: list[pa.Array] = []
    for column in cells:
        if isinstance(column, Varying):
            fixed.append(as_bytes(column.counts.astype(">i4"), rows))
            joined += [_block_cells(fixed, rows), column.cells]
            fixed = []
        else:
            fixed.append(column)
    if not joined:
        return np.ascontiguousarray(_block(fixed)).data.cast("B")
    if fixed:
        joined.append(_block_cells(fixed, rows))
    data, _ = data_and_offsets(pc.binary_join_element_wise(*joined, _NO_BYTES))
    return data.data


def without_nulls(array: pa.Array) -> pa.Array:
    """Give text with empty text for its nulls."""
    return pc.fill_null(array, EMPTY) if array.null_count else array
