"""Prints by how many MB the peak of memory grows from a run to one over ten times as many files.

Files are not there: what is held of each is that of the walk, the comparison with the catalogue and
the queues between readers and writer. A process for each of these, forked off one that has loaded
all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterator
from typing import Any, Self

from obscore.assembly.flow import flow
from obscore.assembly.outcome import Outcome
from obscore.assembly.readers import Readers
from obscore.assembly.refusal import Refusal
from obscore.assembly.rules import Rules, rules_for
from obscore.assembly.survey import Survey
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate
from obscore.sources.met import FirstNames
from obscore.store.base import KnownFile
from vodal.storage import FileStat
from vodal.testing.memory import print_growth

FEW, MANY = 20_000, 200_000
"""Files."""
RULES = rules_for(ObsCoreSettings(), "deep")


def uri_of(number: int) -> str:
    """Name a file."""
    return f"file:///data/deep/night{number // 1000:04d}/exposure{number:08d}.fits"


def candidates(count: int) -> Iterator[Candidate]:
    """Give files, each when it is asked for."""
    for number in range(count):
        yield Candidate(
            uri_of(number),
            f"exposure{number:08d}.fits",
            "deep",
            FileStat(2880, f"v{number}", 1.7e9),
        )


class Tree:
    """A source of files."""

    under_uri = "file:///data/deep/"
    is_scattered = False

    def __init__(self, count: int) -> None:
        self._count = count

    def walk(self) -> Iterator[Candidate]:
        """Give them."""
        return candidates(self._count)

    def holds(self, _uri: str) -> bool:
        """All are its own."""
        return True


class Catalogue:
    """A store that knows every second file."""

    def __init__(self, count: int) -> None:
        self._count = count

    def known_after(self, _under_uri: str, uri: str, limit: int) -> list[KnownFile]:
        """Give a page."""
        first = int(uri[-13:-5]) + 2 if uri else 0
        numbers = range(first, self._count, 2)[:limit]
        return [self._known(uri_of(number)) for number in numbers]

    def known_among(self, uris: Collection[str]) -> dict[str, KnownFile]:
        """Give those of some names."""
        return {uri: self._known(uri) for uri in uris}

    def _known(self, uri: str) -> KnownFile:
        return KnownFile(uri, "deep", "v", "digest", 1)


def survey(count: int) -> None:
    """Compare files with the catalogue, and look for vanished ones."""
    tree: Any = Tree(count)
    catalogue: Any = Catalogue(count + 100)
    one = Survey(tree, catalogue, lambda _: RULES)
    known = sum(met.known is not None for met in one.walk())
    assert known == count // 2
    assert sum(1 for _ in one.vanished()) == 50


class Refusing(Readers):
    """Readers that refuse each file."""

    at_once = 2

    async def read(self, portion: Any) -> list[Outcome]:
        """Refuse."""
        await asyncio.sleep(0)
        return [Outcome(refusal=Refusal("empty", one.uri)) for one, _ in portion]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


class Counter:
    """Counts what it is given."""

    def __init__(self) -> None:
        self.taken = 0

    def rules(self, _collection: str) -> Rules:
        """Give the rules."""
        return RULES

    def take(self, *_: object) -> None:
        """Count a file."""
        self.taken += 1

    def tick(self) -> None:
        """Do nothing."""


def queues(count: int) -> None:
    """Walk, read and write at once; a quarter of the files, as it takes longest."""
    walk, counter = candidates(count // 4), Counter()
    parts = iter(lambda: [(one, None) for _, one in zip(range(500), walk, strict=False)], [])
    asyncio.run(flow(counter, parts, Refusing(), 1.0))
    assert counter.taken == count // 4


def names(count: int) -> None:
    """Remember under which names files were met."""
    met, about = FirstNames(), os.stat("/")  # noqa: PTH116 - as the walk does
    for number in range(count):
        one = os.stat_result((about.st_mode, number * 7919, *about[2:]))
        assert met.first(one, uri_of(number)) == uri_of(number)
    assert met.first(os.stat_result((0, 7919, *about[2:])), "/other") == uri_of(1)


if __name__ == "__main__":
    print_growth({"survey": survey, "queues": queues, "names": names}, (FEW, MANY))
