"""The workers of a pool: started, idle, replaced when they are lost, relieved when they are old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from vodal.errors import ArchiveError
from vodal.pool.memory import SharedBuffer, SharedMemory
from vodal.pool.process import WorkerProcess
from vodal.pool.worker import Setup

__all__ = ["Crew"]

_log = logging.getLogger(__name__)

_START_DEADLINE_S = 600.0
"""The first start after an installation compiles: minutes, where a small machine is busy."""
_MAX_BACKOFF_S = 10.0
_SPARE_BUFFERS = 2
"""For results on their way to clients while the workers make others."""


class Crew:
    """So many workers, whatever becomes of each. Belongs to one event loop.

    Parameters
    ----------
    size
        Number of processes.
    setup
        What each is told before its first request.
    max_jobs
        A worker is replaced, without a gap, after about as many requests.
    shared_bytes
        Of each buffer for results; 0 for none.
    name
        For messages and logs.
    wanted
        Called with a worker that is free; tells whether it was given work.
    rested
        Called when a worker was put among the idle.
    """

    def __init__(
        self,
        size: int,
        setup: Setup,
        *,
        max_jobs: int,
        shared_bytes: int,
        name: str,
        wanted: Callable[[WorkerProcess], bool],
        rested: Callable[[], None],
    ) -> None:
        self._size, self._setup, self._name = size, setup, name
        self._max_jobs, self._shared_bytes = max_jobs, shared_bytes
        self._wanted, self._rested = wanted, rested
        self._memory: SharedMemory | None = None
        self.running = False
        """Whether workers that end are replaced."""
        self.alive: set[WorkerProcess] = set()
        """Those that are warm."""
        self.idle: list[WorkerProcess] = []
        """Those without work, the last used at the end."""
        self.lost = self.recycled = 0
        """Workers that died or were killed, and that were replaced after their time."""
        self._started = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the workers and wait until all are warm.

        Raises
        ------
        ArchiveError
            If a worker cannot start (a module does not import, no memory).
        """
        self.running = True
        if self._shared_bytes:
            try:
                self._memory = SharedMemory(self._size + _SPARE_BUFFERS, self._shared_bytes)
            except OSError as error:
                _log.warning("results of a %s are sent: no shared memory, %s", self._name, error)
        starts = (self._new_worker() for _ in range(self._size))
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        faults = [outcome for outcome in outcomes if outcome is not None]
        if faults:
            raise faults[0]

    async def stop(self) -> None:
        """End all workers, whatever they are at."""
        self.running = False
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in list(self.idle):
            self.call(worker)
        for worker in list(self.alive):
            self._dismiss(worker, replace=False)
        await asyncio.gather(*self._endings, return_exceptions=True)
        if self._memory is not None:
            self._memory.close()

    def call(self, worker: WorkerProcess) -> None:
        """Take a worker from the idle."""
        asyncio.get_running_loop().remove_reader(worker.fileno())
        self.idle.remove(worker)

    def release(self, worker: WorkerProcess, *, worn: bool = False) -> None:
        """Let a worker that is done go on with other work, or put it among the idle.

        Parameters
        ----------
        worker
            Not among the idle.
        worn
            Whether it should be replaced.
        """
        worker.at_bulk = False
        if worker not in self.alive:
            return
        if worn or worker.relieved:
            self.recycled += 1
            self._dismiss(worker, replace=worn and not worker.aged)
            return
        if worker.jobs >= self._max_jobs and not worker.aged:
            worker.aged = True
            self.background(self._relieve(worker))
        if self._wanted(worker):
            return
        self.idle.append(worker)
        asyncio.get_running_loop().add_reader(worker.fileno(), self._idle_died, worker)
        self._rested()

    def lose(self, worker: WorkerProcess) -> None:
        """Write off a worker that died or has to be killed, and have it replaced."""
        if worker in self.alive:
            self.lost += 1
            self._dismiss(worker, replace=not worker.aged)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that ends with the crew at the latest."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Buffers

    @property
    def buffers_free(self) -> int:
        """Buffers that nobody has."""
        return 0 if self._memory is None else self._memory.free

    def lend_buffer(self, worker: WorkerProcess) -> None:
        """Give a worker a buffer for its next result, if one is free."""
        if self._memory is not None:
            worker.buffer = self._memory.take()

    def regain_buffer(self, worker: WorkerProcess) -> None:
        """Free the buffer of a worker that does not write to it any more."""
        if worker.buffer is not None:
            self.give_back(worker.buffer)
            worker.buffer = None

    def give_back(self, buffer: SharedBuffer) -> None:
        """Free a buffer that nobody uses any more."""
        if self._memory is not None:
            self._memory.give_back(buffer)

    # Coming and going

    def _idle_died(self, worker: WorkerProcess) -> None:
        """See to an idle worker whose socket became readable: only its end does that."""
        self.call(worker)
        _log.warning("idle %s %d ended", self._name, worker.pid)
        self.lose(worker)

    def _dismiss(self, worker: WorkerProcess, *, replace: bool) -> None:
        """End a worker that is not among the idle."""
        self.alive.discard(worker)
        ending = asyncio.ensure_future(self._end(worker))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        if replace and self.running:
            self.background(self._replace())

    async def _end(self, worker: WorkerProcess) -> None:
        await worker.end(grace_s=0.0)
        if worker.has_ended:
            self.regain_buffer(worker)

    async def _relieve(self, worker: WorkerProcess) -> None:
        """Replace an aged worker, which works on until the new one is warm."""
        await self._replace()
        if worker in self.idle:
            self.call(worker)
            self.recycled += 1
            self._dismiss(worker, replace=False)
        elif worker in self.alive:
            worker.relieved = True

    async def _replace(self) -> None:
        """Start a worker, again and again until one starts."""
        backoff_s = 0.1
        while self.running:
            try:
                await self._new_worker()
            except (ArchiveError, OSError) as error:
                cause = error.__cause__ or ""
                _log.error("a %s could not start: %s\n%s", self._name, error, cause)
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
        worker.jobs = -(self._started * self._max_jobs // (2 * self._size) % self._max_jobs)
        self._started += 1
        self.alive.add(worker)
        self.release(worker)
