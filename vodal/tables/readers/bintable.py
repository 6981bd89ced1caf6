"""Columns of a FITS binary table: their forms, scaling and the heap (FITS 4.0 section 7.3)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vodal.errors import UsageError
from vodal.fits.cards import Keywords
from vodal.tables.columns import Column
from vodal.tables.readers.fields import Field
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.readers.packed import Bytes, fixed_cells, varying_cells

__all__ = ["BinaryColumn", "Heap", "binary_columns"]

_TFORM = re.compile(r"([0-9]{0,9})([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)")
_TDIM = re.compile(r"\(\s*[0-9]{1,9}(?:\s*,\s*[0-9]{1,9})*\s*\)")

_DATATYPES = {
    "L": "boolean",
    "X": "bit",
    "B": "unsignedByte",
    "I": "short",
    "J": "int",
    "K": "long",
    "A": "char",
    "E": "float",
    "D": "double",
    "C": "floatComplex",
    "M": "doubleComplex",
}

# How FITS writes whole numbers of the other sign: letter, TZERO, and the type that holds them.
_SHIFTED = {
    ("B", -128.0): "short",
    ("I", 32768.0): "int",
    ("J", 2147483648.0): "long",
    ("K", 9223372036854775808.0): "long",
}


@dataclass(frozen=True, slots=True)
class BinaryColumn:
    """One column of the table."""

    field: Field
    """As its bytes are; ``null`` is TNULL."""
    width: int
    """Bytes in a row."""
    descriptor: str = ""
    """``P`` or ``Q`` for cells in the heap."""
    scale: float = 1.0
    zero: float = 0.0
    datatype: str = ""
    """Of the values, if they are shifted or scaled."""

    @property
    def column(self) -> Column:
        """The column of the values."""
        if not self.datatype:
            return self.field.column
        return replace(self.field.column, datatype=self.datatype)

    def read(self, cells: Bytes, heap: Heap) -> pa.Array:
        """Read the cells of some rows, one row of bytes a cell."""
        if self.descriptor:
            dtype = ">u4" if self.descriptor == "P" else ">u8"
            pairs = np.ascontiguousarray(cells).view(dtype).astype(np.uint64)
            array = heap.read(self.field, pairs[:, 0], pairs[:, 1])
        else:
            array = fixed_cells(self.field, np.ascontiguousarray(cells))
        if pa.types.is_string(array.type):
            # Blanks at the end mean nothing (FITS 4.0 section 4.2.1), nor does an empty text.
            if "x" not in (self.field.column.arraysize or ""):
                array = pc.utf8_rtrim(array, " ")
            return pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
        if not self.datatype and self.field.null is None:
            return array
        if pa.types.is_list(array.type):
            values = self._values(array.flatten())
            return pa.ListArray.from_arrays(array.offsets, values)
        return self._values(array)

    def _values(self, raw: pa.Array) -> pa.Array:
        """Turn what is written into what is meant."""
        null = None
        if self.field.null is not None and pa.types.is_integer(raw.type):
            null = pc.equal(raw, pa.scalar(self.field.null, pa.int64()))
        if self.datatype == "double":
            values = pc.add(pc.multiply(raw.cast(pa.float64(), safe=False), self.scale), self.zero)
        elif self.datatype:
            values = _shifted(raw, int(self.zero), self.column)
        else:
            values = raw
        return values if null is None else pc.if_else(null, pa.scalar(None, values.type), values)


def _shifted(raw: pa.Array, zero: int, column: Column) -> pa.Array:
    kind = column.arrow_type()
    if pa.types.is_list(kind):
        kind = kind.value_type
    if zero < 1 << 63:
        return pc.add(raw.cast(pa.int64()), pa.scalar(zero, pa.int64())).cast(kind)
    if pc.any(pc.greater_equal(raw, 0)).as_py():
        raise UsageError(
            f"the column '{column.name}' holds a whole number of more than 63 bits, which VOTable"
            " has not"
        )
    # What is left is negative: adding half of the range twice stays within it.
    half = pa.scalar(1 << 62, pa.int64())
    return pc.add(pc.add(raw, half), half)


class Heap:
    """The cells of a table whose size varies, behind its rows.

    Parameters
    ----------
    file, offset_bytes, size_bytes
        Where it is.
    limits
        Of cells, and of what is read together.
    """

    def __init__(
        self, file: IO[bytes], offset_bytes: int, size_bytes: int, limits: ReadLimits
    ) -> None:
        self._file = file
        self._offset = offset_bytes
        self._size = size_bytes
        self._limits = limits

    def read(
        self, field: Field, counts: NDArray[np.uint64], begins: NDArray[np.uint64]
    ) -> pa.Array:
        """Read cells.

        Parameters
        ----------
        field
            What they are.
        counts, begins
            The descriptors: items, and bytes from the heap's start.

        Raises
        ------
        UsageError
            If a cell is not within the heap.
        TooLargeError
            If a cell, or all of these together, are over a limit.
        """
        name = field.column.name
        if (counts > np.uint64(self._limits.max_cell_bytes)).any():
            raise over(f"in '{name}' a longer cell", "max_cell_bytes", self._limits.max_cell_bytes)
        items = counts.astype(np.int64)
        sizes = (items + 7) // 8 if field.datatype == "bit" else items * field.item_bytes
        if int(sizes.sum()) > self._limits.max_table_bytes:
            raise over("more bytes", "max_table_bytes", self._limits.max_table_bytes)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        data = np.empty(int(offsets[-1]), np.uint8)
        for size, begin, start in zip(
            sizes.tolist(), begins.tolist(), offsets.tolist(), strict=False
        ):
            if not size:
                continue
            if begin + size > self._size:
                raise UsageError(f"a cell of the column '{name}' lies behind the end of the file")
            self._file.seek(self._offset + begin)
            data[start : start + size] = np.frombuffer(self._file.read(size), np.uint8)
        return varying_cells(field, data, offsets, items)


def binary_columns(keywords: Keywords, limits: ReadLimits) -> list[BinaryColumn]:
    """Give the columns that a header declares.

    Raises
    ------
    UsageError
        If a form is not FITS's.
    TooLargeError
        If there are too many, or cells are too long.
    """
    count = keywords.size("TFIELDS")
    if count > limits.max_columns:
        raise over("more columns", "max_columns", limits.max_columns)
    return [_column(keywords, place, limits) for place in range(1, count + 1)]


def _column(keywords: Keywords, place: int, limits: ReadLimits) -> BinaryColumn:
    name = keywords.string(f"TTYPE{place}").strip()
    form = keywords.string(f"TFORM{place}").strip()
    parts = _TFORM.match(form)
    if parts is None:
        raise UsageError(f"the column '{name[:80]}' has the TFORM '{form[:40]}', which is none")
    repeat, letter = int(parts[1] or 1), parts[2]
    descriptor = letter if letter in {"P", "Q"} else ""
    if descriptor:
        if repeat > 1 or not parts[3]:
            raise UsageError(f"the column '{name[:80]}' has the TFORM '{form[:40]}', which is none")
        letter = parts[3]
    datatype = _DATATYPES[letter]
    arraysize, items = _sizes(keywords.string(f"TDIM{place}"), None if descriptor else repeat)
    column = Column(
        name,
        datatype,
        arraysize,
        unit=keywords.string(f"TUNIT{place}").strip() or None,
        ucd=keywords.string(f"TUCD{place}").strip() or None,
        utype=keywords.string(f"TUTYP{place}").strip() or None,
        xtype=keywords.string(f"TXTYP{place}").strip() or None,
        description=keywords.string(f"TCOMM{place}").strip() or None,
    )
    null = keywords.integer(f"TNULL{place}") if f"TNULL{place}" in keywords else None
    field = Field(column, items, null)
    width = {"": field.bytes_of(repeat), "P": 8 * repeat, "Q": 16 * repeat}[descriptor]
    if width > limits.max_cell_bytes:
        raise over(f"in '{name[:80]}' a longer cell", "max_cell_bytes", limits.max_cell_bytes)
    if descriptor and not repeat:
        descriptor, field = "", replace(field, items=0)
    scale, zero = keywords.real(f"TSCAL{place}", 1.0), keywords.real(f"TZERO{place}", 0.0)
    if letter in "LXACM" or (scale, zero) == (1.0, 0.0):
        return BinaryColumn(field, width, descriptor)
    shifted = _SHIFTED.get((letter, zero), "double") if scale == 1.0 else "double"
    return BinaryColumn(field, width, descriptor, scale, zero, shifted)


def _sizes(tdim: str, repeat: int | None) -> tuple[str | None, int | None]:
    """Give arraysize and items of a column's cells."""
    if repeat is None:
        return "*", None
    if repeat == 0:
        return "*", 0
    shape = [int(part) for part in tdim.strip(" ()").split(",")] if _TDIM.fullmatch(tdim) else []
    if math.prod(shape) != repeat or len(shape) < 2:
        shape = [repeat]
    if shape == [1]:
        return None, 1
    return "x".join(map(str, shape)), repeat
