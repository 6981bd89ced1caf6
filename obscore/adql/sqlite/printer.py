"""From a resolved query to the SQL of SQLite.

Each literal of the user becomes a bound parameter, each name one that the schema declares or that
is made here. The functions beyond SQLite's own are those of `obscore.adql.sqlite.functions`.
"""

# ruff: noqa: S608 - no text of the user is ever in the SQL: literals are bound, names are ours

from __future__ import annotations

import json
from collections.abc import Sequence

from obscore.adql import bound as b
from obscore.adql.grouping import has_aggregate
from obscore.adql.schema import TableDef
from obscore.adql.sqlite.values import ValuePrinter, quoted
from obscore.adql.types import Kind
from vodal.sphere import bounding_cap, cap_box

__all__ = ["Printer"]

_LONG_LIST = 500
"""From this length on, a list of literals is handed over as one JSON parameter."""

_WIDE_DEG = 90.0
"""Radius from which the spatial index leaves out too little to be worth asking."""

_HIGHEST = "\ud7ff"
"""Last character whose successor can stand in a text."""


def _joined(operator: str, parts: Sequence[str]) -> str:
    """Join many conditions as a balanced tree: SQLite bounds the depth of an expression."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _joined(operator, parts[:middle]), _joined(operator, parts[middle:])
    return f"({left} {operator} {right})"


class Printer(ValuePrinter):
    """Prints one query, collecting its parameters."""

    # Queries -----------------------------------------------------------------------------------

    def query(self, query: b.Query, limit: int | None = None) -> str:
        """Print a query.

        Parameters
        ----------
        query
            To print; its result's columns are called c1, c2 ...
        limit
            Most rows to give, whatever the query asks for.
        """
        parts = []
        if query.named:
            named = (f"{item.alias} AS ({self.query(item.query)})" for item in query.named)
            parts.append(f"WITH {', '.join(named)}")
        match query.body:
            case b.Select() as select:
                parts.append(self._select(select))
                if select.top is not None:
                    limit = select.top if limit is None else min(select.top, limit)
            case b.SetQuery() as operation:
                parts.append(self._set(operation, query.kinds))
            case b.Query() as inner:
                parts.append(self._operand(inner, query.kinds))
        if query.order and not _is_one_row(query.body):
            parts.append("ORDER BY " + ", ".join(self._order(term) for term in query.order))
        if limit is not None or query.offset:
            parts.append(f"LIMIT {self.param(-1 if limit is None else limit)}")
        if query.offset:
            parts.append(f"OFFSET {self.param(query.offset)}")
        return " ".join(parts)

    def _order(self, term: b.OrderTerm) -> str:
        by = str(term.by) if isinstance(term.by, int) else self.value(term.by)
        return f"{by} DESC" if term.descending else by

    def _operand(self, query: b.Query, kinds: Sequence[Kind]) -> str:
        """Print a query whose columns are of these kinds."""
        columns = [
            f"CAST(c{i} AS REAL)" if kind is Kind.REAL and own is Kind.INTEGER else f"c{i}"
            for i, (own, kind) in enumerate(zip(query.kinds, kinds, strict=True), 1)
        ]
        names = ", ".join(f"{column} AS c{i}" for i, column in enumerate(columns, 1))
        return f"SELECT {names} FROM ({self.query(query)})"

    def _set(self, operation: b.SetQuery, kinds: Sequence[Kind]) -> str:
        printed = self._operand(operation.first, kinds)
        for operator, query in operation.rest:
            operand = self._operand(query, kinds)
            if operator in {"EXCEPT ALL", "INTERSECT ALL"}:
                printed = _counted(operator, printed, operand, len(kinds))
            else:
                printed = f"{printed} {operator} {operand}"
        return printed

    def _select(self, select: b.Select) -> str:
        outputs = ", ".join(
            f"{self._output(output.value)} AS c{i}" for i, output in enumerate(select.outputs, 1)
        )
        for item in select.hidden:
            outputs += f", {item.relation.alias}.{quoted(item.physical)} AS {item.name}"
        lone = _is_one_row(select) and not any(has_aggregate(item.value) for item in select.outputs)
        if lone:
            # SQLite sees that all rows are one group by an aggregate in the list alone.
            outputs += ", count(*) AS one_group"
        distinct = "DISTINCT " if select.distinct else ""
        tables = [self._from(select.tables[0])]
        for table in select.tables[1:]:
            # SQLite joins a comma's sides from the left like any others; only the outer joins
            # that keep rows of their right side tell the difference.
            printed = self._from(table)
            tables.append(f"({printed})" if _keeps_right(table) else printed)
        parts = [f"SELECT {distinct}{outputs} FROM {', '.join(tables)}"]
        if select.where is not None:
            parts.append(f"WHERE {self.condition(select.where)}")
        if select.groups:
            parts.append("GROUP BY " + ", ".join(self.value(value) for value in select.groups))
        if select.having is not None:
            parts.append(f"HAVING {self.condition(select.having)}")
        printed = " ".join(parts)
        if lone:
            names = ", ".join(f"c{i}" for i in range(1, len(select.outputs) + 1))
            printed = f"SELECT {names} FROM ({printed})"
        return printed

    def _output(self, value: b.Value) -> str:
        """Print a column of a result, so that it is what its metadata says."""
        printed = self.value(value)
        if value.kind is Kind.GEOMETRY:
            return f"sky_text({printed})"
        if isinstance(value, b.Use | b.Literal):
            return printed
        if value.kind is Kind.REAL:
            return f"CAST({printed} AS REAL)"
        counted = isinstance(value, b.Tally) or (
            isinstance(value, b.Aggregate) and value.name != "SUM"
        )
        if value.kind is Kind.INTEGER and not counted:
            return f"adql_int({printed})"
        return printed

    # FROM --------------------------------------------------------------------------------------

    def _from(self, table: b.From) -> str:
        match table:
            case b.Relation(alias, source):
                match source:
                    case TableDef():
                        return f"{quoted(source.physical)} AS {alias}"
                    case b.Named():
                        return f"{source.alias} AS {alias}"
                    case b.Query():
                        return f"({self.query(source)}) AS {alias}"
            case b.Joined(kind, left, right, condition):
                other = self._from(right)
                if isinstance(right, b.Joined):
                    other = f"({other})"
                on = "1" if condition is None else self.condition(condition)
                return f"{self._from(left)} {kind} JOIN {other} ON {on}"

    # Conditions --------------------------------------------------------------------------------

    def condition(self, condition: b.Condition) -> str:
        """Print a condition."""
        match condition:
            case b.Compare(operator, left, right):
                return f"({self.value(left)} {operator} {self.value(right)})"
            case b.Between():
                return self._between(condition)
            case b.InValues() | b.InQuery():
                return self._in(condition)
            case b.Like():
                return self._like(condition)
            case b.IsNull(operand, negated):
                return f"({self.value(operand)} IS {'NOT ' if negated else ''}NULL)"
            case b.Exists(query):
                return f"EXISTS ({self.query(query)})"
            case b.NotThat(operand):
                return f"(NOT {self.condition(operand)})"
            case b.AllOf(operands) | b.AnyOf(operands):
                operator = "AND" if isinstance(condition, b.AllOf) else "OR"
                return _joined(operator, [self.condition(operand) for operand in operands])
            case b.Nearby():
                return self._nearby(condition)

    def _between(self, condition: b.Between) -> str:
        operand, low = self.value(condition.operand), self.value(condition.low)
        between = "NOT BETWEEN" if condition.negated else "BETWEEN"
        return f"({operand} {between} {low} AND {self.value(condition.high)})"

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


def _is_one_row(body: b.Select | b.SetQuery | b.Query) -> bool:
    """Whether a query makes one group of all rows."""
    return isinstance(body, b.Select) and body.grouped and not body.groups


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
