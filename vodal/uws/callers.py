"""Who asks, as far as it is known."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from vodal.access.asking import asking_of

__all__ = ["Caller", "Identify", "anonymous", "caller_of", "remember"]

Identify = Callable[[Request], str | None]
"""Gives the name of who sends a request, None for one who is not known; may raise
`vodal.errors.AuthenticationError`."""

_COOKIE = "uws_visitor"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    owner: str | None
    """The name; None for one who is not known."""
    visitor: str | None
    """Digest of the token by which a client without a name sees its own jobs in the list."""
    share: str
    """Among whom the queue is fair."""
    token: str | None = None
    """A token to remember, if the client has none yet."""
    groups: frozenset[str] = frozenset()
    """Of one with a name."""


def anonymous(_: Request) -> str | None:
    """Know nobody."""
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def caller_of(request: Request, identify: Identify) -> Caller:
    """Tell who sends a request.

    Who has no name is recognised by a cookie in the list of jobs, and by nothing else: the list
    shows nobody's jobs to others, and a client that keeps no cookies finds its jobs by their URLs.
    """
    owner = identify(request)
    if owner is not None:
        return Caller(owner, None, f"user:{owner}", groups=asking_of(request).identity.groups)
    # Only a digest is stored, so that a copy of the store tells no addresses.
    share = "at:" + _digest(request.client.host if request.client else "")
    token = request.cookies.get(_COOKIE, "")
    if _TOKEN.fullmatch(token):
        return Caller(None, _digest(token), share)
    token = secrets.token_urlsafe(32)
    return Caller(None, _digest(token), share, token)


def remember(response: Response, request: Request, caller: Caller, path: str) -> None:
    """Give the client its token, if it is new.

    Parameters
    ----------
    response
        Of the request that made a job.
    request
        Tells whether the client came by HTTPS.
    caller
        Who made the job.
    path
        Below which the client sends the token back.
    """
    if caller.token is not None:
        response.set_cookie(
            _COOKIE,
            caller.token,
            path=path,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
