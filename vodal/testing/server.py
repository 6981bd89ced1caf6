"""A real HTTP server around an app, for tests that speak over the wire."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from vodal.web.connections import ConnectionLimits, Connections, GuardedProtocol

__all__ = ["RunningServer", "serve"]

_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers."""

    url: str
    """``http://127.0.0.1:PORT``, without a trailing slash."""
    port: int


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextmanager
def serve(app: ASGIApp, limits: ConnectionLimits | None = None) -> Iterator[RunningServer]:
    """Run an app in a thread on a free port of the loopback, until the block ends.

    Parameters
    ----------
    app
        ASGI.
    limits
        What clients may take; by default what a site lets them.

    Raises
    ------
    RuntimeError
        If the server does not start (its reason is in the log), or does not stop.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        made = partial(GuardedProtocol, among=Connections(limits or ConnectionLimits()))
        config = uvicorn.Config(
            app,
            log_level="warning",
            ws="none",
            http=cast("type[asyncio.Protocol]", made),
            lifespan="auto",
            access_log=False,
            timeout_graceful_shutdown=5,
        )
        server = _Server(config)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="test-server", daemon=True
        )
        thread.start()
        try:
            _wait_for_start(server, thread)
            yield RunningServer(f"http://127.0.0.1:{port}", port)
        finally:
            server.should_exit = True
            thread.join(_STOP_LIMIT_S)
        if thread.is_alive():
            raise RuntimeError("the test server did not stop")


def _wait_for_start(server: _Server, thread: threading.Thread) -> None:
    waited_s = 0.0
    while not server.listening.wait(0.05):
        waited_s += 0.05
        if not thread.is_alive() or waited_s > _START_LIMIT_S:
            raise RuntimeError("the test server did not start")
    if server.should_exit:
        raise RuntimeError("the app failed at startup")
