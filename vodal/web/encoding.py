"""Answers compressed on their way, for clients that take them so (RFC 9110 section 8.4).

Each piece of an answer is compressed and sent when it comes: nothing waits for a full window, and
memory does not grow. Which coding a client takes is told by its Accept-Encoding; the codings that
there are cost little beside the making of a table (docs/formats.md has the figures).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Final, Literal, Protocol

import pyarrow as pa
from isal import isal_zlib
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vodal.tables.sink import Sink
from vodal.web.threads import in_thread

__all__ = ["CODINGS", "TEXTS", "Coder", "Compression", "CompressionMode", "choose_coding"]

CompressionMode = Literal["always", "remote", "never"]
"""Who gets answers compressed: all who take them so, those not on the server's own machine, none.
"""

TEXTS: Final = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/xhtml+xml",
        "application/xml",
        "application/x-votable+xml",
        "image/svg+xml",
        "text/css",
        "text/csv",
        "text/html",
        "text/javascript",
        "text/plain",
        "text/tab-separated-values",
        "text/xml",
    }
)
"""Media types of text, without parameters."""

_LEAST_BYTES = 1000
"""A shorter answer fits into one packet of the network as it is."""

_INLINE_BYTES = 128 * 1024
"""Up to this size compressing takes less than 0.5 ms, and a hop to a thread would not pay."""

_WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")

_ALIASES = {"x-gzip": "gzip"}


class Coder(Protocol):
    """Compresses a body piece by piece."""

    def piece(self, data: bytes, *, last: bool) -> bytes:
        """Give all of what stands for the pieces so far, and the end after the last."""
        ...


class _Gzip:
    """ISA-L's gzip at level 1: four times as fast as zlib's, and as small."""

    def __init__(self) -> None:
        self._made = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)

    def piece(self, data: bytes, *, last: bool) -> bytes:
        """Compress a piece (`Coder`)."""
        begun: bytes = self._made.compress(data)
        rest: bytes = self._made.flush(isal_zlib.Z_FINISH if last else isal_zlib.Z_SYNC_FLUSH)
        return begun + rest


class _Zstd:
    """Arrow's Zstandard at level 1, whose window is far below the 8 MB of RFC 9659."""

    def __init__(self) -> None:
        self._sink = Sink()
        self._stream = pa.CompressedOutputStream(self._sink, "zstd")

    def piece(self, data: bytes, *, last: bool) -> bytes:
        """Compress a piece (`Coder`)."""
        self._stream.write(data)
        if last:
            self._stream.close()
        else:
            self._stream.flush()
        return self._sink.take()


CODINGS: Final[Mapping[str, Callable[[], Coder]]] = {
    **({"zstd": _Zstd} if pa.Codec.is_available("zstd") else {}),
    "gzip": _Gzip,
}
"""The codings that there are, the best first, by their names in HTTP."""


@lru_cache(maxsize=256)
def choose_coding(accepted: str) -> str | None:
    """Give the coding for a client (RFC 9110 section 12.5.3); None sends the answer as it is.

    Parameters
    ----------
    accepted
        Value of Accept-Encoding. A part that is malformed is passed over. Where a client would
        have nothing that there is, not even the answer as it is, it gets that all the same.
    """
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, *options = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for option in options:
            key, _, value = (piece.strip() for piece in option.partition("="))
            if key == "q":
                weight = float(value) if _WEIGHT.fullmatch(value) else 0.0
        weights.setdefault(_ALIASES.get(name, name), weight)
    # Who takes anything is given what all know.
    weights.setdefault("gzip", weights.get("*", 0.0))
    # The answer as it is need not be named, and then loses to all that is.
    best: str | None = None
    best_weight = weights.get("identity", 0.0)
    for name in CODINGS:
        weight = weights.get(name, 0.0)
        if weight > best_weight or (weight == best_weight > 0 and best is None):
            best, best_weight = name, weight
    return best


def _is_local(scope: Scope) -> bool:
    """Tell whether the client is on the server's own machine, where bytes cost nothing.

    A proxy tells whom it speaks for (X-Forwarded-For), which the server has put into the scope.
    """
    host = (scope.get("client") or ("", 0))[0]
    return bool(host.startswith("127.") or host in {"::1", "::ffff:127.0.0.1"})


class Compression:
    """Wraps an app and compresses its answers (an ASGI middleware).

    Answers that are coded already stay as they are; so do ranges, and what another medium than
    ``kinds`` or ``Cache-Control: no-transform`` marks.

    Parameters
    ----------
    app
        What is wrapped.
    kinds
        Media types to compress, without parameters, lower case.
    mode
        Who gets compressed answers.
    """

    def __init__(
        self,
        app: ASGIApp,
        kinds: Collection[str] = TEXTS,
        mode: CompressionMode = "always",
    ) -> None:
        self._app = app
        self._kinds = frozenset(kinds)
        self._mode = mode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (the ASGI interface)."""
        if scope["type"] != "http" or self._mode == "never":
            await self._app(scope, receive, send)
            return
        accepted = Headers(scope=scope).get("accept-encoding", "")
        coding = choose_coding(accepted) if accepted else None
        if coding is not None and self._mode == "remote" and _is_local(scope):
            coding = None
        answer = _Answer(send, self._kinds, coding, is_head=scope["method"] == "HEAD")
        await self._app(scope, receive, answer.send)


class _Answer:
    """One answer on its way."""

    def __init__(
        self, send: Send, kinds: frozenset[str], coding: str | None, *, is_head: bool
    ) -> None:
        self._send = send
        self._kinds = kinds
        self._coding = coding
        self._is_head = is_head
        self._start: Message | None = None
        """Kept until the first piece tells how long the answer is."""
        self._coder: Coder | None = None

    async def send(self, message: Message) -> None:
        """Take a message of the app and send what stands for it."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._start is not None:
            await self._first(self._start, message)
        elif self._coder is not None:
            await self._send(await _compressed(self._coder, message))
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        if not self._is_fit(message["status"], headers):
            await self._send(message)
            return
        headers.add_vary_header("Accept-Encoding")
        if self._coding is None or message["status"] == HTTPStatus.NOT_MODIFIED:
            await self._send(message)
        else:
            self._start = message

    def _is_fit(self, status: int, headers: MutableHeaders) -> bool:
        if status == HTTPStatus.NOT_MODIFIED:
            # It has no media type, and must name the Vary that 200 would have had.
            return True
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return (
            kind in self._kinds
            and status not in {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NO_CONTENT}
            and "content-encoding" not in headers
            and "content-range" not in headers
            and "no-transform" not in headers.get("cache-control", "")
        )

    async def _first(self, start: Message, message: Message) -> None:
        """Send the head of the answer, now that there is a piece of it."""
        assert self._coding is not None
        self._start = None
        body, is_whole = message.get("body", b""), not message.get("more_body", False)
        headers = MutableHeaders(scope=start)
        length = len(body) if is_whole and not self._is_head else _length(headers)
        if length is None or length >= _LEAST_BYTES:
            if not self._is_head:
                self._coder = CODINGS[self._coding]()
                message = await _compressed(self._coder, message)
            _describe(headers, self._coding)
            if is_whole and not self._is_head:
                headers["Content-Length"] = str(len(message["body"]))
        await self._send(start)
        await self._send(message)


def _length(headers: MutableHeaders) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _describe(headers: MutableHeaders, coding: str) -> None:
    """Make the headers tell of the compressed answer."""
    headers["Content-Encoding"] = coding
    # Of its length only the end tells, and ranges of it are not to be had.
    del headers["Content-Length"]
    del headers["Accept-Ranges"]
    etag = headers.get("etag")
    if etag is not None and not etag.startswith("W/"):
        # The same content, not the same bytes (RFC 9110 section 8.8.1).
        headers["ETag"] = f"W/{etag}"


async def _compressed(coder: Coder, message: Message) -> Message:
    """Give a message of the body with its piece compressed."""
    body, last = message.get("body", b""), not message.get("more_body", False)
    work = partial(coder.piece, body, last=last)
    done = work() if len(body) <= _INLINE_BYTES else await in_thread(work)
    return {**message, "body": done}
