"""An end to the statements of a connection, by SQLite's progress handler."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import apsw

from obscore.store.pace import Pace
from vodal.errors import DeadlineError, ServiceUnavailable

__all__ = ["Deadline", "watch", "watch_long"]

_STEPS = 10_000
"""Virtual machine steps between two looks at the deadline: about a millisecond. Each look takes
Python's lock, which other queries wait for."""

_LONG_STEPS = 100_000
"""The same while compiled code takes the rows: it needs not wait for Python's lock so often."""


class Deadline:
    """Stops the statements of one connection once their time is used up.

    Only time spent in the database counts: a client that reads slowly does not use up its query's
    time. Give an instance to ``Connection.set_progress_handler`` and wrap each call into the
    database in `running`.
    """

    def __init__(self) -> None:
        self._left_s = float("inf")
        self._stop_at = float("inf")
        self._limit_s = float("inf")
        self._cancelled: threading.Event | None = None
        self._pace: Pace | None = None

    def start(
        self,
        limit_s: float | None,
        cancelled: threading.Event | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Begin a new query.

        Parameters
        ----------
        limit_s
            Seconds it may take; None for no limit.
        cancelled
            Set from outside to stop it at once.
        pace
            By which it shares the processors with others.
        """
        self._pace = pace
        self._limit_s = self._left_s = float("inf") if limit_s is None else limit_s
        self._cancelled = cancelled

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count the time within.

        Raises
        ------
        DeadlineError
            If the time was used up.
        ServiceUnavailable
            If the query was cancelled.
        """
        began = time.monotonic()
        self._stop_at = began + self._left_s
        try:
            with contextlib.nullcontext() if self._pace is None else self._pace.working(self._over):
                yield
        except apsw.InterruptError:
            if self._cancelled is not None and self._cancelled.is_set():
                raise ServiceUnavailable("the query was cancelled") from None
            raise DeadlineError(
                f"the query was stopped after {self._limit_s:g} s, the limit of this service"
            ) from None
        finally:
            self._left_s -= time.monotonic() - began
            self._stop_at = float("inf")

    def __call__(self) -> bool:
        """Tell SQLite whether to stop (the progress handler's interface)."""
        if self._pace is not None:
            self._pace.breathe(self._over)
        return self._over()

    def _over(self) -> bool:
        if self._cancelled is not None and self._cancelled.is_set():
            return True
        return time.monotonic() > self._stop_at


def watch(connection: apsw.Connection, deadline: Deadline) -> None:
    """Let a deadline stop the statements of a connection."""
    connection.set_progress_handler(deadline, _STEPS)


def watch_long(connection: apsw.Connection, deadline: Deadline) -> None:
    """Let a deadline stop them, looking at it less often, for the rest of a long answer."""
    connection.set_progress_handler(deadline, _LONG_STEPS)
