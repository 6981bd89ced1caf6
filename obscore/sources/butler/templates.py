"""Templates over a dataset: the `str.format` syntax of LSST's ObsCore configuration.

Names in braces may go on with ``[key]`` and ``.attribute``, ``!s`` or ``!r``, and a format after a
colon. Names that begin with an underscore are refused, so that a template can read what a dataset
says and nothing else.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

__all__ = ["MissingError", "Template", "Way", "parse_template", "parse_way"]


class MissingError(LookupError):
    """A dataset does not have what a template names."""


@dataclass(frozen=True, slots=True)
class Way:
    """A name, and the keys and attributes that lead from its value to another."""

    name: str
    steps: tuple[tuple[bool, str | int], ...] = ()
    """Each with whether it is an attribute."""

    def follow(self, names: Mapping[str, Any]) -> Any:
        """Give the value at the end.

        Raises
        ------
        MissingError
            If there is none, or it is None.
        """
        value = names.get(self.name)
        for is_attribute, step in self.steps:
            if value is None:
                break
            try:
                value = getattr(value, str(step)) if is_attribute else value[step]
            except (AttributeError, LookupError, TypeError):
                raise MissingError(str(self)) from None
        if value is None:
            raise MissingError(str(self))
        return value

    @override
    def __str__(self) -> str:
        return self.name + "".join(
            f".{step}" if is_attribute else f"[{step}]" for is_attribute, step in self.steps
        )


_WAY = re.compile(r"([A-Za-z]\w*)((?:\.[A-Za-z]\w*|\[[^\[\]_][^\[\]]*\])*)")
_STEP = re.compile(r"\.(\w+)|\[([^\]]+)\]")


def parse_way(text: str) -> Way:
    """Read a name with keys and attributes: ``records[visit].timespan.begin``.

    Raises
    ------
    ValueError
        If it is none, or a part of it begins with an underscore.
    """
    found = _WAY.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no name with .attribute or [key]")
    steps: list[tuple[bool, str | int]] = []
    for attribute, key in _STEP.findall(found[2]):
        steps.append((bool(attribute), attribute or (int(key) if key.isdecimal() else key)))
    return Way(found[1], tuple(steps))


@dataclass(frozen=True, slots=True)
class Template:
    """A text with values in it."""

    text: str
    parts: tuple[str | tuple[Way, Callable[[Any], str]], ...]

    @property
    def ways(self) -> tuple[Way, ...]:
        """What it names."""
        return tuple(part[0] for part in self.parts if not isinstance(part, str))

    def fill(self, names: Mapping[str, Any]) -> str:
        """Put values in.

        Raises
        ------
        MissingError
            If one is missing.
        """
        return "".join(
            part if isinstance(part, str) else part[1](part[0].follow(names)) for part in self.parts
        )


_CONVERSIONS: dict[str | None, Callable[[Any], Any]] = {
    None: lambda value: value,
    "s": str,
    "r": repr,
    "a": ascii,
}


def parse_template(text: str) -> Template:
    """Read a template.

    Raises
    ------
    ValueError
        If its braces do not pair up, or it asks for what is not supported; the message names it.
    """
    parts: list[str | tuple[Way, Callable[[Any], str]]] = []
    for literal, field, spec, conversion in string.Formatter().parse(text):
        if literal:
            parts.append(literal)
        if field is None:
            continue
        if not field:
            raise ValueError("'{}' names nothing")
        if spec and "{" in spec:
            raise ValueError(f"'{spec}' is a template within a format")
        if conversion not in _CONVERSIONS:
            raise ValueError(f"'!{conversion}' is none of !s, !r and !a")
        parts.append((parse_way(field), _formatted(_CONVERSIONS[conversion], spec or "")))
    return Template(text, tuple(parts))


def _formatted(convert: Callable[[Any], Any], spec: str) -> Callable[[Any], str]:
    return lambda value: format(convert(value), spec)
