"""Work for a client that may go away meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

__all__ = ["send_unless_gone", "unless_gone"]

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


async def send_unless_gone(receive: Receive, send_all: Callable[[], Awaitable[None]]) -> None:
    """Send the body of an answer; if its client goes away, cancel the sending and return.

    Parameters
    ----------
    receive
        Of the request, whose body must have been read.
    send_all
        Sends; what it raises is raised here, not in a group.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(listen)
        try:
            await send_all()
        except Exception as error:  # noqa: BLE001 - raised anew outside the task group
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
