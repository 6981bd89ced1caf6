"""Parameters of a request, and where its client sees the site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from vodal.errors import MediaTypeError, TooLargeError, UsageError
from vodal.params import Params
from vodal.web.multipart import (
    MAX_FIELDS,
    MAX_FORM_BYTES,
    FilePart,
    FileTarget,
    read_multipart,
)

__all__ = ["MAX_FIELDS", "read_form", "read_pairs", "read_params", "service_url", "site_url"]

_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?"
)
"""A host name or address with an optional port; nothing that could end a header or a URL's host."""


def _pairs(text: bytes, where: str) -> list[tuple[str, str]]:
    """Decode ``application/x-www-form-urlencoded`` text strictly as UTF-8."""
    try:
        return parse_qsl(
            text.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeDecodeError:
        raise UsageError(f"the {where} must be UTF-8, percent-encoded where needed") from None
    except ValueError:
        raise TooLargeError(f"the {where} may hold at most {MAX_FIELDS} parameters") from None


async def _urlencoded(request: Request) -> list[tuple[str, str]]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise TooLargeError(f"the parameters of the body are over {MAX_FORM_BYTES} bytes")
    return _pairs(bytes(body), "body")


def _check_coding(request: Request) -> None:
    """Refuse what would have to be decompressed first (RFC 9110 section 15.5.16)."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in {"", "identity"}:
        raise MediaTypeError(
            f"the body has the Content-Encoding '{coding[:40]}'; send it without. An uploaded file"
            " may be compressed by itself"
        )


async def _has_body(request: Request) -> bool:
    """Say whether anything comes after the headers; the rest is left unread."""
    async for chunk in request.stream():
        if chunk:
            return True
    return False


async def read_params(request: Request) -> Params:
    """Read the parameters of a request, those of the URL's query before those of a form body.

    A form body is ``application/x-www-form-urlencoded`` or ``multipart/form-data`` (files in it are
    passed over).

    Raises
    ------
    UsageError
        If query or body are not UTF-8, hold a NUL character, or the multipart body is malformed.
    MediaTypeError
        If there is a body of another type, or one with a Content-Encoding.
    TooLargeError
        If there are more than `MAX_FIELDS` parameters, or the body is over the app's limit.
    """
    params, _ = await read_form(request, None)
    return params


async def read_pairs(request: Request) -> list[tuple[str, str]]:
    """Read the parameters of a request as they are, for standards whose names have a case.

    Raises
    ------
    UsageError, MediaTypeError, TooLargeError
        As `read_params`.
    """
    pairs, _ = await _read(request, None)
    return pairs


async def read_form(
    request: Request, target: FileTarget | None
) -> tuple[Params, Sequence[FilePart]]:
    """Read the parameters of a request as `read_params`, and the files of a multipart body.

    Parameters
    ----------
    request
        Of any method.
    target
        Where files go; without it they are passed over.

    Raises
    ------
    UsageError, MediaTypeError, TooLargeError
        As `read_params`, and if there are too many files or bytes.
    """
    pairs, files = await _read(request, target)
    return Params(pairs), files


async def _read(
    request: Request, target: FileTarget | None
) -> tuple[list[tuple[str, str]], Sequence[FilePart]]:
    pairs = _pairs(request.scope["query_string"], "query")
    files: Sequence[FilePart] = ()
    if request.method not in {"GET", "HEAD"}:
        _check_coding(request)
        content_type, _ = parse_options_header(request.headers.get("content-type"))
        if content_type == b"application/x-www-form-urlencoded":
            pairs += await _urlencoded(request)
        elif content_type == b"multipart/form-data":
            sent, files = await read_multipart(request, target)
            pairs += sent
        elif await _has_body(request):
            kind = f"'{content_type.decode('latin-1')[:60]}'" if content_type else "not told"
            raise MediaTypeError(
                f"the type of the body (Content-Type) is {kind}; parameters are taken as"
                " application/x-www-form-urlencoded or multipart/form-data"
            )
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            # Databases and C libraries behind would cut the text there in silence.
            raise UsageError("parameters may not hold a NUL character")
    return pairs, files


def site_url(request: Request, public_url: str | None) -> str:
    """Give the URL of the site's root as the client sees it, without a trailing slash.

    Parameters
    ----------
    request
        A request to any app of the site.
    public_url
        The URL from the settings, which wins; needed behind a proxy that changes the Host header.

    Raises
    ------
    UsageError
        If the Host header is no host, since it would be repeated in links.
    """
    if public_url:
        return public_url.rstrip("/")
    scope = request.scope
    host = request.headers.get("host", "")
    if not host:
        # HTTP/1.0 without Host: the address that took the connection.
        name, port = scope.get("server") or ("localhost", None)
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
    if not _HOST.fullmatch(host):
        raise UsageError("the Host header is not a host name or address with an optional port")
    # A mounted app sees its own prefix in root_path; the site's own is kept beside it.
    root = scope.get("app_root_path", scope.get("root_path", "")).rstrip("/")
    return f"{scope.get('scheme', 'http')}://{host}{root}"


def service_url(request: Request, public_url: str | None) -> str:
    """Give the URL of the service that a request went to, without a trailing slash.

    Parameters
    ----------
    request
        A request to the service's app, which may be mounted on the site's.
    public_url
        As for `site_url`.

    Raises
    ------
    UsageError
        As for `site_url`.
    """
    root: str = request.scope.get("root_path", "")
    mounted = root.removeprefix(request.scope.get("app_root_path", root))
    return site_url(request, public_url) + mounted.rstrip("/")
