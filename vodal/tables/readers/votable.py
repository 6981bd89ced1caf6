"""VOTables in every serialisation that holds its data within."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from typing_extensions import override

from vodal.tables.readers.document import Cells, Serialization, VotableDocument
from vodal.tables.readers.fields import Field
from vodal.tables.readers.fits import read_fits
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.readers.rows import RowDecoder
from vodal.tables.readers.sink import TableSink
from vodal.tables.readers.tabledata import cells_to_array

__all__ = ["read_votable"]

_BATCH_CELLS = 200_000
_BATCH_CHARACTERS = 8 << 20
"""Cells of TABLEDATA that are turned into Arrow together."""


class _TextCells(Cells):
    """Cells of TABLEDATA."""

    def __init__(self, fields: Sequence[Field], sink: TableSink) -> None:
        self._fields = tuple(fields)
        self._sink = sink
        self._cells: list[str] = []
        self._characters = 0

    @override
    def row(self, cells: list[str]) -> None:
        self._cells += cells
        self._characters += sum(map(len, cells))
        if len(self._cells) >= _BATCH_CELLS or self._characters >= _BATCH_CHARACTERS:
            self.flush()

    @override
    def feed(self, data: bytes) -> None:
        raise AssertionError

    def flush(self) -> None:
        """Write the rows that have come."""
        if not self._cells:
            return
        count, first_row = len(self._fields), self._sink.rows + 1
        self._sink.write(
            [
                cells_to_array(field, self._cells[place::count], first_row)
                for place, field in enumerate(self._fields)
            ]
        )
        self._cells.clear()
        self._characters = 0


class _PackedCells(Cells):
    """Rows of BINARY or BINARY2."""

    def __init__(self, decoder: RowDecoder, sink: TableSink) -> None:
        self._decoder = decoder
        self._sink = sink

    @override
    def row(self, cells: list[str]) -> None:
        raise AssertionError

    @override
    def feed(self, data: bytes) -> None:
        for arrays in self._decoder.feed(data):
            self._sink.write(arrays)

    def flush(self) -> None:
        """Write the rows that have come."""
        for arrays in self._decoder.finish():
            self._sink.write(arrays)


class _FitsFile(Cells):
    """A FITS file within the document: spooled, and read when it is whole."""

    def __init__(self, path: Path, read: Callable[[], None], limit_bytes: int) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._read = read
        self._limit_bytes = limit_bytes

    @override
    def row(self, cells: list[str]) -> None:
        raise AssertionError

    @override
    def feed(self, data: bytes) -> None:
        self._file.write(data)
        if self._file.tell() > self._limit_bytes:
            raise over("more bytes decoded", "max_table_bytes", self._limit_bytes)

    def flush(self) -> None:
        """Read the file."""
        self._file.close()
        self._read()


def read_votable(source: Path, target: Path, limits: ReadLimits) -> TableSink:
    """Read a VOTable.

    Parameters
    ----------
    source
        The document.
    target
        The Arrow file to write; a file of that name with ``.fits`` behind it is written for
        data in that form.
    limits
        Of the table.

    Raises
    ------
    UsageError
        If it is no VOTable or damaged, or has what is not read.
    TooLargeError
        If it is over a limit.
    """
    reading = _Reading(target, limits)
    document = VotableDocument(limits, reading.begin)
    try:
        with source.open("rb") as file:
            document.read(file)
        return reading.finish(document.fields)
    except BaseException:
        reading.close()
        raise


class _Reading:
    """One table on its way to the sink."""

    def __init__(self, target: Path, limits: ReadLimits) -> None:
        self._target = target
        self._limits = limits
        self._sink: TableSink | None = None
        self._cells: _TextCells | _PackedCells | _FitsFile | None = None

    def _opened(self, fields: Sequence[Field]) -> TableSink:
        self._sink = TableSink(self._target, [field.column for field in fields], self._limits)
        return self._sink

    def begin(self, fields: Sequence[Field], form: Serialization, hdu: int) -> Cells:
        """Make what takes the cells."""
        match form:
            case "TABLEDATA":
                self._cells = _TextCells(fields, self._opened(fields))
            case "BINARY" | "BINARY2":
                decoder = RowDecoder(
                    fields, nulls=form == "BINARY2", max_cell_bytes=self._limits.max_cell_bytes
                )
                self._cells = _PackedCells(decoder, self._opened(fields))
            case "FITS":
                path = self._target.with_name(f"{self._target.name}.fits")
                columns = [field.column for field in fields]

                def read() -> None:
                    self._sink = read_fits(
                        path, self._target, self._limits, hdu=hdu, declared=columns
                    )
                    path.unlink()

                self._cells = _FitsFile(path, read, self._limits.max_table_bytes)
        return self._cells

    def finish(self, fields: Sequence[Field]) -> TableSink:
        """Write the last rows; a table without data has none."""
        if self._cells is not None:
            self._cells.flush()
        return self._sink or self._opened(fields)

    def close(self) -> None:
        """Leave no file open."""
        if self._sink is not None:
            self._sink.close()
