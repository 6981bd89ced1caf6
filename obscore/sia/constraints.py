"""The values of a parameter as a condition of ADQL.

A column that is NULL satisfies no condition (SIA 2.0 section 2.1). Texts compare by their case,
identifiers do not (section 2.1.10: they are IVOIDs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from obscore.adql.wording import text_literal
from obscore.sia.parameters import TYPES, Parameter
from vodal.errors import UsageError
from vodal.fits.stokes import CANONICAL
from vodal.regions import parse_numbers, parse_pos, shape_text

__all__ = ["DATALINK", "FITS_TYPES", "MOST_VALUES", "condition"]

MOST_VALUES = 1000
"""Values that one parameter takes."""
DATALINK = "application/x-votable+xml;content=datalink"
"""What ``access_format`` says of each row."""
FITS_TYPES = frozenset({"application/fits", "image/fits"})
"""Media types of the files that the links of every row lead to."""


def condition(parameter: Parameter, values: Sequence[str]) -> str:
    """Give the condition that rows satisfy which any of the values asks for.

    Parameters
    ----------
    parameter
        One of `PARAMETERS`.
    values
        As sent; one at least.

    Returns
    -------
    str
        ADQL, in parentheses.

    Raises
    ------
    UsageError
        If a value is none that the parameter takes, or there are too many.
    """
    if len(values) > MOST_VALUES:
        raise UsageError(
            f"{parameter.name} is given {len(values)} times; at most {MOST_VALUES} values are taken"
        )
    values = tuple(dict.fromkeys(values))
    match parameter.kind:
        case "region":
            found = [_region(parameter, value) for value in values]
        case "overlap":
            found = [_overlap(parameter, *_interval(parameter, value)) for value in values]
        case "within":
            found = [_within(parameter, *_interval(parameter, value)) for value in values]
        case "states":
            found = [_state(parameter, value) for value in values]
        case "identifier":
            listed = ", ".join(f"LOWER({text_literal(value)})" for value in values)
            found = [f"LOWER({parameter.columns[0]}) IN ({listed})"]
        case "text":
            found = [_texts(parameter, values)]
        case "level":
            levels = ", ".join(str(_level(parameter, value)) for value in values)
            found = [f"{parameter.columns[0]} IN ({levels})"]
        case "format":
            found = [_formats(parameter, values)]
    return "(" + " OR ".join(found) + ")"


def _region(parameter: Parameter, value: str) -> str:
    shape = parse_pos(value, parameter.name)
    return f"1 = INTERSECTS(REGION({text_literal(shape_text(shape))}), {parameter.columns[0]})"


def _interval(parameter: Parameter, value: str) -> tuple[float, float]:
    unit = f" in {parameter.unit}" if parameter.unit else ""
    takes = f"a number or two numbers 'low high'{unit}; -Inf and +Inf are ends"
    numbers = parse_numbers(value, parameter.name, infinite=True, takes=takes)
    if len(numbers) not in {1, 2}:
        raise UsageError(f"{parameter.name} takes {takes}, not {len(numbers)} numbers")
    low, high = numbers[0], numbers[-1]
    if low == math.inf or high == -math.inf or low > high:
        raise UsageError(
            f"{parameter.name}: the interval from {low:g} to {high:g} is empty; low comes first"
        )
    return low, high


def _overlap(parameter: Parameter, low: float, high: float) -> str:
    first, last = parameter.columns
    parts = [
        f"{first} <= {high!r}" if high < math.inf else f"{first} IS NOT NULL",
        f"{last} >= {low!r}" if low > -math.inf else f"{last} IS NOT NULL",
    ]
    return "(" + " AND ".join(parts) + ")"


def _within(parameter: Parameter, low: float, high: float) -> str:
    (column,) = parameter.columns
    parts = [f"{column} >= {low!r}"] if low > -math.inf else []
    parts += [f"{column} <= {high!r}"] if high < math.inf else []
    return "(" + (" AND ".join(parts) or f"{column} IS NOT NULL") + ")"


def _state(parameter: Parameter, value: str) -> str:
    if value not in CANONICAL:
        raise UsageError(f"POL takes one of {', '.join(CANONICAL)}, not '{value[:20]}'")
    return f"{parameter.columns[0]} LIKE '%/{value}/%'"


def _texts(parameter: Parameter, values: Sequence[str]) -> str:
    if parameter.name == "DPTYPE":
        for value in values:
            if value not in TYPES:
                raise UsageError(
                    f"DPTYPE takes {' or '.join(TYPES)} here, not '{value[:40]}'; /tap finds others"
                )
    return f"{parameter.columns[0]} IN ({', '.join(text_literal(value) for value in values)})"


def _level(parameter: Parameter, value: str) -> int:
    if value not in {"0", "1", "2", "3", "4"}:
        raise UsageError(f"{parameter.name} takes 0, 1, 2, 3 or 4, not '{value[:20]}'")
    return int(value)


def _formats(parameter: Parameter, values: Sequence[str]) -> str:
    # A plus sign that was not percent-encoded arrives as a blank.
    asked = {
        "".join(value.lower().replace("votable xml", "votable+xml").split()) for value in values
    }
    if asked & FITS_TYPES:
        asked |= {DATALINK}
    return f"{parameter.columns[0]} IN ({', '.join(map(text_literal, sorted(asked)))})"
