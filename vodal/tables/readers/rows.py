"""Rows of BINARY and BINARY2, bytes, to Arrow (VOTable 1.4 sections 5.3 and 5.4).

Where every cell has a fixed size, rows are looked at as a matrix of bytes. Where some vary, a walk
over the rows finds where each varying cell begins, and numpy takes all cells of a column together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vodal.errors import UsageError
from vodal.tables.readers.fields import Field
from vodal.tables.readers.limits import over
from vodal.tables.readers.packed import Bools, Bytes, fixed_cells, varying_cells

__all__ = ["RowDecoder"]

_ENOUGH_BYTES = 1 << 20
"""Rows are decoded when so many bytes of them are there."""

_COUNT = struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class _Varying:
    """A column whose cells have their number of items before them."""

    place: int
    field: Field
    gap: int
    """Bytes between the end of the varying cell before it, or of the row's beginning, and this
    cell's count."""


class RowDecoder:
    """Decodes the bytes of a table as they come.

    Parameters
    ----------
    fields
        The columns.
    nulls
        Whether a mask of the null cells goes before each row, as in BINARY2.
    max_cell_bytes
        Of a cell whose size varies.

    Raises
    ------
    UsageError
        If a row has no bytes at all, so that their number cannot be told.
    """

    def __init__(self, fields: Sequence[Field], *, nulls: bool, max_cell_bytes: int) -> None:
        self._fields = tuple(fields)
        self._nulls = nulls
        self._max_cell_bytes = max_cell_bytes
        self._mask_bytes = (len(self._fields) + 7) // 8 if nulls else 0
        self._varying: list[_Varying] = []
        self._fixed: list[tuple[int, int, int]] = []
        """Place of the column, which varying cell it comes behind (0 for none), bytes after that
        one's end."""
        gap = self._mask_bytes
        for place, field in enumerate(self._fields):
            if field.items is None:
                self._varying.append(_Varying(place, field, gap))
                gap = 0
            else:
                self._fixed.append((place, len(self._varying), gap))
                gap += field.bytes_of(field.items)
        self._tail = gap
        if not self._varying and not gap:
            raise UsageError("the rows of the VOTable have no bytes")
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[list[pa.Array]]:
        """Take bytes; gives the rows that are complete, one array a column, now and then."""
        self._buffer += data
        if len(self._buffer) >= _ENOUGH_BYTES:
            yield from self._decode()

    def finish(self) -> Iterator[list[pa.Array]]:
        """Give the last rows.

        Raises
        ------
        UsageError
            If the last row is cut.
        """
        yield from self._decode()
        if self._buffer:
            raise UsageError("the VOTable's data ends in the middle of a row")

    def _decode(self) -> Iterator[list[pa.Array]]:
        data = bytes(self._buffer)
        starts, counts, used = self._located(data)
        if used:
            del self._buffer[:used]
            yield self._arrays(np.frombuffer(data, np.uint8), starts, counts)

    def _located(self, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Find rows and varying cells.

        Returns
        -------
        starts, counts, used
            For each complete row where it begins and where each of its varying cells does;
            the number of items of those cells; the bytes of all complete rows.
        """
        if not self._varying:
            rows = len(data) // self._tail
            starts = np.arange(rows, dtype=np.int64).reshape(rows, 1) * self._tail
            return starts, np.empty((rows, 0), np.int64), rows * self._tail
        starts_found: list[int] = []
        counts_found: list[int] = []
        used, end, tail = 0, len(data), self._tail
        steps = [(item.gap, item.field) for item in self._varying]
        while True:
            at = used
            row, items = [at], []
            for gap, field in steps:
                at += gap
                if at + 4 > end:
                    break
                (count,) = _COUNT.unpack_from(data, at)
                at += 4
                row.append(at)
                items.append(count)
                at += self._cell_bytes(field, count)
            if len(items) < len(steps) or at + tail > end:
                break
            starts_found += row
            counts_found += items
            used = at + tail
        rows = len(counts_found) // len(steps)
        return (
            np.array(starts_found, np.int64).reshape(rows, len(steps) + 1),
            np.array(counts_found, np.int64).reshape(rows, len(steps)),
            used,
        )

    def _cell_bytes(self, field: Field, count: int) -> int:
        if count < 0:
            raise UsageError(
                f"a cell of the column '{field.column.name}' has a negative length; the data does"
                " not fit the FIELDs"
            )
        size = field.bytes_of(count)
        if size > self._max_cell_bytes:
            raise over(
                f"in '{field.column.name}' a longer cell", "max_cell_bytes", self._max_cell_bytes
            )
        return size

    def _arrays(
        self, data: Bytes, starts: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> list[pa.Array]:
        rows = len(starts)
        arrays: list[Any] = [None] * len(self._fields)
        masks = self._masks(data, starts[:, 0])
        bases = [starts[:, 0]]
        for number, item in enumerate(self._varying):
            each = counts[:, number]
            sizes = (
                (each + 7) // 8 if item.field.datatype == "bit" else each * item.field.item_bytes
            )
            begins = starts[:, number + 1]
            bases.append(begins + sizes)
            offsets = np.concatenate([[0], np.cumsum(sizes)])
            index = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], sizes)
            arrays[item.place] = varying_cells(item.field, data[index], offsets, each)
        for place, behind, gap in self._fixed:
            field = self._fields[place]
            assert field.items is not None
            width = field.bytes_of(field.items)
            index = (bases[behind] + gap)[:, None] + np.arange(width)
            arrays[place] = fixed_cells(field, data[index].reshape(rows, width))
        return [
            self._with_nulls(field, array, None if masks is None else masks[:, place])
            for place, (field, array) in enumerate(zip(self._fields, arrays, strict=True))
        ]

    def _masks(self, data: Bytes, starts: NDArray[np.int64]) -> Bools | None:
        if not self._nulls:
            return None
        mask = data[starts[:, None] + np.arange(self._mask_bytes)]
        return np.unpackbits(mask, axis=1)[:, : len(self._fields)].astype(np.bool_)

    def _with_nulls(self, field: Field, array: pa.Array, mask: Bools | None) -> pa.Array:
        """Make those cells null that a mask, or the declared null value, says are."""
        null = pa.scalar(None, array.type)
        if mask is not None and mask.any():
            array = pc.if_else(pa.array(mask), null, array)
        elif mask is None and field.items is None:
            # BINARY has no other sign for an absent text or array than an empty one.
            length = pc.binary_length if pa.types.is_string(array.type) else pc.list_value_length
            array = pc.if_else(pc.equal(length(array), 0), null, array)
        elif mask is None and pa.types.is_string(array.type):
            array = pc.if_else(pc.equal(array, ""), null, array)
        if field.null is not None and pa.types.is_integer(array.type):
            # A null value beyond the type occurs in no cell.
            with suppress(pa.ArrowInvalid, OverflowError):
                array = pc.if_else(pc.equal(array, pa.scalar(field.null, array.type)), null, array)
        return array
