"""How long computations share the processors with short ones.

A query that has computed for a moment is a long one. Only so many long ones compute at once, each
for a short slice before the next has its turn, so that a processor stays free for the many queries
that take milliseconds: a join of a large table with itself then slows its own kind only.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["Lane", "Pace"]

_T = TypeVar("_T")

_LOOK_S = 0.02
"""How often one that waits looks whether it was told to stop."""


def _never() -> bool:
    return False


class Lane:
    """Where long computations wait for each other. Safe to use from several threads.

    Parameters
    ----------
    slots
        Long computations that run at once.
    after_s
        Seconds of work after which a computation is a long one.
    slice_s
        Seconds that a long one works before it lets another one work, if one waits.
    """

    def __init__(self, slots: int, *, after_s: float = 0.25, slice_s: float = 0.05) -> None:
        self.after_s = after_s
        self.slice_s = slice_s
        self._free = slots
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def pace(self) -> Pace:
        """Begin the account of one computation."""
        return Pace(self)

    @property
    def crowded(self) -> bool:
        """Whether one waits."""
        return bool(self._waiting)

    def enter(self, stop: Callable[[], bool]) -> bool:
        """Wait for a slot, those that came first before; False if told to stop."""
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        while not turn.wait(_LOOK_S):
            if stop():
                with self._lock:
                    if turn.is_set():
                        # Given between the two looks: it goes on to the next.
                        break
                    self._waiting.remove(turn)
                return False
        return True

    def leave(self) -> None:
        """Give a slot free."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


class Pace:
    """The account of one computation.

    It may use several threads, such as a reader's and a writer's; however many work, it takes one
    slot.

    Parameters
    ----------
    lane
        Where it waits once it is a long one.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._used_s = 0.0
        self._began = 0.0
        self._turn_began = 0.0
        self._depth = 0
        self._holds = False
        self._takes = False
        self._lock = threading.Lock()

    @contextmanager
    def working(self, stop: Callable[[], bool] = _never) -> Iterator[None]:
        """Count the time within; may be nested. Waits first if the computation is a long one.

        Parameters
        ----------
        stop
            Asked now and then while it waits; True ends the waiting.
        """
        with self._lock:
            self._depth += 1
            first = self._depth == 1
            if first:
                self._began = time.monotonic()
        if first and self._used_s > self._lane.after_s:
            self._take(stop)
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    self._used_s += time.monotonic() - self._began
                    self._give()

    def breathe(self, stop: Callable[[], bool] = _never) -> None:
        """Let others work, if it is time to; called often from within `working`.

        Parameters
        ----------
        stop
            As for `working`.
        """
        now = time.monotonic()
        if self._holds:
            if now - self._turn_began > self._lane.slice_s and self._lane.crowded:
                with self._lock:
                    self._give()
                self._take(stop)
        elif self._used_s + now - self._began > self._lane.after_s:
            self._take(stop)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Count none of the time within, and let others work: another process computes."""
        began = time.monotonic()
        with self._lock:
            self._give()
        try:
            yield
        finally:
            with self._lock:
                # As if what is counted had begun so much later.
                self._began += time.monotonic() - began

    def over(self, items: Iterator[_T], stop: Callable[[], bool] = _never) -> Iterator[_T]:
        """Give what an iterator gives, its work counted.

        Parameters
        ----------
        items
            Closed at the end.
        stop
            As for `working`.
        """
        try:
            while True:
                with self.working(stop):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _take(self, stop: Callable[[], bool]) -> None:
        with self._lock:
            if self._takes or self._holds:
                # Another thread of this computation has the slot or waits for it. To wait for
                # that thread could be to wait for oneself, so this one works on.
                return
            self._takes = True
        entered = self._lane.enter(stop)
        with self._lock:
            self._takes = False
            self._holds = entered
            self._turn_began = time.monotonic()
            if self._depth == 0:
                self._give()

    def _give(self) -> None:
        """Give the slot free; the lock is held."""
        if self._holds:
            self._holds = False
            self._lane.leave()
