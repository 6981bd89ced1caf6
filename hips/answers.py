"""Answers with a tile or another file of a HiPS: kept copies, ranges, and what is not there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from hips.tiles.base import Found
from vodal.errors import NotFoundError
from vodal.web.etags import listed_tags
from vodal.web.responses import text_error

__all__ = ["absent", "found"]

_ABSENT_S: Final = 60
"""How long it may be kept in mind that there is no such tile."""
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{0,18})|bytes=-(\d{1,18})")


def absent() -> Response:
    """Answer that there is no such tile or file: clients ask for many that are not there."""
    answer = text_error(NotFoundError("there is no such tile or file of a HiPS here"))
    answer.headers["Cache-Control"] = f"max-age={_ABSENT_S}"
    return answer


def found(request: Request, there: Found, kind: str, caching: str) -> Response:
    """Answer with what was found, whole or a range of it.

    304 if the client has it, 412 if it asks for another.

    Parameters
    ----------
    request
        GET or HEAD.
    there
        Is closed.
    kind
        Media type.
    caching
        ``Cache-Control``.
    """
    with there:
        etag = f'"{there.tag}"'
        changed = datetime.fromtimestamp(int(there.modified_unix_s), UTC)
        headers = {
            "ETag": etag,
            "Last-Modified": format_datetime(changed, usegmt=True),
            "Cache-Control": caching,
        }
        wanted = request.headers.get("if-match")
        if wanted is not None and not listed_tags(wanted) & {etag, "*"}:
            return Response(status_code=412, headers=headers)
        if _has_it(request, etag, changed):
            return Response(status_code=304, headers=headers)
        headers["Accept-Ranges"] = "bytes"
        size = there.size_bytes
        part = _range(request, etag, changed, size)
        if part is not None and not part:
            headers["Content-Range"] = f"bytes */{size}"
            return Response(status_code=416, headers=headers)
        body = there.read() if request.method == "GET" else b""
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
            body = body[part.start : part.stop]
        headers["Content-Length"] = str(size if part is None else len(part))
    status = 200 if part is None else 206
    return Response(body, status_code=status, headers=headers, media_type=kind)


def _range(request: Request, etag: str, changed: datetime, size: int) -> range | None:
    """Give the bytes asked for (RFC 9110 section 14.2): None for all, empty if there are none."""
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or request.method != "GET":
        return None
    stamp = request.headers.get("if-range", etag)
    if stamp not in {etag, format_datetime(changed, usegmt=True)}:
        return None
    if match[3]:
        return range(max(0, size - int(match[3])), size)
    last = int(match[2]) if match[2] else size - 1
    if last < int(match[1]):
        return None if match[2] and int(match[2]) < int(match[1]) else range(0)
    return range(int(match[1]), min(last + 1, size))


def _has_it(request: Request, etag: str, changed: datetime) -> bool:
    """Tell whether the client's copy is this one (RFC 9110 section 13.2.2)."""
    known = request.headers.get("if-none-match")
    if known is not None:
        return bool(listed_tags(known) & {etag, "*"})
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        when = parsedate_to_datetime(since)
    except ValueError:
        return False
    return changed <= (when if when.tzinfo else when.replace(tzinfo=UTC))
