"""A client that calls an ASGI app in this process, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partialmethod
from typing import Any

import httpx
from starlette.types import ASGIApp

__all__ = ["AppClient"]


class AppClient:
    """Sends requests to an app; what the app raises becomes what a server would make of it.

    Parameters
    ----------
    app
        The app.
    base_url
        Where the app believes to be seen.
    root_path
        The prefix that a proxy in front would have taken away.
    """

    def __init__(
        self, app: ASGIApp, base_url: str = "http://testserver", root_path: str = ""
    ) -> None:
        self._app = app
        self._base_url = base_url
        self._root_path = root_path

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send one request and wait for its whole answer."""

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(
                self._app, raise_app_exceptions=False, root_path=self._root_path
            )
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url) as client:
                return await client.request(method, url, **options)

        return asyncio.run(run())

    get: Callable[..., httpx.Response] = partialmethod(request, "GET")  # type: ignore[assignment]
    head: Callable[..., httpx.Response] = partialmethod(request, "HEAD")  # type: ignore[assignment]
    post: Callable[..., httpx.Response] = partialmethod(request, "POST")  # type: ignore[assignment]
    options: Callable[..., httpx.Response] = partialmethod(request, "OPTIONS")  # type: ignore[assignment]
