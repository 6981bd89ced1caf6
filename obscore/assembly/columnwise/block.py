"""Files of one kind, their facts as columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from obscore.assembly.bands import BandTable
from obscore.assembly.digests import digests_of
from obscore.assembly.rules import PlacedRule, Rules
from obscore.observation import Value
from obscore.sources.base import Candidate, Part
from obscore.sources.columns import CandidateColumns
from vodal.regions import Region
from vodal.storage import FileStat

__all__ = ["Block", "Column", "blocks"]

T = TypeVar("T")

Column = list[Value]

_WHOLE = Part()


@dataclass
class Block:
    """Files with one product each, whose facts have the same names and units."""

    numbers: list[int]
    """Places among the files that were asked for."""
    candidates: Sequence[Candidate]
    """Costly to ask for: what steps need stands beside."""
    collection: str
    uris: list[str]
    relatives: list[str]
    stats: list[FileStat]
    hdus: list[str]
    regions: list[Region | None]
    """Footprints that are given other than as the text of a fact."""
    facts: dict[str, Column]
    units: Mapping[str, str]
    rules: Rules
    mapping: Mapping[str, PlacedRule]
    bands: BandTable
    digests: Callable[[], list[str]]
    """Gives the digest of each file."""
    columns: dict[str, Column] = field(default_factory=dict)
    """What is known so far of the rows, by column; all of one length."""
    is_plain: NDArray[np.bool_] = field(init=False)
    """Rows that are no matter for the slow twin."""

    def __post_init__(self) -> None:
        self.is_plain = np.ones(len(self.uris), np.bool_)

    def __len__(self) -> int:
        return len(self.uris)

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

    def plain(self, values: Iterable[T]) -> list[T]:
        """Give those of some values, one a row, that are of plain rows."""
        return list(values if self.is_plain.all() else compress(values, self.is_plain.tolist()))


def blocks(candidates: Sequence[Candidate], rules: Rules, bands: BandTable) -> Iterator[Block]:
    """Cut files into blocks; those of several products are in none."""
    if isinstance(candidates, CandidateColumns):
        yield from _of_columns(candidates, rules, bands)
    else:
        yield from _of_each(candidates, rules, bands)


def _of_columns(some: CandidateColumns, rules: Rules, bands: BandTable) -> Iterator[Block]:
    found: dict[int, list[int]] = {0: list(range(len(some)))}
    if not rules.is_same_for_all:
        found = {}
        for number, relative in enumerate(some.relatives):
            found.setdefault(id(rules.mapping_for(relative)), []).append(number)
    for numbers in found.values():
        chosen = some.chosen(numbers)
        hdus = [""] * len(chosen) if chosen.hdus is None else chosen.hdus
        yield Block(
            numbers, chosen, chosen.collection, chosen.uris, chosen.relatives,
            [chosen.stat] * len(chosen), hdus, [None] * len(chosen), dict(chosen.facts),
            chosen.units, rules, rules.mapping_for(chosen.relatives[0]), bands,
            lambda chosen=chosen: digests_of(chosen, rules),  # type: ignore[misc]
        )  # fmt: skip


def _of_each(candidates: Sequence[Candidate], rules: Rules, bands: BandTable) -> Iterator[Block]:
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
        facts = _columns([one.facts for one in chosen]) | _columns([one.facts for one in parts])
        yield Block(
            numbers, chosen, chosen[0].collection, [one.uri for one in chosen],
            [one.relative for one in chosen], [one.stat for one in chosen],
            [one.hdu for one in parts], [one.region for one in parts], facts, chosen[0].units,
            rules, rules.mapping_for(chosen[0].relative), bands,
            lambda chosen=chosen: list(map(rules.digest_of, chosen)),  # type: ignore[misc]
        )  # fmt: skip


def _columns(facts: Sequence[Mapping[str, Value]]) -> dict[str, Column]:
    names = tuple(facts[0])
    cells = zip(*(one.values() for one in facts), strict=True)
    return dict(zip(names, map(list, cells), strict=True))
