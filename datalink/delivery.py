"""A content as the client asked for it: whole, in ranges, or not again (RFC 9110)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from datalink.conditions import Validators, make_etag, requested_ranges
from datalink.content import Content, Piece, Share
from vodal.web.presence import send_unless_gone
from vodal.web.threads import in_thread
from vodal.web.zerocopy import ZERO_COPY, offers_zero_copy

__all__ = ["content_disposition", "deliver"]

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")

_Span = tuple[bytes, int, int]
"""What comes before a range, its offset and its length."""


class _ContentResponse(Response):
    """Sends ranges of a content, and closes it however the sending ends.

    No thread is held while a slow client reads. To a HEAD request only the headers are sent. An
    error after the first bytes cuts the connection.
    """

    def __init__(
        self,
        content: Content,
        spans: Sequence[_Span],
        share: Share,
        status_code: int,
        headers: Mapping[str, str],
    ) -> None:
        self.status_code, self.media_type, self.background = status_code, None, None
        self._content, self._spans, self._share = content, spans, share
        self.init_headers(headers)

    async def _send_all(self, send: Send, *, zero_copy: bool) -> None:
        for before, offset, length in self._spans:
            if before:
                await send({"type": "http.response.body", "body": before, "more_body": True})
            pieces = self._content.pieces(offset, offset + length, self._share)
            async with aclosing(pieces):
                async for piece in pieces:
                    await self._send_piece(send, piece, zero_copy=zero_copy)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_piece(self, send: Send, piece: Piece, *, zero_copy: bool) -> None:
        if isinstance(piece, bytes):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        elif zero_copy:
            span = {"file": piece.reader, "offset": piece.offset, "count": piece.length}
            await send({"type": ZERO_COPY, **span, "more_body": True})
            piece.reader.check()
        else:
            async with aclosing(piece.read(self._share)) as pieces:
                async for one in pieces:
                    await send({"type": "http.response.body", "body": one, "more_body": True})

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
            with self._share.joined():
                zero_copy = offers_zero_copy(scope)
                sending = partial(self._send_all, send, zero_copy=zero_copy)
                await send_unless_gone(receive, sending)
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(self._content.close)


def content_disposition(file_name: str) -> str:
    """Write a Content-Disposition that offers a name to save under (RFC 6266).

    Both forms are given where they differ: one in plain ASCII for old clients, one in UTF-8.
    """
    plain = re.sub(r"[^ !#-\[\]-~]|[%/]", "_", file_name) or "file"
    value = f'attachment; filename="{plain}"'
    if plain != file_name:
        value += f"; filename*=UTF-8''{quote(file_name, safe='', errors='replace')}"
    return value


def _multipart(
    ranges: Sequence[tuple[int, int]], size: int, media_type: str
) -> tuple[str, list[_Span]]:
    """Lay out ``multipart/byteranges`` (RFC 9110 section 14.6); gives its media type too."""
    boundary = secrets.token_hex(16)
    spans: list[_Span] = []
    for offset, length in ranges:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\n"
            f"Content-Range: bytes {offset}-{offset + length - 1}/{size}\r\n\r\n"
        )
        spans.append((head.encode("ascii"), offset, length))
    spans.append((f"\r\n--{boundary}--\r\n".encode("ascii"), 0, 0))
    return f"multipart/byteranges; boundary={boundary}", spans


def _wanted_ranges(
    request: Request, content: Content, validators: Validators, size: int
) -> list[tuple[int, int]] | None:
    """Give the ranges that count; None for the whole."""
    if request.method != "GET" or not validators.range_holds(request.headers):
        return None
    ranges = requested_ranges(request.headers.get("range"), size)
    if ranges is not None and len(ranges) > 1 and not content.several_ranges:
        return None
    return ranges


def _answer(request: Request, content: Content, share: Share) -> Response | _ContentResponse:
    validators = Validators(make_etag(content.version), content.modified_unix_s)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": validators.etag,
        "Last-Modified": validators.last_modified,
        # May be kept, must be asked after: a product may change or be withdrawn. Compressed on its
        # way it would have neither ranges nor its length.
        "Cache-Control": "no-cache, no-transform",
    }
    outcome = validators.outcome(request.headers)
    if outcome != "proceed":
        return Response(status_code=304 if outcome == "unchanged" else 412, headers=headers)
    size = content.size_bytes
    known = _MEDIA_TYPE.fullmatch(content.media_type)
    media_type = content.media_type if known else "application/octet-stream"
    headers["Content-Disposition"] = content_disposition(content.file_name)
    headers["X-Content-Type-Options"] = "nosniff"
    status, spans = 206, [(b"", 0, size)]
    match _wanted_ranges(request, content, validators, size):
        case None:
            status = 200
        case []:
            headers["Content-Range"] = f"bytes */{size}"
            return Response(status_code=416, headers=headers)
        case [(offset, length)]:
            spans = [(b"", offset, length)]
            headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
        case several:
            media_type, spans = _multipart(several, size, media_type)
    headers["Content-Length"] = str(sum(len(before) + length for before, _, length in spans))
    headers["Content-Type"] = media_type
    return _ContentResponse(content, spans, share, status, headers)


async def deliver(request: Request, content: Content, share: Share) -> Response:
    """Answer a GET or HEAD with a content, which is closed whatever becomes of the answer.

    Parameters
    ----------
    request
        With its conditions and ranges.
    content
        Open.
    share
        Of the answers under way.
    """
    response = None
    try:
        response = _answer(request, content, share)
    finally:
        if not isinstance(response, _ContentResponse):
            await in_thread(content.close)
    return response
