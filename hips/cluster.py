"""The workers of a Dask cluster, in the place of processes of this machine (`hips.crew`).

Functions and their arguments travel pickled; images, decoded images and tiles do not travel: all
machines see the same folders. A task whose worker dies is done again by another, as Dask does of
itself; a task does the same whenever it is done.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from typing_extensions import override

from hips.crew import Crew
from vodal.dask import CONNECT_S, LOOK_S, WORKERS_S, Terms, connect
from vodal.errors import ServiceUnavailable

__all__ = ["ClusterCrew"]

P = ParamSpec("P")
T = TypeVar("T")


class _ClusterFailedError(Exception):
    """A task could not be done for a reason that lies in the cluster, not in the task."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What has become of a task on a worker."""

    value: Any = None
    error: Exception | None = None
    fault: str = ""
    """Why the worker has not begun it."""


def _work(terms: Terms, packed: bytes) -> _Outcome:
    """Do a task on a worker, if it is one that can."""
    fault = terms.fault()
    if fault:
        return _Outcome(fault=fault)
    try:
        # From the one who started this build, whom the cluster has let in.
        task, args, kwargs = pickle.loads(packed)  # noqa: S301
        return _Outcome(task(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - handed on as a pool does
        return _Outcome(error=error)


class ClusterCrew(Crew):
    """The workers of a Dask cluster.

    Parameters
    ----------
    scheduler
        Where the scheduler is: ``tcp://host:8786`` (``tls://``, ``host:port``), or the path of the
        scheduler file that it has written.
    folder
        Which holds the HiPS; every worker must see it.
    workers_s
        How many seconds the cluster may be without workers.
    connect_s
        How many seconds the scheduler may take to answer.

    Raises
    ------
    UsageError
        If Dask is not installed, or ``scheduler`` is neither address nor file.
    ServiceUnavailable
        If no scheduler answers.
    """

    def __init__(
        self,
        scheduler: str,
        folder: Path,
        *,
        workers_s: float = WORKERS_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        super().__init__(1)
        self._scheduler, self._workers_s = scheduler, workers_s
        self._client = connect(
            scheduler, connect_s, name="skylane-hips", what="builds on a Dask cluster"
        )
        self._pool_of_client = self._client.get_executor(pure=False)
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder.resolve() / f".dask-{uuid.uuid4().hex}"
        self._mark = mark
        """In the folder of the HiPS; it goes when the work is broken off."""
        self._terms = Terms.of(mark, f"the folder {mark.parent}")
        self._running: set[Future[Any]] = set()
        self._seen = self._looked = time.monotonic()
        self._threads = 0

    @override
    @property
    def workers(self) -> int:
        """How many tasks the cluster does at a time now; two at least."""
        now = time.monotonic()
        if now - self._looked > LOOK_S or not self._threads:
            self._looked = now
            try:
                self._threads = sum(self._client.nthreads().values())
            except (OSError, ValueError, RuntimeError):
                self._threads = 0
        if self._threads:
            self._seen = now
        return max(2, self._threads)

    @override
    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        outer: Future[T] = Future()
        outer.set_running_or_notify_cancel()

        def done(inner: Future[_Outcome]) -> None:
            self._running.discard(inner)
            try:
                outcome = inner.result()
            except (Exception, CancelledError) as error:  # noqa: BLE001 - all are the cluster's
                outer.set_exception(_ClusterFailedError(self._sentence(error)))
                return
            if outcome.fault:
                outer.set_exception(_ClusterFailedError(outcome.fault))
            elif outcome.error is not None:
                outer.set_exception(outcome.error)
            else:
                outer.set_result(outcome.value)

        try:
            inner = self._pool_of_client.submit(
                _work, self._terms, pickle.dumps((task, args, kwargs))
            )
        except (OSError, RuntimeError) as error:
            raise ServiceUnavailable(self._sentence(error)) from None
        self._running.add(inner)
        inner.add_done_callback(done)
        return outer

    @override
    def first(self, futures: Iterable[Future[T]]) -> set[Future[T]]:
        """Wait until one is done; give those that are.

        Raises
        ------
        ServiceUnavailable
            If there are no workers, and none comes.
        """
        waited = set(futures)
        self._seen = time.monotonic()
        while True:
            done = wait(waited, timeout=LOOK_S, return_when=FIRST_COMPLETED).done
            if done or not waited:
                return done
            _ = self.workers
            if time.monotonic() - self._seen > self._workers_s:
                raise ServiceUnavailable(
                    f"the Dask cluster at {self._scheduler} has had no worker for "
                    f"{self._workers_s:g} s; start some and build again: it goes on from here"
                )

    @override
    def error_of(self, future: Future[T]) -> Exception | None:
        self.first([future])
        error = future.exception()
        if isinstance(error, _ClusterFailedError):
            raise ServiceUnavailable(str(error))
        if error is not None and not isinstance(error, Exception):
            raise error
        return error

    @override
    def __enter__(self) -> Self:
        self._mark.touch()
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Without the mark workers do not begin what still waits; what they are at is let end,
        # so that nothing writes to a folder that another build has taken over.
        self._mark.unlink(missing_ok=True)
        if self._threads and self._client.status == "running":
            wait(set(self._running), timeout=self._workers_s)
        self._pool_of_client.shutdown(wait=False)
        self._client.close()

    def _sentence(self, error: BaseException) -> str:
        from distributed import KilledWorker  # noqa: PLC0415 - of an extra

        if isinstance(error, KilledWorker):
            return (
                "the Dask workers that were given the same unit of work died one after another "
                "(out of memory?); try again with fewer threads or more memory for each worker, "
                "or a smaller hips.cache_mb"
            )
        if isinstance(error, CancelledError):
            return f"the Dask scheduler at {self._scheduler} has gone; build again to go on"
        return (
            f"the Dask cluster at {self._scheduler} cannot do its part "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); its scheduler and "
            "workers need the same Skylane and Dask as this command"
        )
