"""Files fetched from other servers, for users whom nobody knows.

A server that fetches what it is told to can be turned against its own network. Here a host must
be on a list; its name is resolved once, every address that is not a public one is refused, and the
connection goes to the very address that was looked at, so that a second answer of the name
server changes nothing. Redirects are not followed, and no credentials are sent.

The standard library's client is used: it lets the connection be made beforehand, and what it does
beyond that is little.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from typing_extensions import override

from vodal.errors import TooLargeError, UsageError
from vodal.storage.hosts import PORTS, on_list

__all__ = ["FetchRules", "Fetched", "fetch"]

_LOG = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 16

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as an IPv6-only network sees them (RFC 6052)."""


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be fetched."""

    hosts: tuple[str, ...]
    """Names, ``*.`` before one for all below it; with ``:port`` for another port than the
    scheme's own."""
    private_hosts: tuple[str, ...]
    """Those of them that may be in the site's own network."""
    max_bytes: int
    limit_s: float
    """Seconds for everything, from the name to the last byte."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched."""

    path: Path
    media_type: str
    file_name: str


def _checked(url: str, rules: FetchRules) -> tuple[SplitResult, str, int]:
    """Give the parts of a URL whose host is on the list.

    Raises
    ------
    UsageError
        If it is none that may be fetched.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii").lower()
    except ValueError:
        raise UsageError(f"'{url[:80]}' is no URL") from None
    if parts.scheme not in PORTS:
        raise UsageError(f"tables are fetched by http and https, not by '{parts.scheme[:20]}'")
    if parts.username is not None or parts.password is not None:
        raise UsageError("a table's URL may hold no user name and no password")
    if not url.isascii() or any(ord(character) <= 32 for character in url):
        raise UsageError("a table's URL must be percent-encoded")
    if not host or not on_list(host, port, parts.scheme, rules.hosts):
        raise UsageError(
            f"tables are not fetched from '{host[:80]}'; this service takes them from"
            f" {', '.join(rules.hosts)}"
        )
    return parts, host, port


def _is_public(text: str) -> bool:
    """Tell whether an address, or the one that it stands for, is one of the public Internet."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            return False
        if inner is None and address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
        elif address.is_site_local:
            return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
    )


def _addresses(host: str, port: int, *, private: bool) -> list[tuple[int, str]]:
    """Resolve a name, once.

    Raises
    ------
    UsageError
        If it has no address, or one that must not be asked.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UsageError(f"the host '{host[:80]}' cannot be reached") from None
    addresses: list[tuple[int, str]] = [
        (int(family), str(address[0])) for family, _, _, _, address in found
    ]
    if not private and not all(_is_public(text) for _, text in addresses):
        _LOG.warning("refused to fetch from %s: not a public address", host)
        # No word of the address: it would tell of the network inside.
        raise UsageError(f"the host '{host[:80]}' cannot be reached")
    return addresses


class _Clock:
    """Ends a connection when its time is over, wherever it is just waiting."""

    def __init__(self, limit_s: float) -> None:
        self._stop_at = time.monotonic() + limit_s
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(limit_s, self._end)
        self._timer.daemon = True
        self._timer.start()
        self.over = False

    @property
    def left_s(self) -> float:
        """Seconds that are left, never quite none."""
        return max(0.01, self._stop_at - time.monotonic())

    def watch(self, sock: socket.socket) -> None:
        """Take the socket that is to be ended."""
        self._sock = sock
        if self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                _LOG.debug("the connection had ended already")

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()


class _PinnedConnection(http.client.HTTPConnection):
    """A connection over a socket that is there already."""

    def __init__(self, host: str, port: int, sock: socket.socket) -> None:
        super().__init__(host, port)
        self._ready = sock

    @override
    def connect(self) -> None:
        self.sock = self._ready


def fetch(url: str, path: Path, rules: FetchRules) -> Fetched:
    """Fetch a file; blocks.

    Parameters
    ----------
    url
        By http or https.
    path
        Is written.
    rules
        What may be fetched.

    Raises
    ------
    UsageError
        If the URL may not be fetched or its server does not give the file.
    TooLargeError
        If the file is over the limit of bytes, or the time is over.
    """
    parts, host, port = _checked(url, rules)
    clock = _Clock(rules.limit_s)
    try:
        private = on_list(host, port, parts.scheme, rules.private_hosts)
        addresses = _addresses(host, port, private=private)
        with closing(_connected(addresses, host, port, parts.scheme, clock)) as sock:
            return _received(_PinnedConnection(host, port, sock), parts, path, rules, clock)
    except (OSError, http.client.HTTPException) as error:
        if clock.over or isinstance(error, TimeoutError):
            raise TooLargeError(
                f"the table took longer to fetch than this service waits"
                f" (urls.limit_s is {rules.limit_s:g})"
            ) from None
        if isinstance(error, ssl.SSLCertVerificationError):
            raise UsageError(f"the certificate of '{host[:80]}' is not valid") from None
        _LOG.info("fetching from %s failed: %s", host, error)
        raise UsageError(f"the host '{host[:80]}' cannot be reached") from None
    finally:
        clock.close()


def _connected(
    addresses: Sequence[tuple[int, str]], host: str, port: int, scheme: str, clock: _Clock
) -> socket.socket:
    """Connect to the first address that answers."""
    failure: OSError = ConnectionRefusedError()
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(clock.left_s)
            clock.watch(sock)
            sock.connect((address, port))
            if scheme == "https":
                # The certificate is checked against the name, whatever the address.
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
                clock.watch(sock)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _received(
    connection: http.client.HTTPConnection,
    parts: SplitResult,
    path: Path,
    rules: FetchRules,
    clock: _Clock,
) -> Fetched:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request(
        "GET", target, headers={"Accept-Encoding": "identity", "Connection": "close"}
    )
    response = connection.getresponse()
    if 300 <= response.status < 400:
        raise UsageError("the table's URL leads to another one; give that one")
    if response.status != http.client.OK:
        raise UsageError(f"the table's server answered with the status {response.status}")
    size = 0
    with path.open("wb") as file:
        while chunk := response.read1(_CHUNK_BYTES):
            size += len(chunk)
            if size > rules.max_bytes:
                raise TooLargeError(
                    "the table that was fetched has more bytes than this service takes"
                    f" (max_bytes is {rules.max_bytes})"
                )
            file.write(chunk)
    if clock.over or (response.length or 0) > 0:
        raise TimeoutError if clock.over else http.client.IncompleteRead(b"")
    media_type = response.headers.get_content_type()
    return Fetched(path, media_type, parts.path.rpartition("/")[2])
