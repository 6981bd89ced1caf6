"""Stops a statement at its deadline or when it is cancelled, from a thread that watches all."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

import psycopg

from obscore.store.pace import Pace
from obscore.store.postgres.pool import Connection
from vodal.errors import DeadlineError, ServiceUnavailable

__all__ = ["Deadline", "Watch"]

_LOG = logging.getLogger(__name__)

_LOOK_S = 0.05
"""Between two looks at the running statements."""

_REST_S = 30.0
"""After which the thread ends, if nothing runs."""

_CANCEL_S = 5.0
"""That the server has to take a request to cancel."""


class Deadline:
    """The time of one query on one connection; made by `Watch.start`.

    Only time spent in the database counts: a client that reads slowly does not use up its query's
    time. Wrap each call into the database in `running`.
    """

    def __init__(
        self,
        watch: Watch,
        connection: Connection,
        limit_s: float | None,
        cancelled: threading.Event | None,
        pace: Pace | None,
    ) -> None:
        self._pace = pace
        self._watch = watch
        self._connection = connection
        self._limit_s = self._left_s = float("inf") if limit_s is None else limit_s
        self._stop_at = float("inf")
        self._cancelled = cancelled
        self._cancelling: threading.Thread | None = None

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
        self._watch.add(self)
        try:
            # The database's processes share the processors by its own rules.
            with contextlib.nullcontext() if self._pace is None else self._pace.resting():
                yield
        except psycopg.errors.QueryCanceled:
            if not self.stopped:
                # By an administrator, or by a limit that the server has.
                raise ServiceUnavailable("the database cancelled the query") from None
            if self._cancelled is not None and self._cancelled.is_set():
                raise ServiceUnavailable("the query was cancelled") from None
            raise DeadlineError(
                f"the query was stopped after {self._limit_s:g} s, the limit of this service"
            ) from None
        finally:
            self._watch.remove(self)
            self._left_s -= time.monotonic() - began

    @property
    def stopped(self) -> bool:
        """Whether the server was asked to cancel; the request may still be on its way."""
        return self._cancelling is not None

    def settle(self) -> None:
        """Close the connection if a request to cancel could meet its next query."""
        if self._cancelling is not None:
            self._cancelling.join()
            self._connection.close()

    def look(self) -> None:
        """Cancel the statement if its time is over; called by the watch."""
        due = time.monotonic() > self._stop_at
        if self._cancelling is None and (
            due or (self._cancelled is not None and self._cancelled.is_set())
        ):
            # A server that is slow to take the request must not hold up the others.
            self._cancelling = threading.Thread(target=self._cancel, name="cancel", daemon=True)
            self._cancelling.start()

    def _cancel(self) -> None:
        try:
            self._connection.cancel_safe(timeout=_CANCEL_S)
        except psycopg.Error as error:
            _LOG.warning("a query could not be cancelled: %s", error)


class Watch:
    """Looks at the statements that run, in one thread that lives while there are some."""

    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(
        self,
        connection: Connection,
        limit_s: float | None,
        cancelled: threading.Event | None = None,
        pace: Pace | None = None,
    ) -> Deadline:
        """Begin a query.

        Parameters
        ----------
        connection
            On which it runs.
        limit_s
            Seconds it may take; None for no limit.
        cancelled
            Set from outside to stop it at once.
        pace
            Of what else the query computes.
        """
        return Deadline(self, connection, limit_s, cancelled, pace)

    def add(self, deadline: Deadline) -> None:
        """Look at a statement from now on."""
        with self._changed:
            self._running.add(deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="deadlines", daemon=True)
                self._thread.start()
            elif len(self._running) == 1:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        """Look at it no more."""
        with self._changed:
            self._running.discard(deadline)

    def _look(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._running, _REST_S):
                    self._thread = None
                    return
            time.sleep(_LOOK_S)
            with self._changed:
                for deadline in self._running:
                    deadline.look()
