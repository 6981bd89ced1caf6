"""Parameters of a request, and where its client sees the site."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from vodal.errors import TooLargeError, UsageError
from vodal.params import Params

__all__ = ["MAX_FIELDS", "read_params", "service_url", "site_url"]

MAX_FIELDS = 20_000
"""Most parameters taken in one request; a long list of IDs is the only use for many."""

_MAX_FILES = 20
_MAX_PART_BYTES = 8 * 1024 * 1024

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


async def _multipart(request: Request) -> list[tuple[str, str]]:
    try:
        async with request.form(
            max_files=_MAX_FILES, max_fields=MAX_FIELDS, max_part_size=_MAX_PART_BYTES
        ) as form:
            return [
                (name, value)
                for name, value in form.multi_items()
                if not isinstance(value, UploadFile)
            ]
    except HTTPException as error:
        reason = error.detail
    except MultiPartException as error:
        reason = error.message
    except (FormParserError, UnicodeDecodeError) as error:
        reason = str(error)
    raise UsageError(f"the multipart body cannot be read: {reason.rstrip('.')}")


async def read_params(request: Request) -> Params:
    """Read the parameters of a request, those of the URL's query before those of a form body.

    A form body is ``application/x-www-form-urlencoded`` or ``multipart/form-data`` (files in it are
    passed over); a body of another type is left unread.

    Raises
    ------
    UsageError
        If query or body are not UTF-8, hold a NUL character, or the multipart body is malformed.
    TooLargeError
        If there are more than `MAX_FIELDS` parameters, or the body is over the app's limit.
    """
    pairs = _pairs(request.scope["query_string"], "query")
    if request.method not in {"GET", "HEAD"}:
        content_type, _ = parse_options_header(request.headers.get("content-type"))
        if content_type == b"application/x-www-form-urlencoded":
            pairs += _pairs(await request.body(), "body")
        elif content_type == b"multipart/form-data":
            pairs += await _multipart(request)
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            # Databases and C libraries behind would cut the text there in silence.
            raise UsageError("parameters may not hold a NUL character")
    return Params(pairs)


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
