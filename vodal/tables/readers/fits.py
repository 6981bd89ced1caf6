"""The first binary table of a FITS file (FITS 4.0 section 7.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from vodal.errors import DataError, SkylaneError, UsageError
from vodal.fits.cards import CARD_LENGTH, Keywords, clean_text
from vodal.tables.columns import Column
from vodal.tables.readers.bintable import BinaryColumn, Heap, binary_columns
from vodal.tables.readers.declared import declared_columns
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.readers.sink import TableSink

__all__ = ["read_fits"]

_BLOCK = 2880
_MAX_HEADER_BLOCKS = 1000
_MAX_HDUS = 1000
_SLAB_BYTES = 1 << 20
"""Rows of about so many bytes are decoded together."""


def read_fits(
    source: Path,
    target: Path,
    limits: ReadLimits,
    *,
    hdu: int | None = None,
    declared: Sequence[Column] = (),
) -> TableSink:
    """Read a binary table.

    Parameters
    ----------
    source
        The file.
    target
        The Arrow file to write.
    limits
        Of the table.
    hdu
        Number of the HDU, 0 for the primary one; by default the first binary table that holds no
        compressed image.
    declared
        Columns of a VOTable around the file, whose metadata go before those of the header.

    Raises
    ------
    UsageError
        If there is no binary table or the file is damaged.
    TooLargeError
        If it is over a limit.
    """
    with _blamed(), source.open("rb") as file:
        table, described = _find_table(file, source.stat().st_size, hdu, limits)
        described = list(declared) or described
        columns = binary_columns(table.keywords, limits)
        if not columns:
            raise UsageError("the table has no columns")
        if table.rows > limits.max_rows:
            raise over("more rows", "max_rows", limits.max_rows)
        if described and len(described) == len(columns):
            columns = [
                replace(item, field=replace(item.field, column=_described(item.column, other)))
                for item, other in zip(columns, described, strict=True)
            ]
        elif declared:
            raise UsageError(
                f"the FITS table has {len(columns)} columns for {len(declared)} FIELDs"
            )
        sink = TableSink(target, [item.column for item in columns], limits)
        with sink:
            _copy(file, table, columns, sink, limits)
        return sink


@contextmanager
def _blamed() -> Iterator[None]:
    """Make what is wrong with the file the fault of who sent it.

    Raises
    ------
    UsageError
        For a damaged file.
    """
    try:
        yield
    except DataError as error:
        raise UsageError(f"the FITS file is damaged: {error}") from None


def _described(column: Column, declared: Column) -> Column:
    """Give a column the metadata of a FIELD, and its type if it carries the same values."""
    if declared.arrow_type() == column.arrow_type() and (
        declared.arraysize == column.arraysize or "*" not in (column.arraysize or "")
    ):
        return replace(declared, arraysize=column.arraysize or declared.arraysize)
    return replace(
        declared,
        name=declared.name or column.name,
        datatype=column.datatype,
        arraysize=column.arraysize,
    )


class _Table:
    """Where a binary table lies in its file."""

    def __init__(self, keywords: Keywords, offset: int, file_bytes: int) -> None:
        self.keywords = keywords
        self.offset = offset
        self.row_bytes = keywords.size("NAXIS1")
        self.rows = keywords.size("NAXIS2")
        fixed = self.row_bytes * self.rows
        if offset + fixed > file_bytes:
            raise UsageError(
                f"the FITS table declares {self.rows} rows of {self.row_bytes} bytes, and the file"
                " ends before the last"
            )
        self.heap_offset = offset + keywords.size("THEAP", fixed)
        self.heap_bytes = max(0, min(file_bytes, offset + fixed + keywords.size("PCOUNT", 0)))
        self.heap_bytes = max(0, self.heap_bytes - self.heap_offset)


def _header(file: IO[bytes], number: int) -> Keywords | None:
    """Read a header; None at the end of the file."""
    cards: list[str] = []
    for _ in range(_MAX_HEADER_BLOCKS):
        block = file.read(_BLOCK)
        if not cards and (not block or (number and not block.startswith(b"XTENSION"))):
            return None
        if len(block) < _BLOCK:
            break
        for start in range(0, _BLOCK, CARD_LENGTH):
            card = block[start : start + CARD_LENGTH]
            if card.startswith(b"END") and not card[3:].strip(b" \0"):
                return Keywords(cards, f"HDU {number}")
            cards.append(clean_text(card))
    raise UsageError(f"the FITS file is damaged: the header of HDU {number} has no END card")


def _data_bytes(keywords: Keywords) -> int:
    """Give the length of a data unit, without padding."""
    axes = [keywords.size(f"NAXIS{k}") for k in range(1, keywords.size("NAXIS") + 1)]
    if not axes:
        return 0
    if axes[0] == 0 and keywords.logical("GROUPS"):
        axes = axes[1:]
    items = keywords.size("PCOUNT", 0) + math.prod(axes)
    return abs(keywords.integer("BITPIX")) // 8 * keywords.size("GCOUNT", 1) * items


def _find_table(
    file: IO[bytes], file_bytes: int, wanted: int | None, limits: ReadLimits
) -> tuple[_Table, list[Column]]:
    """Find the table, and the columns that a VOTable in the primary HDU describes."""
    described: list[Column] = []
    for number in range(_MAX_HDUS):
        keywords = _header(file, number)
        if keywords is None:
            break
        offset = file.tell()
        if keywords.size("NAXIS") > 999:
            raise UsageError(f"the FITS file is damaged: HDU {number} has more than 999 axes")
        length = _data_bytes(keywords)
        if number == 0 and keywords.logical("VOTMETA"):
            described = _votable_columns(file, min(length, file_bytes - offset), limits)
        is_table = keywords.string("XTENSION").strip() in {"BINTABLE", "A3DTABLE"}
        if is_table and keywords.logical("ZTABLE") and wanted in {None, number}:
            raise UsageError("the FITS table is compressed (ZTABLE); send it uncompressed")
        if is_table and (wanted == number or (wanted is None and not keywords.logical("ZIMAGE"))):
            return _Table(keywords, offset, file_bytes), described
        file.seek(offset + length + -length % _BLOCK)
    raise UsageError(
        "the FITS file holds no binary table (BINTABLE)"
        + ("" if wanted is None else f" in its HDU {wanted}")
    )


def _votable_columns(file: IO[bytes], length: int, limits: ReadLimits) -> list[Column]:
    """Read the VOTable without data that STILTS puts before its tables; a bad one is left out."""
    text = file.read(min(length, limits.max_table_bytes)).rstrip(b"\0 ")
    try:
        return declared_columns(text, limits)
    except SkylaneError:
        return []


def _copy(
    file: IO[bytes],
    table: _Table,
    columns: Sequence[BinaryColumn],
    sink: TableSink,
    limits: ReadLimits,
) -> None:
    heap = Heap(file, table.heap_offset, table.heap_bytes, limits)
    width = sum(item.width for item in columns)
    if width > table.row_bytes:
        raise UsageError(
            f"the FITS table's columns take {width} bytes and its rows have {table.row_bytes}"
        )
    step = max(1, _SLAB_BYTES // max(table.row_bytes, 1))
    for first in range(0, table.rows, step):
        rows = min(step, table.rows - first)
        file.seek(table.offset + first * table.row_bytes)
        data = file.read(rows * table.row_bytes)
        if len(data) < rows * table.row_bytes:
            raise UsageError("the FITS file ends in the middle of its table")
        cells = np.frombuffer(data, np.uint8).reshape(rows, table.row_bytes)
        arrays, start = [], 0
        for item in columns:
            arrays.append(item.read(cells[:, start : start + item.width], heap))
            start += item.width
        sink.write(arrays)
