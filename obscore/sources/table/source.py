"""A table of products: its rows as candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from obscore.sources.base import UNKNOWN_SIZE, Candidate, Part, Problem
from obscore.sources.fits import file_uri
from obscore.sources.recorded import RecordedSource
from obscore.sources.table.place import Base, filler
from obscore.sources.table.repeats import Met
from obscore.sources.table.rows import TableRows, file_rows, query_rows
from obscore.sources.table.settings import TableSettings
from obscore.sources.table.units import checked_units
from vodal.errors import UsageError
from vodal.storage import FileStat

__all__ = ["TableSource"]

_PLACES = ("access_url", "uri", "path", "file")


@dataclass(slots=True)
class _Group:
    """Rows of one file."""

    uri: str
    relative: str
    first: int
    """Number of its first row, counted from 1."""
    parts: list[Part]


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
                for groups in self._groups(table):
                    named.add([one.uri for one in groups])
            self._named = named
        return bool(self._named.had([uri])[0])

    @override
    def look(self, uri: str) -> Candidate | Problem | None:
        return next((found for found in self.walk() if found.uri == uri), None)

    @override
    def why_away(self, known: int) -> str:
        path = self.settings.path
        return "the table is away" if path is not None and not Path(path).is_file() else ""

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        self._named = None
        met = Met()
        with self._rows() as table:
            units = checked_units(table.units)
            for groups in self._groups(table):
                uris = [one.uri for one in groups]
                again = met.had(uris)
                met.add(uris)
                here: set[str] = set()
                for one, is_known in zip(groups, again, strict=True):
                    if isinstance(one, Problem):
                        yield one
                    elif is_known or one.uri in here:
                        yield self._scattered(one)
                    else:
                        here.add(one.uri)
                        yield self._candidate(one, units)

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

    def _groups(self, table: TableRows) -> Iterator[list[_Group | Problem]]:
        """Give the files of the rows, some at a time; the last may go on with the next rows."""
        settings, names = self.settings, table.names
        base = self._base()
        key = f"obscore.collections.{self._collection}.table"
        where = settings.uri or next((name for name in _PLACES if name in names), None)
        if where is None:
            raise UsageError(
                f"{key}.uri: say where the file of a row lies; the table's columns are"
                f" {', '.join(names)[:500]}"
            )
        place = filler(where, names, f"{key}.uri")
        hdu = filler(settings.hdu, names, f"{key}.hdu") if settings.hdu is not None else None
        empty = frozenset(settings.null)
        number = 0
        last: _Group | None = None
        located: tuple[str, str] = ("", "")
        told = ""
        for rows in table.batches:
            done: list[_Group | Problem] = []
            for cells in rows:
                number += 1
                text = place(cells)
                try:
                    if text is None:
                        raise UsageError("the row does not say where its file lies")  # noqa: TRY301
                    if text != told:
                        located, told = _locate(base, text, key), text
                except UsageError as error:
                    done.append(self._problem(number, error.message))
                    continue
                facts = {
                    name: None if empty and cell in empty else cell
                    for name, cell in zip(names, cells, strict=True)
                }
                named = hdu(cells) if hdu is not None else None
                part = Part(facts, None, named or "", f"row {number}")
                if last is not None and last.uri == located[0]:
                    last.parts.append(part)
                    continue
                if last is not None:
                    done.append(last)
                last = _Group(*located, number, [part])
            yield done
        if last is not None:
            yield [last]

    def _problem(self, number: int, message: str) -> Problem:
        return Problem(f"{self._table_uri()}#row={number}", "row:uri", f"row {number}: {message}")

    def _table_uri(self) -> str:
        path = self.settings.path
        return f"table:{self._collection}" if path is None else file_uri(str(Path(path).absolute()))

    def _scattered(self, one: _Group) -> Problem:
        message = (
            f"row {one.first}: it names the file {one.uri[:300]}, as rows before it did; rows of"
            " one file stand one behind the other"
        )
        return Problem(f"{self._table_uri()}#row={one.first}", "row:scattered", message)

    def _candidate(self, one: _Group, units: Mapping[str, str]) -> Candidate:
        return Candidate(
            uri=one.uri,
            relative=one.relative,
            collection=self._collection,
            stat=FileStat(UNKNOWN_SIZE, "", 0.0),
            parts=tuple(one.parts),
            units=units,
        )


def _locate(base: Base | None, text: str, key: str) -> tuple[str, str]:
    if base is not None:
        return base.locate(text)
    if "://" not in text[:12] or text.startswith("file:"):
        raise UsageError(f"'{text[:200]}' is relative, or lies on a disk; {key}.base says where")
    return Base("https://").locate(text)
