"""From values and conditions as written to checked ones: names, kinds, metadata."""

from __future__ import annotations

from dataclasses import dataclass, replace

from typing_extensions import override

from obscore.adql import bound as b
from obscore.adql import nodes as n
from obscore.adql.arithmetic import as_time, as_timestamp, fold, literal, unit_of_chain
from obscore.adql.calls import Calls
from obscore.adql.geometry import as_shape
from obscore.adql.types import Kind, result_column
from vodal.errors import QueryError

__all__ = ["Expressions"]

_CASTS = {
    "CHAR": (Kind.TEXT, "char", None),
    "VARCHAR": (Kind.TEXT, "char", None),
    "TIMESTAMP": (Kind.TEXT, "char", "timestamp"),
    "SMALLINT": (Kind.INTEGER, "short", None),
    "INTEGER": (Kind.INTEGER, "int", None),
    "BIGINT": (Kind.INTEGER, "long", None),
    "REAL": (Kind.REAL, "float", None),
    "DOUBLE": (Kind.REAL, "double", None),
    "POINT": (Kind.GEOMETRY, "char", "adql:POINT"),
    "CIRCLE": (Kind.GEOMETRY, "char", "adql:REGION"),
    "POLYGON": (Kind.GEOMETRY, "char", "adql:REGION"),
}


@dataclass(slots=True)
class Expressions(Calls):
    """Resolves what stands in one clause of a query."""

    # Values ------------------------------------------------------------------------------------

    @override
    def value(self, node: n.Expression) -> b.Value:
        """Resolve a value.

        Raises
        ------
        QueryError
            If a name is unknown or a kind does not fit, naming the place.
        """
        match node:
            case n.Number(value) | n.String(value):
                return literal(value)
            case n.Null():
                return literal(None)
            case n.ColumnName():
                return self._column(node)
            case n.Negation(operand):
                inner = self.number(operand, "a sign")
                return b.Minus(inner, inner.kind, result_column(inner.kind, inner.column))
            case n.Chain():
                return self._chain(node)
            case n.CastTo():
                return self._cast(node)
            case n.Call():
                return self._call(node)

    def _column(self, node: n.ColumnName) -> b.Value:
        try:
            return self.scope.find(node)
        except QueryError as error:
            raise self.error(error.message, node.at) from None

    def _chain(self, node: n.Chain) -> b.Value:
        if node.rest[0][0] == "||":
            return self._concatenation(node)
        operands = [self.number(node.first, f"'{node.rest[0][0]}'")]
        operands += [self.number(operand, f"'{sign}'") for sign, operand in node.rest]
        signs = [sign for sign, _ in node.rest]
        folded = fold(operands, signs)
        if folded is not None:
            return folded
        kind = Kind.REAL if any(item.kind is Kind.REAL for item in operands) else Kind.INTEGER
        column = result_column(kind, None, unit=unit_of_chain(operands, signs))
        rest = tuple(zip(signs, operands[1:], strict=True))
        return b.Operation(operands[0], rest, kind, column)

    def _concatenation(self, node: n.Chain) -> b.Value:
        operands = []
        for operand in (node.first, *(operand for _, operand in node.rest)):
            value = self.value(operand)
            if not value.kind.textual:
                raise self.error(
                    f"'||' takes texts, found {value.kind.value}; use CAST(... AS VARCHAR)",
                    operand.at,
                )
            operands.append(value)
        column = result_column(Kind.TEXT)
        if any(item.column.datatype == "unicodeChar" for item in operands):
            column = replace(column, datatype="unicodeChar")
        rest = tuple(("||", operand) for operand in operands[1:])
        return b.Operation(operands[0], rest, Kind.TEXT, column)

    def _cast(self, node: n.CastTo) -> b.Value:
        operand = self.value(node.operand)
        kind, datatype, xtype = _CASTS[node.target]
        if kind is Kind.GEOMETRY:
            if not operand.kind.textual:
                raise self.error(f"CAST to {node.target} takes a text", node.operand.at)
        elif operand.kind in {Kind.GEOMETRY, Kind.OTHER}:
            raise self.error(
                f"{operand.kind.value} cannot be CAST to {node.target}", node.operand.at
            )
        elif node.target == "TIMESTAMP" and not operand.kind.textual:
            raise self.error("CAST to TIMESTAMP takes a text", node.operand.at)
        like = operand.column if kind.numeric else None
        column = replace(result_column(kind, like), datatype=datatype, xtype=xtype)
        if kind.numeric:
            column = replace(column, frame=operand.column.frame)
        if node.target == "TIMESTAMP" and isinstance(operand, b.Literal):
            return b.Literal(as_timestamp(operand.value), kind, column)
        return b.Cast(operand, node.target, node.length, kind, column)

    # Conditions --------------------------------------------------------------------------------

    def condition(self, node: n.Condition) -> b.Condition:
        """Resolve a condition.

        Raises
        ------
        QueryError
            If a name is unknown or a kind does not fit, naming the place.
        """
        match node:
            case n.Comparison(operator, left, right, _):
                first, second = self.value(left), self.value(right)
                self._comparable(first, second, right.at)
                return b.Compare(operator, as_time(first, second), as_time(second, first))
            case n.Between():
                return self._between(node)
            case n.InList():
                return self._in_list(node)
            case n.InQuery(operand, query, negated, _):
                return self._in_query(self.value(operand), query, negated=negated)
            case n.Like():
                return self._like(node)
            case n.IsNull(operand, negated, _):
                return b.IsNull(self.value(operand), negated)
            case n.Exists(query, _):
                return b.Exists(self.subquery(query, self.scope))
            case n.Not(operand, _):
                return b.NotThat(self.condition(operand))
            case n.BoolList(operator, operands, _):
                conditions = tuple(map(self.condition, operands))
                return b.AllOf(conditions) if operator == "AND" else b.AnyOf(conditions)

    def _between(self, node: n.Between) -> b.Condition:
        operand = self.value(node.operand)
        low, high = self.value(node.low), self.value(node.high)
        self._comparable(operand, low, node.low.at)
        self._comparable(operand, high, node.high.at)
        return b.Between(operand, as_time(low, operand), as_time(high, operand), node.negated)

    def _like(self, node: n.Like) -> b.Condition:
        values = [self.value(node.operand), self.value(node.pattern)]
        for value, part in zip(values, (node.operand, node.pattern), strict=True):
            if not value.kind.textual:
                word = "ILIKE" if node.any_case else "LIKE"
                raise self.error(f"{word} takes texts, found {value.kind.value}", part.at)
        return b.Like(values[0], values[1], node.negated, node.any_case)

    def _comparable(self, left: b.Value, right: b.Value, at: int) -> None:
        for value in (left, right):
            if value.kind in {Kind.GEOMETRY, Kind.OTHER}:
                hints = "; use CONTAINS or INTERSECTS" if as_shape(value) is not None else ""
                raise self.error(f"{value.kind.value} cannot be compared{hints}", at)
        if (left.kind.numeric and right.kind.numeric) or (left.kind.textual and right.kind.textual):
            return
        raise self.error(f"{left.kind.value} cannot be compared with {right.kind.value}", at)

    def _in_list(self, node: n.InList) -> b.Condition:
        operand = self.value(node.operand)
        if isinstance(node.values, n.PlainList):
            # Such a list holds either numbers or texts.
            self._comparable(operand, literal(node.values.values[0]), node.values.at)
            listed = node.values.values
            if operand.column.xtype == "timestamp":
                listed = [as_timestamp(item) or item for item in listed]
            return b.InValues(operand, listed, node.negated)
        values = []
        for item in node.values:
            value = self.value(item)
            self._comparable(operand, value, item.at)
            values.append(as_time(value, operand))
        return b.InValues(operand, tuple(values), node.negated)

    def _in_query(self, operand: b.Value, node: n.Query, *, negated: bool) -> b.Condition:
        query = self.subquery(node, self.scope)
        if len(query.columns) != 1:
            raise self.error(
                f"a sub-query after IN gives one column, found {len(query.columns)}", node.at
            )
        column = literal(None)
        column = replace(column, kind=query.kinds[0], column=query.columns[0])
        self._comparable(operand, column, node.at)
        return b.InQuery(as_time(operand, column), query, negated)
