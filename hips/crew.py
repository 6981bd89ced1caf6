"""Where the work of a build is done: in this process or in several others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from vodal.errors import ServiceUnavailable

__all__ = ["Crew"]

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")

_AHEAD = 4
"""Tasks that wait for each worker: enough that none is idle, few enough to hold in memory."""


class Crew:
    """Worker processes, started when first needed; none for one worker.

    Processes are started anew rather than forked: the libraries that compute hold threads, which
    a fork loses.

    Parameters
    ----------
    workers
        How many tasks run at a time.
    """

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)
        self._pool: ProcessPoolExecutor | None = None

    @property
    def workers(self) -> int:
        """How many tasks are done at a time."""
        return self._workers

    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a task; with one worker it is done on return."""
        if self.workers == 1:
            future: Future[T] = Future()
            try:
                future.set_result(task(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - handed on as a pool does
                future.set_exception(error)
            return future
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=multiprocessing.get_context("spawn")
            )
        try:
            return self._pool.submit(task, *args, **kwargs)
        except BrokenProcessPool:
            raise _died() from None

    def results(
        self, task: Callable[[A], T], arguments: Iterable[A]
    ) -> Iterator[tuple[A, T | Exception]]:
        """Do a task for each argument; give the results, or what was raised, as they come."""
        waiting: dict[Future[T], A] = {}
        todo = iter(arguments)
        exhausted = False
        while waiting or not exhausted:
            while not exhausted and len(waiting) < _AHEAD * self.workers:
                try:
                    argument = next(todo)
                except StopIteration:
                    exhausted = True
                else:
                    waiting[self.submit(task, argument)] = argument
            for future in self.first(waiting):
                argument = waiting.pop(future)
                error = self.error_of(future)
                yield argument, future.result() if error is None else error

    def first(self, futures: Iterable[Future[T]]) -> set[Future[T]]:
        """Wait until one is done; give those that are."""
        return wait(set(futures), return_when=FIRST_COMPLETED).done

    def error_of(self, future: Future[T]) -> Exception | None:
        """Give what a task raised.

        Raises
        ------
        ServiceUnavailable
            If its process died.
        """
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            raise _died()
        if error is not None and not isinstance(error, Exception):
            raise error
        return error

    @classmethod
    @contextmanager
    def of(cls, crew: Crew | None, workers: int) -> Iterator[Crew]:
        """Give a crew that is there, or a new one for the time of the block."""
        if crew is not None:
            yield crew
            return
        with cls(workers) as made:
            yield made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _died() -> ServiceUnavailable:
    return ServiceUnavailable(
        "a worker process of the HiPS build died (out of memory?); "
        "try again with fewer workers or a smaller hips.cache_mb"
    )
