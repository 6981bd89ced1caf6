"""Who tells who sends a request; an extension point."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import HTTPConnection

from vodal.access.identity import Identity

__all__ = ["Authenticator"]


class Authenticator(Protocol):
    """Knows senders of requests in one way."""

    async def identity(self, request: HTTPConnection) -> Identity | None:
        """Tell who sends a request; None if it does not say so in this way.

        Raises
        ------
        AuthenticationError
            If it says so, and it is not true.
        ServiceUnavailable
            If that cannot be found out now.
        """
        ...
