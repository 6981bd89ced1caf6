"""``/auth``: signs URLs for who is known, and tells who one is."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vodal.access.asking import asking_of
from vodal.errors import AuthenticationError, UsageError
from vodal.web.app import service_app
from vodal.web.auth.settings import AccessSettings
from vodal.web.auth.signed import PARAMETER, SignedUrls
from vodal.web.requests import read_params, site_url

__all__ = ["create_auth_app"]

_FRESH = {"Cache-Control": "no-store"}


def create_auth_app(
    signer: SignedUrls, settings: AccessSettings, public_url: str | None = None
) -> Starlette:
    """Make the app; it belongs under ``/auth``.

    Parameters
    ----------
    signer
        Signs.
    settings
        For how long.
    public_url
        Where clients see the site; by default taken from each request.
    """

    async def whoami(request: Request) -> Response:
        identity = asking_of(request).identity
        told = {"name": identity.name, "groups": sorted(identity.groups)}
        return JSONResponse(told, headers=_FRESH)

    async def sign(request: Request) -> Response:
        params = await read_params(request)
        asking = asking_of(request)
        if asking.identity.name is None or asking.signed:
            raise AuthenticationError(
                "only who is known can have URLs signed: send a bearer token, or log in"
            )
        base = site_url(request, public_url)
        path, query = _within(params.required("URL"), base)
        seconds = params.integer("SECONDS", settings.signed_url_s, minimum=1)
        assert seconds is not None
        if seconds > settings.signed_url_max_s:
            raise UsageError(
                f"SECONDS: a signed URL holds for {settings.signed_url_max_s} s at most"
            )
        made = signer.sign(path, query, asking.identity, seconds)
        return PlainTextResponse(f"{base}{made}\n", headers=_FRESH)

    return service_app(
        [
            Route("/whoami", whoami, methods=["GET"]),
            Route("/sign", sign, methods=["GET", "POST"]),
        ]
    )


def _within(url: str, base: str) -> tuple[str, str]:
    """Give decoded path and query of a URL of the site, from its root on.

    Raises
    ------
    UsageError
        If it is none.
    """
    if not url.startswith("/"):
        if not url.startswith(f"{base}/"):
            raise UsageError(f"URL is one of this site ({base}/...), or a path from its root")
        url = url.removeprefix(base)
    try:
        parts = urlsplit(f"http://site{url}")
    except ValueError:
        raise UsageError("URL is no URL") from None
    if PARAMETER in parts.query.upper():
        raise UsageError(f"URL has a {PARAMETER} already; give it without")
    return "/" + unquote(parts.path).lstrip("/"), parts.query
