"""Functions and aggregates: their arguments checked, their results described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from obscore.adql import bound as b
from obscore.adql import nodes as n
from obscore.adql.arithmetic import literal, ucd_of_aggregate, unit_of_power
from obscore.adql.functions import FUNCTIONS, GEOMETRY_FUNCTIONS, Signature
from obscore.adql.geometry import as_shape, geometry_call, is_point
from obscore.adql.grouping import has_aggregate, uses
from obscore.adql.names import Scope, hint, written
from obscore.adql.parser import AGGREGATES
from obscore.adql.tokens import place
from obscore.adql.types import Kind, result_column
from obscore.adql.units import UnitError, factor, parse_unit
from obscore.adql.userdefined.calls import user_call
from obscore.adql.userdefined.catalogue import NOT_HERE, USER_FUNCTIONS, forms
from vodal.errors import QueryError

__all__ = ["Calls"]

_TAKE_MAPS = frozenset({"CONTAINS", "INTERSECTS", "AREA"})

_ELSEWHERE = {
    "LN": "LOG(x), the natural logarithm",
    "CEIL": "CEILING(x)",
    "TRUNC": "TRUNCATE(x)",
    "POW": "POWER(x, y)",
    "SQUARE": "POWER(x, 2)",
    "RANDOM": "RAND()",
    "CONCAT": "a || b",
    "IFNULL": "COALESCE(a, b)",
    "ISNULL": "COALESCE(a, b) and 'a IS NULL'",
    "NVL": "COALESCE(a, b)",
    "TO_CHAR": "CAST(a AS VARCHAR)",
    "TO_TIMESTAMP": "CAST(a AS TIMESTAMP)",
    "STRING_AGG": "ivo_string_agg(text, delimiter)",
}
"""Functions of databases, and what ADQL has in their place."""


@dataclass(slots=True)
class Calls:
    """Resolves calls; the base of `obscore.adql.expressions.Expressions`."""

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

    def value(self, node: n.Expression) -> b.Value:
        """Resolve a value; `obscore.adql.expressions.Expressions` knows how."""
        raise NotImplementedError

    def number(self, node: n.Expression, where: str) -> b.Value:
        """Resolve a value that must be a number.

        Raises
        ------
        QueryError
            If it is none, naming the place.
        """
        value = self.value(node)
        if not value.kind.numeric:
            raise self.error(f"{where} takes numbers, found {value.kind.value}", node.at)
        return value

    # Functions ---------------------------------------------------------------------------------

    def _call(self, node: n.Call) -> b.Value:
        if node.name in AGGREGATES:
            return self._aggregate(node)
        if node.name in GEOMETRY_FUNCTIONS:
            arguments = [self._geometry(node.name, argument) for argument in node.arguments]
            try:
                return geometry_call(node.name, arguments)
            except QueryError as error:
                raise self.error(error.message, node.at) from None
        if node.name == "COALESCE":
            return self._coalesce(node)
        if node.name == "IN_UNIT":
            return self._in_unit(node)
        if node.name == "IVO_STRING_AGG":
            return self._string_agg(node)
        if forms(node.name):
            return self._user_function(node)
        signature = FUNCTIONS.get(node.name)
        if signature is None:
            raise self._unknown(node)
        return self._function(node, signature)

    def _geometry(self, function: str, node: n.Expression) -> b.Value:
        """Resolve an argument of a geometry function: some take a coverage map."""
        if not isinstance(node, n.Call) or node.name != "MOC" or function not in _TAKE_MAPS:
            return self.value(node)
        arguments = [self.value(argument) for argument in node.arguments]
        try:
            return geometry_call("MOC", arguments)
        except QueryError as error:
            raise self.error(error.message, node.at) from None

    def _unknown(self, node: n.Call) -> QueryError:
        name = n.Name(self.text[node.at : node.at + len(node.name)], quoted=False, at=node.at)
        if node.name == "MOC":
            return self.error("MOC stands in CONTAINS, INTERSECTS and AREA alone", node.at)
        if node.name in NOT_HERE:
            return self.error(f"{name.text} is not offered here: {NOT_HERE[node.name]}", node.at)
        if node.name in _ELSEWHERE:
            return self.error(
                f"there is no function {written((name,))}; ADQL has {_ELSEWHERE[node.name]}",
                node.at,
            )
        known = [*FUNCTIONS, *GEOMETRY_FUNCTIONS, *AGGREGATES, "COALESCE", "CAST", "IN_UNIT"]
        known += dict.fromkeys(item.name for item in USER_FUNCTIONS)
        return self.error(f"there is no function {written((name,))}{hint(name, known)}", node.at)

    def _user_function(self, node: n.Call) -> b.Value:
        arguments = [self.value(argument) for argument in node.arguments]
        try:
            return user_call(node.name, arguments)
        except QueryError as error:
            raise self.error(error.message, node.at) from None

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
            column = replace(column, unit=unit_of_power(arguments))
        if kind is Kind.TEXT:
            column = replace(column, datatype=arguments[0].column.datatype)
        return b.Function(node.name, tuple(arguments), kind, column)

    def _coalesce(self, node: n.Call) -> b.Value:
        if not node.arguments:
            raise self.error("COALESCE takes one argument or more", node.at)
        arguments = [self.value(argument) for argument in node.arguments]
        kinds = {item.kind for item in arguments} - {Kind.NULL}
        xtypes = {item.column.xtype for item in arguments if not isinstance(item, b.Literal)}
        if Kind.GEOMETRY in kinds or (len(xtypes) > 1 and all(map(as_shape, arguments))):
            return self._coalesced_shapes(arguments, node)
        if kinds <= {Kind.INTEGER, Kind.REAL}:
            kind = Kind.REAL if Kind.REAL in kinds else Kind.INTEGER if kinds else Kind.NULL
        elif kinds == {Kind.TEXT}:
            kind = Kind.TEXT
        else:
            raise self.error("COALESCE takes numbers, texts or geometries, and no mixture", node.at)
        frames = {item.column.frame for item in arguments if not isinstance(item, b.Literal)}
        frame = frames.pop() if len(frames) == 1 else None
        like = next((item for item in arguments if item.kind is not Kind.NULL), arguments[0])
        column = replace(result_column(kind, like.column), frame=frame)
        if kind is Kind.TEXT:
            xtype = xtypes.pop() if len(xtypes) == 1 else None
            column = replace(column, datatype=_text_type(arguments), xtype=xtype)
        return b.Function("COALESCE", tuple(arguments), kind, column)

    def _coalesced_shapes(self, arguments: list[b.Value], node: n.Call) -> b.Value:
        shapes = [item if item.kind is Kind.NULL else as_shape(item) for item in arguments]
        known = tuple(shape for shape in shapes if shape is not None)
        if len(known) < len(shapes):
            raise self.error("COALESCE takes numbers, texts or geometries, and no mixture", node.at)
        points = all(shape.kind is Kind.NULL or is_point(shape) for shape in known)
        column = result_column(Kind.GEOMETRY, None, xtype="adql:POINT" if points else "adql:REGION")
        return b.Function("COALESCE", known, Kind.GEOMETRY, column)

    def _in_unit(self, node: n.Call) -> b.Value:
        """Multiply by the factor between two units (ADQL 2.1 section 4.9.1)."""
        if len(node.arguments) != 2 or not isinstance(wanted := node.arguments[1], n.String):
            raise self.error("IN_UNIT is written IN_UNIT(value, 'unit')", node.at)
        value = self.number(node.arguments[0], "IN_UNIT")
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
        self._check_aggregate(node)
        count = result_column(Kind.INTEGER, None, ucd="meta.number")
        if node.star:
            return b.Aggregate("COUNT", None, distinct=False, kind=Kind.INTEGER, column=count)
        if len(node.arguments) != 1:
            raise self.error(f"{node.name} takes 1 argument, found {len(node.arguments)}", node.at)
        self._inside = True
        value = self.value(node.arguments[0])
        self._inside = False
        self._check_argument(value, node)
        match node.name:
            case "COUNT":
                kind, column = Kind.INTEGER, count
            case "MIN" | "MAX":
                if value.kind in {Kind.GEOMETRY, Kind.OTHER}:
                    raise self.error(f"{node.name} cannot compare {value.kind.value}", node.at)
                kind = value.kind
                column = replace(value.column, name="", description=None, utype=None, id=None)
                column = replace(column, ucd=ucd_of_aggregate(column.ucd, node.name))
            case _:
                if not value.kind.numeric:
                    raise self.error(
                        f"{node.name} takes numbers, found {value.kind.value}", node.at
                    )
                whole = node.name == "SUM" and value.kind is Kind.INTEGER
                kind = Kind.INTEGER if whole else Kind.REAL
                column = result_column(
                    kind, value.column, ucd=ucd_of_aggregate(value.column.ucd, node.name)
                )
                if node.name == "AVG":
                    column = replace(column, frame=value.column.frame)
        return b.Aggregate(node.name, value, node.distinct, kind, column)

    def _string_agg(self, node: n.Call) -> b.Value:
        """Resolve the aggregate that joins texts; its form is checked as a function's is."""
        self._check_aggregate(node)
        self._inside = True
        call = self._user_function(node)
        self._inside = False
        assert isinstance(call, b.Function)
        value, delimiter = call.arguments
        self._check_argument(value, node)
        column = replace(call.column, datatype=_text_type([value, delimiter]))
        return b.Aggregate(node.name, value, False, Kind.TEXT, column, delimiter)

    def _check_aggregate(self, node: n.Call) -> None:
        if not self.aggregates:
            raise self.error(f"{node.name} cannot be used in {self.clause}", node.at)
        if self._inside:
            raise self.error("an aggregate cannot stand within another", node.at)

    def _check_argument(self, value: b.Value, node: n.Call) -> None:
        """Refuse an aggregate over another's name, or over columns of an outer query alone."""
        if has_aggregate(value):
            raise self.error("an aggregate cannot stand within another", node.at)
        used = list(uses(value))
        local = {id(entry.relation) for entry in self.scope.exposed}
        if used and all(id(use.relation) not in local for use in used):
            raise self.error(
                f"{node.name} over columns of an outer query is not supported here", node.at
            )


def _text_type(values: list[b.Value]) -> str:
    """Give the VOTable datatype that holds the characters of all texts."""
    kinds = {value.column.datatype for value in values}
    return "unicodeChar" if "unicodeChar" in kinds else "char"
