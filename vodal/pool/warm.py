"""The pool: who gets a worker, for how long, and what happens when one is lost."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple

from vodal.errors import ArchiveError, DeadlineError, ServiceUnavailable
from vodal.pool.lanes import Lane
from vodal.pool.memory import SharedBuffer, SharedMemory
from vodal.pool.process import WorkerProcess
from vodal.pool.worker import Setup

__all__ = ["PoolStats", "WarmPool"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_START_DEADLINE_S = 120.0
_MAX_BACKOFF_S = 10.0
_SPARE_BUFFERS = 2
"""For results on their way to clients while the workers make others."""


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
        self.max_jobs = max_jobs
        self.name = name
        self._grace_s = grace_s
        self._setup = Setup(tuple(preload), initializer, memory_limit_bytes)
        self._shared_bytes = shared_bytes
        self._memory: SharedMemory | None = None
        self._running = False
        self._alive: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._aged: set[WorkerProcess] = set()
        """Had their share of requests; a replacement is on its way."""
        self._relieved: set[WorkerProcess] = set()
        """Aged, replaced, and still at a request."""
        self._bulk: set[WorkerProcess] = set()
        """At bulk work."""
        self._waiters, self._bulk_waiters = Lane(), Lane()
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._seconds_each = 0.05
        self._answered = self._lost = self._recycled = self._started = 0

    @property
    def running(self) -> bool:
        """Whether it takes requests."""
        return self._running

    @property
    def stats(self) -> PoolStats:
        """Give the present state."""
        return PoolStats(
            workers=len(self._alive),
            idle=len(self._idle),
            waiting=len(self._waiters),
            bulk_waiting=len(self._bulk_waiters),
            bulk_at_work=len(self._bulk),
            answered=self._answered,
            lost=self._lost,
            recycled=self._recycled,
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """Give the process ids of the warm workers."""
        return tuple(worker.pid for worker in self._alive)

    async def start(self) -> None:
        """Start the workers and wait until all are warm.

        Raises
        ------
        ArchiveError
            If a worker cannot start (a module does not import, no memory).
        """
        if self._running:
            return
        self._running = True
        if self._shared_bytes:
            try:
                self._memory = SharedMemory(self.workers + _SPARE_BUFFERS, self._shared_bytes)
            except OSError as error:
                _log.warning("results of a %s are sent: no shared memory, %s", self.name, error)
        try:
            starts = (self._new_worker() for _ in range(self.workers))
            outcomes = await asyncio.gather(*starts, return_exceptions=True)
            faults = [outcome for outcome in outcomes if outcome is not None]
            if faults:
                raise faults[0]  # noqa: TRY301 - raised when all others have come up or failed
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all workers; requests under way and waiting fail with ServiceUnavailable."""
        self._running = False
        for lane in (self._waiters, self._bulk_waiters):
            lane.fail(ServiceUnavailable("the service is shutting down"))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in list(self._idle):
            self._leave_idle(worker)
        for worker in list(self._alive):
            self._dismiss(worker, replace=False)
        await asyncio.gather(*self._endings, return_exceptions=True)
        if self._memory is not None:
            self._memory.close()

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
        if self._memory is not None:
            self._memory.give_back(buffer)

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
        if not self._running:
            raise ServiceUnavailable(f"the {self.name} processes are not running", 1)
        seconds = self.deadline_s if deadline_s is None else deadline_s
        deadline = asyncio.get_running_loop().time() + seconds
        for may_retry in (retry, False):
            if bulk:
                worker = await self._take_for_bulk()
                deadline = asyncio.get_running_loop().time() + seconds
            else:
                worker = await self._take(deadline, seconds)
            if shared and self._memory is not None:
                worker.buffer = self._memory.take()
            try:
                return await self._ask(worker, function, args, deadline, seconds)
            except _WorkerLostError:
                _log.warning("%s %d was lost under a request", self.name, worker.pid)
                if may_retry and self._running:
                    continue
                break
        raise ServiceUnavailable(f"the {self.name} process ended while it worked on this request")

    async def _take(self, deadline: float, seconds: float) -> WorkerProcess:
        """Get an idle worker, first come first served."""
        loop = asyncio.get_running_loop()
        if self._idle:
            # The last one used has the warmest caches.
            worker = self._idle.pop()
            loop.remove_reader(worker.fileno())
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

    def _serve_bulk(self) -> None:
        """Give idle workers to bulk work, but for the last one."""
        spare = 1 if self.workers > 1 else 0
        while self._idle and self._bulk_waiters and len(self._bulk) < len(self._alive) - spare:
            worker = self._idle[-1]
            self._leave_idle(worker)
            self._bulk.add(worker)
            self._bulk_waiters.serve(worker)

    def _give_up(self, future: asyncio.Future[WorkerProcess]) -> None:
        """Leave the queue; a worker that was given at the same moment goes back."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self._release(future.result())
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
            self._regain_buffer(worker)
            self._release(worker)
            raise
        try:
            await asyncio.wait({exchange}, timeout=max(0.0, deadline - begin))
        except asyncio.CancelledError:
            self._background(self._drain(worker, exchange))
            raise
        if not exchange.done():
            self._lose(worker)
            raise DeadlineError(
                f"the request took longer than {seconds:g} s and was stopped", round(seconds)
            )
        try:
            reply = exchange.result()
        except (EOFError, OSError, asyncio.CancelledError):  # cancelled as the pool stops
            self._lose(worker)
            raise _WorkerLostError from None
        except Exception:
            # A reply that cannot be read leaves the socket in an unknown state.
            self._lose(worker)
            raise
        if worker not in self._bulk:
            self._seconds_each += 0.1 * (loop.time() - begin - self._seconds_each)
        self._answered += 1
        if reply.error is not None:
            self._regain_buffer(worker)
        buffer, worker.buffer = worker.buffer, None
        self._release(worker, worn=reply.worn)
        if reply.error is not None:
            if reply.trace:
                _log.error("a request failed in a %s:\n%s", self.name, reply.trace)
            raise reply.error
        return reply.value, buffer

    def _regain_buffer(self, worker: WorkerProcess) -> None:
        """Free the buffer of a worker that does not write to it any more."""
        if worker.buffer is not None and self._memory is not None:
            self._memory.give_back(worker.buffer)
            worker.buffer = None

    async def _drain(self, worker: WorkerProcess, exchange: asyncio.Future[Any]) -> None:
        """Let the worker of a cancelled request come to its end, or bring it there."""
        try:
            await asyncio.wait({exchange}, timeout=self._grace_s)
        finally:
            if exchange.done() and not exchange.cancelled() and exchange.exception() is None:
                self._regain_buffer(worker)
                self._release(worker, worn=exchange.result().worn)
            else:
                self._lose(worker)

    def _release(self, worker: WorkerProcess, *, worn: bool = False) -> None:
        """Give a worker that is done to the next in the queue, or put it among the idle."""
        self._bulk.discard(worker)
        if worker not in self._alive:
            return
        if worn or worker in self._relieved:
            self._recycled += 1
            self._dismiss(worker, replace=worn and worker not in self._aged)
            return
        if worker.jobs >= self.max_jobs and worker not in self._aged:
            self._aged.add(worker)
            self._background(self._relieve(worker))
        if self._waiters.serve(worker):
            return
        self._idle.append(worker)
        asyncio.get_running_loop().add_reader(worker.fileno(), self._idle_died, worker)
        self._serve_bulk()

    def _idle_died(self, worker: WorkerProcess) -> None:
        """See to an idle worker whose socket became readable: only its end does that."""
        self._leave_idle(worker)
        _log.warning("idle %s %d ended", self.name, worker.pid)
        self._lose(worker)

    def _leave_idle(self, worker: WorkerProcess) -> None:
        asyncio.get_running_loop().remove_reader(worker.fileno())
        self._idle.remove(worker)

    def _lose(self, worker: WorkerProcess) -> None:
        """Write off a worker that died or was killed, and have it replaced."""
        if worker in self._alive:
            self._lost += 1
            self._dismiss(worker, replace=worker not in self._aged)

    def _dismiss(self, worker: WorkerProcess, *, replace: bool) -> None:
        """End a worker that is not among the idle."""
        self._alive.discard(worker)
        self._aged.discard(worker)
        self._relieved.discard(worker)
        self._bulk.discard(worker)
        ending = asyncio.ensure_future(self._end(worker))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        if replace and self._running:
            self._background(self._replace())

    async def _end(self, worker: WorkerProcess) -> None:
        await worker.end(grace_s=0.0)
        if worker.has_ended:
            self._regain_buffer(worker)

    async def _relieve(self, worker: WorkerProcess) -> None:
        """Replace an aged worker, which works on until the new one is warm."""
        await self._replace()
        if worker in self._idle:
            self._leave_idle(worker)
            self._recycled += 1
            self._dismiss(worker, replace=False)
        elif worker in self._alive:
            self._relieved.add(worker)

    async def _replace(self) -> None:
        """Start a worker, again and again until one starts."""
        backoff_s = 0.1
        while self._running:
            try:
                await self._new_worker()
            except (ArchiveError, OSError) as error:
                cause = error.__cause__ or ""
                _log.error("a %s could not start: %s\n%s", self.name, error, cause)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _MAX_BACKOFF_S)
            else:
                return

    async def _new_worker(self) -> None:
        """Start one worker and take it in when it is warm."""
        worker = WorkerProcess(() if self._memory is None else self._memory.fds)
        try:
            await asyncio.wait_for(worker.set_up(self._setup), _START_DEADLINE_S)
        except TimeoutError:
            await worker.end()
            raise ArchiveError("a worker process did not start in time") from None
        except BaseException:
            await worker.end()
            raise
        # Workers that start together shall not age together.
        worker.jobs = -(self._started * self.max_jobs // (2 * self.workers) % self.max_jobs)
        self._started += 1
        self._alive.add(worker)
        self._release(worker)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
