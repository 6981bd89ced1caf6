"""Silence for libraries that warn about what their caller handles."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from typing_extensions import override

__all__ = ["quiet"]


class _Depth(threading.local):
    """How many quiet blocks this thread is in."""

    value = 0


_DEPTH = _Depth()
_LOCK = threading.Lock()


class _InQuietThread(type):
    """Takes any category of warnings for its own, while the thread that warns is quiet."""

    @override
    def __subclasscheck__(cls, subclass: type) -> bool:
        return _DEPTH.value > 0


class _Quiet(Warning, metaclass=_InQuietThread):
    """The category of what is said in quiet blocks."""


_FILTER = ("ignore", None, _Quiet, None, 0)
"""As `warnings.simplefilter` writes them."""


def _is_loud(record: logging.LogRecord) -> bool:
    return _DEPTH.value == 0 or record.levelno >= logging.ERROR


def _prepare() -> None:
    """See that the filter comes before all others, as tests and users put theirs in front."""
    filters = warnings.filters
    if filters and filters[0] is _FILTER:
        return
    with _LOCK:
        if not filters or filters[0] is not _FILTER:
            # First put in, then taken out where it was: others may be looking for it.
            filters.insert(0, _FILTER)  # type: ignore[attr-defined]
            for place in range(len(filters) - 1, 0, -1):
                if filters[place] is _FILTER:
                    del filters[place]  # type: ignore[attr-defined]
        logging.getLogger("astropy").addFilter(_is_loud)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress this thread's warnings, and notes that astropy logs, within the block.

    `warnings.catch_warnings` would swap state of the whole process, so that threads undo each
    other's: here one filter stays in the process for good, and heeds the thread that warns.
    """
    _prepare()
    _DEPTH.value += 1
    try:
        yield
    finally:
        _DEPTH.value -= 1
