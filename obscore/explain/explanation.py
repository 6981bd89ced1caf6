"""What is told of a query: how its tables are read, what is done with the rows, what would help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

__all__ = ["Explanation", "Finding", "Reading", "Step", "counted_rows"]


class Finding(StrEnum):
    """How the rows of a table are found."""

    ALL = "all rows"
    INDEX = "index"
    SPATIAL = "spatial index"
    BOTH = "spatial index, index"
    TEMPORARY = "temporary index"
    COUNTS = "kept counts"
    RESULT = "result of a sub-query"


@dataclass(frozen=True, slots=True)
class Reading:
    """One table is read."""

    table: str
    """Full name; empty for a sub-query."""
    name: str
    """Under which the query has it."""
    finding: Finding
    columns: tuple[str, ...] = ()
    """Whose index is asked."""
    along: str | None = None
    """Column in the order of whose index all rows are read, if that is the order of the result."""
    by_index: tuple[str, ...] = ()
    """Conditions that the index answers, in ADQL."""
    row_by_row: tuple[str, ...] = ()
    """Conditions that are checked on each row that was found."""
    passed_over: tuple[str, ...] = ()
    """Those of ``row_by_row`` that an index could answer, but the database does not use it."""
    joins: tuple[str, ...] = ()
    """Those of both that compare with a table read before."""
    rows: int | None = None
    """How many rows are found, each time; None if it is not known beforehand."""
    at_least: bool = False
    """Whether there may be more."""
    estimated: bool = False
    """Whether the database has guessed it."""
    enough: int | None = None
    """How many rows of the result, asked for by TOP, end the reading; None if all are read."""
    table_rows: int | None = None
    """How many the table has."""
    loop: int = 0
    """0 if it is read once; n if it is read for each row of the n tables before it."""
    depth: int = 0
    """Of the sub-query that it is in; 0 for the query itself."""

    @property
    def shown(self) -> str:
        """The table as FROM has it."""
        if not self.table:
            return f"sub-query {self.name}"
        plain = self.table.rpartition(".")[2]
        return self.table if self.name == plain else f"{self.table} AS {self.name}"

    @property
    def is_whole(self) -> bool:
        """Whether every row is looked at."""
        return self.finding in {Finding.ALL, Finding.RESULT}


@dataclass(frozen=True, slots=True)
class Step:
    """Something is done with rows: sorted, grouped, put together."""

    what: str
    """A sentence without its full stop."""
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a database does for a query."""

    steps: tuple[Reading | Step, ...]
    """In the order in which they begin."""
    hints: tuple[str, ...] = ()
    """What would be quicker, one sentence each."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The tables that are read."""
        return tuple(step for step in self.steps if isinstance(step, Reading))

    @property
    def reason(self) -> str | None:
        """Why the query takes long, as what follows "the query"; None if nothing stands out."""
        readings = self.readings
        for outer, inner in pairwise(readings):
            if inner.loop and inner.is_whole:
                return _of_pairs(outer, inner)
        tables = [item for item in readings if item.table and item.finding is not Finding.COUNTS]
        if not tables:
            return None
        worst = max(tables, key=lambda item: (item.is_whole, item.rows or 0))
        sorts = any(isinstance(step, Step) and "sort" in step.what for step in self.steps)
        end = ", and sorts them" if sorts else ""
        following = readings[readings.index(worst) + 1 :][:1]
        if following and following[0].loop and following[0].joins:
            each = "each row" if worst.rows is None else f"each of {counted_rows(worst)}"
            return f"looks for rows of {following[0].shown} for {each} of {worst.shown}{end}"
        if worst.enough is not None:
            if not worst.row_by_row:
                return None
            return (
                f"reads rows of {worst.shown} until {worst.enough:,} are found, since"
                f" {_why_whole(worst)}"
            )
        if worst.finding is Finding.ALL:
            rows = "" if worst.table_rows is None else f" ({worst.table_rows:,})"
            return f"reads every row of {worst.shown}{rows}{end}, since {_why_whole(worst)}"
        if worst.rows is None:
            return f"looks into {worst.shown} for each row of the tables before it{end}"
        return f"reads the {counted_rows(worst)} of {worst.shown} that an index finds{end}"


def counted_rows(reading: Reading) -> str:
    """Write how many rows are found."""
    assert reading.rows is not None
    about = "about " if reading.estimated else ""
    more = " or more" if reading.at_least else ""
    noun = "row" if reading.rows == 1 and not more else "rows"
    return f"{about}{reading.rows:,}{more} {noun}"


def _of_pairs(outer: Reading, inner: Reading) -> str:
    sides = [
        f"{item.shown} ({item.table_rows:,})" if item.table_rows is not None else item.shown
        for item in (outer, inner)
    ]
    if not inner.joins:
        why = "no condition joins them"
    elif len(inner.joins) == 1:
        why = f"no index answers {inner.joins[0]}"
    else:
        why = "no index answers the conditions that join them"
    return f"compares every row of {sides[0]} with every row of {sides[1]}, since {why}"


def _why_whole(reading: Reading) -> str:
    if not reading.row_by_row:
        return "no condition restricts it"
    if reading.passed_over:
        return f"the database expects too many rows of {reading.passed_over[0]} to use its index"
    if len(reading.row_by_row) == 1:
        return f"no index answers {reading.row_by_row[0]}"
    return "no index answers its conditions"
