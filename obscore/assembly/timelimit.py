"""An end to what takes too long, within the thread that does it."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["TimeUpError", "time_limit"]


class TimeUpError(BaseException):
    """The time is over; no handler of faults shall take it for one."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise in the block when its time is over.

    Neither way breaks off a call of a library that does not come back to Python.

    Parameters
    ----------
    seconds
        That the block may take.

    Raises
    ------
    TimeUpError
        Within the block, and from it.
    """
    in_main = threading.current_thread() is threading.main_thread()
    with _alarm(seconds) if in_main else _timer(seconds):
        yield


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Use the process's alarm clock, which also ends waits of the system."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeUpError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _timer(seconds: float) -> Iterator[None]:
    """Have another thread raise it in this one, as only the main thread hears signals."""
    thread, lock, is_over, is_raised = threading.get_ident(), threading.Lock(), False, False

    def ring() -> None:
        nonlocal is_raised
        with lock:
            if not is_over:
                is_raised = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(TimeUpError)
                )

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    except TimeUpError:
        is_raised = False  # it has come
        raise
    finally:
        with lock:
            is_over = True
        timer.cancel()
        while is_raised:
            time.sleep(0.001)  # it is on its way, and must not come later
