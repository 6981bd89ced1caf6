"""Silence for libraries that warn about what their caller handles."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from typing_extensions import override

__all__ = ["quiet", "strict"]


class _Depth(threading.local):
    """How many blocks of a kind this thread is in."""

    value = 0


_DEPTH, _STRICT_DEPTH = _Depth(), _Depth()
_LOCK = threading.Lock()


class _InQuietThread(type):
    """Takes any category of warnings for its own, while the thread that warns is quiet."""

    @override
    def __subclasscheck__(cls, subclass: type) -> bool:
        return _DEPTH.value > 0


class _Quiet(Warning, metaclass=_InQuietThread):
    """The category of what is said in quiet blocks."""


class _InStrictThread(type):
    """Takes any category of warnings for its own, while the thread that warns is strict."""

    @override
    def __subclasscheck__(cls, subclass: type) -> bool:
        return _STRICT_DEPTH.value > 0


class _Strict(Warning, metaclass=_InStrictThread):
    """The category of what is said in strict blocks."""


_FILTERS = (("error", None, _Strict, None, 0), ("ignore", None, _Quiet, None, 0))
"""As `warnings.simplefilter` writes them, in their order."""


def _is_loud(record: logging.LogRecord) -> bool:
    return _DEPTH.value == 0 or record.levelno >= logging.ERROR


def _prepare() -> None:
    """See that the filters come before all others, as tests and users put theirs in front."""
    filters = warnings.filters
    if _come_first():
        return
    with _LOCK:
        if not _come_first():
            # First put in, then taken out where they were: others may be looking for them.
            filters[:0] = _FILTERS  # type: ignore[index]
            for place in range(len(filters) - 1, len(_FILTERS) - 1, -1):
                if any(filters[place] is one for one in _FILTERS):
                    del filters[place]  # type: ignore[attr-defined]
        logging.getLogger("astropy").addFilter(_is_loud)


def _come_first() -> bool:
    first = warnings.filters[: len(_FILTERS)]
    return len(first) == len(_FILTERS) and all(a is b for a, b in zip(first, _FILTERS, strict=True))


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


@contextmanager
def strict() -> Iterator[None]:
    """Make this thread's warnings errors within the block, also where it is quiet."""
    _prepare()
    _STRICT_DEPTH.value += 1
    try:
        yield
    finally:
        _STRICT_DEPTH.value -= 1
