"""What can be told of an expression's values before there are any."""

from __future__ import annotations

from collections.abc import Callable

from obscore.mapping.expressions.functions import FUNCTIONS, OPERATORS
from obscore.mapping.expressions.nodes import Constant, Kind, Name, Node, Operation
from obscore.mapping.expressions.parser import ExpressionSyntaxError

__all__ = ["kind_of"]

_PLURALS = {"number": "numbers", "text": "texts", "truth": "conditions", "any": "values"}
_SINGULARS = {"number": "a number", "text": "a text", "truth": "a condition", "any": "a value"}
_COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}


def kind_of(node: Node, kind_of_name: Callable[[str], Kind]) -> Kind:
    """Tell the kind of an expression's value.

    Parameters
    ----------
    node
        The expression.
    kind_of_name
        Gives the kind of what stands in braces.

    Raises
    ------
    ExpressionSyntaxError
        If a function or an operator is given what it cannot take, whatever the values.
    """
    match node:
        case Constant(value):
            if isinstance(value, bool):
                return "truth"
            return "text" if isinstance(value, str) else "number"
        case Name(name):
            return kind_of_name(name)
        case Operation(name, arguments):
            kinds = [kind_of(argument, kind_of_name) for argument in arguments]
            return _of_operation(name, kinds, node.place)


def _of_operation(name: str, kinds: list[Kind], place: int) -> Kind:
    function = FUNCTIONS.get(name) or OPERATORS[name]
    told = {"negative": "-"}.get(name, name)
    for number, kind in enumerate(kinds):
        wanted = function.takes[min(number, len(function.takes) - 1)]
        if not _may_be(kind, wanted):
            hint = "; number(...) reads one" if (kind, wanted) == ("text", "number") else ""
            raise ExpressionSyntaxError(
                f"'{told}' at character {place} takes {_PLURALS[wanted]}, and is given"
                f" {_SINGULARS[kind]}{hint}"
            )
    known = set(kinds) - {"any"}
    if name == "+" or name in _COMPARISONS:
        if len(known) > 1 or (known == {"truth"} and name not in {"==", "!="}):
            raise ExpressionSyntaxError(
                f"'{told}' at character {place} takes two numbers or two texts"
            )
        if name == "+":
            return known.pop() if len(known) == 1 and "any" not in kinds else "any"
    if name in {"if", "coalesce"}:
        values = kinds[1:] if name == "if" else kinds
        return values[0] if len(set(values)) == 1 else "any"
    return function.gives


def _may_be(kind: Kind, wanted: Kind) -> bool:
    """Tell whether a value of one kind may be taken where another is wanted."""
    return kind == wanted or "any" in {kind, wanted} or (kind, wanted) == ("number", "text")
