"""Files with one product each, of which a source tells the same facts: by column.

What a table tells of many thousands of files is a few lists in place of an object or two for each
row; a candidate is made of them only where one is asked for.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any, overload

from typing_extensions import override

from obscore.sources.base import Candidate, Part, Problem, Source
from vodal.errors import SkylaneError, UsageError
from vodal.storage import FileStat

__all__ = ["CandidateColumns", "Cells", "pages_of"]

Cells = list[str | int | float | bool | None]

_PAGE = 500
"""Files of a walk that are given at a time."""


@dataclass(frozen=True, slots=True)
class CandidateColumns(Sequence[Candidate]):
    """Files of one collection; all lists are of one length, and no URI is there twice."""

    collection: str
    stat: FileStat
    """The same of all: files that are not looked at."""
    uris: list[str]
    relatives: list[str]
    facts: Mapping[str, Cells]
    """Of the product of each file."""
    wheres: list[str]
    """Where the source tells each, for reports."""
    hdus: list[str] | None = None
    """Which HDU holds each; None if it is told of none."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Of facts that are numbers."""

    @override
    def __len__(self) -> int:
        return len(self.uris)

    @overload
    def __getitem__(self, at: int) -> Candidate: ...
    @overload
    def __getitem__(self, at: slice) -> CandidateColumns: ...
    @override
    def __getitem__(self, at: int | slice) -> Candidate | CandidateColumns:
        if isinstance(at, slice):
            return self.chosen(range(*at.indices(len(self))))
        facts = {name: cells[at] for name, cells in self.facts.items()}
        hdu = "" if self.hdus is None else self.hdus[at]
        return Candidate(
            uri=self.uris[at],
            relative=self.relatives[at],
            collection=self.collection,
            stat=self.stat,
            parts=(Part(facts, None, hdu, self.wheres[at]),),
            units=self.units,
        )

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # As one run of bytes: picklers with an eye on each object take thrice as long for them.
        values = tuple(getattr(self, one.name) for one in fields(self))
        return _unpacked, (pickle.dumps(values, protocol=5),)

    def bare(self, at: int) -> Candidate:
        """Give a file without what is told of its product."""
        return Candidate(self.uris[at], self.relatives[at], self.collection, self.stat)

    def chosen(self, numbers: Sequence[int]) -> CandidateColumns:
        """Give some of the files."""
        if len(numbers) == len(self):
            return self
        return replace(
            self,
            uris=[self.uris[at] for at in numbers],
            relatives=[self.relatives[at] for at in numbers],
            facts={name: [cells[at] for at in numbers] for name, cells in self.facts.items()},
            wheres=[self.wheres[at] for at in numbers],
            hdus=None if self.hdus is None else [self.hdus[at] for at in numbers],
        )


def _unpacked(packed: bytes) -> CandidateColumns:
    return CandidateColumns(*pickle.loads(packed))  # noqa: S301 - of a process of ours


def pages_of(source: Source) -> Iterator[Sequence[Candidate | Problem]]:
    """Give what a walk over a source gives, some at a time: its ``pages`` if it has them.

    Raises
    ------
    UsageError
        If the whole source is not there.
    """
    try:
        yield from _pages(source)
    except UsageError:
        raise
    except SkylaneError as error:
        # Of a table that is damaged, say. Others of the archive's errors are those of the store.
        raise UsageError(f"{source.place} cannot be read: {error.message}") from None


def _pages(source: Source) -> Iterator[Sequence[Candidate | Problem]]:
    ask = getattr(source, "pages", None)
    if ask is not None:
        yield from ask()
        return
    walk = source.walk()
    while page := list(islice(walk, _PAGE)):
        yield page
