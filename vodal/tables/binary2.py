"""Arrow batches as the rows of VOTable's BINARY2 (VOTable 1.4 section 5.4), without a Python loop.

A row is the bit mask of its nulls and then its cells, big-endian. Neighbouring cells of fixed size
are packed as one block of bytes a row, the length that precedes a cell of varying size goes to the
end of the block before it, and Arrow joins blocks and varying cells row by row.

Text of ``char`` columns is ASCII, as VOTable 1.4 has it and as astropy insists on when it reads
BINARY2; other characters become ``?``. `vodal.tables.votable` declares a column as
``unicodeChar`` where it sees that this would lose something. ``unicodeChar`` is UTF-16, as every
reader takes it; its lengths count 16-bit units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vodal.tables.cells import array_length, conform, data_and_offsets, is_ascii, text_length
from vodal.tables.columns import Column

__all__ = ["pack_rows"]

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


@dataclass(frozen=True, slots=True)
class _Varying:
    """Cells whose size varies."""

    counts: NDArray[np.integer[Any]]
    """What is written before each cell: its number of elements."""
    cells: pa.Array
    """Their bytes."""


def _as_bytes(values: NDArray[Any], rows: int) -> Bytes2D:
    """See a contiguous array as ``rows`` rows of bytes."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(rows, -1)


def _binary(data: NDArray[np.uint8], offsets: NDArray[Any]) -> pa.Array:
    return pa.Array.from_buffers(
        pa.binary(),
        len(offsets) - 1,
        [None, pa.py_buffer(offsets.astype(np.int32, copy=False)), pa.py_buffer(data)],
    )


def _scalars(column: Column, array: pa.Array) -> Bytes2D:
    """Pack numbers or booleans; nulls become NaN, 0 or ``?``."""
    if column.datatype == "bit":
        # A single bit is the first of its byte (VOTable 1.4 section 2.1); astropy 8 looks for it
        # in the fifth place.
        known = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
        return np.where(known, np.uint8(0x88), np.uint8(0)).reshape(len(array), 1)
    if column.datatype == "boolean":
        known = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
        cells = np.where(known, np.uint8(ord("T")), np.uint8(ord("F")))
        if array.null_count:
            nulls = array.is_null().to_numpy(zero_copy_only=False)
            cells[nulls] = ord("?")
        return cells.reshape(len(array), 1)
    if array.null_count:
        filler = np.nan if pa.types.is_floating(array.type) else 0
        array = pc.fill_null(array, pa.scalar(filler, array.type))
    values = array.to_numpy(zero_copy_only=False).astype(_DTYPES[column.datatype], copy=False)
    return _as_bytes(values, len(array)) if len(array) else np.empty((0, 1), np.uint8)


def _char(column: Column, array: pa.Array) -> Bytes2D | _Varying:
    if not is_ascii(array):
        array = pc.replace_substring_regex(array, pattern=r"[^\x00-\x7f]", replacement="?")
    length, varying = text_length(column)
    if length is not None:
        array = pc.utf8_slice_codeunits(array, 0, length)
    if varying:
        return _Varying(pc.binary_length(array).to_numpy(), array.cast(pa.binary()))
    assert length is not None
    padded = np.array(array.to_pylist(), dtype=f"S{length}")
    return _as_bytes(padded, len(array)) if len(array) else np.empty((0, length), np.uint8)


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


def _unicode(column: Column, array: pa.Array) -> Bytes2D | _Varying:
    units, varying = text_length(column)
    if units is None:
        data, offsets = _utf16(array)
        return _Varying(np.diff(offsets) // 2, _binary(data, offsets))
    # Bounded text is rare: row by row, never cutting a pair of surrogates.
    cells = []
    for value in array.to_pylist():
        cell = value.encode("utf-16-be")[: 2 * units].decode("utf-16-be", "ignore")
        cells.append(cell.encode("utf-16-be"))
    if varying:
        counts = np.array([len(cell) // 2 for cell in cells], np.int32)
        return _Varying(counts, pa.array(cells, pa.binary()))
    padded = b"".join(cell.ljust(2 * units, b"\0") for cell in cells)
    return np.frombuffer(padded, np.uint8).reshape(len(array), 2 * units)


def _bits(column: Column, array: pa.Array) -> Bytes2D | _Varying:
    """Pack arrays of bits, eight to a byte, the first in the highest place."""
    length = array_length(column)
    cells = [
        None if cell is None else np.packbits(np.array(cell, np.bool_)).tobytes()
        for cell in array.to_pylist()
    ]
    if length is None:
        counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        return _Varying(counts, pa.array([cell or b"" for cell in cells], pa.binary()))
    _check_lengths(column, array, length)
    width = (length + 7) // 8
    whole = b"".join(bytes(width) if cell is None else cell for cell in cells)
    return np.frombuffer(whole, np.uint8).reshape(len(array), width)


def _check_lengths(column: Column, array: pa.Array, length: int) -> None:
    """Refuse a cell that has not the number of elements that its column declares."""
    lengths = pc.list_value_length(array)
    if not pc.all(pc.equal(lengths, length), min_count=0).as_py():
        raise ValueError(f"the column {column.name} takes {length} values in each cell")


def _lists(column: Column, array: pa.Array) -> Bytes2D | _Varying:
    """Pack arrays of numbers or booleans."""
    if column.datatype == "bit":
        return _bits(column, array)
    flat = array.flatten()
    packed = _scalars(column, flat)
    counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    length = array_length(column)
    if length is None:
        width = packed.shape[1]
        is_complex = column.datatype.endswith("Complex")
        if is_complex and (counts % 2).any():
            raise ValueError(f"the column {column.name} takes pairs of numbers")
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]) * width
        elements = counts // 2 if is_complex else counts
        return _Varying(elements, _binary(packed.reshape(-1), offsets))
    _check_lengths(column, array, length)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    one_null = _scalars(column, pa.nulls(length, flat.type)).reshape(-1)
    cells = np.empty((len(array), one_null.size), np.uint8)
    cells[:] = one_null
    cells[valid] = packed.reshape(-1, one_null.size)
    return cells


def _cells(column: Column, array: pa.Array) -> Bytes2D | _Varying:
    """Pack the cells of one column."""
    if pa.types.is_string(array.type):
        if array.null_count:
            array = pc.fill_null(array, "")
        return (_char if column.datatype == "char" else _unicode)(column, array)
    if pa.types.is_list(array.type):
        return _lists(column, array)
    return _scalars(column, array)


def _null_mask(arrays: Sequence[pa.Array], rows: int) -> Bytes2D:
    """Pack the flags of null cells, first column in the highest bit of the first byte."""
    if not any(array.null_count for array in arrays):
        return np.zeros((rows, (len(arrays) + 7) // 8), np.uint8)
    flags = np.zeros((rows, len(arrays)), np.bool_)
    for number, array in enumerate(arrays):
        if array.null_count:
            flags[:, number] = array.is_null().to_numpy(zero_copy_only=False)
    return np.packbits(flags, axis=1)


def _block(parts: Sequence[Bytes2D]) -> Bytes2D:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _block_cells(parts: Sequence[Bytes2D], rows: int) -> pa.Array:
    block = _block(parts)
    offsets = np.arange(rows + 1, dtype=np.int64) * block.shape[1]
    return _binary(block.reshape(-1), offsets)


def pack_rows(columns: Sequence[Column], batch: pa.RecordBatch) -> memoryview:
    """Pack the rows of a batch.

    Parameters
    ----------
    columns
        One for each column of the batch, in order.
    batch
        At most some 100 MB, since the packed rows must stay below 2 GiB.

    Raises
    ------
    pyarrow.ArrowInvalid, ValueError
        If a value does not fit the declared type or array size.
    """
    rows = batch.num_rows
    if rows == 0:
        return memoryview(b"")
    arrays = [conform(column, array) for column, array in zip(columns, batch.columns, strict=True)]
    fixed: list[Bytes2D] = [_null_mask(arrays, rows)]
    joined: list[pa.Array] = []
    for column, array in zip(columns, arrays, strict=True):
        cells = _cells(column, array)
        if isinstance(cells, _Varying):
            fixed.append(_as_bytes(cells.counts.astype(">i4"), rows))
            joined += [_block_cells(fixed, rows), cells.cells]
            fixed = []
        else:
            fixed.append(cells)
    if not joined:
        return _block(fixed).data.cast("B")
    if fixed:
        joined.append(_block_cells(fixed, rows))
    whole = pc.binary_join_element_wise(*joined, pa.scalar(b"", pa.binary()))
    data, _ = data_and_offsets(whole)
    return data.data
