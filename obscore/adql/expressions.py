"""From values and conditions as written to checked ones: names, kinds, metadata."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from obscore.adql import bound as b
from obscore.adql import nodes as n
from obscore.adql.functions import FUNCTIONS, GEOMETRY_FUNCTIONS, Signature
from obscore.adql.geometry import as_shape, geometry_call
from obscore.adql.grouping import uses
from obscore.adql.names import Scope, hint, written
from obscore.adql.parser import AGGREGATES
from obscore.adql.tokens import place
from obscore.adql.types import Kind, result_column
from obscore.adql.units import UnitError, factor, parse_unit, power, product
from vodal.errors import QueryError

__all__ = ["Expressions", "literal"]

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


def literal(value: float | str | None) -> b.Literal:
    """Make a literal of a value."""
    match value:
        case None:
            return b.Literal(value, Kind.NULL, result_column(Kind.NULL))
        case str():
            column = result_column(Kind.TEXT)
            if not value.isascii():
                column = replace(column, datatype="unicodeChar")
            return b.Literal(value, Kind.TEXT, column)
        case int():
            return b.Literal(value, Kind.INTEGER, result_column(Kind.INTEGER))
        case float():
            return b.Literal(value, Kind.REAL, result_column(Kind.REAL))


@dataclass(slots=True)
class Expressions:
    """Resolves what stands in one clause of a query."""

    text: str
    scope: Scope
    clause: str
    """Name of the clause, for errors."""
    subquery: Callable[[n.Query, Scope], b.Query]
    aggregates: bool = False
    """Whether the clause can hold them."""
    _inside: bool = False

    def error(self, message: str, at: int) -> QueryError:
        """Make an error that names a place."""
        return QueryError(message, *place(self.text, at))

    # Values ------------------------------------------------------------------------------------

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
                inner = self._number(operand, "a sign")
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

    def _number(self, node: n.Expression, where: str) -> b.Value:
        value = self.value(node)
        if not value.kind.numeric:
            raise self.error(f"{where} takes numbers, found {value.kind.value}", node.at)
        return value

    def _chain(self, node: n.Chain) -> b.Value:
        if node.rest[0][0] == "||":
            return self._concatenation(node)
        operands = [self._number(node.first, f"'{node.rest[0][0]}'")]
        operands += [self._number(operand, f"'{sign}'") for sign, operand in node.rest]
        signs = [sign for sign, _ in node.rest]
        folded = _fold(operands, signs)
        if folded is not None:
            return folded
        kind = Kind.REAL if any(item.kind is Kind.REAL for item in operands) else Kind.INTEGER
        column = result_column(kind, None, unit=_unit(operands, signs))
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
        return b.Cast(operand, node.target, node.length, kind, column)

    # Functions ---------------------------------------------------------------------------------

    def _call(self, node: n.Call) -> b.Value:
        if node.name in AGGREGATES:
            return self._aggregate(node)
        if node.name in GEOMETRY_FUNCTIONS:
            arguments = [self.value(argument) for argument in node.arguments]
            try:
                return geometry_call(node.name, arguments)
            except QueryError as error:
                raise self.error(error.message, node.at) from None
        if node.name == "COALESCE":
            return self._coalesce(node)
        if node.name == "IN_UNIT":
            return self._in_unit(node)
        signature = FUNCTIONS.get(node.name)
        if signature is None:
            as_written = self.text[node.at : node.at + len(node.name)]
            name = n.Name(as_written, quoted=False, at=node.at)
            known = [*FUNCTIONS, *GEOMETRY_FUNCTIONS, *AGGREGATES, "COALESCE", "CAST", "IN_UNIT"]
            raise self.error(f"there is no function {written((name,))}{hint(name, known)}", node.at)
        return self._function(node, signature)

    def _function(self, node: n.Call, signature: Signature) -> b.Value:
        least = len(signature.parameters) - signature.optional
        if not least <= len(node.arguments) <= len(signature.parameters):
            raise self.error(
                f"{node.name} takes {signature.arity}, found {len(node.arguments)}", node.at
            )
        arguments = []
        for argument, wanted in zip(node.arguments, signature.parameters, strict=False):
            value = self.value(argument)
            fits = value.kind.textual if wanted is Kind.TEXT else value.kind.numeric
            if wanted is Kind.INTEGER and value.kind is Kind.REAL:
                fits = False
            if not fits:
                raise self.error(
                    f"{node.name} takes {wanted.value} here, found {value.kind.value}", argument.at
                )
            arguments.append(value)
        kind = signature.result
        if kind is None:
            any_real = any(item.kind is Kind.REAL for item in arguments)
            kind = Kind.REAL if any_real else Kind.INTEGER
        like = arguments[0].column if signature.keeps_unit else None
        column = result_column(kind, like)
        if signature.unit is not None:
            column = replace(column, unit=signature.unit)
        if node.name in {"POWER", "SQRT"}:
            column = replace(column, unit=_unit_of_power(arguments))
        if kind is Kind.TEXT:
            column = replace(column, datatype=arguments[0].column.datatype)
        return b.Function(node.name, tuple(arguments), kind, column)

    def _coalesce(self, node: n.Call) -> b.Value:
        if not node.arguments:
            raise self.error("COALESCE takes one argument or more", node.at)
        arguments = [self.value(argument) for argument in node.arguments]
        kinds = {item.kind for item in arguments} - {Kind.NULL}
        if kinds <= {Kind.INTEGER, Kind.REAL}:
            kind = Kind.REAL if Kind.REAL in kinds else Kind.INTEGER if kinds else Kind.NULL
        elif kinds == {Kind.TEXT}:
            kind = Kind.TEXT
        else:
            raise self.error("COALESCE takes either numbers or texts", node.at)
        return b.Function(
            "COALESCE", tuple(arguments), kind, result_column(kind, arguments[0].column)
        )

    def _in_unit(self, node: n.Call) -> b.Value:
        """Multiply by the factor between two units (ADQL 2.1 section 4.9.1)."""
        if len(node.arguments) != 2 or not isinstance(wanted := node.arguments[1], n.String):
            raise self.error("IN_UNIT is written IN_UNIT(value, 'unit')", node.at)
        value = self._number(node.arguments[0], "IN_UNIT")
        unit = value.column.unit
        if isinstance(value, b.Literal) or not unit:
            raise self.error(
                "IN_UNIT takes a value that has a unit; numbers, counts and columns without one "
                "cannot be converted",
                node.arguments[0].at,
            )
        try:
            to = parse_unit(wanted.value)
        except UnitError as error:
            raise self.error(f"IN_UNIT: {error}", wanted.at) from None
        if not to.symbols:
            raise self.error(
                "IN_UNIT: nothing can be converted to a number without unit", wanted.at
            )
        try:
            ratio = factor(parse_unit(unit, loose=True), to)
        except UnitError as error:
            raise self.error(
                f"IN_UNIT: '{unit}' cannot be converted to '{wanted.value}': {error}", wanted.at
            ) from None
        inverse = 1.0 / ratio
        # A whole divisor is exact where its inverse, 1/3600, is none.
        step = ("/", inverse) if ratio < 1.0 and inverse.is_integer() else ("*", ratio)
        rest = ((step[0], literal(step[1])),)
        column = result_column(Kind.REAL, None, unit=wanted.value, ucd=value.column.ucd)
        return b.Operation(value, rest, Kind.REAL, column)

    def _aggregate(self, node: n.Call) -> b.Value:
        if not self.aggregates:
            raise self.error(f"{node.name} cannot be used in {self.clause}", node.at)
        if self._inside:
            raise self.error("an aggregate cannot stand within another", node.at)
        count = result_column(Kind.INTEGER, None, ucd="meta.number")
        if node.star:
            return b.Aggregate("COUNT", None, distinct=False, kind=Kind.INTEGER, column=count)
        if len(node.arguments) != 1:
            raise self.error(f"{node.name} takes 1 argument, found {len(node.arguments)}", node.at)
        self._inside = True
        value = self.value(node.arguments[0])
        self._inside = False
        self._check_local(value, node)
        match node.name:
            case "COUNT":
                kind, column = Kind.INTEGER, count
            case "MIN" | "MAX":
                if value.kind in {Kind.GEOMETRY, Kind.OTHER}:
                    raise self.error(f"{node.name} cannot compare {value.kind.value}", node.at)
                kind = value.kind
                column = replace(value.column, name="", description=None, utype=None, id=None)
                column = replace(column, ucd=_ucd(column.ucd, node.name))
            case _:
                if not value.kind.numeric:
                    raise self.error(
                        f"{node.name} takes numbers, found {value.kind.value}", node.at
                    )
                whole = node.name == "SUM" and value.kind is Kind.INTEGER
                kind = Kind.INTEGER if whole else Kind.REAL
                column = result_column(kind, value.column, ucd=_ucd(value.column.ucd, node.name))
        return b.Aggregate(node.name, value, node.distinct, kind, column)

    def _check_local(self, value: b.Value, node: n.Call) -> None:
        """Refuse an aggregate over columns of an outer query alone, which belongs to that."""
        used = list(uses(value))
        local = {id(entry.relation) for entry in self.scope.exposed}
        if used and all(id(use.relation) not in local for use in used):
            raise self.error(
                f"{node.name} over columns of an outer query is not supported here", node.at
            )

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
                return b.Compare(operator, first, second)
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
        return b.Between(operand, low, high, node.negated)

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
            return b.InValues(operand, node.values.values, node.negated)
        values = []
        for item in node.values:
            value = self.value(item)
            self._comparable(operand, value, item.at)
            values.append(value)
        return b.InValues(operand, tuple(values), node.negated)

    def _in_query(self, operand: b.Value, node: n.Query, *, negated: bool) -> b.Condition:
        query = self.subquery(node, self.scope)
        if len(query.columns) != 1:
            raise self.error(
                f"a sub-query after IN gives one column, found {len(query.columns)}", node.at
            )
        column = literal(None)
        self._comparable(operand, replace(column, kind=query.kinds[0]), node.at)
        return b.InQuery(operand, query, negated)


def _unit(operands: list[b.Value], signs: list[str]) -> str | None:
    """Give the unit of operators in a row; None where it is not certain.

    ``s_fov * 60`` may be minutes or the sum of sixty fields: a number has no unit to tell.
    """
    if signs[0] in "+-":
        units = {item.column.unit for item in operands if not isinstance(item, b.Literal)}
        return units.pop() if len(units) == 1 else None
    unit = operands[0].column.unit
    for sign, item in zip(signs, operands[1:], strict=True):
        unit = product(unit, item.column.unit, 1 if sign == "*" else -1)
    return unit


def _unit_of_power(arguments: list[b.Value]) -> str | None:
    """Give the unit of POWER with a number for its exponent, or of SQRT."""
    if len(arguments) == 1:
        return power(arguments[0].column.unit, Fraction(1, 2))
    exponent = arguments[1]
    if not isinstance(exponent, b.Literal) or not isinstance(exponent.value, int | float):
        return None
    return power(arguments[0].column.unit, Fraction(exponent.value).limit_denominator(10))


_STATISTICS = {"MIN": "stat.min", "MAX": "stat.max", "AVG": "stat.mean", "SUM": "arith.sum"}


def _ucd(ucd: str | None, aggregate: str) -> str | None:
    """Give the UCD of an aggregate: the word behind says which, unless one is there (UCD1+ 2.4)."""
    if not ucd or any(word.startswith(("stat.", "arith.")) for word in ucd.lower().split(";")):
        return ucd
    return f"{ucd};{_STATISTICS[aggregate]}"


def _fold(operands: list[b.Value], signs: list[str]) -> b.Literal | None:
    """Compute what consists of numbers alone, by the rules of the database."""
    numbers = [item.value for item in operands if isinstance(item, b.Literal)]
    if len(numbers) < len(operands):
        return None
    total: int | float | None = None
    for sign, number in zip(["", *signs], numbers, strict=True):
        if not isinstance(number, int | float):
            return None
        if sign == "":
            total = number
            continue
        assert total is not None
        total = _compute(total, sign, number)
        if total is None:
            return None
    return literal(total)


def _compute(left: float, sign: str, right: float) -> int | float | None:
    """Compute one step; None where only the database knows (division by zero, overflow)."""
    match sign:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case _:
            if right == 0:
                return None
            if isinstance(left, int) and isinstance(right, int):
                result = abs(left) // abs(right)
                result = result if (left < 0) == (right < 0) else -result
            else:
                result = left / right
    if isinstance(result, int):
        return result if -(2**63) <= result < 2**63 else None
    return result if math.isfinite(result) else None
