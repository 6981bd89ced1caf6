"""Users that a proxy in front has made known, and whether a request came by one."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from vodal.access.identity import Identity
from vodal.errors import AuthenticationError
from vodal.web.auth.base import Authenticator
from vodal.web.auth.settings import ProxySettings

__all__ = ["Peer", "ProxyHeaders"]

_SCOPE_KEY = "skylane.peer"


class Peer:
    """Wraps an app and remembers who connected, before forwarded headers take the place (ASGI)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            scope[_SCOPE_KEY] = (scope.get("client") or ("", 0))[0]
        await self._app(scope, receive, send)


class ProxyHeaders(Authenticator):
    """Believes what a trusted proxy says of the user.

    Parameters
    ----------
    settings
        Names of the headers.
    trusted
        Addresses and networks of the proxies.
    """

    def __init__(self, settings: ProxySettings, trusted: Sequence[str]) -> None:
        self._settings = settings
        self._networks = [ipaddress.ip_network(one, strict=False) for one in trusted]

    @override
    async def identity(self, request: HTTPConnection) -> Identity | None:
        names = request.headers.getlist(self._settings.user_header)
        if not any(name.strip() for name in names) or not self._is_trusted(request):
            return None
        name = names[0].strip()
        if len(names) > 1 or not name.isprintable():
            raise AuthenticationError("the proxy names several users; it must name one")
        groups: list[str] = []
        if self._settings.groups_header:
            for value in request.headers.getlist(self._settings.groups_header):
                groups += (part.strip() for part in value.split(","))
        return Identity(name, frozenset(filter(None, groups)))

    def _is_trusted(self, request: HTTPConnection) -> bool:
        peer = request.scope.get(_SCOPE_KEY)
        if peer is None:
            peer = request.client.host if request.client else ""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)
