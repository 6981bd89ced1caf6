"""Cutouts of a worklist, made in batches by the pool: those of one file together, in order."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDoneError
from dataclasses import dataclass
from typing import TypeVar

from soda.finding import Finder
from soda.metrics import CutoutMetrics
from soda.output import Output
from soda.source import Source
from soda.worker import CutAnswer, make_batch
from soda.worklist import Item
from vodal.errors import ServiceUnavailable, SkylaneError, UsageError
from vodal.outcomes import outcome_of
from vodal.pool import WarmPool
from vodal.uws.results import StoppedError
from vodal.uws.tasks import Task

__all__ = ["Batches", "Made", "counted", "wait_for"]

_Answer = TypeVar("_Answer")

_ITEMS = 64
_BUDGET_BYTES = 32 << 20
"""Of a batch; with the batches that are made at the same time it bounds what a job has in memory,
together with the largest cutout."""
_POLL_S = 0.05

Made = bytearray | None | SkylaneError
"""A cutout, nothing where nothing overlaps, or why it cannot be made."""


@dataclass(slots=True)
class _Batch:
    items: list[Item]
    found: list[Source | SkylaneError | None]
    answers: Future[list[CutAnswer | SkylaneError | None]] | None = None

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


def counted(metrics: CutoutMetrics, answer: CutAnswer | SkylaneError | None) -> Made:
    """Count what was made of an item of a job, and give it."""
    if isinstance(answer, CutAnswer):
        body = answer.body
        assert isinstance(body, bytearray)
        read = answer.read_bytes, answer.needed_bytes
        metrics.made(answer.seconds, len(body), *read, "async")
        metrics.ended("ok", "async")
        return body
    metrics.ended("empty" if answer is None else outcome_of(answer), "async")
    return answer


def wait_for(task: Task, coming: Future[_Answer]) -> _Answer:
    """Wait for what the pool makes, as long as the job runs.

    Raises
    ------
    StoppedError
        If the run has to end.
    SkylaneError
        As the pool does.
    """
    while True:
        if task.cancelled.is_set():
            raise StoppedError("the job was stopped")
        try:
            return coming.result(_POLL_S)
        except NotDoneError:
            if coming.done():
                # The pool's own, not ours.
                raise ServiceUnavailable("the cutout was not made in time") from None


class Batches:
    """Has the cutouts of one run made. For the thread of the job.

    Parameters
    ----------
    task
        Is looked at while cutouts are waited for.
    finder
        Finds datasets.
    pool
        Where cutouts are made, as bulk work.
    loop
        Of the pool.
    limit_bytes
        The largest cutout that is made.
    output
        What is made of the pixels of each.
    metrics
        Counts the cutouts.
    """

    def __init__(
        self,
        task: Task,
        finder: Finder,
        pool: WarmPool,
        loop: asyncio.AbstractEventLoop,
        limit_bytes: int,
        output: Output,
        metrics: CutoutMetrics,
    ) -> None:
        self._metrics = metrics
        self._task = task
        self._finder = finder
        self._pool = pool
        self._loop = loop
        self._limit_bytes = limit_bytes
        self._output = output
        self._window: deque[_Batch] = deque()

    def made(self, items: Iterator[Item]) -> Generator[tuple[Item, Made], None, None]:
        """Give each item with its cutout, in order.

        Raises
        ------
        StoppedError
            If the run has to end.
        ServiceUnavailable
            If the catalogue or the pool is not there.
        """
        coming = self._batches(items)
        try:
            while True:
                # As many as can be made at once; the others wait here, not in the pool.
                while len(self._window) < self._pool.workers:
                    batch = next(coming, None)
                    if batch is None:
                        break
                    self._submit(batch)
                    self._window.append(batch)
                if not self._window:
                    return
                yield from self._first()
        finally:
            for batch in self._window:
                if batch.answers is not None:
                    batch.answers.cancel()
            self._window.clear()

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

    def _submit(self, batch: _Batch) -> None:
        wanted = [(source, item.selection) for source, item in batch.wanted]
        if wanted:
            work = self._pool.run(
                make_batch, wanted, self._limit_bytes, _BUDGET_BYTES, self._output, bulk=True
            )
            batch.answers = asyncio.run_coroutine_threadsafe(work, self._loop)

    def _first(self) -> Generator[tuple[Item, Made], None, None]:
        """Give what comes of the first batch; what is left of it is submitted anew."""
        batch = self._window[0]
        answers = self._answers(batch)
        if answers is None:
            self._one_by_one()
            return
        done = 0
        for item, found in zip(batch.items, batch.found, strict=True):
            if not isinstance(found, Source):
                yield item, counted(self._metrics, found)
            elif answers:
                answer = answers.popleft()
                if isinstance(answer, CutAnswer):
                    self._finder.changed(answer.changed)
                yield item, counted(self._metrics, answer)
            else:
                break
            done += 1
        self._window.popleft()
        rest = _Batch(batch.items[done:], batch.found[done:])
        if rest.items:
            self._submit(rest)
            self._window.appendleft(rest)

    def _answers(self, batch: _Batch) -> deque[CutAnswer | SkylaneError | None] | None:
        """Wait for the answers of a batch; None if it failed as a whole."""
        if batch.answers is None:
            return deque()
        try:
            answers = wait_for(self._task, batch.answers)
        except StoppedError:
            raise
        except SkylaneError as error:
            if not self._pool.running:
                raise
            return None if len(batch.wanted) > 1 else deque([error])
        return deque(answers)

    def _one_by_one(self) -> None:
        """Find out which of the first batch it is that cannot be made."""
        batch = self._window.popleft()
        singles = [
            _Batch([item], [found]) for item, found in zip(batch.items, batch.found, strict=True)
        ]
        for single in reversed(singles):
            self._window.appendleft(single)
        for single in singles:
            self._submit(single)
