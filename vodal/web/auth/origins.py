"""Requests that a browser makes for a page of another site, as whoever is logged in.

Who is known by what a browser sends by itself (a proxy's cookie) could be made by any page to
start, change or delete jobs. So such requests, if they are no mere reading, must come from a page
of the site itself or of one that is listed. Browsers say where they come from (Sec-Fetch-Site of
W3C Fetch Metadata, Origin of RFC 6454); other clients say nothing, and are not meant. A token or a
signed URL is sent by no browser of its own accord.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from vodal.errors import AuthorizationError

__all__ = ["check_origin"]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing here (RFC 9110 section 9.2.1)."""


def check_origin(request: HTTPConnection, public_url: str | None, origins: Sequence[str]) -> None:
    """See that a page of another site does not act for a user of a proxy.

    Parameters
    ----------
    request
        Of a user whom a proxy has named.
    public_url
        Where browsers see the site, if not by the Host header.
    origins
        Of other sites whose pages may.

    Raises
    ------
    AuthorizationError
        If it does.
    """
    if request.scope["method"] in _READING:
        return
    site = request.headers.get("sec-fetch-site")
    if site in {"same-origin", "none"}:
        return
    origin = request.headers.get("origin")
    if site is None and origin is None:
        return
    if origin in origins:
        return
    if site is None and origin is not None and _host(origin) in _own(request, public_url):
        # Browsers leave Sec-Fetch-Site out where the site is not reached by HTTPS.
        return
    raise AuthorizationError(
        "pages of other sites may not act for users who are logged in here; ask without, or send"
        " a bearer token. (For the operator: access.proxy.origins lists sites that may, and"
        " server.public_url is where browsers see this one.)"
    )


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _own(request: HTTPConnection, public_url: str | None) -> set[str]:
    hosts = {request.headers.get("host", "").lower()}
    if public_url:
        hosts.add(_host(public_url))
    return hosts - {""}
