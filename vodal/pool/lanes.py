"""Who waits for a worker: requests that somebody waits for, and bulk work behind them."""

from __future__ import annotations

import asyncio
from collections import deque

from vodal.errors import SkylaneError
from vodal.pool.process import WorkerProcess

__all__ = ["Lane"]

Waiter = asyncio.Future[WorkerProcess]


class Lane:
    """A queue, first come first served; belongs to one event loop."""

    def __init__(self) -> None:
        self._waiters: deque[Waiter] = deque()

    def __len__(self) -> int:
        return sum(not waiter.done() for waiter in self._waiters)

    def join(self) -> Waiter:
        """Wait at the end of the queue; whoever gives up cancels the future."""
        while self._waiters and self._waiters[0].done():
            self._waiters.popleft()
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def serve(self, worker: WorkerProcess) -> bool:
        """Give a worker to the first who still waits; False if nobody does."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return True
        return False

    def fail(self, error: SkylaneError) -> None:
        """Tell all who wait that there will be no worker."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()
