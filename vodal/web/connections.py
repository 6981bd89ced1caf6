"""Connections that keep nobody else waiting: requests must come in time, and heads are short.

uvicorn waits for a request as long as its client likes, and takes as much of a head as is sent.
Here a head must be whole within some seconds of the moment from which it can be sent, and a body
within as many and one more for each so many bytes, so that slow lines may send long ones. What the
server does with a request, and how slowly a client reads the answer, does not count. If there are
too many connections, one that waits for its client makes way for a new one, the longest first.

uvicorn has no settings for any of this, so its protocol is derived from (seen with 0.37 to 0.54).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any

from typing_extensions import override

from vodal.web.zerocopy import ZeroCopyProtocol

__all__ = ["ConnectionLimits", "Connections", "GuardedProtocol"]

_GRACE_S = 0.1
"""Before the end of a connection is for good: a busy server reads what has come meanwhile."""

_LINE_BYTES = 4
"""Of a header, beside its name and value: a colon, a blank, the end of the line."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What clients may take."""

    head_bytes: int = 65_536
    """Of request line and headers together."""
    request_s: float = 30.0
    """Seconds for the head of a request, from when the connection is made or the answer before is
    sent; and again for its body."""
    body_bytes_per_s: float = 500.0
    """Of a body: for each so many bytes there is a second more."""
    most: int = 10_000
    """Connections at a time."""


class _Awaited(Enum):
    """What a connection waits for from its client."""

    HEAD = "head"
    BODY = "body"
    NOTHING = "nothing"


@dataclass(slots=True)
class Connections:
    """The connections of one server process, and the limits of all."""

    limits: ConnectionLimits = ConnectionLimits()
    count: int = 0
    waiting: dict[_Awaited, OrderedDict[GuardedProtocol, None]] = field(
        default_factory=lambda: {one: OrderedDict() for one in (_Awaited.HEAD, _Awaited.BODY)}
    )
    """Those that wait for their clients, the longest first."""

    def make_way(self) -> bool:
        """End a connection that waits for its client; False if there is none."""
        for kind in self.waiting.values():
            if kind:
                next(iter(kind)).end(None)
                return True
        return False


class GuardedProtocol(ZeroCopyProtocol):
    """One connection, ended when its client takes too long or sends too much.

    Parameters
    ----------
    among
        The connections of the server process.
    """

    def __init__(self, *args: Any, among: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._among, self._limits = among, among.limits
        self._awaited = _Awaited.NOTHING
        self._since = 0.0
        self._taken = 0
        """Bytes since it is awaited."""
        self._is_late = False
        self._is_asked = False
        """Whether there has been a whole head."""
        self._is_in_body = False
        self._watch: asyncio.TimerHandle | None = None
        self._ended = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._among.count += 1
        if self._among.count > self._limits.most and not self._among.make_way():
            self.end(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._await(_Awaited.HEAD)
        self._look_later(self._limits.request_s)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._among.count -= 1
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._taken += len(data)
        super().data_received(data)
        if not self._is_in_body and self._taken > self._limits.head_bytes:
            self.end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    @override
    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(one) + len(two) + _LINE_BYTES for one, two in self.headers)
        if size > self._limits.head_bytes:
            self.end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        self._is_asked = self._is_in_body = True
        self._await(_Awaited.BODY)
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        if not self._ended:
            super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        if self._ended:
            return
        super().on_message_complete()
        self._is_in_body = False
        # An answer may be sent before the body is whole, and the next head is awaited since then.
        self._await(_Awaited.HEAD if self.cycle.response_complete else _Awaited.NOTHING)

    @override
    def on_response_complete(self) -> None:
        more = bool(self.pipeline)
        super().on_response_complete()
        if not more:
            self._await(_Awaited.HEAD)
        elif self._awaited is _Awaited.BODY:
            # Nothing of it was read while the answer before was made.
            self._await(_Awaited.BODY)

    def end(self, status: HTTPStatus | None) -> None:
        """End the connection.

        Parameters
        ----------
        status
            Told to the client, unless its answer is on its way; None tells nothing.
        """
        if self._ended:
            return
        self._ended = True
        self._leave()
        if status is not None and not self.transport.is_closing() and self._can_be_told():
            self.transport.write(_answer(status))
        self.transport.close()

    def _can_be_told(self) -> bool:
        if not self._is_asked or not self.cycle.response_started:
            return True
        return self.cycle.response_complete and not self._is_in_body

    def _await(self, what: _Awaited) -> None:
        self._leave()
        if self._ended or self.transport.is_closing():
            return
        self._awaited, self._taken, self._since = what, 0, self.loop.time()
        self._is_late = False
        if what in self._among.waiting:
            self._among.waiting[what][self] = None

    def _leave(self) -> None:
        if self._awaited in self._among.waiting:
            self._among.waiting[self._awaited].pop(self, None)
        self._awaited = _Awaited.NOTHING

    def _look_later(self, after_s: float) -> None:
        # One timer goes along with a connection, whatever comes over it.
        self._watch = self.loop.call_later(max(0.001, after_s), self._look)

    def _look(self) -> None:
        """End the connection if the time is over."""
        if self._ended or self.transport.is_closing():
            return
        now, patience_s = self.loop.time(), self._limits.request_s
        if self._awaited is _Awaited.NOTHING:
            self._look_later(patience_s)
            return
        if self.flow.read_paused:
            # It is the server that does not read.
            self._since = now
        if self._awaited is _Awaited.BODY:
            patience_s += self._taken / self._limits.body_bytes_per_s
        left_s = self._since + patience_s - now
        if left_s > 0:
            self._look_later(min(left_s, self._limits.request_s))
            return
        if not self._is_late:
            self._is_late = True
            self._look_later(_GRACE_S)
            return
        is_silent = self._awaited is _Awaited.HEAD and not self._taken
        self.end(None if is_silent else HTTPStatus.REQUEST_TIMEOUT)


_SENTENCES = {
    HTTPStatus.REQUEST_TIMEOUT: "UsageError: the request did not come in time\n",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "UsageError: the URL and headers of the request are too long; send parameters by POST\n"
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable: there are too many connections\n",
}


def _answer(status: HTTPStatus) -> bytes:
    """Write a whole answer, for a client that has not sent a whole request."""
    sentence = _SENTENCES[status].encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: text/plain; charset=utf-8",
        f"content-length: {len(sentence)}",
        "x-content-type-options: nosniff",
        "connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + sentence
