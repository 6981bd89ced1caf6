"""Resolved conditions and values in ADQL again, for whoever is told what became of a query."""

from __future__ import annotations

from collections.abc import Sequence

from obscore.adql import bound as b
from obscore.adql.tokens import delimited
from vodal.regions import Circle, Point, Polygon, Shape, shape_text

__all__ = ["Wording", "text_literal"]

_LONGEST_TEXT = 60
"""Characters of a text or a map that are repeated."""

_LONGEST_LIST = 5
"""Members of a list that are repeated."""


def text_literal(text: str) -> str:
    """Write a text as ADQL has it in a query, in quotes (ADQL 2.1 section 2.1.4)."""
    return "'{}'".format(text.replace("'", "''"))


class Wording:
    """Writes parts of one query.

    Parameters
    ----------
    qualified
        Whether columns have their table's name before them; needed where there are several tables.
    """

    def __init__(self, *, qualified: bool) -> None:
        self._qualified = qualified

    def value(self, value: b.Value) -> str:
        """Write a value."""
        match value:
            case b.Literal() | b.ShapeValue() | b.MocValue():
                return _constant(value)
            case b.Use(relation, field):
                name = delimited(field.name)
                shown = self._qualified and relation.name
                return f"{delimited(relation.name)}.{name}" if shown else name
            case b.Function():
                return self._function(value)
            case b.Operation(first, rest):
                parts = [self._operand(first)]
                parts += [f"{operator} {self._operand(item)}" for operator, item in rest]
                return " ".join(parts)
            case b.Minus(operand):
                return f"-{self._operand(operand)}"
            case b.Cast(operand, target, length):
                size = "" if length is None else f"({length})"
                return f"CAST({self.value(operand)} AS {target}{size})"
            case b.Aggregate(name, argument, distinct):
                inner = "*" if argument is None else self.value(argument)
                return f"{_called(name)}({'DISTINCT ' if distinct else ''}{inner})"
            case b.Tally(argument):
                return f"COUNT({'*' if argument is None else self.value(argument)})"

    def _function(self, value: b.Function) -> str:
        arguments = [self.value(item) for item in value.arguments]
        if value.name in {"SHAPE", "GEOMETRY_TEXT"}:
            # Ours: a column's text as the geometry that it is, and the other way round.
            return arguments[0]
        return f"{_called(value.name)}({', '.join(arguments)})"

    def _operand(self, value: b.Value) -> str:
        written = self.value(value)
        return f"({written})" if isinstance(value, b.Operation) else written

    def condition(self, condition: b.Condition) -> str:
        """Write a condition; look-ups in an index, which no query has, are left out."""
        match condition:
            case b.Compare(operator, left, right):
                return f"{self.value(left)} {operator} {self.value(right)}"
            case b.Between(operand, low, high, negated):
                bounds = f"{self.value(low)} AND {self.value(high)}"
                return f"{self.value(operand)} {_not(negated)}BETWEEN {bounds}"
            case b.InValues(operand, values, negated):
                return f"{self.value(operand)} {_not(negated)}IN ({self._list(values)})"
            case b.InQuery(operand, _, negated):
                return f"{self.value(operand)} {_not(negated)}IN (sub-query)"
            case b.Like(operand, pattern, negated, any_case):
                word = "ILIKE" if any_case else "LIKE"
                return f"{self.value(operand)} {_not(negated)}{word} {self.value(pattern)}"
            case b.IsNull(operand, negated):
                return f"{self.value(operand)} IS {_not(negated)}NULL"
            case b.Exists():
                return "EXISTS (sub-query)"
            case b.Nearby():
                return ""
            case b.NotThat() | b.AllOf() | b.AnyOf():
                return self._combined(condition)

    def _combined(self, condition: b.NotThat | b.AllOf | b.AnyOf) -> str:
        if isinstance(condition, b.NotThat):
            return f"NOT ({self.condition(condition.operand)})"
        word, other = (" AND ", b.AnyOf) if isinstance(condition, b.AllOf) else (" OR ", b.AllOf)
        parts = []
        for operand in condition.operands:
            written = self.condition(operand)
            if written:
                parts.append(f"({written})" if isinstance(operand, other) and word in written
                             else written)  # fmt: skip
        return word.join(parts)

    def _list(self, values: Sequence[b.Value] | Sequence[int | float | str]) -> str:
        shown = [
            self.value(item) if isinstance(item, b.Value) else _literal(item)
            for item in values[:_LONGEST_LIST]
        ]
        if len(values) > _LONGEST_LIST:
            shown.append(f"... {len(values) - _LONGEST_LIST} more")
        return ", ".join(shown)


def _not(negated: bool) -> str:  # noqa: FBT001 - a mark of the tree, not an option
    return "NOT " if negated else ""


def _called(name: str) -> str:
    return name.lower() if name.startswith("IVO_") else name


def _constant(value: b.Literal | b.ShapeValue | b.MocValue) -> str:
    match value:
        case b.Literal(literal):
            return _literal(literal)
        case b.ShapeValue(shape):
            return _shape(shape)
        case b.MocValue(moc):
            return f"MOC(order {moc.order}, {len(moc.starts)} ranges of cells)"


def _literal(value: float | str | None) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            short = value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}..."
            return text_literal(short)
        case _:
            return repr(value)


def _shape(shape: Shape) -> str:
    match shape:
        case Point(ra_deg, dec_deg):
            return f"POINT({ra_deg!r}, {dec_deg!r})"
        case Circle(ra_deg, dec_deg, radius_deg):
            return f"CIRCLE({ra_deg!r}, {dec_deg!r}, {radius_deg!r})"
        case Polygon(vertices):
            shown = [f"{ra!r}, {dec!r}" for ra, dec in vertices[:_LONGEST_LIST]]
            if len(vertices) > _LONGEST_LIST:
                shown.append(f"... {len(vertices) - _LONGEST_LIST} more")
            return f"POLYGON({', '.join(shown)})"
        case _:
            return f"REGION('{shape_text(shape)}')"
