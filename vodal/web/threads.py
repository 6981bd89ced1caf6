"""Blocking work off the event loop, at the least cost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import anyio

__all__ = ["in_thread"]

_T = TypeVar("_T")

_THREADS = 40
"""Of one process; as many as anyio has, whose way of doing the same costs several times more."""

_executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="blocking")


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run a function in a thread.

    It is never abandoned: a caller that is cancelled goes on when the function has ended.
    """
    future = asyncio.get_running_loop().run_in_executor(_executor, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            # A task can be cancelled more than once, and by asyncio itself, which no scope of
            # anyio holds off.
            with anyio.CancelScope(shield=True), contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # looked at, so that nobody complains that it was not
        raise
