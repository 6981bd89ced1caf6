"""Files sent by the kernel itself (``sendfile``), as ASGI's extension for zero copy has it.

An app that finds ``http.response.zerocopysend`` among the extensions of a request may send messages
of this type in place of ``http.response.body``, with ``file`` (what has a ``fileno``), ``offset``,
``count`` and ``more_body``. The bytes never enter this process: no memory is held for a client that
reads slowly, and no thread waits for it. Connections with TLS do not offer it.

uvicorn has no such extension, so its protocol is derived from (seen with 0.37 to 0.54).
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from vodal.web.threads import in_thread

__all__ = ["ZERO_COPY", "ZeroCopyProtocol", "offers_zero_copy"]

ZERO_COPY: Final = "http.response.zerocopysend"
"""Name of the extension, and type of its message."""

_STEP_BYTES = 256 * 1024
"""Sent before others on the event loop have their turn: about 0.1 ms."""

_NOW: int | None = getattr(os, "RWF_NOWAIT", None)
"""Asks for bytes only if the system has them in memory."""


def offers_zero_copy(scope: Scope) -> bool:
    """Tell whether the server of a request sends files itself."""
    return ZERO_COPY in scope.get("extensions", {})


class ZeroCopyProtocol(HttpToolsProtocol):
    """One connection, over which files may be sent by the kernel."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.app = _with_zero_copy(self.app)

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.scheme == "http" and hasattr(os, "sendfile"):
            extensions: Any = self.scope.setdefault("extensions", {})
            extensions[ZERO_COPY] = {}


def _with_zero_copy(app: ASGIApp) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        # What sends is a method of the exchange of request and answer.
        cycle = getattr(send, "__self__", None)
        if not isinstance(cycle, RequestResponseCycle):
            await app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] != ZERO_COPY:
                await send(message)
                return
            await _send_file(cycle, message)
            if not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await app(scope, receive, send_on)

    return wrapped


async def _send_file(cycle: RequestResponseCycle, message: Message) -> None:
    """Send some bytes of a file.

    Raises
    ------
    RuntimeError
        If the answer was not begun, or not with a length that has room for them; or if the file
        ends before.
    """
    file, count = message["file"], int(message["count"])
    if not cycle.response_started or cycle.chunked_encoding is not False:
        raise RuntimeError("a file is sent after headers that tell the length of the answer")
    if count > cycle.expected_content_length:
        raise RuntimeError("the file is longer than the rest of the answer")
    await _flushed(cycle)
    if cycle.disconnected:
        return
    transport = cycle.transport
    descriptor = transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return
    # The loop does not let the transport's own descriptor be watched.
    own = os.dup(descriptor)
    try:
        await _copy(cycle, own, file if isinstance(file, int) else file.fileno(),
                    int(message.get("offset", 0)), count)  # fmt: skip
    finally:
        os.close(own)
    cycle.expected_content_length -= count


async def _flushed(cycle: RequestResponseCycle) -> None:
    """Wait until what was written before is with the kernel."""
    transport = cycle.transport
    await asyncio.sleep(0)  # uvloop writes at the end of a round
    if transport.get_write_buffer_size():
        transport.set_write_buffer_limits(high=0)
        try:
            while transport.get_write_buffer_size() and not cycle.disconnected:
                if cycle.flow.write_paused:
                    await cycle.flow.drain()
                else:
                    await asyncio.sleep(0.001)
        finally:
            transport.set_write_buffer_limits()


async def _copy(cycle: RequestResponseCycle, out: int, file: int, offset: int, count: int) -> None:
    while count > 0:
        if cycle.disconnected or cycle.transport.is_closing():
            # What is sent after that is nobody's; uvicorn knows it so.
            cycle.disconnected = True
            return
        step = partial(os.sendfile, out, file, offset, min(count, _STEP_BYTES))
        try:
            # The loop does not wait for a disk.
            in_memory = _in_memory(file, offset, min(count, _STEP_BYTES))
            sent = step() if in_memory else await in_thread(step)
        except BlockingIOError:
            await _writable(out)
            continue
        except OSError:
            # The client is gone, or the kernel gave it up.
            cycle.disconnected = True
            cycle.transport.abort()
            return
        if sent == 0:
            raise RuntimeError("the file ended while it was sent")
        offset, count = offset + sent, count - sent
        await asyncio.sleep(0)


def _in_memory(file: int, offset: int, count: int) -> bool:
    """Tell whether bytes of a file come without a disk, as far as its first and last ones tell."""
    if _NOW is None:
        return False
    byte = bytearray(1)
    try:
        return all(os.preadv(file, [byte], at, _NOW) for at in (offset, offset + count - 1))
    except OSError:
        # Not there at once, or a file system that cannot tell.
        return False


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(descriptor, tell)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)
