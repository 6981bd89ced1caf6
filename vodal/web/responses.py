"""Answers that several services give: streams, text errors, nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import anyio
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from vodal.errors import ServiceUnavailable, SkylaneError
from vodal.web.presence import send_unless_gone
from vodal.web.threads import in_thread

__all__ = ["IteratorResponse", "error_headers", "no_content", "stream", "text_error"]

_CHUNK_BYTES = 64 * 1024
"""Small pieces are joined up to this size, since each hop to a thread costs about 0.1 ms."""

_CHUNK_WAIT_S = 0.05
"""Pieces that come slowly are sent after this time all the same."""


def _pull(iterator: Iterator[bytes]) -> tuple[bytes, bool]:
    """Take pieces up to `_CHUNK_BYTES`; the flag says that there are no more."""
    parts: list[bytes] = []
    size = 0
    deadline = time.monotonic() + _CHUNK_WAIT_S
    while size < _CHUNK_BYTES:
        piece = next(iterator, None)
        if piece is None:
            return b"".join(parts), True
        parts.append(piece)
        size += len(piece)
        if size and time.monotonic() > deadline:
            break
    return b"".join(parts), False


def _close(iterator: Iterator[bytes]) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


class IteratorResponse(Response):
    """Sends what a blocking iterator gives, and closes it however the sending ends.

    Pieces are made in a thread, one hop each; no thread is held while a slow client reads. To a
    HEAD request only the headers are sent. An exception of the iterator cuts the connection.

    Parameters
    ----------
    iterator
        Gives the body; its ``close``, if it has one, is called in a thread.
    status_code
        HTTP status.
    media_type
        Value of Content-Type; None sends what ``headers`` has.
    headers
        More headers; a Content-Length must be right.
    first
        What is sent before the iterator's pieces.
    """

    def __init__(
        self,
        iterator: Iterator[bytes],
        *,
        status_code: int = 200,
        media_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        first: bytes = b"",
    ) -> None:
        self.status_code = status_code
        self.media_type = media_type
        self.background = None
        self._first = first
        self._rest = iterator
        self.init_headers(headers)

    async def _send_all(self, send: Send) -> None:
        if self._first:
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
        last = False
        while not last:
            # Not abandoned on cancellation: the iterator is never run and closed at once.
            chunk, last = await in_thread(partial(_pull, self._rest))
            await send({"type": "http.response.body", "body": chunk, "more_body": not last})

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await send_unless_gone(receive, partial(self._send_all, send))
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(partial(_close, self._rest))


async def stream(
    source: Iterator[bytes] | Callable[[], Iterator[bytes]],
    media_type: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with what a blocking iterator gives, run in a thread piece by piece.

    The first pieces are taken before the answer starts: an exception there is raised here and
    becomes a normal error, and an answer that is whole by then is sent with its length. A thread
    is held only while a piece is made, never while a slow client reads.

    The iterator is closed when it is exhausted, when it fails, and when the client goes away; its
    ``close`` runs in a thread too.

    Parameters
    ----------
    source
        Gives the body in pieces; an exception after the first pieces cuts the connection. A
        function that makes the iterator is called in the thread that takes the first pieces.
    media_type
        Value of Content-Type.
    headers
        More headers.
    """
    begun: list[Iterator[bytes]] = []

    def begin() -> tuple[bytes, bool]:
        iterator = source() if callable(source) else source
        begun.append(iterator)
        ended = True
        try:
            first, ended = _pull(iterator)
        finally:
            if ended:
                _close(iterator)
        return first, ended

    try:
        first, done = await in_thread(begin)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            for iterator in begun:
                await in_thread(partial(_close, iterator))
        raise
    given = dict(headers or {})
    if done:
        return Response(first, media_type=media_type, headers=given)
    return IteratorResponse(begun[0], media_type=media_type, headers=given, first=first)


def error_headers(error: SkylaneError) -> dict[str, str]:
    """Give the headers that go with an error in any form."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, ServiceUnavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    return headers


def text_error(error: SkylaneError) -> Response:
    """Tell an error as DALI 1.1 section 4.2 and SODA 1.0 section 5.3 want it: label and sentence.

    The body is one line of ``text/plain``: ``UsageError: ...``.
    """
    sentence = " ".join(str(error).split())
    return PlainTextResponse(
        f"{error.label}: {sentence}\n",
        status_code=error.status,
        headers=error_headers(error),
    )


def no_content() -> Response:
    """Answer 204: the request was right and there is nothing to give; no body is sent."""
    # Without a Content-Length either, which RFC 9110 section 8.6 forbids here.
    return Response(status_code=204)
