"""What a download asks of a site over HTTP: a query, a list of files, the bytes of an archive."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping, Sequence
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from uuid import uuid4

from typing_extensions import override

from vodal.errors import (
    AuthorizationError,
    DataError,
    GoneError,
    NotFoundError,
    ServiceUnavailable,
    SkylaneError,
    UsageError,
)

__all__ = ["SiteServer"]

_TIMEOUT_S: Final = 120.0
_MOST_ROWS: Final = 2_000_000_000
"""Of a query: the site has its own limit, and says so."""
_MOST_TOLD: Final = 2000
"""Bytes of an error that are read."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to who asked: a token goes to the site alone."""

    @override
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: Message, newurl: str,
    ) -> None:  # fmt: skip
        return None


class _RedirectError(DataError):
    """An answer that leads elsewhere."""

    def __init__(self, url: str, location: str) -> None:
        super().__init__(f"{url} leads to {location[:200]}; give that address")
        self.location = location


class SiteServer:
    """A site, as a client sees it.

    Parameters
    ----------
    url
        Of the site: what stands before ``/tap`` and ``/files``.
    token
        Sent with each request to the site, and to no other.

    Raises
    ------
    UsageError
        If the URL is none of http or https.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url, self._token = url.strip().rstrip("/"), token
        if not re.match(r"https?://[^/]", self._url, re.IGNORECASE):
            raise UsageError(f"'{url[:200]}' is no address of a site; it begins with https://")
        self._opener = urllib.request.build_opener(_NoRedirects)

    def rows_of(self, adql: str) -> bytes:
        """Give the rows of a query as a VOTable.

        Raises
        ------
        UsageError
            If the query is wrong, or has more rows than the site gives.
        """
        asked = {"LANG": "ADQL", "QUERY": adql, "RESPONSEFORMAT": "votable",
                 "MAXREC": str(_MOST_ROWS)}  # fmt: skip
        body = urlencode(asked).encode()
        with self._ask("/tap/sync", body, "application/x-www-form-urlencoded") as answer:
            table = answer.read()
        if re.search(rb'value="OVERFLOW"', table[-4000:]):
            raise UsageError("the query has more rows than the site gives; restrict it")
        return table

    def archive_of(self, dids: Sequence[str], tables: Mapping[str, bytes]) -> str:
        """Have a list of files made; gives the address of their archive.

        Parameters
        ----------
        dids
            Identifiers.
        tables
            Tables of identifiers, by their files' names.
        """
        boundary = uuid4().hex
        parts = [('name="ID"', did.encode()) for did in dids]
        parts += [(f'name="table{number}"; filename={json.dumps(name)}', content)
                  for number, (name, content) in enumerate(tables.items())]  # fmt: skip
        body = b"".join(
            f"--{boundary}\r\nContent-Disposition: form-data; {named}\r\n\r\n".encode()
            + content + b"\r\n"
            for named, content in parts
        )  # fmt: skip
        body += f"--{boundary}--\r\n".encode()
        url = f"{self._url}/files/bulk"
        try:
            self._ask("/files/bulk", body, f"multipart/form-data; boundary={boundary}").close()
        except _RedirectError as led:
            return urljoin(url, led.location)
        raise DataError(f"{url} makes no lists of files")

    def opened(self, url: str, offset: int) -> tuple[HTTPResponse, int]:
        """Open an archive from some byte; gives what is left of it, and the bytes of the whole.

        Raises
        ------
        GoneError
            If its files have changed since it was named.
        ServiceUnavailable
            If there is no answer now.
        """
        answer = self._sent(url, {"Range": f"bytes={offset}-"} if offset else {})
        if not offset:
            return answer, int(answer.headers.get("Content-Length") or 0)
        told = re.fullmatch(rf"bytes {offset}-\d+/(\d+)", answer.headers.get("Content-Range") or "")
        if answer.status != 206 or told is None:
            answer.close()
            raise DataError(f"{url} gives no part of the archive, so that one cannot go on")
        return answer, int(told[1])

    def _ask(self, path: str, body: bytes, kind: str) -> HTTPResponse:
        return self._sent(f"{self._url}{path}", {"Content-Type": kind}, body)

    def _sent(
        self, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> HTTPResponse:
        own = _origin(url) == _origin(self._url)
        more = {"Authorization": f"Bearer {self._token}"} if self._token and own else {}
        request = urllib.request.Request(  # noqa: S310 - of http or https, or the site's own redirect
            url, body, {"User-Agent": "skylane-download", **headers, **more}
        )
        try:
            answer = self._opener.open(request, timeout=_TIMEOUT_S)
        except HTTPError as error:
            location = error.headers.get("Location")
            if 300 <= error.code < 400 and location:
                error.close()
                raise _RedirectError(url, location) from None
            raise _told(url, error) from None
        except (OSError, HTTPException) as error:
            raise ServiceUnavailable(f"{url}: no answer: {error}") from None
        assert isinstance(answer, HTTPResponse)
        return answer


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _told(url: str, error: HTTPError) -> SkylaneError:
    """Give an answer's error as one of ours, with what the site says."""
    with error:
        text = error.read(_MOST_TOLD).decode("utf-8", "replace")
    within = re.search(r"<INFO[^>]*>([^<]*)</INFO>", text)
    said = " ".join((within[1] if within else text).split())[:500] or error.reason
    message = f"{urlsplit(url).netloc} says {error.code}: {said}"
    match error.code:
        case 401 | 403:
            return AuthorizationError(message)
        case 404:
            return NotFoundError(message)
        case 410:
            return GoneError(message)
        case 429 | 502 | 503 | 504:
            wait = error.headers.get("Retry-After") or ""
            return ServiceUnavailable(message, int(wait) if wait.isdigit() else 5)
        case code if code >= 500:
            return DataError(message)
        case _:
            return UsageError(message)
