"""Who waits for a job to change, whichever process changes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from vodal.uws.jobs import Phase

__all__ = ["JobWatch"]


class _Waiter:
    """One request that waits, in some event loop."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Wake it from any thread."""
        # Where its loop has ended, nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.event.set)


class JobWatch:
    """Wakes the requests that wait for a job. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[str, set[_Waiter]] = {}
        self._closed = False

    @contextmanager
    def waiting(self, job_id: str, phase: Phase) -> Iterator[asyncio.Event]:
        """Lend an event that is set when the job may have left a phase.

        Look at the job once more after this has begun: a change before it is not told.
        """
        waiter = _Waiter(phase)
        with self._lock:
            self._waiters.setdefault(job_id, set()).add(waiter)
            if self._closed:
                waiter.event.set()
        try:
            yield waiter.event
        finally:
            with self._lock:
                waiters = self._waiters[job_id]
                waiters.discard(waiter)
                if not waiters:
                    del self._waiters[job_id]

    def changed(self, job_id: str) -> None:
        """Tell that a job has changed."""
        with self._lock:
            waiters = tuple(self._waiters.get(job_id, ()))
        for waiter in waiters:
            waiter.wake()

    def waited(self) -> list[str]:
        """Give the ids of jobs that are waited for."""
        with self._lock:
            return list(self._waiters)

    def compare(self, phases: Mapping[str, Phase]) -> None:
        """Wake those whose job has another phase now, or is gone.

        Parameters
        ----------
        phases
            Of all jobs that were waited for a moment ago and still exist.
        """
        with self._lock:
            waiters = [
                waiter
                for job_id, some in self._waiters.items()
                for waiter in some
                if phases.get(job_id) != waiter.phase
            ]
        for waiter in waiters:
            waiter.wake()

    @property
    def closed(self) -> bool:
        """Whether the server process stops."""
        return self._closed

    def close(self) -> None:
        """Wake everyone; who comes later waits no more."""
        with self._lock:
            self._closed = True
            waiters = [waiter for some in self._waiters.values() for waiter in some]
        for waiter in waiters:
            waiter.wake()
