"""Functions and operators of expressions, as data: arguments, result, what they do."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from obscore.mapping.dates import read_moment
from obscore.mapping.expressions.nodes import Kind, Scalar
from obscore.mapping.values import as_number, plain

__all__ = [
    "FUNCTIONS",
    "LAZY",
    "LONGEST_TEXT",
    "OPERATORS",
    "ExpressionError",
    "Function",
    "cast",
    "shown",
]

LONGEST_TEXT = 10_000
"""Characters of a text that an expression takes or makes."""

LAZY = frozenset({"if", "and", "or", "coalesce", "has"})
"""What may have a value though an argument has none; `evaluation` knows how."""


class ExpressionError(Exception):
    """Values for which an expression has no value; says why in a few words."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or an operator."""

    takes: tuple[Kind, ...]
    """Kinds of the arguments; the last is that of all further ones."""
    least: int
    most: int
    gives: Kind
    do: Callable[..., Scalar | None]
    """Called with arguments of the kinds; None is no value."""
    meaning: str


def shown(value: object) -> str:
    """Write a value for a message."""
    text = plain(value)
    return f"'{text[:40]}{'...' if len(text) > 40 else ''}'"


def cast(value: Scalar, kind: Kind) -> Scalar:
    """Bring a value to a kind: texts that are numbers are read, numbers are written.

    Raises
    ------
    ExpressionError
        If it is none of that kind.
    """
    match kind:
        case "number":
            number = as_number(value)
            if number is None:
                raise ExpressionError(f"{shown(value)} is no number")
            return number
        case "text":
            text = plain(value)
            if len(text) > LONGEST_TEXT:
                raise ExpressionError(f"a text is longer than {LONGEST_TEXT} characters")
            return text
        case "truth":
            if not isinstance(value, bool):
                raise ExpressionError(f"{shown(value)} is neither true nor false")
            return value
        case "any":
            return value


def _add(a: Scalar, b: Scalar) -> Scalar:
    if isinstance(a, str) and isinstance(b, str):
        if len(a) + len(b) > LONGEST_TEXT:
            raise ExpressionError(f"a text is longer than {LONGEST_TEXT} characters")
        return a + b
    return float(cast(a, "number")) + float(cast(b, "number"))


def _equal(a: Scalar, b: Scalar) -> bool:
    if isinstance(a, str) == isinstance(b, str):
        return a == b
    # A number in quotes is one; any other text is no number's equal.
    left, right = as_number(a), as_number(b)
    return left is not None and left == right


def _compared(a: Scalar, b: Scalar) -> int:
    if isinstance(a, str) and isinstance(b, str):
        return (a > b) - (a < b)
    left, right = float(cast(a, "number")), float(cast(b, "number"))
    return (left > right) - (left < right)


def _divide(a: float, b: float) -> float:
    if b == 0.0:
        raise ExpressionError("division by zero")
    return a / b


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except ValueError:
        raise ExpressionError(f"{a:g} ** {b:g} is no real number") from None


def _logarithm(x: float) -> float:
    if x <= 0.0:
        raise ExpressionError(f"{x:g} has no logarithm")
    return math.log10(x)


def _root(x: float) -> float:
    if x < 0.0:
        raise ExpressionError(f"{x:g} has no square root")
    return math.sqrt(x)


def _whole(x: float, what: str) -> int:
    if x != int(x):
        raise ExpressionError(f"{what} is {x:g}, no whole number")
    return int(x)


def _round(x: float, digits: float = 0.0) -> float:
    return round(x, max(-400, min(400, _whole(digits, "the number of digits"))))


def _replace(text: str, old: str, new: str) -> str:
    if not old:
        raise ExpressionError("replace has nothing to look for")
    if len(text) + text.count(old) * (len(new) - len(old)) > LONGEST_TEXT:
        raise ExpressionError(f"a text is longer than {LONGEST_TEXT} characters")
    return text.replace(old, new)


def _substring(text: str, first: float, length: float | None = None) -> str:
    start = _whole(first, "the first character")
    if start < 1:
        raise ExpressionError("the first character of a text is number 1")
    if length is None:
        return text[start - 1 :]
    count = _whole(length, "the length")
    if count < 0:
        raise ExpressionError("a length is less than 0")
    return text[start - 1 : start - 1 + count]


def _split(text: str, separator: str, part: float) -> str | None:
    if not separator:
        raise ExpressionError("split has no separator")
    number, parts = _whole(part, "the part"), text.split(separator)
    if number == 0 or abs(number) > len(parts):
        return None
    return parts[number - 1 if number > 0 else number].strip() or None


def _mjd(text: str) -> float:
    moment = read_moment(text)
    if moment is None:
        raise ExpressionError(f"{shown(text)} is no date")
    return moment


def _timestamp(mjd: float) -> str:
    zero = dt.datetime(1858, 11, 17, tzinfo=dt.UTC)
    try:
        moment = zero + dt.timedelta(seconds=round(mjd * 86400.0))
    except OverflowError:
        raise ExpressionError(f"{mjd:g} is no date") from None
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


_SEXAGESIMAL = re.compile(r"([+-]?)(\d{1,3})[: ](\d{1,2})(?:[: ](\d{1,2}(?:\.\d*)?))?")


def _sexagesimal(text: str) -> float:
    number = as_number(text)
    if number is not None:
        return number
    match = _SEXAGESIMAL.fullmatch(" ".join(text.split()))
    if match is None or int(match[3]) >= 60 or float(match[4] or 0.0) >= 60.0:
        raise ExpressionError(f"{shown(text)} is no angle")
    size = int(match[2]) + int(match[3]) / 60.0 + float(match[4] or 0.0) / 3600.0
    return -size if match[1] == "-" else size


def _same(*values: Any) -> Any:  # of LAZY, which are never called
    raise NotImplementedError(values)


_MANY = 50

OPERATORS: dict[str, Function] = {
    "if": Function(("truth", "any", "any"), 3, 3, "any", _same, ""),
    "or": Function(("truth",), 2, 2, "truth", _same, ""),
    "and": Function(("truth",), 2, 2, "truth", _same, ""),
    "not": Function(("truth",), 1, 1, "truth", lambda a: not a, ""),
    "==": Function(("any",), 2, 2, "truth", _equal, ""),
    "!=": Function(("any",), 2, 2, "truth", lambda a, b: not _equal(a, b), ""),
    "<": Function(("any",), 2, 2, "truth", lambda a, b: _compared(a, b) < 0, ""),
    "<=": Function(("any",), 2, 2, "truth", lambda a, b: _compared(a, b) <= 0, ""),
    ">": Function(("any",), 2, 2, "truth", lambda a, b: _compared(a, b) > 0, ""),
    ">=": Function(("any",), 2, 2, "truth", lambda a, b: _compared(a, b) >= 0, ""),
    "+": Function(("any",), 2, 2, "any", _add, ""),
    "-": Function(("number",), 2, 2, "number", lambda a, b: a - b, ""),
    "*": Function(("number",), 2, 2, "number", lambda a, b: a * b, ""),
    "/": Function(("number",), 2, 2, "number", _divide, ""),
    "**": Function(("number",), 2, 2, "number", _power, ""),
    "negative": Function(("number",), 1, 1, "number", lambda a: -a, ""),
}

FUNCTIONS: dict[str, Function] = {
    "coalesce": Function(("any",), 1, _MANY, "any", _same, "the first argument that has a value"),
    "has": Function(("any",), 1, 1, "truth", _same, "whether there is a value"),
    "number": Function(("text",), 1, 1, "number", lambda a: cast(a, "number"),
                       "the number that a text is"),
    "text": Function(("text",), 1, 1, "text", lambda a: a, "a number as text"),
    "lower": Function(("text",), 1, 1, "text", str.lower, "in small letters"),
    "upper": Function(("text",), 1, 1, "text", str.upper, "in capital letters"),
    "strip": Function(("text",), 1, 1, "text", str.strip, "without blanks at the ends"),
    "length": Function(("text",), 1, 1, "number", len, "number of characters"),
    "replace": Function(("text",), 3, 3, "text", _replace,
                        "`replace(text, old, new)`: each `old` by `new`"),
    "substring": Function(("text", "number"), 2, 3, "text", _substring,
                          "`substring(text, first, length)`: the first character is 1; all that"
                          " follow without a length"),
    "split": Function(("text", "text", "number"), 3, 3, "text", _split,
                      "`split(text, separator, n)`: the n-th part, from 1; -1 is the last"),
    "contains": Function(("text",), 2, 2, "truth", lambda a, b: b in a,
                         "whether a text has another in it"),
    "starts": Function(("text",), 2, 2, "truth", str.startswith, "whether it begins with another"),
    "ends": Function(("text",), 2, 2, "truth", str.endswith, "whether it ends with another"),
    "min": Function(("number",), 1, _MANY, "number", lambda *a: min(a), "the least"),
    "max": Function(("number",), 1, _MANY, "number", lambda *a: max(a), "the greatest"),
    "abs": Function(("number",), 1, 1, "number", abs, "without its sign"),
    "round": Function(("number",), 1, 2, "number", _round,
                      "`round(x, digits)`: to so many digits after the point, by default none;"
                      " halves to the even"),
    "floor": Function(("number",), 1, 1, "number", lambda a: float(math.floor(a)),
                      "the whole number below"),
    "ceil": Function(("number",), 1, 1, "number", lambda a: float(math.ceil(a)),
                     "the whole number above"),
    "sqrt": Function(("number",), 1, 1, "number", _root, "square root"),
    "log10": Function(("number",), 1, 1, "number", _logarithm, "logarithm to the base of 10"),
    "mjd": Function(("text",), 1, 1, "number", _mjd, "the MJD of a date, on the date's own scale"),
    "timestamp": Function(("number",), 1, 1, "text", _timestamp,
                          "an MJD as date and time: `2026-03-04T05:06:07`"),
    "deg": Function(("text",), 1, 1, "number", _sexagesimal,
                    "degrees of `-05:12:30.5`, or hours of `11:22:33.4`"),
}  # fmt: skip
"""By name; `meaning` is the line of the page on mappings."""
