"""From the tree of an expression and the values of its names to its value."""

from __future__ import annotations

import math
from collections.abc import Callable

from obscore.mapping.expressions.functions import (
    FUNCTIONS,
    LAZY,
    OPERATORS,
    ExpressionError,
    cast,
)
from obscore.mapping.expressions.nodes import Constant, Name, Node, Operation, Scalar

__all__ = ["Lookup", "evaluate"]

Lookup = Callable[[str], Scalar | None]
"""Gives the value of what stands in braces; None for none."""


def evaluate(node: Node, lookup: Lookup) -> Scalar | None:
    """Give an expression's value.

    Parameters
    ----------
    node
        The expression.
    lookup
        Called for each name that is needed.

    Returns
    -------
    str, float, int, bool or None
        None if a name that is needed has no value. Numbers are finite.

    Raises
    ------
    ExpressionError
        If there is no value for these cards: a text where a number is needed, a division by zero.
    """
    match node:
        case Constant(value):
            return value
        case Name(name):
            return lookup(name)
        case Operation(name, arguments) if name in LAZY:
            return _lazy(name, arguments, lookup)
        case Operation(name, arguments):
            return _apply(name, arguments, lookup)


def _apply(name: str, arguments: tuple[Node, ...], lookup: Lookup) -> Scalar | None:
    function = FUNCTIONS.get(name) or OPERATORS[name]
    values: list[Scalar] = []
    for number, argument in enumerate(arguments):
        value = evaluate(argument, lookup)
        if value is None:
            return None
        values.append(cast(value, function.takes[min(number, len(function.takes) - 1)]))
    try:
        made = function.do(*values)
    except OverflowError:
        raise ExpressionError(f"the result of '{name}' is too large") from None
    if isinstance(made, float) and not math.isfinite(made):
        raise ExpressionError(f"the result of '{name}' is too large")
    return made


def _lazy(name: str, arguments: tuple[Node, ...], lookup: Lookup) -> Scalar | None:
    match name:
        case "has":
            return evaluate(arguments[0], lookup) is not None
        case "coalesce":
            values = (evaluate(argument, lookup) for argument in arguments)
            return next((value for value in values if value is not None), None)
        case "if":
            met = evaluate(arguments[0], lookup)
            if met is None:
                return None
            return evaluate(arguments[1 if cast(met, "truth") else 2], lookup)
        case _:
            return _joined(arguments, lookup, decides=name == "or")


def _joined(arguments: tuple[Node, ...], lookup: Lookup, *, decides: bool) -> bool | None:
    """Give the value of 'and' or 'or': what decides does so beside a condition without value."""
    unknown = False
    for argument in arguments:
        value = evaluate(argument, lookup)
        if value is None:
            unknown = True
        elif cast(value, "truth") is decides:
            return decides
    return None if unknown else not decides
