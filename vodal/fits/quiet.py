"""Silence for libraries that warn about what their caller handles."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings, and notes that astropy logs, within the block.

    `warnings.catch_warnings` swaps state of the whole process and is not thread-safe; the lock
    keeps our own uses from undoing each other out of order.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger = logging.getLogger("astropy")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
