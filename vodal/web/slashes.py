"""Redirects to an address with, or without, a slash at its end."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SlashRedirects"]


class SlashRedirects:
    """Wraps an app: such redirects of Starlette's routers become relative (ASGI).

    They are made of the Host header and the path that arrives, which behind a proxy need not be
    those that the client sees: one that takes ``/sky`` off paths would send it out of the site.

    Parameters
    ----------
    app
        What is wrapped.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if (
                message["type"] == "http.response.start"
                and message["status"] == HTTPStatus.TEMPORARY_REDIRECT
            ):
                headers = MutableHeaders(scope=message)
                if _differs_by_a_slash(headers.get("location", ""), scope):
                    headers["location"] = _relative(scope)
            await send(message)

        await self._app(scope, receive, send_on)


def _differs_by_a_slash(location: str, scope: Scope) -> bool:
    """Tell whether a redirect leads to the same path of the same host, but for one slash."""
    target = urlsplit(location)
    paths = {unquote(target.path), str(scope["path"])}
    whole = min(paths, key=len)
    return target.netloc == Headers(scope=scope).get("host") and paths == {whole, f"{whole}/"}


def _relative(scope: Scope) -> str:
    """Give what leads from the path of a request to the one with a slash, or without it."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    name = path.rstrip("/").rpartition("/")[2]
    # "./" keeps a colon in the name from being read as the end of a scheme (RFC 3986 section 4.2).
    relative = f"../{name}" if path.endswith("/") else f"./{name}/"
    query = scope["query_string"].decode("latin-1")
    return f"{relative}?{query}" if query else relative
