"""Arrow batches as the rows of VOTable's BINARY2 and BINARY (VOTable 1.4 sections 5.3, 5.4).

A row of BINARY2 is the bit mask of its nulls and then its cells. A row of BINARY has no mask:
there the smallest whole number of a column's type stands for its nulls (`NULL_NUMBERS`), which the
FIELD declares; ``unsignedByte`` has no number to spare and is sent as ``short``, a single ``bit``
as ``boolean`` (`for_binary`).

Text of ``char`` columns is ASCII, as VOTable 1.4 has it and as astropy insists on when it reads
BINARY2; other characters become ``?``. `vodal.tables.votable` declares a column as
``unicodeChar`` where it sees that this would lose something. ``unicodeChar`` is UTF-16, as every
reader takes it; its lengths count 16-bit units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vodal.errors import ArchiveError
from vodal.later import LaterModule
from vodal.tables.cells import conform
from vodal.tables.columns import Column
from vodal.tables.few import FEW, pack_few
from vodal.tables.packing import (
    Bytes2D,
    Nulls,
    Varying,
    ascii_text,
    join_rows,
    pack_char,
    pack_lists,
    pack_scalars,
    pack_unicode,
    without_nulls,
)

__all__ = ["NULL_NUMBERS", "BinaryRows", "compiled", "for_binary", "pack_rows"]

compiled = LaterModule("vodal.tables.rowpack")
"""Packs rows of the usual columns several times faster, when it is loaded."""

NULL_NUMBERS = {"short": -(2**15), "int": -(2**31), "long": -(2**63)}
"""What stands for a null in BINARY, by datatype."""


def for_binary(column: Column) -> Column:
    """Give the column as BINARY can carry it with its nulls."""
    match column.datatype:
        case "unsignedByte":
            return replace(column, datatype="short")
        case "bit" if column.arraysize is None:
            return replace(column, datatype="boolean")
        case _:
            return column


class BinaryRows:
    """Packs the rows of one table.

    Parameters
    ----------
    columns
        As the document declares them.
    serialization
        The form of the rows.
    """

    def __init__(
        self, columns: Sequence[Column], serialization: Literal["BINARY", "BINARY2"] = "BINARY2"
    ) -> None:
        self._columns = tuple(columns)
        self._masked = serialization == "BINARY2"
        self._nulls = [
            Nulls() if self._masked else Nulls(NULL_NUMBERS.get(column.datatype, 0))
            for column in columns
        ]
        self.replaced: set[str] = set()
        """Names of the columns where ``?`` was written for a character beyond ASCII."""

    def pack(self, batch: pa.RecordBatch) -> memoryview:
        """Pack the rows of a batch.

        Parameters
        ----------
        batch
            Of the columns in order; at most some 100 MB, since the packed rows must stay below
            2 GiB.

        Raises
        ------
        pyarrow.ArrowInvalid, ValueError
            If a value does not fit the declared type or array size.
        ArchiveError
            If BINARY has no way to write a number, since it stands for null.
        """
        rows = batch.num_rows
        if rows == 0:
            return memoryview(b"")
        # A few rows are not worth loading it.
        module = compiled.loaded if rows <= FEW else compiled.module
        if self._masked and module is not None:
            made: memoryview | None = module.pack_many(self._columns, batch)
            if made is not None:
                return made
        if self._masked and rows <= FEW and (few := pack_few(self._columns, batch)) is not None:
            self.replaced |= few[1]
            return memoryview(few[0])
        return self._pack_many(batch)

    def _pack_many(self, batch: pa.RecordBatch) -> memoryview:
        rows = batch.num_rows
        pairs = zip(self._columns, batch.columns, strict=True)
        arrays = [conform(column, array) for column, array in pairs]
        cells: list[Bytes2D | Varying] = [_null_mask(arrays, rows)] if self._masked else []
        cells += [
            self._cells(column, array, nulls)
            for column, array, nulls in zip(self._columns, arrays, self._nulls, strict=True)
        ]
        return join_rows(cells, rows)

    def _cells(self, column: Column, array: pa.Array, nulls: Nulls) -> Bytes2D | Varying:
        if pa.types.is_string(array.type):
            array = without_nulls(array)
            if column.datatype == "unicodeChar":
                return pack_unicode(column, array)
            array, lost = ascii_text(array)
            if lost:
                self.replaced.add(column.name)
            return pack_char(column, array)
        if nulls.number:
            _refuse_null_number(column, array, nulls.number)
        if pa.types.is_list(array.type):
            return pack_lists(column, array, nulls)
        return pack_scalars(column.datatype, array, nulls)


def pack_rows(columns: Sequence[Column], batch: pa.RecordBatch) -> memoryview:
    """Pack the rows of a batch as BINARY2; see `BinaryRows.pack`."""
    return BinaryRows(columns).pack(batch)


def _refuse_null_number(column: Column, array: pa.Array, number: int) -> None:
    numbers = array.flatten() if pa.types.is_list(array.type) else array
    if pc.min(numbers).as_py() == number:
        raise ArchiveError(
            f"the column {column.name} holds {number}, which stands for null in BINARY;"
            " ask for RESPONSEFORMAT=votable/b2 or votable/td"
        )


def _null_mask(arrays: Sequence[pa.Array], rows: int) -> Bytes2D:
    """Pack the flags of null cells, first column in the highest bit of the first byte."""
    if not any(array.null_count for array in arrays):
        return np.zeros((rows, (len(arrays) + 7) // 8), np.uint8)
    # One row of bytes for eight columns, written along; seen from the other side it is the mask.
    mask = np.zeros(((len(arrays) + 7) // 8, rows), np.uint8)
    for number, array in enumerate(arrays):
        if array.null_count:
            flags = array.is_null().to_numpy(zero_copy_only=False).view(np.uint8)
            mask[number >> 3] |= flags << (7 - (number & 7))
    return mask.T
