"""How the columns of a result are written in a FITS binary table (FITS 4.0 section 7.3.3).

- Text is ASCII, other characters become ``?``, tabs and line ends blanks. It is as wide as its
  longest cell; where few cells are far longer than the others it goes to the heap instead. A null
  text reads as an empty one.
- A whole number that no cell holds stands for null (TNULLn), if there is a null. Where none is free
  the column becomes wider. A null of floating-point columns is NaN, that of logical ones a 0 byte.
- Arrays of varying size go to the heap; bits are logicals, complex values are complex.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vodal.errors import UsageError
from vodal.tables.cells import array_length, conform, holds, text
from vodal.tables.columns import Column
from vodal.tables.packing import (
    Bytes2D,
    Nulls,
    Varying,
    as_bytes,
    ascii_text,
    pack_lists,
    pack_scalars,
    padded_text,
    without_nulls,
)

__all__ = ["ColumnForm", "Heap", "Survey"]

_LETTERS = {
    "boolean": ("L", 1),
    "unsignedByte": ("B", 1),
    "short": ("I", 2),
    "int": ("J", 4),
    "long": ("K", 8),
    "float": ("E", 4),
    "double": ("D", 8),
    "floatComplex": ("C", 8),
    "doubleComplex": ("M", 16),
}
"""Letter of TFORMn and bytes of an element."""

_WHOLE = ("unsignedByte", "short", "int", "long")
"""Whole numbers, each wider than the one before."""

_LIMITS = {
    "unsignedByte": (0, 255),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}

_LONG_TEXT = 256
_WASTE = 4
_WASTE_BYTES = 16 * 1024 * 1024
"""A text is put on the heap, which astropy reads character by character, only if it is longer than
this and the column would be so many times as large otherwise and by so many bytes."""

_P_LIMIT = 2**31
"""From this size of the heap on, descriptors have 64 bits (Q instead of P)."""


@dataclass(slots=True)
class Heap:
    """The area behind the rows: its size, and where the next cell goes."""

    size: int
    used: int = 0

    @property
    def code(self) -> str:
        """The letter of TFORMn, which chooses the size of the descriptors."""
        return "P" if self.size < _P_LIMIT else "Q"

    def descriptors(self, varying: Varying) -> Bytes2D:
        """Give the descriptors of cells, their number of elements and place, and take the room."""
        lengths = pc.binary_length(varying.cells).to_numpy(zero_copy_only=False)
        places = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=places[1:])
        pairs = np.empty((len(lengths), 2), ">i4" if self.code == "P" else ">i8")
        pairs[:, 0] = varying.counts
        pairs[:, 1] = places[:-1] + self.used
        self.used += int(places[-1])
        return as_bytes(pairs, len(lengths))


@dataclass(frozen=True, slots=True)
class ColumnForm:
    """How one column is written."""

    column: Column
    tform: str
    width: int
    """Bytes of a row."""
    on_heap: bool = False
    null: int | None = None
    """TNULLn."""
    tdim: str | None = None

    def cells(self, array: pa.Array, heap: Heap) -> Bytes2D | Varying:
        """Pack the cells of the rows; what goes to the heap takes its room there."""
        if self.on_heap:
            return heap.descriptors(self._varying(array))
        if pa.types.is_string(array.type):
            return padded_text(without_nulls(array), self.width)
        array = conform(self.column, array)
        nulls = Nulls(self.null or 0, flag=0)
        if pa.types.is_list(array.type):
            return pack_lists(self.column, array, nulls)
        return pack_scalars(self.column.datatype, array, nulls)

    def heap_bytes(self, array: pa.Array) -> bytes:
        """Give what the cells have on the heap."""
        cells = self._varying(array).cells
        return b"".join(cells.to_pylist())

    def _varying(self, array: pa.Array) -> Varying:
        if pa.types.is_string(array.type):
            cells = without_nulls(array).cast(pa.binary())
            return Varying(pc.binary_length(cells).to_numpy(), cells)
        packed = pack_lists(self.column, conform(self.column, array), Nulls(self.null or 0, flag=0))
        assert isinstance(packed, Varying)
        return packed


@dataclass(slots=True)
class _Seen:
    """What is known of the cells of one column."""

    column: Column
    longest: int = 0
    """Most elements or characters of a cell."""
    total: int = 0
    """Elements or characters of all cells."""
    nulls: bool = False
    """Whether a whole number is null."""
    least: int | None = None
    most: int | None = None
    replaced: bool = False

    def see(self, array: pa.Array) -> pa.Array:
        """Learn from cells, and give them as they are kept."""
        array = conform(self.column, array)
        if pa.types.is_string(array.type):
            array = text(self.column, array)
            array, replaced = ascii_text(array)
            if holds(array, b"\t\r\n\x7f"):
                array = pc.replace_substring_regex(array, pattern="[\t\r\n\x7f]", replacement=" ")
            self.replaced |= replaced
            self._measure(pc.binary_length(array))
            return array
        numbers = array
        if pa.types.is_list(array.type):
            self._measure(pc.list_value_length(array))
            numbers = array.flatten()
            # A null cell of fixed size is made of null elements.
            self.nulls |= bool(array.null_count) and array_length(self.column) is not None
        if self.column.datatype in _WHOLE:
            self.nulls |= bool(numbers.null_count)
            self._bound(numbers)
        return array

    def _measure(self, lengths: pa.Array) -> None:
        self.longest = max(self.longest, pc.max(lengths).as_py() or 0)
        self.total += pc.sum(lengths).as_py() or 0

    def _bound(self, numbers: pa.Array) -> None:
        found = pc.min_max(numbers)
        least, most = found["min"].as_py(), found["max"].as_py()
        if least is not None:
            self.least = least if self.least is None else min(self.least, least)
            self.most = most if self.most is None else max(self.most, most)

    def free_number(self) -> tuple[str, int | None]:
        """Give a number that stands for null, and the type that has it."""
        datatype = self.column.datatype
        if not self.nulls or datatype not in _WHOLE:
            return datatype, None
        for wider in _WHOLE[_WHOLE.index(datatype) :]:
            low, high = _LIMITS[wider]
            if self.least is None or self.least > low:
                return wider, low
            if self.most is not None and self.most < high:
                return wider, high
        raise UsageError(
            f"the column {self.column.name} holds nulls beside the smallest and the largest whole"
            " number, which FITS cannot tell apart; ask for another RESPONSEFORMAT"
        )


@dataclass(slots=True)
class Survey:
    """Sees all cells once, and decides how the columns are written.

    Parameters
    ----------
    columns
        Their names are unique without regard to case.
    """

    columns: Sequence[Column]
    rows: int = 0
    _seen: list[_Seen] = field(init=False)

    def __post_init__(self) -> None:
        self._seen = [
            _Seen(replace(column, datatype="boolean") if column.datatype == "bit" else column)
            for column in self.columns
        ]

    @property
    def schema(self) -> pa.Schema:
        """Of the batches that `see` gives."""
        return pa.schema([pa.field(column.name, column.arrow_type()) for column in self.columns])

    def see(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Learn from a batch, and give it as it is kept until the columns are decided.

        Raises
        ------
        pyarrow.ArrowInvalid
            If a value does not fit its column.
        """
        self.rows += batch.num_rows
        pairs = zip(self._seen, batch.columns, strict=True)
        return pa.RecordBatch.from_arrays(
            [seen.see(array) for seen, array in pairs], schema=self.schema
        )

    def replaced(self) -> list[str]:
        """Name the columns where ``?`` stands for other characters."""
        return [seen.column.name for seen in self._seen if seen.replaced]

    def heap(self) -> Heap:
        """Give the empty heap, of the size that it needs."""
        sizes = (
            seen.total * _element_bytes(seen.free_number()[0])
            for seen in self._seen
            if self._on_heap(seen)
        )
        return Heap(sum(sizes))

    def forms(self) -> list[ColumnForm]:
        """Decide how the columns are written.

        Raises
        ------
        UsageError
            If no number is free to stand for the nulls of a column.
        """
        code = self.heap().code
        return [self._form(seen, code) for seen in self._seen]

    def _on_heap(self, seen: _Seen) -> bool:
        if seen.column.datatype in {"char", "unicodeChar"}:
            padded, needed = seen.longest * self.rows, seen.total + 8 * self.rows
            return (
                seen.longest > _LONG_TEXT
                and padded > _WASTE * needed
                and padded - needed > _WASTE_BYTES
            )
        return array_length(seen.column) is None

    def _form(self, seen: _Seen, code: str) -> ColumnForm:
        datatype, null = seen.free_number()
        column = replace(seen.column, datatype=datatype)
        is_text = datatype in {"char", "unicodeChar"}
        letter = "A" if is_text else _LETTERS[datatype][0]
        if self._on_heap(seen):
            width = 8 if code == "P" else 16
            longest = seen.longest // 2 if datatype.endswith("Complex") else seen.longest
            return ColumnForm(column, f"1{code}{letter}({longest})", width, True, null)
        tdim = None
        shape = column.arraysize or ""
        if "x" in shape and not shape.endswith("*"):
            tdim = f"({shape.replace('x', ',')})"
        if is_text:
            length = max(1, seen.longest)
            if tdim is not None:
                length = int(np.prod([int(part) for part in shape.split("x")]))
            return ColumnForm(column, f"{length}A", length, tdim=tdim)
        length = array_length(column) or 0
        if datatype.endswith("Complex"):
            length //= 2
        width = length * _LETTERS[datatype][1]
        return ColumnForm(column, f"{length}{letter}", width, null=null, tdim=tdim)


def _element_bytes(datatype: str) -> int:
    """Give the bytes of one element on the heap; of a complex value, of one of its two numbers."""
    if datatype in {"char", "unicodeChar"}:
        return 1
    size = _LETTERS[datatype][1]
    return size // 2 if datatype.endswith("Complex") else size
