"""The pool: who gets a worker, for how long, and what becomes of the request if it is lost."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple

from vodal.errors import DeadlineError, ServiceUnavailable
from vodal.pool.crew import Crew
from vodal.pool.lanes import Lane
from vodal.pool.memory import SharedBuffer
from vodal.pool.process import WorkerProcess
from vodal.pool.worker import Setup

__all__ = ["PoolStats", "WarmPool"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The state of a pool, for metrics and tests."""

    workers: int
    """Alive and warm."""
    idle: int
    waiting: int
    """Requests in the queue."""
    bulk_waiting: int
    """Bulk work in its own queue."""
    bulk_at_work: int
    """Workers that are at bulk work."""
    answered: int
    lost: int
    """Workers that died or were killed since the start."""
    recycled: int
    """Workers that were replaced after their time, or as their memory ran out."""
    buffers_free: int
    """Of shared memory."""


class _WorkerLostError(Exception):
    """The worker died under a request."""


class WarmPool:
    """Processes that have their modules loaded and answer one request at a time each.

    Belongs to the event loop in which it is started; use it as a context, or call `start` and
    `stop` from the application's lifespan.

    Parameters
    ----------
    workers
        Number of processes.
    preload
        Modules that each worker imports before its first request.
    initializer
        Module-level function without arguments, called once in each worker.
    deadline_s
        Seconds that a request may take, queue included, unless it brings its own deadline.
    memory_limit_bytes
        Of writable memory of each worker, its libraries included; None for no limit.
    max_queue
        Requests that may wait for a worker; one more is refused.
    max_jobs
        A worker is replaced, without a gap, after about as many requests.
    grace_s
        How long the worker of a cancelled request may go on before it is killed: killing costs a
        start, and most work is over sooner.
    shared_bytes
        Size of the largest result that is handed over in shared memory (`run_shared`); 0 for none.
    name
        For messages and logs.
    """

    def __init__(
        self,
        workers: int,
        *,
        preload: Sequence[str] = (),
        initializer: Callable[[], object] | None = None,
        deadline_s: float = 60.0,
        memory_limit_bytes: int | None = None,
        max_queue: int = 64,
        max_jobs: int = 10_000,
        grace_s: float = 1.0,
        shared_bytes: int = 0,
        name: str = "worker",
    ) -> None:
        if workers < 1:
            raise ValueError("a pool needs one worker or more")
        self.workers = workers
        self.deadline_s = deadline_s
        self.max_queue = max_queue
        self.name = name
        self._grace_s = grace_s
        self._crew = Crew(
            workers,
            Setup(tuple(preload), initializer, memory_limit_bytes),
            max_jobs=max_jobs,
            shared_bytes=shared_bytes,
            name=name,
            wanted=self._serve_waiting,
            rested=self._serve_bulk,
        )
        self._waiters, self._bulk_waiters = Lane(), Lane()
        self._seconds_each = 0.05
        self._answered = 0

    @property
    def running(self) -> bool:
        """Whether it takes requests."""
        return self._crew.running

    @property
    def stats(self) -> PoolStats:
        """Give the present state."""
        crew = self._crew
        return PoolStats(
            workers=len(crew.alive),
            idle=len(crew.idle),
            waiting=len(self._waiters),
            bulk_waiting=len(self._bulk_waiters),
            bulk_at_work=self._bulk_at_work(),
            answered=self._answered,
            lost=crew.lost,
            recycled=crew.recycled,
            buffers_free=crew.buffers_free,
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """Give the process ids of the warm workers."""
        return tuple(worker.pid for worker in self._crew.alive)

    async def start(self) -> None:
        """Start the workers and wait until all are warm.

        Raises
        ------
        ArchiveError
            If a worker cannot start (a module does not import, no memory).
        """
        if self.running:
            return
        try:
            await self._crew.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all workers; requests under way and waiting fail with ServiceUnavailable."""
        self._crew.running = False
        for lane in (self._waiters, self._bulk_waiters):
            lane.fail(ServiceUnavailable("the service is shutting down"))
        await self._crew.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def run(
        self,
        function: Callable[[*_Ts], _T],
        *args: *_Ts,
        deadline_s: float | None = None,
        retry: bool = True,
        bulk: bool = False,
    ) -> _T:
        """Run a function in a worker.

        If the caller is cancelled, the result is dropped and the worker freed (killed, if it does
        not end soon).

        Parameters
        ----------
        function
            A module-level function of a module that workers can import.
        *args
            Its arguments; they and the result are pickled. Arrays and `pickle.PickleBuffer` are
            not copied on the way.
        deadline_s
            Seconds from now; None for the pool's own.
        retry
            Whether it may run again on another worker if its worker dies.
        bulk
            Whether nobody waits for it: then it waits until no other request does, for as long as
            that takes, and one worker of several is left free for those that come. The deadline
            counts from when it has a worker.

        Raises
        ------
        ServiceUnavailable
            If too many requests wait, or the worker died (twice, with ``retry``).
        DeadlineError
            If the deadline is over; a worker that was at it is killed.
        SkylaneError
            As raised by the function.
        ArchiveError
            If the function raised anything else; the trace is logged.
        """
        value, _ = await self._run(function, args, deadline_s, retry=retry, bulk=bulk)
        return value

    async def run_shared(
        self, function: Callable[[*_Ts], _T], *args: *_Ts, deadline_s: float | None = None
    ) -> tuple[_T, SharedBuffer | None]:
        """Run a function in a worker, which may leave its result in shared memory.

        As `run`. Whoever gets a buffer gives it back (`give_back`) when the result, of which
        `vodal.pool.memory.SharedPart` tells the length, has been used.
        """
        return await self._run(function, args, deadline_s, shared=True)

    def give_back(self, buffer: SharedBuffer) -> None:
        """Take back a buffer of `run_shared`."""
        self._crew.give_back(buffer)

    async def _run(
        self,
        function: Callable[..., _T],
        args: tuple[Any, ...],
        deadline_s: float | None,
        *,
        retry: bool = True,
        bulk: bool = False,
        shared: bool = False,
    ) -> tuple[_T, SharedBuffer | None]:
        if not self.running:
            raise ServiceUnavailable(f"the {self.name} processes are not running", 1)
        seconds = self.deadline_s if deadline_s is None else deadline_s
        deadline = asyncio.get_running_loop().time() + seconds
        for may_retry in (retry, False):
            if bulk:
                worker = await self._take_for_bulk()
                deadline = asyncio.get_running_loop().time() + seconds
            else:
                worker = await self._take(deadline, seconds)
            if shared:
                self._crew.lend_buffer(worker)
            try:
                return await self._ask(worker, function, args, deadline, seconds)
            except _WorkerLostError:
                _log.warning("%s %d was lost under a request", self.name, worker.pid)
                if may_retry and self.running:
                    continue
                break
        raise ServiceUnavailable(f"the {self.name} process ended while it worked on this request")

    async def _take(self, deadline: float, seconds: float) -> WorkerProcess:
        """Get an idle worker, first come first served."""
        loop = asyncio.get_running_loop()
        if self._crew.idle:
            # The last one used has the warmest caches.
            worker = self._crew.idle[-1]
            self._crew.call(worker)
            return worker
        waiting = len(self._waiters)
        if waiting >= self.max_queue:
            expected_s = math.ceil(self._seconds_each * (waiting + 1) / self.workers)
            raise ServiceUnavailable(
                f"all {self.workers} {self.name} processes are busy and {waiting} requests wait",
                max(1, min(expected_s, 60)),
            )
        future = self._waiters.join()
        try:
            await asyncio.wait({future}, timeout=max(0.0, deadline - loop.time()))
        except asyncio.CancelledError:
            self._give_up(future)
            raise
        if not future.done():
            self._give_up(future)
            raise DeadlineError(
                f"the request waited {seconds:g} s for a {self.name} process", round(seconds)
            )
        return future.result()

    async def _take_for_bulk(self) -> WorkerProcess:
        """Get a worker that nobody else wants."""
        future = self._bulk_waiters.join()
        self._serve_bulk()
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            self._give_up(future)
            raise
        return future.result()

    def _serve_waiting(self, worker: WorkerProcess) -> bool:
        return self._waiters.serve(worker)

    def _serve_bulk(self) -> None:
        """Give idle workers to bulk work, but for the last one."""
        crew, spare = self._crew, 1 if self.workers > 1 else 0
        while crew.idle and self._bulk_waiters and self._bulk_at_work() < len(crew.alive) - spare:
            worker = crew.idle[-1]
            crew.call(worker)
            worker.at_bulk = True
            self._bulk_waiters.serve(worker)

    def _bulk_at_work(self) -> int:
        return sum(worker.at_bulk for worker in self._crew.alive)

    def _give_up(self, future: asyncio.Future[WorkerProcess]) -> None:
        """Leave the queue; a worker that was given at the same moment goes back."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self._crew.release(future.result())
        future.cancel()

    async def _ask(
        self,
        worker: WorkerProcess,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        deadline: float,
        seconds: float,
    ) -> tuple[Any, SharedBuffer | None]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            exchange = worker.begin(function, args)
        except BaseException:
            self._crew.regain_buffer(worker)
            self._crew.release(worker)
            raise
        try:
            await asyncio.wait({exchange}, timeout=max(0.0, deadline - begin))
        except asyncio.CancelledError:
            self._crew.background(self._drain(worker, exchange))
            raise
        if not exchange.done():
            self._crew.lose(worker)
            raise DeadlineError(
                f"the request took longer than {seconds:g} s and was stopped", round(seconds)
            )
        try:
            reply = exchange.result()
        except (EOFError, OSError, asyncio.CancelledError):  # cancelled as the pool stops
            self._crew.lose(worker)
            raise _WorkerLostError from None
        except Exception:
            # A reply that cannot be read leaves the socket in an unknown state.
            self._crew.lose(worker)
            raise
        if not worker.at_bulk:
            self._seconds_each += 0.1 * (loop.time() - begin - self._seconds_each)
        self._answered += 1
        if reply.error is not None:
            self._crew.regain_buffer(worker)
        buffer, worker.buffer = worker.buffer, None
        self._crew.release(worker, worn=reply.worn)
        if reply.error is not None:
            if reply.trace:
                _log.error("a request failed in a %s:\n%s", self.name, reply.trace)
            raise reply.error
        return reply.value, buffer

    async def _drain(self, worker: WorkerProcess, exchange: asyncio.Future[Any]) -> None:
        """Let the worker of a cancelled request come to its end, or bring it there."""
        try:
            await asyncio.wait({exchange}, timeout=self._grace_s)
        finally:
            if exchange.done() and not exchange.cancelled() and exchange.exception() is None:
                self._crew.regain_buffer(worker)
                self._crew.release(worker, worn=exchange.result().worn)
            else:
                self._crew.lose(worker)
