"""From a resolved query to the SQL of SQLite.

Each literal of the user becomes a bound parameter, each name one that the schema declares or that
is made here. The functions beyond SQLite's own are those of `obscore.adql.sqlite.functions`.
"""

# ruff: noqa: S608 - no text of the user is ever in the SQL: literals are bound, names are ours

from __future__ import annotations

import json
from collections.abc import Sequence

from typing_extensions import override

from obscore.adql import bound as b
from obscore.adql.grouping import has_aggregate
from obscore.adql.printing import QueryPrinting, is_one_row, quoted
from obscore.adql.sqlite.values import ValuePrinter
from obscore.adql.types import Kind
from vodal.sphere import bounding_cap, cap_box

__all__ = ["Printer"]

_LONG_LIST = 500
"""From this length on, a list of literals is handed over as one JSON parameter."""

_WIDE_DEG = 90.0
"""Radius from which the spatial index leaves out too little to be worth asking."""

_HIGHEST = "\ud7ff"
"""Last character whose successor can stand in a text."""


class Printer(ValuePrinter, QueryPrinting):
    """Prints one query, collecting its parameters."""

    # Queries -----------------------------------------------------------------------------------

    @override
    def _rows(self, limit: int | None, offset: int | None) -> str:
        printed = f"LIMIT {self.param(-1 if limit is None else limit)}"
        return f"{printed} OFFSET {self.param(offset)}" if offset else printed

    @override
    def _order(self, term: b.OrderTerm, query: b.Query) -> str:
        by = str(term.by) if isinstance(term.by, int) else self.value(term.by)
        return f"{by} DESC" if term.descending else by

    @override
    def _operand(self, query: b.Query, like: b.Query) -> str:
        """Print a query whose columns are of the kinds of another's."""
        columns = [
            f"CAST(c{i} AS REAL)" if kind is Kind.REAL and own is Kind.INTEGER else f"c{i}"
            for i, (own, kind) in enumerate(zip(query.kinds, like.kinds, strict=True), 1)
        ]
        names = ", ".join(f"{column} AS c{i}" for i, column in enumerate(columns, 1))
        return f"SELECT {names} FROM ({self.query(query)})"

    @override
    def _set(self, operation: b.SetQuery, like: b.Query) -> str:
        printed = self._operand(operation.first, like)
        for operator, query in operation.rest:
            operand = self._operand(query, like)
            if operator in {"EXCEPT ALL", "INTERSECT ALL"}:
                printed = _counted(operator, printed, operand, len(like.kinds))
            else:
                printed = f"{printed} {operator} {operand}"
        return printed

    @override
    def _select(self, select: b.Select) -> str:
        outputs = self.columns(select)
        lone = is_one_row(select) and not any(has_aggregate(item.value) for item in select.outputs)
        if lone:
            # SQLite sees that all rows are one group by an aggregate in the list alone.
            outputs += ", count(*) AS one_group"
        tables = [self.table(select.tables[0])]
        for table in select.tables[1:]:
            # SQLite joins a comma's sides from the left like any others; only the outer joins
            # that keep rows of their right side tell the difference.
            printed = self.table(table)
            tables.append(f"({printed})" if _keeps_right(table) else printed)
        printed = self.clauses(select, outputs, tables)
        if lone:
            names = ", ".join(f"c{i}" for i in range(1, len(select.outputs) + 1))
            printed = f"SELECT {names} FROM ({printed})"
        return printed

    @override
    def output(self, value: b.Value) -> str:
        printed = self.value(value)
        if value.kind is Kind.GEOMETRY:
            return f"sky_text({printed})"
        if isinstance(value, b.Use | b.Literal):
            return printed
        if value.kind is Kind.REAL:
            return f"CAST({printed} AS REAL)"
        known = isinstance(value, b.Tally | b.Aggregate | b.Operation | b.Minus)
        if value.kind is Kind.INTEGER and not known:
            return f"adql_int({printed})"
        return printed

    # Conditions --------------------------------------------------------------------------------

    @override
    def text(self, text: str) -> str:
        return self.param(text)

    @override
    def pair(self, value: b.Value, other: b.Value) -> str:
        return self.value(value)

    @override
    def _on(self, join: b.Joined) -> str:
        return "1" if join.condition is None else self.condition(join.condition)

    @override
    def _in(self, condition: b.InValues | b.InQuery) -> str:
        operand = self.value(condition.operand)
        if isinstance(condition, b.InQuery):
            members = self.query(condition.query)
        else:
            members = self._list(condition.values)
        return f"({operand} {'NOT IN' if condition.negated else 'IN'} ({members}))"

    def _list(self, values: Sequence[b.Value] | Sequence[int | float | str]) -> str:
        if isinstance(values, list):
            if len(values) > _LONG_LIST:
                return f"SELECT value FROM json_each({self.param(json.dumps(values))})"
            return ", ".join(self.param(value) for value in values)
        return ", ".join(self.value(value) for value in values if isinstance(value, b.Value))

    @override
    def _like(self, condition: b.Like) -> str:
        function = "adql_ilike" if condition.any_case else "adql_like"
        operand = self.value(condition.operand)
        exact = f"{function}({operand}, {self.value(condition.pattern)})"
        if condition.negated:
            return f"(NOT {exact})"
        prefix = _prefix(condition)
        if prefix is None:
            return exact
        # What starts with a known text lies in a range, which an index finds.
        low, high = self.param(prefix), self.param(prefix[:-1] + chr(ord(prefix[-1]) + 1))
        return f"({operand} >= {low} AND {operand} < {high} AND {exact})"

    @override
    def _nearby(self, nearby: b.Nearby) -> str:
        spatial = nearby.relation.spatial
        assert spatial is not None
        shape, margin = nearby.shape, nearby.margin_deg
        if isinstance(shape, b.ShapeValue) and (margin is None or isinstance(margin, b.Literal)):
            centre, radius_deg = bounding_cap(shape.shape)
            if margin is not None and isinstance(margin.value, int | float):
                radius_deg += max(0.0, min(180.0, float(margin.value)))
            if radius_deg > _WIDE_DEG:
                return "1"
            bounds = [self.param(bound) for bound in cap_box(centre, radius_deg)]
        else:
            printed = self.value(shape), "0" if margin is None else self.value(margin)
            bounds = [f"sky_bound({printed[0]}, {printed[1]}, {k})" for k in range(6)]
        tests = " AND ".join(
            f"{axis}min <= {bounds[2 * i + 1]} AND {axis}max >= {bounds[2 * i]}"
            for i, axis in enumerate("xyz")
        )
        key = f"{nearby.relation.alias}.{quoted(spatial.key)}"
        return f"({key} IN (SELECT id FROM {quoted(spatial.rtree)} WHERE {tests}))"


def _counted(operator: str, left: str, right: str, columns: int) -> str:
    """Print EXCEPT ALL or INTERSECT ALL: equal rows are numbered, and so no longer equal."""
    names = ", ".join(f"c{i}" for i in range(1, columns + 1))
    number = f"row_number() OVER (PARTITION BY {names}) AS nth"
    sides = [f"SELECT {names}, {number} FROM ({side})" for side in (left, right)]
    return f"SELECT {names} FROM ({f' {operator[:-4]} '.join(sides)})"


def _keeps_right(table: b.From) -> bool:
    return isinstance(table, b.Joined) and (
        table.kind in {"RIGHT", "FULL"} or _keeps_right(table.left)
    )


def _prefix(condition: b.Like) -> str | None:
    """Give the text that a column must start with to fit a pattern."""
    if condition.any_case or not isinstance(condition.operand, b.Use):
        return None
    if not isinstance(condition.pattern, b.Literal) or not isinstance(
        pattern := condition.pattern.value, str
    ):
        return None
    prefix = pattern.partition("%")[0].partition("_")[0]
    return prefix if prefix and prefix[-1] < _HIGHEST else None
