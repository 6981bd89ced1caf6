"""What is known of a computation before it is made: constants folded, units, UCDs."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from obscore.adql import bound as b
from obscore.adql.types import Kind, result_column
from obscore.adql.units import power, product
from obscore.adql.userdefined.dates import timestamp
from vodal.errors import UsageError

__all__ = [
    "as_time",
    "as_timestamp",
    "fold",
    "literal",
    "ucd_of_aggregate",
    "unit_of_chain",
    "unit_of_power",
]


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


def as_timestamp(value: float | str | None) -> str | None:
    """Give a date in the form in which dates are kept; None if it is none."""
    try:
        return timestamp(value) if isinstance(value, str) else None
    except UsageError:
        return None


def as_time(value: b.Value, other: b.Value) -> b.Value:
    """Give a text that is compared with a time in the form of times, if it is a date."""
    if other.column.xtype != "timestamp" or not isinstance(value, b.Literal):
        return value
    text = as_timestamp(value.value)
    return value if text is None else replace(value, value=text)


def unit_of_chain(operands: list[b.Value], signs: list[str]) -> str | None:
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


def unit_of_power(arguments: list[b.Value]) -> str | None:
    """Give the unit of POWER with a number for its exponent, or of SQRT."""
    if len(arguments) == 1:
        return power(arguments[0].column.unit, Fraction(1, 2))
    exponent = arguments[1]
    if not isinstance(exponent, b.Literal) or not isinstance(exponent.value, int | float):
        return None
    return power(arguments[0].column.unit, Fraction(exponent.value).limit_denominator(10))


_STATISTICS = {"MIN": "stat.min", "MAX": "stat.max", "AVG": "stat.mean", "SUM": "arith.sum"}


def ucd_of_aggregate(ucd: str | None, aggregate: str) -> str | None:
    """Give the UCD of an aggregate: the word behind says which, unless one is there (UCD1+ 2.4)."""
    if not ucd or any(word.startswith(("stat.", "arith.")) for word in ucd.lower().split(";")):
        return ucd
    return f"{ucd};{_STATISTICS[aggregate]}"


def fold(operands: list[b.Value], signs: list[str]) -> b.Literal | None:
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
