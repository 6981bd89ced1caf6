"""What a parsed expression is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Constant", "Kind", "Name", "Node", "Operation", "Scalar", "names_in"]

Scalar = str | int | float | bool
"""A value; None stands for none."""

Kind = Literal["number", "text", "truth", "any"]
"""What is known of a value before there is one; ``any`` of cards and facts."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or a text of the expression itself."""

    value: Scalar
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Name:
    """What stands in braces."""

    name: str
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Operation:
    """A function or an operator with its arguments."""

    name: str
    """Of `functions.FUNCTIONS` or `functions.OPERATORS`."""
    arguments: tuple[Node, ...]
    place: int
    """Of its first character in the text, from 1."""
    depth: int
    """Levels of the tree below and with it."""


Node = Constant | Name | Operation


def names_in(node: Node) -> Iterator[str]:
    """Give the names in an expression, in order, each as often as it stands there."""
    match node:
        case Name(name):
            yield name
        case Operation(arguments=arguments):
            for argument in arguments:
                yield from names_in(argument)
        case Constant():
            return
