"""Words and numbers of parameters, read as `soda.parameters` declares them."""

from __future__ import annotations

import math

from soda.parameters import Parameter, Resource, declared
from vodal.errors import UsageError
from vodal.params import Params
from vodal.regions import parse_numbers

__all__ = ["flag", "number", "whole_number", "whole_numbers", "word"]


def word(params: Params, name: str, resource: Resource = "sync") -> str:
    """Read one of the options, in any case; the first if none is given.

    Raises
    ------
    UsageError
        If it is another word, or given with different values.
    """
    options = declared(name, resource).options
    text = params.one(name)
    if text is None:
        return options[0]
    for option in options:
        if text.lower() == option.lower():
            return option
    raise UsageError(f"{name} may be {', '.join(options)}; not '{text[:40]}'")


_TRUE, _FALSE = ("1", "true", "t", "yes"), ("0", "false", "f", "no")


def flag(params: Params, name: str, resource: Resource = "sync") -> bool:
    """Read a yes or no, no if none is given (DALI 1.1 section 3.3.2, and words of forms).

    Raises
    ------
    UsageError
        If it is neither.
    """
    options = declared(name, resource).options
    text = (params.one(name) or options[0]).lower()
    if text not in _TRUE + _FALSE:
        raise UsageError(f"{name} may be {', '.join(options)}; not '{text[:40]}'")
    return text in _TRUE


def number(params: Params, name: str, what: str = "", resource: Resource = "sync") -> float | None:
    """Read one number within its bounds; None if none is given.

    Parameters
    ----------
    params
        Of the request.
    name
        Of the parameter.
    what
        What it is, for the error.
    resource
        Where it is asked for.

    Raises
    ------
    UsageError
        If it is none, or out of bounds.
    """
    text = params.one(name)
    if text is None:
        return None
    one = declared(name, resource)
    takes = f"one number{_bounds(one)}{what and f': {what}'}"
    numbers = parse_numbers(text, name, takes=takes)
    if len(numbers) != 1 or not _within(numbers[0], one):
        raise UsageError(f"{name} takes {takes}; not '{text[:40]}'")
    return numbers[0]


def whole_number(params: Params, name: str) -> int | None:
    """Read one whole number within its bounds, ``40.0`` too; None if none is given.

    Raises
    ------
    UsageError
        If it is none, or out of bounds.
    """
    found = _whole(params, name, "sync", 1, f"one whole number{_bounds(declared(name))}")
    return found[0] if found else None


def whole_numbers(
    params: Params, name: str, what: str, resource: Resource = "sync"
) -> tuple[int, int] | None:
    """Read two whole numbers within their bounds; None if none are given.

    Raises
    ------
    UsageError
        If they are not that.
    """
    takes = f"two whole numbers{_bounds(declared(name, resource))}: {what}"
    found = _whole(params, name, resource, 2, takes)
    return (found[0], found[1]) if found else None


def _whole(params: Params, name: str, resource: Resource, count: int, takes: str) -> list[int]:
    """Give so many numbers; none if none are given."""
    text = params.one(name)
    if text is None:
        return []
    one = declared(name, resource)
    # pyvo 1.9 writes those of a parameter with a unit as 40.0.
    numbers = parse_numbers(text, name, takes=takes)
    if len(numbers) != count or not all(
        value == math.floor(value) and _within(value, one) for value in numbers
    ):
        raise UsageError(f"{name} takes {takes}; not '{text[:40]}'")
    return [int(value) for value in numbers]


def _within(value: float, one: Parameter) -> bool:
    return (
        (one.above is None or value > one.above)
        and (one.least is None or value >= one.least)
        and (one.most is None or value <= one.most)
    )


def _bounds(one: Parameter) -> str:
    upper = "" if one.most is None else f" to {_plain(one.most)}"
    if one.least is not None:
        return f" from {_plain(one.least)}{upper}"
    if one.above is not None:
        return f" above {_plain(one.above)}" + ("" if one.most is None else f" and up{upper}")
    return ""


def _plain(value: float) -> str:
    return str(int(value)) if value == math.floor(value) else f"{value:g}"
