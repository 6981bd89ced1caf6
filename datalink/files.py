"""A file as the client asked for it: whole, in ranges, or not again.

The file is opened once and everything is told of what was opened: size, tag and time are those of
the bytes that follow, even if another file takes its name meanwhile. A file that changed since it
was catalogued is served as it is now, under its new tag: who continues an old download by If-Range
then gets the whole.

Only what the resolver gives is opened; no part of a request ever becomes part of a path.

A ``.fits.gz`` is served as the ``application/gzip`` that it is, without Content-Encoding: ranges,
length and tag then mean the stored bytes, and what a client saves is what its name says.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Self
from urllib.parse import quote

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from datalink.conditions import Validators, make_etag, requested_ranges
from vodal.errors import DataError
from vodal.products import Product
from vodal.storage import LOCAL, RangeReader, Storage
from vodal.web.responses import IteratorResponse

__all__ = ["content_disposition", "file_response"]

_PIECE_BYTES = 256 * 1024

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")


class _Body:
    """Gives the pieces of an opened file, and closes it."""

    def __init__(self, reader: RangeReader, parts: Sequence[tuple[bytes, int, int]]) -> None:
        self._reader = reader
        self._pieces = self._read(parts)
        self._open = True

    def _read(self, parts: Sequence[tuple[bytes, int, int]]) -> Iterator[bytes]:
        for before, offset, length in parts:
            if before:
                yield before
            end = offset + length
            for start in range(offset, end, _PIECE_BYTES):
                try:
                    yield self._reader.read(start, min(_PIECE_BYTES, end - start))
                except OSError as error:
                    raise DataError(f"the file cannot be read: {error.strerror}") from error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Close the file."""
        if self._open:
            self._open = False
            self._reader.__exit__(None, None, None)


def content_disposition(file_name: str) -> str:
    """Write a Content-Disposition that offers a name to save under (RFC 6266).

    Both forms are given where they differ: one in plain ASCII for old clients, one in UTF-8.
    """
    plain = re.sub(r"[^ !#-\[\]-~]|[%/]", "_", file_name) or "file"
    value = f'attachment; filename="{plain}"'
    if plain != file_name:
        value += f"; filename*=UTF-8''{quote(file_name, safe='', errors='replace')}"
    return value


def _media_type(product: Product) -> str:
    if _MEDIA_TYPE.fullmatch(product.content_type):
        return product.content_type
    return "application/octet-stream"


def _multipart(
    ranges: Sequence[tuple[int, int]], size: int, media_type: str
) -> tuple[str, list[tuple[bytes, int, int]], int]:
    """Lay out ``multipart/byteranges`` (RFC 9110 section 14.6).

    Returns
    -------
    media_type, parts, length
        Of the whole; each part is what comes before it, its offset and length.
    """
    boundary = secrets.token_hex(16)
    parts = []
    for offset, length in ranges:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\n"
            f"Content-Range: bytes {offset}-{offset + length - 1}/{size}\r\n\r\n"
        )
        parts.append((head.encode("ascii"), offset, length))
    parts.append((f"\r\n--{boundary}--\r\n".encode("ascii"), 0, 0))
    total = sum(len(head) + length for head, _, length in parts)
    return f"multipart/byteranges; boundary={boundary}", parts, total


def _respond(request: Request, product: Product, reader: RangeReader) -> Response:
    """Decide what to send of an opened file; who gets the answer closes the file by it."""
    stat = reader.stat()
    validators = Validators(make_etag(stat.version), stat.modified_unix_s)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": validators.etag,
        "Last-Modified": validators.last_modified,
        # May be kept, must be asked after: a product may change or be withdrawn.
        "Cache-Control": "no-cache",
    }
    outcome = validators.outcome(request.headers)
    if outcome != "proceed":
        reader.__exit__(None, None, None)
        return Response(status_code=304 if outcome == "unchanged" else 412, headers=headers)
    media_type, size = _media_type(product), stat.size_bytes
    headers["Content-Disposition"] = content_disposition(product.file_name)
    headers["X-Content-Type-Options"] = "nosniff"
    ranges = None
    if request.method == "GET" and validators.range_holds(request.headers):
        ranges = requested_ranges(request.headers.get("range"), size)
    match ranges:
        case None:
            status, parts, length = 200, [(b"", 0, size)], size
        case []:
            reader.__exit__(None, None, None)
            headers["Content-Range"] = f"bytes */{size}"
            return Response(status_code=416, headers=headers)
        case [(offset, length)]:
            status, parts = 206, [(b"", offset, length)]
            headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
        case _:
            status = 206
            media_type, parts, length = _multipart(ranges, size, media_type)
    headers["Content-Length"] = str(length)
    headers["Content-Type"] = media_type
    return IteratorResponse(_Body(reader, parts), status_code=status, headers=headers)


async def file_response(request: Request, product: Product, storage: Storage = LOCAL) -> Response:
    """Answer a GET or HEAD for the file of a product.

    Raises
    ------
    NotFoundError
        If the file is not there any more.
    """

    def opened() -> Response:
        reader = storage.open(product.uri)
        try:
            return _respond(request, product, reader)
        except BaseException:
            reader.__exit__(None, None, None)
            raise

    return await run_sync(opened)
