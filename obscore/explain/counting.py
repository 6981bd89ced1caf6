"""How many rows a table has, and how many of them an index finds."""

# ruff: noqa: S608 - the SQL is the printer's: literals are bound, names are ours

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from obscore.adql import QueryPrinter
from obscore.adql import bound as b
from obscore.adql.printing import quoted
from obscore.adql.schema import TableDef
from vodal.tables.uploads import UploadedTable

__all__ = ["Number", "RowCount", "RowCounter"]

_LONGEST = 100_000
"""Rows of an index that are counted; further ones are "or more"."""

Number = Callable[[str, Mapping[str, object], float], int | None]
"""Runs SQL that gives one number, with its parameters, in so many seconds; None if that is too
few."""


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows there are."""

    rows: int
    at_least: bool = False
    """Whether there may be more."""
    estimated: bool = False


class RowCounter:
    """Counts rows within a time.

    Parameters
    ----------
    printer
        Makes the printer of the database's SQL.
    number
        Runs what it printed.
    uploads
        Tables that came with the query.
    limit_s
        Seconds for all counts.
    """

    def __init__(
        self,
        printer: Callable[[], QueryPrinter],
        number: Number,
        uploads: Sequence[UploadedTable],
        limit_s: float,
    ) -> None:
        self._printer = printer
        self._number = number
        self._uploads = {table.name: table.rows for table in uploads}
        self._until = time.monotonic() + limit_s
        self._whole: dict[str, RowCount | None] = {}

    def count(self, relation: b.Relation, condition: b.Condition | None) -> RowCount | None:
        """Count the rows of a table, all or those for which a condition of it alone holds.

        Returns
        -------
        count
            None if it is not known, for instance since the time is over.
        """
        table = relation.source
        if not isinstance(table, TableDef) or table.rows is not None:
            return None
        if table.schema == "TAP_UPLOAD":
            # Not loaded to be counted.
            rows = self._uploads.get(table.name)
            return None if rows is None or condition is not None else RowCount(rows)
        if condition is not None:
            return self._found(relation, table, condition)
        if table.physical not in self._whole:
            self._whole[table.physical] = self._all(table)
        return self._whole[table.physical]

    def _all(self, table: TableDef) -> RowCount | None:
        counted = "count(*)"
        physical = table.physical
        if table.facets is not None:
            counted = f"coalesce(sum({quoted(table.facets.count)}), 0)"
            physical = table.facets.physical
        rows = self._in_time(f"SELECT {counted} FROM {quoted(physical)}", {})
        return None if rows is None else RowCount(rows)

    def _found(
        self, relation: b.Relation, table: TableDef, condition: b.Condition
    ) -> RowCount | None:
        printer = self._printer()
        where = printer.condition(condition)
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table.physical)} AS {relation.alias}"
            f" WHERE {where} LIMIT {_LONGEST + 1}) AS found"
        )
        rows = self._in_time(sql, {**printer.params, "base_url": ""})
        if rows is None:
            return None
        return RowCount(min(rows, _LONGEST), at_least=rows > _LONGEST)

    def _in_time(self, sql: str, values: Mapping[str, object]) -> int | None:
        left_s = self._until - time.monotonic()
        return self._number(sql, values, left_s) if left_s > 0 else None
