"""How often Python looks for garbage in circles, while rows are made that are in none.

With thousands of rows on their way to the store, each look goes through all of them: a third of the
time of a run whose files are not read.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["few_looks"]

_SELDOM = (50_000, 20, 50)
_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []
"""What held before each of the runs that go on."""


@contextmanager
def few_looks() -> Iterator[None]:
    """Look seldom within the block, in all threads; as before when the last such block ends."""
    with _lock:
        _before.append(gc.get_threshold())
        gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        with _lock:
            first = _before[0]
            _before.pop()
            if not _before:
                gc.set_threshold(*first)
