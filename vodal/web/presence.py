"""Work for a client that may go away meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request

__all__ = ["unless_gone"]

_T = TypeVar("_T")

_PATIENCE_S = 0.02
"""Work that ends before that is not worth looking after the client for."""


async def unless_gone(
    request: Request, cancelled: threading.Event, work: Callable[[], Awaitable[_T]]
) -> _T:
    """Do work for a request; if its client goes away, set ``cancelled`` and end the waiting.

    What runs in a thread is not abandoned: it must see the event and end by itself.

    Parameters
    ----------
    request
        Its body must have been read.
    cancelled
        Tells the work to stop.
    work
        Called at once.

    Raises
    ------
    ClientDisconnect
        If the client went away and the work did not end by itself.
    """
    loop = asyncio.get_running_loop()
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancelled.set()
        scope.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch())

    timer = loop.call_later(_PATIENCE_S, begin)
    try:
        with anyio.CancelScope() as scope:
            return await work()
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
    raise ClientDisconnect
