"""The port of a site, and how many clients may have connections to it, for how long."""

from __future__ import annotations

import asyncio
import resource
import socket
from functools import partial
from typing import cast

from skylane.settings import ServerSettings
from vodal.errors import SettingsError
from vodal.web.connections import ConnectionLimits, Connections, GuardedProtocol

__all__ = ["connection_limits", "guarded", "listen"]

_KEEPALIVE_S = 30
"""Between signs of life that are asked of a client."""

_FILES_A_CONNECTION = 2
"""Open files: the connection itself, and what its answer is made of."""

_BACKLOG = 2048
"""Connections that wait to be taken, as uvicorn has it."""


def listen(host: str, port: int, stall_limit_s: float) -> socket.socket:
    """Take the port, so that a taken one is told before anything is loaded.

    Who connects while the site starts waits for it, and is not refused.

    Parameters
    ----------
    host, port
        To listen on.
    stall_limit_s
        Seconds that a client may accept nothing.

    Raises
    ------
    SettingsError
        If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio looks at the protocol's number to turn Nagle's algorithm off: without it each answer
    # waits 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted connections have it from here. The kernel drops what a client does not accept;
        # a server that closes such a connection would wait for the client first.
        limit_ms = max(1, round(1000 * stall_limit_s))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)
        # So are clients that vanished while their request, or we, had nothing to send.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)
    try:
        listener.bind((host, port))
        # A port that is bound and does not listen yet, another process can bind too.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port"
        ) from None
    listener.set_inheritable(True)
    return listener


def connection_limits(settings: ServerSettings) -> ConnectionLimits:
    """Give what clients may take, with room for so many open files.

    The limit of open files of this process, and of those that it starts, is raised as far as it
    needs to be and may.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_A_CONNECTION * settings.max_connections
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = settings.max_connections
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft // _FILES_A_CONNECTION)
    return ConnectionLimits(
        settings.max_head_bytes, settings.request_limit_s, settings.body_bytes_per_s, most
    )


def guarded(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Give what makes the connections of a server process, as uvicorn takes it."""
    made = partial(GuardedProtocol, among=Connections(limits))
    # uvicorn calls it as it would call a class; each server process gets a copy of its own.
    return cast("type[asyncio.Protocol]", made)
