"""Big-endian cells, as VOTable and FITS have them, to Arrow arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vodal.errors import UsageError
from vodal.tables.readers.fields import Field

__all__ = ["Bools", "Bytes", "bit_lists", "fixed_cells", "lists_of", "texts_of", "varying_cells"]

Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

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

_FLAGS = np.full(256, 3, np.uint8)
_FLAGS[[*b"Tt1"]] = 1
_FLAGS[[*b"Ff0"]] = 0
_FLAGS[[*b"? \0"]] = 2
"""Bytes of a boolean: false, true, unknown, none of these."""


def fixed_cells(field: Field, cells: Bytes) -> pa.Array:
    """Read cells of one size.

    Parameters
    ----------
    field
        What they are.
    cells
        One row of bytes a cell.

    Raises
    ------
    UsageError
        If a byte is no boolean, or a text not in its encoding.
    """
    rows, width = cells.shape
    if field.datatype in {"char", "unicodeChar"}:
        return texts_of(field, cells.reshape(-1), np.arange(rows + 1, dtype=np.int64) * width)
    kind = field.column.arrow_type()
    if field.datatype == "bit":
        bits = np.unpackbits(cells, axis=1)[:, : field.items]
        # A single bit is anywhere in its byte, depending on the writer.
        flat = pa.array(bits.reshape(-1) != 0 if pa.types.is_list(kind) else cells[:, 0] != 0)
    else:
        flat = _elements(field, cells.reshape(-1))
    if not pa.types.is_list(kind):
        return flat
    each = len(flat) // rows if rows else 0
    return lists_of(flat, np.arange(rows + 1, dtype=np.int64) * each)


def varying_cells(
    field: Field, data: Bytes, offsets: NDArray[np.int64], counts: NDArray[np.int64]
) -> pa.Array:
    """Read cells whose size varies.

    Parameters
    ----------
    field
        What they are.
    data
        The bytes of all cells.
    offsets
        Where each cell begins in them, and the last one ends.
    counts
        Items of each cell.

    Raises
    ------
    UsageError
        As `fixed_cells`.
    """
    if field.datatype in {"char", "unicodeChar"}:
        return texts_of(field, data, offsets)
    if field.datatype == "bit":
        return bit_lists(data, offsets, counts)
    flat = _elements(field, data)
    each = 2 if field.datatype.endswith("Complex") else 1
    return lists_of(flat, np.concatenate([[0], np.cumsum(counts * each)]))


def lists_of(flat: pa.Array, offsets: NDArray[np.int64]) -> pa.Array:
    """Make lists of elements that stand one behind the other."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), flat)


def bit_lists(data: Bytes, offsets: NDArray[np.int64], counts: NDArray[np.int64]) -> pa.Array:
    """Unpack arrays of bits, each in bytes of its own, the first in the highest place."""
    bits = np.unpackbits(data)
    begins = offsets[:-1] * 8
    ends = np.concatenate([[0], np.cumsum(counts)])
    index = np.arange(ends[-1]) + np.repeat(begins - ends[:-1], counts)
    return lists_of(pa.array(bits[index] != 0), ends)


def _elements(field: Field, data: Bytes) -> pa.Array:
    if field.datatype == "boolean":
        flags = _FLAGS[data]
        if (flags == 3).any():
            raise UsageError(
                f"a byte of the column '{field.column.name}' is no boolean (T, F or ?)"
            )
        return pa.array(flags == 1, mask=flags == 2)
    dtype = np.dtype(_DTYPES[field.datatype])
    values: NDArray[Any] = data.view(dtype)
    return pa.array(values.astype(dtype.newbyteorder("=")))


def texts_of(field: Field, data: Bytes, offsets: NDArray[np.int64]) -> pa.Array:
    """Read texts; each ends at its first NUL character.

    In an array of texts (``8x*``) NULs fill up the single ones and are read as blanks.

    Raises
    ------
    UsageError
        If one is not UTF-8 (``char``) or UTF-16 (``unicodeChar``).
    """
    joined = "x" in (field.column.arraysize or "")
    try:
        if field.datatype == "char":
            if joined:
                data = np.where(data == 0, np.uint8(ord(" ")), data)
            data, offsets = _without_nuls(data, offsets)
            return _utf8(data, offsets)
        units = data.view(">u2")
        if units.size and int(units.max()) >= 0x80:
            return _utf16(data, offsets, joined=joined)
        narrow = units.astype(np.uint8)
        if joined:
            narrow[narrow == 0] = ord(" ")
        return _utf8(*_without_nuls(narrow, offsets // 2))
    except (pa.ArrowInvalid, UnicodeDecodeError):
        form = "UTF-8" if field.datatype == "char" else "UTF-16"
        raise UsageError(f"a text of the column '{field.column.name}' is not {form}") from None


def _without_nuls(data: Bytes, offsets: NDArray[np.int64]) -> tuple[Bytes, NDArray[np.int64]]:
    """Cut each text at its first NUL."""
    nuls = np.flatnonzero(data == 0)
    if not nuls.size:
        return data, offsets
    begins, ends = offsets[:-1], offsets[1:]
    # The first NUL at or behind the beginning of each text, if it is within.
    first = np.append(nuls, data.size)[np.searchsorted(nuls, begins)]
    lengths = np.minimum(first, ends) - begins
    cut = np.concatenate([[0], np.cumsum(lengths)])
    index = np.arange(cut[-1]) + np.repeat(begins - cut[:-1], lengths)
    return data[index], cut


def _utf8(data: Bytes, offsets: NDArray[np.int64]) -> pa.Array:
    binary = pa.Array.from_buffers(
        pa.binary(),
        len(offsets) - 1,
        [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))],
    )
    return binary.cast(pa.string())


def _utf16(data: Bytes, offsets: NDArray[np.int64], *, joined: bool) -> pa.Array:
    whole = data.tobytes()
    texts = []
    for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        text = whole[begin:end].decode("utf-16-be")
        texts.append(text.replace("\0", " ") if joined else text.partition("\0")[0])
    return pa.array(texts, pa.string())
