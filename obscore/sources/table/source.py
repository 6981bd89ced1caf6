"""A table of products: its rows as candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from typing_extensions import override

from obscore.sources.base import UNKNOWN_SIZE, Candidate, Part, Problem
from obscore.sources.columns import CandidateColumns
from obscore.sources.fits import file_uri
from obscore.sources.recorded import RecordedSource
from obscore.sources.table.located import Rows, located
from obscore.sources.table.place import Base, Filler, filler
from obscore.sources.table.repeats import Met
from obscore.sources.table.rows import Cell, TableRows, file_rows, query_rows
from obscore.sources.table.settings import TableSettings
from obscore.sources.table.units import checked_units
from vodal.errors import UsageError
from vodal.storage import FileStat

__all__ = ["TableSource"]

_PLACES = ("access_url", "uri", "path", "file")
_STAT = FileStat(UNKNOWN_SIZE, "", 0.0)


class TableSource(RecordedSource):
    """The files that the rows of a table tell of.

    Rows of one file stand one behind the other; they become the parts of one candidate.

    Parameters
    ----------
    settings
        Where the table is, and how its rows are to be understood.
    collection
        Name.
    """

    def __init__(self, settings: TableSettings, collection: str) -> None:
        super().__init__(collection)
        self.settings = settings
        self._named: Met | None = None

    @property
    @override
    def place(self) -> str:
        return self.settings.path or f"the query of the collection {self._collection}"

    @override
    def holds(self, uri: str) -> bool:
        return True

    @override
    def exists(self, uri: str) -> bool:
        """Tell whether the table names a file."""
        if self._named is None:
            named = Met()
            with self._rows() as table:
                for rows in self._located(table, lambda _number, _message: None):
                    named.add([one for one, _ in rows.places])
            self._named = named
        return bool(self._named.had([uri])[0])

    @override
    def look(self, uri: str) -> Candidate | Problem | None:
        return next((found for found in self.walk() if found.uri == uri), None)

    @override
    def why_away(self, known: int) -> str:
        path = self.settings.path
        return "the table is away" if path is not None and not Path(path).is_file() else ""

    def state(self) -> str | None:
        """Give what changes with the table's file; None of a query.

        Raises
        ------
        UsageError
            If there is no such file.
        """
        path = self.settings.path
        if path is None:
            return None
        try:
            about = Path(path).stat()
        except OSError as error:
            raise UsageError(f"the table {path} cannot be read: {error.strerror}") from None
        return f"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}"

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[Sequence[Candidate | Problem]]:
        """Give what a walk gives, some thousands of rows at a time; plain ones by column.

        Raises
        ------
        UsageError
            If the table is not there, or does not say where files lie.
        """
        self._named = None
        met = Met()
        problems: list[Candidate | Problem] = []
        with self._rows() as table:
            shape = _Shape(
                table.names,
                checked_units(table.units),
                self._filler(self.settings.hdu, table, "hdu"),
                frozenset(self.settings.null),
            )
            for rows in self._located(
                table, lambda number, message: problems.append(self._problem(number, message))
            ):
                columns = self._columns(rows, shape, met)
                yield self._candidates(rows, shape, met) if columns is None else columns
                if problems:
                    yield problems.copy()
                    problems.clear()
        yield problems

    def _rows(self) -> AbstractContextManager[TableRows]:
        settings = self.settings
        if settings.path is not None:
            return file_rows(Path(settings.path))
        assert settings.url is not None
        assert settings.query is not None
        return query_rows(settings.url.get_secret_value(), settings.query)

    def _base(self) -> Base | None:
        if self.settings.base is not None:
            return Base(self.settings.base)
        if self.settings.path is not None:
            return Base(str(Path(self.settings.path).absolute().parent))
        return None

    def _key(self) -> str:
        return f"obscore.collections.{self._collection}.table"

    def _filler(self, text: str | None, table: TableRows, name: str) -> Filler | None:
        return None if text is None else filler(text, table.names, f"{self._key()}.{name}")

    def _located(self, table: TableRows, problem: Callable[[int, str], None]) -> Iterator[Rows]:
        names, key, base = table.names, self._key(), self._base()
        where = self.settings.uri or next((name for name in _PLACES if name in names), None)
        place = self._filler(where, table, "uri")
        if place is None:
            raise UsageError(
                f"{key}.uri: say where the file of a row lies; the table's columns are"
                f" {', '.join(names)[:500]}"
            )
        if base is None:
            return located(table, place, lambda text: _locate(text, key), problem)
        return located(table, place, base.locate, problem, base.locate_plain)

    def _columns(self, rows: Rows, shape: _Shape, met: Met) -> CandidateColumns | None:
        """Give the files of rows by column; None if not each row is the only one of a file."""
        uris = [uri for uri, _ in rows.places]
        if len(set(uris)) < len(rows) or met.had(uris).any():
            return None
        met.add(uris)
        columns, empty = rows.columns, shape.empty
        if empty:
            columns = [[None if one in empty else one for one in cells] for cells in columns]
        return CandidateColumns(
            collection=self._collection,
            stat=_STAT,
            uris=uris,
            relatives=[relative for _, relative in rows.places],
            facts=dict(zip(shape.names, columns, strict=True)),
            wheres=[f"row {number}" for number in rows.numbers],
            hdus=None if shape.hdu is None else [one or "" for one in shape.hdu(rows.columns)],
            units=shape.units,
        )

    def _candidates(self, rows: Rows, shape: _Shape, met: Met) -> list[Candidate | Problem]:
        """Give the files of rows one by one, and those that rows before have told of."""
        found: list[Candidate | Problem] = []
        hdus = [None] * len(rows) if shape.hdu is None else shape.hdu(rows.columns)
        cells = list(zip(*rows.columns, strict=True))
        here: set[str] = set()
        for (uri, relative), some in groupby(range(len(rows)), key=rows.places.__getitem__):
            numbers = list(some)
            if uri in here or met.had([uri])[0]:
                found.append(self._scattered(uri, rows.numbers[numbers[0]]))
                continue
            here.add(uri)
            parts = tuple(
                Part(shape.facts(cells[at]), None, hdus[at] or "", f"row {rows.numbers[at]}")
                for at in numbers
            )
            found.append(
                Candidate(uri, relative, self._collection, _STAT, parts=parts, units=shape.units)
            )
        met.add(list(here))
        return found

    def _problem(self, number: int, message: str) -> Problem:
        return Problem(f"{self._table_uri()}#row={number}", "row:uri", f"row {number}: {message}")

    def _table_uri(self) -> str:
        path = self.settings.path
        return f"table:{self._collection}" if path is None else file_uri(str(Path(path).absolute()))

    def _scattered(self, uri: str, number: int) -> Problem:
        message = (
            f"row {number}: it names the file {uri[:300]}, as rows before it did; rows of"
            " one file stand one behind the other"
        )
        return Problem(f"{self._table_uri()}#row={number}", "row:scattered", message)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What holds for all rows of a table."""

    names: tuple[str, ...]
    units: Mapping[str, str]
    hdu: Filler | None
    empty: frozenset[Cell]
    """What stands for no value."""

    def facts(self, cells: Sequence[Cell]) -> dict[str, Cell]:
        """Give the facts of a row."""
        return {
            name: None if self.empty and cell in self.empty else cell
            for name, cell in zip(self.names, cells, strict=True)
        }


def _locate(text: str, key: str) -> tuple[str, str]:
    """Give URI and path of a file by its address, where nothing says what is relative to what."""
    if "://" not in text[:12] or text.startswith("file:"):
        raise UsageError(f"'{text[:200]}' is relative, or lies on a disk; {key}.base says where")
    return Base("https://").locate(text)
