"""What surrounds the routes of every service: CORS, errors, HEAD and size limits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from uuid import uuid4

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from vodal.access.asking import SCOPE_KEY, Asking
from vodal.errors import (
    ArchiveError,
    AuthenticationError,
    AuthorizationError,
    NotFoundError,
    SkylaneError,
    TooLargeError,
    UsageError,
)
from vodal.web.responses import text_error

__all__ = ["MAX_BODY_BYTES", "ErrorRenderer", "MethodError", "ServiceMiddleware", "service_app"]

log = logging.getLogger(__name__)

ErrorRenderer = Callable[[Request, SkylaneError], Response]
"""Tells an error in the form of the service's standard."""

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Default limit of a request's body."""

_EXPOSED = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified, "
    "Location, Retry-After, Server-Timing, WWW-Authenticate, X-VO-Authenticated"
)

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, "
        "If-Range, If-Unmodified-Since, Range, X-Requested-With"
    ),
    "Access-Control-Max-Age": "86400",
}


class MethodError(UsageError):
    """The resource exists but does not take this method."""

    status = 405


def _render_text(_request: Request, error: SkylaneError) -> Response:
    return text_error(error)


def _allow_origin(message: Message) -> None:
    headers = MutableHeaders(scope=message)
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Expose-Headers"] = _EXPOSED


class ServiceMiddleware:
    """Wraps an app: CORS on every answer, errors told by ``render``, HEAD without a body.

    Parameters
    ----------
    app
        What is wrapped.
    render
        Tells an error in the form of the service's standard.
    max_body_bytes
        Requests with a larger body are refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        render: ErrorRenderer = _render_text,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._app = app
        self._render = render
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (the ASGI interface)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _allow_origin(message)
            elif message["type"] == "http.response.body" and scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        headers = Headers(scope=scope)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send_on)
            return
        asking = scope.get(SCOPE_KEY)
        try:
            _check_fault(asking)
            self._check_length(headers)
            await self._app(scope, self._limited(receive), send_on)
        except ClientDisconnect:
            return
        except Exception as error:
            known = _named(_known(error, scope), asking)
            if started:
                # Too late for an error document: cutting the connection tells the client.
                raise
            await self._render(Request(scope), known)(scope, receive, send_on)

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > self._max_body_bytes:
            raise self._too_large()

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the body of the request is over {self._max_body_bytes} bytes")

    def _limited(self, receive: Receive) -> Receive:
        taken = 0

        async def receive_on() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self._max_body_bytes:
                    raise self._too_large()
            return message

        return receive_on


def _known(error: Exception, scope: Scope) -> SkylaneError:
    """Give the error itself if it may be told, else one that names the entry in the log."""
    if isinstance(error, SkylaneError):
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s %s: %s", scope["method"], scope["path"], error)
        return error
    entry = uuid4().hex[:12]
    log.error("%s %s failed [%s]", scope["method"], scope["path"], entry, exc_info=error)
    return ArchiveError(f"the service failed on this request; its log tells why under {entry}")


def _check_fault(asking: Asking | None) -> None:
    if asking is not None and asking.fault is not None:
        raise asking.fault


def _named(error: SkylaneError, asking: Asking | None) -> SkylaneError:
    """Ask who is not known to say who it is, rather than refuse."""
    if not isinstance(error, AuthorizationError) or asking is None:
        return error
    if asking.identity.name is not None or not asking.security_methods:
        return error
    return AuthenticationError(error.message)


def service_app(
    routes: Sequence[BaseRoute],
    render: ErrorRenderer = _render_text,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """Make the app of one service.

    Parameters
    ----------
    routes
        Its routes. Endpoints raise `SkylaneError`; whatever else they raise is logged with an
        entry number and told as a generic sentence.
    render
        Tells an error in the form of the service's standard; one line of text by default.
    max_body_bytes
        Requests with a larger body are refused with 413.
    lifespan
        What to start and stop with the app; whoever mounts the app must run it.
    """

    def from_router(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told: SkylaneError
        match error.status_code:
            case 404:
                told = NotFoundError(f"there is nothing at {request.url.path}")
            case 405:
                told = MethodError(f"{request.method} is not possible at {request.url.path}")
            case _:
                told = UsageError(str(error.detail))
        response = render(request, told)
        response.headers.update(error.headers or {})
        return response

    return Starlette(
        routes=list(routes),
        middleware=[Middleware(ServiceMiddleware, render, max_body_bytes)],
        exception_handlers={HTTPException: from_router},
        lifespan=lifespan,
    )
