"""HTTP requests on connections that are kept, with tries, a deadline and a list of hosts.

The standard library's client is used: what is needed is one GET with a range, and its connections
are in our hands, for keeping, for timing and for looking at each redirect before it is followed.
"""

from __future__ import annotations

import http.client
import logging
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from urllib.parse import urljoin, urlsplit

from vodal.errors import DataError, ServiceUnavailable
from vodal.storage.hosts import PORTS

__all__ = ["Answer", "Connections", "Patience", "host_of"]

_LOG = logging.getLogger(__name__)

_MAX_REDIRECTS = 5
_MAX_IDLE = 64
"""Connections kept; each is a file descriptor."""
_IDLE_S = 30.0
"""Servers close after 5 s (Apache) to 75 s (nginx); a connection that was closed is made anew."""
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 5.0
_ERROR_BYTES = 4096
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_STALE = (
    http.client.RemoteDisconnected,
    BrokenPipeError,
    ConnectionResetError,
    ConnectionAbortedError,
)
"""What a kept connection shows that the server has closed meanwhile."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    timeout_s: float
    """Without a byte."""
    deadline_s: float
    """For all tries together."""
    attempts: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Message
    body: bytearray
    """Whole for 206, and 200 if so asked; of other statuses the beginning."""


class _TransientError(Exception):
    """Asking again may help."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Idle:
    connection: http.client.HTTPConnection
    since_s: float


def host_of(url: str) -> tuple[str, str, int]:
    """Give scheme, host and port of a URL of http or https.

    Raises
    ------
    DataError
        If it is none, or holds a user name or a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii").lower()
    except ValueError:
        host, port = "", 0
    bare = url.isascii() and not re.search(r"[\x00-\x20\x7f]", url)
    if not host or not port or not bare:
        raise DataError("the file's address is no URL of http or https, percent-encoded")
    if parts.username is not None or parts.password is not None:
        raise DataError("the file's address may hold no user name and no password")
    return parts.scheme, host, port


class Connections:
    """Asks servers by GET. Safe to use from several threads; belongs to one process.

    Parameters
    ----------
    may_ask
        Tells of scheme, host and port whether they may be asked.
    patience
        How long a server is waited for.
    """

    def __init__(self, may_ask: Callable[[str, str, int], bool], patience: Patience) -> None:
        self._may_ask, self._patience = may_ask, patience
        self._idle: dict[tuple[str, str, int], list[_Idle]] = {}
        self._lock = threading.Lock()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def get(
        self,
        address: Callable[[], str],
        headers: Mapping[str, str],
        most: int,
        *,
        whole: bool = False,
    ) -> Answer:
        """Ask for a resource until there is an answer that stands.

        Parameters
        ----------
        address
            Gives the URL, anew for each try.
        headers
            Of the request.
        most
            Bytes of a 206 that are taken at most.
        whole
            Whether so many of a 200 are taken too.

        Raises
        ------
        ServiceUnavailable
            If the server does not answer, or says that it cannot now.
        DataError
            If the server may not be asked, sends on to one that may not, or has a certificate
            that does not hold.
        """
        stop_at = time.monotonic() + self._patience.deadline_s
        pause = _FIRST_PAUSE_S
        for attempt in range(1, self._patience.attempts + 1):
            url = address()
            try:
                return self._followed(url, headers, (most, whole), stop_at)
            except _TransientError as error:
                fault = error
            wait = max(fault.retry_after_s, pause * random.uniform(0.5, 1.5))  # noqa: S311
            if attempt == self._patience.attempts or time.monotonic() + wait >= stop_at:
                break
            time.sleep(wait)
            pause = min(2 * pause, _MAX_PAUSE_S)
        host = host_of(url)[1]
        _LOG.warning("reading from %s failed after %d tries: %s", host, attempt, fault)
        raise ServiceUnavailable(
            f"the archive's storage at {host} does not answer as it should now ({fault}); "
            "try again later",
            retry_after_s=max(10, min(300, round(fault.retry_after_s))),
        )

    def _followed(
        self, url: str, headers: Mapping[str, str], most: tuple[int, bool], stop_at: float
    ) -> Answer:
        """Ask once, and where the answer leads."""
        for hop in range(_MAX_REDIRECTS + 1):
            scheme, host, port = host_of(url)
            if not self._may_ask(scheme, host, port):
                what = "a redirect leads to" if hop else "its address is at"
                raise DataError(
                    f"the file cannot be read: {what} {host}:{port} by {scheme}, which the "
                    "settings (storage.http_hosts) do not allow"
                )
            answer = self._asked(url, headers, most, stop_at)
            target = answer.headers.get("Location")
            if answer.status not in {301, 302, 303, 307, 308} or not target:
                return answer
            url = urljoin(url, target)
            if scheme == "https" and not url.lower().startswith("https:"):
                raise DataError(f"{host} leads from https to plain http, which is not followed")
        raise DataError(f"{host} leads from one address to the next without end")

    def _asked(
        self, url: str, headers: Mapping[str, str], most: tuple[int, bool], stop_at: float
    ) -> Answer:
        """Ask one server; a kept connection that was closed meanwhile is made anew."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        place = host_of(url)
        sent = {"Accept-Encoding": "identity", "User-Agent": "Skylane", **headers}
        while True:
            connection, kept = self._take(place, stop_at)
            try:
                connection.request("GET", target, headers=sent)
                _hurry(connection)
                response = connection.getresponse()
            except _STALE as error:
                connection.close()
                if kept:
                    continue
                raise _TransientError(_told(error)) from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise DataError(f"the certificate of {place[1]} does not hold") from None
                raise _TransientError(_told(error)) from None
            try:
                answer = _received(response, connection, most, stop_at)
            except (OSError, http.client.HTTPException) as error:
                response.close()
                connection.close()
                raise _TransientError(_told(error)) from None
            self._give_back(place, connection, response)
            if answer.status in _TRY_AGAIN:
                raise _TransientError(
                    f"status {answer.status}", _seconds(answer.headers.get("Retry-After"))
                )
            return answer

    def _take(
        self, place: tuple[str, str, int], stop_at: float
    ) -> tuple[http.client.HTTPConnection, bool]:
        """Give a connection, and whether it was used before."""
        left = stop_at - time.monotonic()
        if left <= 0:
            raise _TransientError("it took too long")
        timeout = min(self._patience.timeout_s, left)
        now = time.monotonic()
        with self._lock:
            idle = self._idle.get(place, [])
            while idle:
                found = idle.pop()
                if now - found.since_s < _IDLE_S:
                    if found.connection.sock is not None:
                        found.connection.sock.settimeout(timeout)
                    return found.connection, True
                found.connection.close()
        scheme, host, port = place
        if scheme == "https":
            return (
                http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls),
                False,
            )
        return http.client.HTTPConnection(host, port, timeout=timeout), False

    def _give_back(
        self,
        place: tuple[str, str, int],
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
    ) -> None:
        if not response.isclosed() or connection.sock is None:
            response.close()
            connection.close()
            return
        with self._lock:
            if sum(len(idle) for idle in self._idle.values()) < _MAX_IDLE:
                self._idle.setdefault(place, []).append(_Idle(connection, time.monotonic()))
                return
        connection.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            for idle in self._idle.values():
                for item in idle:
                    item.connection.close()
            self._idle.clear()


def _hurry(connection: http.client.HTTPConnection) -> None:
    """Have the kernel acknowledge what comes at once.

    A server that fills packets before it sends them (nginx with ``tcp_nopush``) may wait for that
    with the end of an answer, and the kernel by itself takes 40 ms until it acknowledges.
    """
    if connection.sock is not None and hasattr(socket, "TCP_QUICKACK"):
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _received(
    response: http.client.HTTPResponse,
    connection: http.client.HTTPConnection,
    most: tuple[int, bool],
    stop_at: float,
) -> Answer:
    """Take the body: of what was asked for all, of what else is said the beginning."""
    asked_for = {http.client.PARTIAL_CONTENT, http.client.OK if most[1] else 0}
    limit = most[0] if response.status in asked_for else _ERROR_BYTES
    length = response.length
    wanted = limit if length is None else min(limit, length)
    body = bytearray(wanted)
    view = memoryview(body)
    filled = 0
    while filled < wanted:
        count = response.readinto(view[filled:])
        if not count:
            break
        filled += count
        left = stop_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(min(left, connection.timeout or left))
    if length is not None and filled < wanted:
        raise http.client.IncompleteRead(b"", wanted - filled)
    if not response.isclosed() and length is None:
        response.read1(1)  # a chunked body is at its end only when that was looked for
    view.release()
    # Megabytes are not copied: what takes parts of them does so once.
    del body[filled:]
    return Answer(response.status, response.headers, body)


def _told(error: Exception) -> str:
    """Say in few words what went wrong with a connection."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return "the connection was dropped"
        case http.client.IncompleteRead():
            return "the answer was cut short"
        case ConnectionRefusedError():
            return "the connection was refused"
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return "the answer is no HTTP"


def _seconds(retry_after: str | None) -> float:
    """Read a Retry-After in seconds; a date is not waited for."""
    text = (retry_after or "").strip()
    return float(text) if re.fullmatch(r"\d{1,5}", text) else 0.0
