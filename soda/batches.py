"""Cutouts of a worklist, made in batches by the pool: those of one file together, in order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass

from soda.bulk import BulkWork, Made
from soda.finding import Finder
from soda.output import Output
from soda.source import Source
from soda.worker import CutAnswer, make_batch
from soda.worklist import Item
from vodal.errors import SkylaneError, UsageError

__all__ = ["Batches"]

_ITEMS = 64
_BUDGET_BYTES = 32 << 20
"""Of a batch; with the batches that are made at the same time it bounds what a job has in memory,
together with the largest cutout."""

_Answers = list[CutAnswer | SkylaneError | None]


@dataclass(frozen=True, slots=True)
class _Batch:
    items: list[Item]
    found: list[Source | SkylaneError | None]

    @property
    def wanted(self) -> list[tuple[Source, Item]]:
        pairs = zip(self.found, self.items, strict=True)
        return [(source, item) for source, item in pairs if isinstance(source, Source)]


def _same_file(batch: _Batch) -> Iterator[_Batch]:
    """Divide a batch where the catalogue knows two versions of one file."""
    pairs = zip(batch.items, batch.found, strict=True)
    for _, part in itertools.groupby(
        pairs, lambda pair: pair[1].index.version if isinstance(pair[1], Source) else ""
    ):
        items, found = zip(*part, strict=True)
        yield _Batch(list(items), list(found))


class Batches:
    """Has the cutouts of one run made. For the thread of the job.

    Parameters
    ----------
    work
        Where cutouts are made.
    finder
        Finds datasets.
    limit_bytes
        The largest cutout that is made.
    output
        What is made of the pixels of each.
    """

    def __init__(self, work: BulkWork, finder: Finder, limit_bytes: int, output: Output) -> None:
        self._work, self._finder = work, finder
        self._limit_bytes, self._output = limit_bytes, output

    def made(self, items: Iterator[Item]) -> Generator[tuple[Item, Made], None, None]:
        """Give each item with its cutout, in order.

        Raises
        ------
        StoppedError
            If the run has to end.
        ServiceUnavailable
            If the catalogue or the pool is not there.
        """
        begun = ((batch, self._begun(batch)) for batch in self._batches(items))
        with closing(self._work.in_turn(begun)) as turns:
            for batch, coming in turns:
                yield from self._outcomes(batch, coming)

    def _batches(self, items: Iterator[Item]) -> Iterator[_Batch]:
        for _, of_file in itertools.groupby(items, lambda item: item.uri):
            while part := list(itertools.islice(of_file, _ITEMS)):
                found: list[Source | SkylaneError | None] = [
                    UsageError(item.message) if item.message else None for item in part
                ]
                asked = [place for place, item in enumerate(part) if not item.message]
                wanted = [(part[place].did, part[place].selection) for place in asked]
                for place, source in zip(asked, self._finder.look_up_all(wanted), strict=True):
                    found[place] = source
                yield from _same_file(_Batch(part, found))

    def _begun(self, batch: _Batch) -> Future[_Answers] | None:
        wanted = [(source, item.selection) for source, item in batch.wanted]
        if not wanted:
            return None
        return self._work.begin(make_batch, wanted, self._limit_bytes, _BUDGET_BYTES, self._output)

    def _outcomes(
        self, batch: _Batch, coming: Future[_Answers] | None
    ) -> Generator[tuple[Item, Made], None, None]:
        """Give what comes of a batch; what its answers leave out is begun anew."""
        while batch.items:
            answers = self._work.wait(coming)
            if isinstance(answers, SkylaneError):
                if len(batch.wanted) > 1:
                    yield from self._one_by_one(batch)
                    return
                answers = [answers]
            left, done = deque(answers or ()), 0
            for item, found in zip(batch.items, batch.found, strict=True):
                if not isinstance(found, Source):
                    yield item, self._work.counted(found)
                elif left:
                    answer = left.popleft()
                    if isinstance(answer, CutAnswer):
                        self._finder.changed(answer.changed)
                    yield item, self._work.counted(answer)
                else:
                    break
                done += 1
            batch = _Batch(batch.items[done:], batch.found[done:])
            coming = self._begun(batch)

    def _one_by_one(self, batch: _Batch) -> Generator[tuple[Item, Made], None, None]:
        """Find out which of a batch it is that cannot be made."""
        for item, found in zip(batch.items, batch.found, strict=True):
            single = _Batch([item], [found])
            yield from self._outcomes(single, self._begun(single))
