"""What the pool makes for a job: as much at once as it has workers, taken in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDoneError
from itertools import islice
from typing import TypeVar, TypeVarTuple

from soda.metrics import CutoutMetrics
from soda.worker import CutAnswer
from vodal.errors import ServiceUnavailable, SkylaneError
from vodal.outcomes import outcome_of
from vodal.pool import WarmPool
from vodal.uws.results import StoppedError
from vodal.uws.tasks import Task

__all__ = ["BulkWork", "Made"]

_Answer = TypeVar("_Answer")
_Coming = TypeVar("_Coming")
_Thing = TypeVar("_Thing")
_Ts = TypeVarTuple("_Ts")

_POLL_S = 0.05

Made = bytearray | None | SkylaneError
"""A cutout, nothing where nothing overlaps, or why it cannot be made."""


class BulkWork:
    """The pool at work for one run of a job. For the thread of the job.

    Parameters
    ----------
    task
        Is looked at while results are waited for.
    pool
        Does the work, as bulk work.
    loop
        Of the pool.
    metrics
        Counts what is made.
    """

    def __init__(
        self,
        task: Task,
        pool: WarmPool,
        loop: asyncio.AbstractEventLoop,
        metrics: CutoutMetrics,
    ) -> None:
        self.task, self.workers = task, pool.workers
        self._pool, self._loop, self._metrics = pool, loop, metrics

    def begin(
        self, function: Callable[[*_Ts], _Answer], *args: *_Ts, deadline_s: float | None = None
    ) -> Future[_Answer]:
        """Have a worker run a function; see `vodal.pool.WarmPool.run`."""
        work = self._pool.run(function, *args, deadline_s=deadline_s, bulk=True)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def in_turn(
        self, begun: Iterator[tuple[_Thing, _Coming]]
    ) -> Generator[tuple[_Thing, _Coming], None, None]:
        """Give what has been begun, in order; what is behind it has been begun by then as well.

        Parameters
        ----------
        begun
            Begins another one each time it is asked; as many as can be made at once are, while the
            others wait here, not in the pool. The second of each pair may be a future of `begin`,
            which is cancelled if this generator is closed before.
        """
        window: deque[tuple[_Thing, _Coming]] = deque()
        try:
            while True:
                window.extend(islice(begun, self.workers - len(window)))
                if not window:
                    return
                yield window[0]
                window.popleft()
        finally:
            for _, coming in window:
                if isinstance(coming, Future):
                    coming.cancel()

    def wait(self, coming: Future[_Answer] | SkylaneError | None) -> _Answer | SkylaneError | None:
        """Wait for what was begun, as long as the job runs; gives also why it cannot be made.

        Parameters
        ----------
        coming
            From `begin`; what is no future is known already, and given back.

        Raises
        ------
        StoppedError
            If the run has to end.
        ServiceUnavailable
            If the pool is not there.
        """
        if not isinstance(coming, Future):
            return coming
        while True:
            if self.task.cancelled.is_set():
                coming.cancel()
                raise StoppedError("the job was stopped")
            try:
                return coming.result(_POLL_S)
            except NotDoneError:
                if not coming.done():
                    continue
                # The pool's own, not ours.
                failure: SkylaneError = ServiceUnavailable("the cutout was not made in time")
            except SkylaneError as error:
                failure = error
            if not self._pool.running:
                raise failure
            return failure

    def counted(self, answer: CutAnswer | SkylaneError | None) -> Made:
        """Count what was made of an item of the job, and give it."""
        if isinstance(answer, CutAnswer):
            body = answer.body
            assert isinstance(body, bytearray)
            read = answer.read_bytes, answer.needed_bytes
            self._metrics.made(answer.seconds, len(body), *read, "async")
            self._metrics.ended("ok", "async")
            return body
        self._metrics.ended("empty" if answer is None else outcome_of(answer), "async")
        return answer
