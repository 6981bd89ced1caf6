"""What a database intends to do for a query, as each engine reads it from its own plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Access", "PlanStep", "Work", "WorkKind"]

WorkKind = Literal["sort", "group", "distinct", "combine", "join", "sub-query", "each row"]


@dataclass(frozen=True, slots=True)
class Access:
    """A table is read."""

    alias: str
    """Of the relation, our own."""
    depth: int = 0
    """Of the sub-query that it is in."""
    columns: tuple[str, ...] = ()
    """Physical columns by whose index rows are found; none: every row is read."""
    spatial: bool = False
    """Whether rows are found by the spatial index."""
    end: bool = False
    """Whether only the first or the last row of an index is looked for, for MIN or MAX."""
    along: str | None = None
    """Physical column in the order of whose index every row is read, if it is read so."""
    temporary: bool = False
    """Whether the index, or a table of hashes, is made for this query."""
    loop: int = 0
    """0 if it is done once; n if it is done for each row of the n tables read before."""
    rows: int | None = None
    """How many rows the database expects to find each time; None if it does not tell."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something is done with rows."""

    kind: WorkKind
    depth: int = 0
    what: str = ""
    """The clause or operator of ADQL that asks for it; of a sub-query our own alias."""


PlanStep = Access | Work
