"""Finds out who sends a request, and lets the answer tell what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vodal.access.asking import SCOPE_KEY, Asking
from vodal.access.identity import ANONYMOUS
from vodal.access.rules import AccessRules
from vodal.errors import AuthenticationError, AuthorizationError, SkylaneError
from vodal.web.auth.base import Authenticator
from vodal.web.auth.challenge import challenges, security_methods
from vodal.web.auth.origins import check_origin
from vodal.web.auth.proxy import ProxyHeaders
from vodal.web.auth.settings import AccessSettings
from vodal.web.auth.signed import SignedUrls, site_path

__all__ = ["Authentication"]


class Authentication:
    """Wraps an app (ASGI): who asks, and with what rights, goes along with each request.

    Parameters
    ----------
    app
        What is wrapped.
    authenticators
        Asked in this order; the first that knows somebody counts.
    rules
        Give the rights.
    settings
        For challenges.
    elsewhere
        Paths with tokens of their own, and all below them: there nobody is asked.
    public_url
        Where browsers see the site, if not by the Host header.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticators: Sequence[Authenticator],
        rules: AccessRules,
        settings: AccessSettings,
        elsewhere: Sequence[str] = (),
        *,
        public_url: str | None = None,
    ) -> None:
        self._app, self._settings = app, settings
        self._elsewhere = tuple(elsewhere)
        self._public_url = public_url
        self._authenticators = tuple(authenticators)
        self._rules = rules
        self._public = rules.rights(ANONYMOUS)
        self._methods = security_methods(settings)
        self._vary = ", ".join(
            name for name in ("Authorization", settings.proxy.user_header) if name
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or self._is_elsewhere(HTTPConnection(scope)):
            await self._app(scope, receive, send)
            return
        asking = scope[SCOPE_KEY] = await self._asking(scope)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._describe(message, scope, asking)
            await send(message)

        await self._app(scope, receive, send_on)

    def _is_elsewhere(self, request: HTTPConnection) -> bool:
        path = site_path(request)
        return any(path == one or path.startswith(f"{one}/") for one in self._elsewhere)

    async def _asking(self, scope: Scope) -> Asking:
        asking = Asking(public=self._public, security_methods=self._methods)
        request = HTTPConnection(scope)
        try:
            for one in self._authenticators:
                known = await one.identity(request)
                if known is not None:
                    asking.identity, asking.signed = known, isinstance(one, SignedUrls)
                    if isinstance(one, ProxyHeaders):
                        check_origin(request, self._public_url, self._settings.proxy.origins)
                    break
        except AuthenticationError as error:
            # Status 401 is for who can be told how to do better.
            asking.fault = error if self._methods else AuthorizationError(error.message)
        except SkylaneError as error:
            asking.fault = error
        asking.rights = self._rules.rights(asking.identity)
        return asking

    def _describe(self, message: Message, scope: Scope, asking: Asking) -> None:
        headers = MutableHeaders(scope=message)
        status = message["status"]
        optional = status == HTTPStatus.OK and scope["path"].endswith("/capabilities")
        if status == HTTPStatus.UNAUTHORIZED or (optional and asking.identity.name is None):
            for challenge in challenges(self._settings, asking.fault):
                headers.append("WWW-Authenticate", challenge)
        kept = [
            part.strip() for part in headers.get("cache-control", "").split(",") if part.strip()
        ]
        alone = {"private", "no-store"} & set(kept)
        shared = asking.for_all or not self._rules.restrict
        name = asking.identity.name
        # A cache would tell the name to others, with an answer that it keeps for all.
        if name is not None and name.isascii() and not (shared and kept and not alone):
            headers["X-VO-Authenticated"] = name
        if shared:
            return
        headers.add_vary_header(self._vary)
        kept = [part for part in kept if part != "public" and "s-maxage" not in part]
        if not alone:
            headers["Cache-Control"] = ", ".join(["private", *kept])
