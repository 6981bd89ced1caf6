"""Files of one kind, their facts as columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from obscore.assembly.bands import BandTable
from obscore.assembly.rules import PlacedRule, Rules
from obscore.observation import Value
from obscore.sources.base import Candidate, Part

__all__ = ["Block", "Column", "blocks"]

Column = list[Value]

_WHOLE = Part()


@dataclass
class Block:
    """Files with one product each, whose facts have the same names and units."""

    numbers: list[int]
    """Places among the files that were asked for."""
    candidates: list[Candidate]
    parts: list[Part]
    facts: dict[str, Column]
    units: Mapping[str, str]
    rules: Rules
    mapping: Mapping[str, PlacedRule]
    bands: BandTable
    columns: dict[str, Column] = field(default_factory=dict)
    """What is known so far of the rows, by column; all of one length."""
    is_plain: NDArray[np.bool_] = field(init=False)
    """Rows that are no matter for the slow twin."""

    def __post_init__(self) -> None:
        self.is_plain = np.ones(len(self.candidates), np.bool_)

    def __len__(self) -> int:
        return len(self.candidates)

    def column(self, name: str) -> Column:
        """Give a column; without values if nothing gives it."""
        return self.columns.get(name) or [None] * len(self)

    def number(self, name: str) -> NDArray[np.float64]:
        """Give a column of numbers; NaN where there is none."""
        found = self.columns.get(name)
        if found is None:
            return np.full(len(self), math.nan)
        return np.array(found, np.float64)

    def leave(self, is_odd: NDArray[np.bool_]) -> None:
        """Leave rows to the slow twin."""
        self.is_plain &= ~is_odd


def blocks(candidates: Sequence[Candidate], rules: Rules, bands: BandTable) -> Iterator[Block]:
    """Cut files into blocks; those of several products are in none."""
    found: dict[tuple[object, ...], list[int]] = {}
    for number, candidate in enumerate(candidates):
        if len(candidate.parts) > 1:
            continue
        part = candidate.parts[0] if candidate.parts else _WHOLE
        mapping = rules.mapping_for(candidate.relative)
        units = tuple(candidate.units.items()) if candidate.units else ()
        key = (id(mapping), tuple(candidate.facts), tuple(part.facts), units)
        found.setdefault(key, []).append(number)
    for numbers in found.values():
        chosen = [candidates[number] for number in numbers]
        parts = [one.parts[0] if one.parts else _WHOLE for one in chosen]
        mapping = rules.mapping_for(chosen[0].relative)
        facts = _columns([one.facts for one in chosen]) | _columns([one.facts for one in parts])
        yield Block(numbers, chosen, parts, facts, chosen[0].units, rules, mapping, bands)


def _columns(facts: Sequence[Mapping[str, Value]]) -> dict[str, Column]:
    names = tuple(facts[0])
    cells = zip(*(one.values() for one in facts), strict=True)
    return dict(zip(names, map(list, cells), strict=True))
