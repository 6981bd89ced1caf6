"""Rows with the files that they tell of, those of one file never apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from obscore.sources.table.place import Filler
from obscore.sources.table.rows import Cell, TableRows
from vodal.errors import UsageError

__all__ = ["Located", "Rows", "located"]

Located = tuple[str, str]
"""URI and path of a file."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table, by column."""

    columns: list[list[Cell]]
    numbers: list[int]
    """Of each row, counted from 1."""
    places: list[Located]
    """Of each row's file."""

    def __len__(self) -> int:
        return len(self.places)

    def cut(self, start: int, stop: int) -> Rows:
        """Give the rows from one to before another."""
        return Rows(
            [cells[start:stop] for cells in self.columns],
            self.numbers[start:stop],
            self.places[start:stop],
        )

    def where(self, chosen: Sequence[bool]) -> Rows:
        """Give some of the rows."""
        return Rows(
            [list(compress(cells, chosen)) for cells in self.columns],
            list(compress(self.numbers, chosen)),
            list(compress(self.places, chosen)),
        )

    def joined(self, other: Rows) -> Rows:
        """Give these rows and those that follow."""
        if not len(self):
            return other
        return Rows(
            [[*a, *b] for a, b in zip(self.columns, other.columns, strict=True)],
            [*self.numbers, *other.numbers],
            [*self.places, *other.places],
        )


def located(
    table: TableRows,
    place: Filler,
    locate: Callable[[str], Located],
    problem: Callable[[int, str], None],
    locate_plain: Callable[[Sequence[str | None]], list[Located] | None] = lambda _: None,
) -> Iterator[Rows]:
    """Give the rows of a table, some at a time; those of one file all at once.

    Parameters
    ----------
    table
        That is open.
    place
        Says where the files of rows lie.
    locate
        Gives URI and path of a file that lies there. Raises a `UsageError` if it is no place.
    problem
        Told the number of a row that has no file, and why.
    locate_plain
        Gives what ``locate`` gives of many, if that is soon told; None if not.
    """
    number = 0
    last = Rows([[] for _ in table.names], [], [])
    for columns in table.batches:
        texts = place(columns)
        places = locate_plain(texts)
        if places is None:
            places = list(_each(texts, number + 1, locate, problem))
        numbers = list(range(number + 1, number + len(texts) + 1))
        number += len(texts)
        rows = Rows(columns, numbers, places)
        if ("", "") in places:
            rows = rows.where([bool(uri) for uri, _ in places])
        rows = last.joined(rows)
        # The last file may go on with the next rows.
        stop = len(rows) - 1
        while stop > 0 and rows.places[stop - 1] == rows.places[-1]:
            stop -= 1
        if stop > 0:
            yield rows.cut(0, stop)
        last = rows.cut(max(stop, 0), len(rows))
    if len(last):
        yield last


def _each(
    texts: Sequence[str | None],
    first: int,
    locate: Callable[[str], Located],
    problem: Callable[[int, str], None],
) -> Iterator[Located]:
    """Give where the file of each row lies; empty texts where there is none."""
    for number, text in enumerate(texts, first):
        try:
            if text is None:
                raise UsageError("the row does not say where its file lies")  # noqa: TRY301
            yield locate(text)
        except UsageError as error:
            problem(number, error.message)
            yield "", ""
