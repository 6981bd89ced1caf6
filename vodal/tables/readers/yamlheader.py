"""The YAML header of an ECSV table, as plain texts, lists and mappings.

The parser's events alone are used: no tag makes an object, an alias stands for nothing, and neither
depth nor length is without a limit. astropy's own reader makes objects of its tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from vodal.errors import UsageError

__all__ = ["load_header"]

_DEEPEST = 30
_NOTHING = {"", "~", "null", "Null", "NULL"}

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of which only the parser is used."""


def load_header(text: str) -> Mapping[str, Any]:
    """Read the header.

    Parameters
    ----------
    text
        YAML, without the signs of a comment.

    Returns
    -------
    mapping
        Scalars are texts as they are written, None for null and for aliases; ordered maps
        (``!!omap``) are lists of mappings.

    Raises
    ------
    UsageError
        If it is no YAML, is nested too deeply, or is no mapping.
    """
    try:
        found = _built(text)
    except yaml.YAMLError as error:
        problem = str(getattr(error, "problem", None) or "it cannot be parsed")
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in its line {mark.line + 1}"
        raise UsageError(f"the ECSV header is no YAML: {problem[:100]}{where}") from None
    if not isinstance(found, dict):
        raise UsageError("the ECSV header has no datatype, which names the columns")
    return found


class _Node:
    """A list or a mapping that is being filled."""

    def __init__(self, *, is_mapping: bool) -> None:
        self.value: dict[str, Any] | list[Any] = {} if is_mapping else []
        self._key: str | None = None
        self._has_key = False

    def add(self, value: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif not self._has_key:
            self._key, self._has_key = value if isinstance(value, str) else None, True
        else:
            if self._key is not None:
                self.value[self._key] = value
            self._has_key = False


def _built(text: str) -> Any:
    """Put the events of the first document together."""
    open_nodes: list[_Node] = []
    value: Any
    for event in yaml.parse(text, Loader=_LOADER):
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                if len(open_nodes) >= _DEEPEST:
                    raise UsageError(f"the ECSV header is nested more than {_DEEPEST} deep")
                open_nodes.append(_Node(is_mapping=isinstance(event, yaml.MappingStartEvent)))
                continue
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                value = open_nodes.pop().value
            case yaml.ScalarEvent():
                plain = event.style is None and event.value in _NOTHING
                value = None if plain else event.value
            case yaml.AliasEvent():
                value = None
            case yaml.DocumentEndEvent():
                return None
            case _:
                continue
        if not open_nodes:
            return value
        open_nodes[-1].add(value)
    return None
