"""The event loop of a service, for the threads of its jobs."""

from __future__ import annotations

import asyncio
import threading

from vodal.errors import ServiceUnavailable

__all__ = ["ServiceLoop"]

_LIMIT_S = 30.0


class ServiceLoop:
    """Knows the loop once the service has started; jobs may be taken up before."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()

    def start(self) -> None:
        """Remember the loop that this is called in."""
        self._loop = asyncio.get_running_loop()
        self._started.set()

    def get(self) -> asyncio.AbstractEventLoop:
        """Give the loop; for the thread of a job, which waits until there is one.

        Raises
        ------
        ServiceUnavailable
            If the service does not start.
        """
        if not self._started.wait(_LIMIT_S) or self._loop is None:
            raise ServiceUnavailable("the service is starting; try again in a few seconds")
        return self._loop
