"""A site that cannot start says why in one sentence."""

from __future__ import annotations

import logging
import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vodal.errors import SkylaneError

__all__ = ["ShortFaults"]

_LOG = logging.getLogger(__name__)


class ShortFaults:
    """Has the server log the sentence of what a start fails of, in place of a traceback.

    What is no error of ours keeps its own.

    Parameters
    ----------
    app
        That starts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; only the messages of the start are looked at."""

        async def told(message: Message) -> None:
            fault = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(fault, SkylaneError):
                _LOG.debug("the site cannot start: %s", message["message"])
                message = {**message, "message": f"the site cannot start: {fault.message}"}
            await send(message)

        await self._app(scope, receive, told if scope["type"] == "lifespan" else send)
