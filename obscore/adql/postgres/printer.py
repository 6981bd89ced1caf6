"""From a resolved query to the SQL of PostgreSQL.

Each literal of the user becomes a bound parameter with its type, each name one that the schema
declares or that is made here. Parameters are written as psycopg takes them. The functions beyond
PostgreSQL's own are those that `obscore.adql.postgres.install` puts into a database.
"""

# ruff: noqa: S608 - no text of the user is ever in the SQL: literals are bound, names are ours

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from typing_extensions import override

from obscore.adql import bound as b
from obscore.adql.grouping import has_aggregate, uses
from obscore.adql.postgres.shapes import caps_around
from obscore.adql.postgres.values import ValuePrinter, any_case, quoted, type_of
from obscore.adql.printing import QueryPrinting, is_one_row
from obscore.adql.types import Kind
from vodal.tables.columns import Column

__all__ = ["PostgresPrinter"]

_ORDERS = {False: "ASC NULLS FIRST", True: "DESC NULLS LAST"}
"""NULL comes before all else, as in the embedded store."""

_MOST_ROWS = 2**63 - 1


class PostgresPrinter(ValuePrinter, QueryPrinting):
    """Prints one query, collecting its parameters."""

    # Queries -----------------------------------------------------------------------------------

    @override
    def quoted(self, name: str) -> str:
        return quoted(name)

    @override
    def _rows(self, limit: int | None, offset: int | None) -> str:
        parts = []
        if limit is not None:
            parts.append(f"LIMIT {self.bind(min(limit, _MOST_ROWS), 'bigint')}")
        if offset:
            parts.append(f"OFFSET {self.bind(min(offset, _MOST_ROWS), 'bigint')}")
        return " ".join(parts)

    @override
    def _order(self, term: b.OrderTerm, query: b.Query) -> str:
        by = str(term.by) if isinstance(term.by, int) else self.value(term.by)
        if _is_never_null(term, query.body):
            # As its index is.
            return f"{by} DESC" if term.descending else by
        return f"{by} {_ORDERS[term.descending]}"

    @override
    def _operand(self, query: b.Query, like: b.Query) -> str:
        columns = [
            _cast(f"c{i}", own, kind, column)
            for i, (own, kind, column) in enumerate(
                zip(query.kinds, like.kinds, like.columns, strict=True), 1
            )
        ]
        names = ", ".join(f"{column} AS c{i}" for i, column in enumerate(columns, 1))
        return f"SELECT {names} FROM ({self.query(query)}) AS operand"

    @override
    def _set(self, operation: b.SetQuery, like: b.Query) -> str:
        printed = self._operand(operation.first, like)
        for operator, query in operation.rest:
            # PostgreSQL would take INTERSECT first.
            printed = f"({printed}) {operator} ({self._operand(query, like)})"
        return printed

    @override
    def _named(self, item: b.Named) -> str:
        body = item.query.body
        # A query that is kept for several readers has lost its index.
        plain = isinstance(body, b.Select) and body.hidden
        return f"{item.alias} AS {'NOT MATERIALIZED ' if plain else ''}({self.query(item.query)})"

    @override
    def _select(self, select: b.Select) -> str:
        tables = [self.table(table) for table in select.tables]
        printed = self.clauses(select, self.columns(select), tables)
        counted = select.having is not None or any(
            has_aggregate(item.value) for item in select.outputs
        )
        if is_one_row(select) and not counted:
            # An aggregate in ORDER BY alone has made one group of all rows.
            printed += " HAVING true"
        return printed

    @override
    def output(self, value: b.Value) -> str:
        printed = self.value(value)
        if value.kind is Kind.GEOMETRY:
            return f'(adql.sky_text({printed}) COLLATE "C")'
        return printed

    @override
    def text(self, text: str) -> str:
        return self.bind(text, "text")

    # Conditions --------------------------------------------------------------------------------

    @override
    def _on(self, join: b.Joined) -> str:
        printed = "true" if join.condition is None else self.condition(join.condition)
        if join.kind != "FULL" or join.condition is None or _has_equality(join):
            return printed
        # PostgreSQL joins both ways only where something is equal; this always is.
        left, right = (f"(num_nulls({_relation(side)}) >= 0)" for side in (join.left, join.right))
        return f"({left} = {right} AND {printed})"

    @override
    def _in(self, condition: b.InValues | b.InQuery) -> str:
        operand = condition.operand
        if isinstance(condition, b.InQuery):
            kind = condition.query.kinds[0]
            if operand.kind is Kind.NULL or kind is Kind.NULL:
                kind = kind if operand.kind is Kind.NULL else operand.kind
            like = b.Query(condition.query.body, condition.query.columns, (kind,))
            word = "NOT IN" if condition.negated else "IN"
            if operand.kind is Kind.REAL:
                kind = Kind.REAL  # 2.5 is none of a column's whole numbers
            return f"({self.typed(operand, kind)} {word} ({self._operand(condition.query, like)}))"
        if operand.kind is Kind.NULL:
            return "NULL::boolean"  # whatever the types of the list
        if isinstance(condition.values, list):
            kind, values = _list(operand.kind, condition.values)
            listed = self.bind(values, f"{type_of(kind)}[]")
            word = "<> ALL" if condition.negated else "= ANY"
            return f"({self.typed(operand, kind)} {word} ({listed}))"
        members = ", ".join(self.pair(value, operand) for value in condition.values)
        word = "NOT IN" if condition.negated else "IN"
        return f"({self._beside(operand, condition.values)} {word} ({members}))"

    def _beside(self, operand: b.Value, values: Sequence[b.Value]) -> str:
        """Print what is compared with each of some values."""
        known = [value for value in values if value.kind is not Kind.NULL]
        return self.pair(operand, known[0]) if known else self.value(operand)

    @override
    def _like(self, condition: b.Like) -> str:
        operand = self.typed(condition.operand, Kind.TEXT)
        pattern = self.typed(condition.pattern, Kind.TEXT)
        if condition.any_case:
            fits = any_case(operand, pattern)
            return f"(NOT {fits})" if condition.negated else fits
        word = "NOT LIKE" if condition.negated else "LIKE"
        # ADQL has no escape character; PostgreSQL's is a backslash unless told.
        return f"({operand} {word} {pattern} ESCAPE '')"

    @override
    def _nearby(self, nearby: b.Nearby) -> str:
        spatial = nearby.relation.spatial
        assert spatial is not None
        shape, margin = nearby.shape, nearby.margin_deg
        if isinstance(shape, b.ShapeValue) and (margin is None or isinstance(margin, b.Literal)):
            given = 0.0 if margin is None else margin.value
            margin_deg = float(given) if isinstance(given, int | float) else 0.0
            known = caps_around(shape.shape, min(180.0, margin_deg))
            if known is None:
                return "true"
            wanted = self.bind(known, "scircle[]")
        else:
            width = "0" if margin is None else self.typed(margin, Kind.REAL)
            caps = f"adql.sky_caps({self.typed(shape, Kind.GEOMETRY)}, {width})"
            # The planner takes a list whose length it cannot see for one of ten.
            wanted = f"ARRAY[({caps})[1], ({caps})[2]]"
        return f"({nearby.relation.alias}.{quoted(spatial.key)} && ANY ({wanted}))"


def _is_never_null(term: b.OrderTerm, body: b.Select | b.SetQuery | b.Query) -> bool:
    """Tell whether rows are ordered by a column of one table that has a value in each."""
    if not isinstance(body, b.Select) or len(body.tables) > 1:
        return False
    by = body.outputs[term.by - 1].value if isinstance(term.by, int) else term.by
    return (
        isinstance(by, b.Use)
        and by.relation is body.tables[0]
        and by.field.definition is not None
        and not by.field.definition.nullable
    )


def _cast(name: str, own: Kind, kind: Kind, column: Column) -> str:
    """Print a column of an operand as one of the result."""
    if kind is Kind.OTHER:
        element = column.arrow_type().value_type
        if own is Kind.OTHER:
            return f"{name}::{'float8' if pa.types.is_floating(element) else 'bigint'}[]"
    return name if own is kind else f"{name}::{type_of(kind)}"


def _list(kind: Kind, values: list[int | float | str]) -> tuple[Kind, list[object]]:
    """Give the values of a list in one type, which is the operand's where that can be."""
    if kind is Kind.TEXT or isinstance(values[0], str):
        return Kind.TEXT, [*values]
    numbers = [value for value in values if not isinstance(value, str)]
    if kind is not Kind.REAL and all(
        isinstance(value, int) or (value.is_integer() and -(2.0**63) <= value < 2.0**63)
        for value in numbers
    ):
        return Kind.INTEGER, [int(value) for value in numbers]
    return Kind.REAL, [float(value) for value in numbers]


def _relation(side: b.From) -> str:
    """Give the alias of a relation of a side."""
    return side.alias if isinstance(side, b.Relation) else _relation(side.left)


def _relations(side: b.From) -> Iterator[b.Relation]:
    if isinstance(side, b.Relation):
        yield side
    else:
        yield from _relations(side.left)
        yield from _relations(side.right)


def _has_equality(join: b.Joined) -> bool:
    """Tell whether a condition asks that a column of each side be equal."""
    condition = join.condition
    parts = condition.operands if isinstance(condition, b.AllOf) else (condition,)
    sides = [set(map(id, _relations(side))) for side in (join.left, join.right)]
    for part in parts:
        if isinstance(part, b.Compare) and part.operator == "=":
            found = [{id(use.relation) for use in uses(item)} for item in (part.left, part.right)]
            if not all(found):
                continue
            one, two = found
            if (one <= sides[0] and two <= sides[1]) or (one <= sides[1] and two <= sides[0]):
                return True
    return False
