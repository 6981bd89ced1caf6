"""An answer's body on its way: large, perhaps in shared memory, given back when it is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from vodal.errors import ServiceUnavailable

__all__ = ["FileResponse", "Unsent", "cut_headers"]

_CHUNK_BYTES = 1 << 20
_RETRY_S = 10


class Unsent:
    """Answers that are made and that their clients have not taken yet, of one server process.

    Parameters
    ----------
    limit_bytes
        While there are more, nothing is made.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0
        """Of all answers."""

    def check(self) -> None:
        """See whether one more may be made.

        Raises
        ------
        ServiceUnavailable
            If those that wait for their clients are over the limit.
        """
        if self.held_bytes > self._limit_bytes:
            raise ServiceUnavailable(
                f"{self.held_bytes / 1e6:.0f} MB of answers wait for clients that take them slowly",
                _RETRY_S,
            )


class FileResponse(Response):
    """Sends a large body in pieces, so that no more than a piece waits for a slow client.

    Parameters
    ----------
    body
        Not changed while it is sent.
    media_type
        Value of Content-Type.
    headers
        More headers.
    unsent
        Counts it until it is sent.
    release
        Called when the body is not needed any more, whether or not it was sent.
    """

    def __init__(
        self,
        body: bytearray | memoryview,
        media_type: str,
        headers: dict[str, str],
        unsent: Unsent,
        release: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(
            headers={**headers, "Content-Length": str(len(body))}, media_type=media_type
        )
        self._whole = memoryview(body)
        self._unsent, self._release = unsent, release
        unsent.held_bytes += len(body)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            for start in range(0, len(self._whole), _CHUNK_BYTES):
                # A copy: the server may hold a piece on after it has taken the next.
                piece = bytes(self._whole[start : start + _CHUNK_BYTES])
                more = start + _CHUNK_BYTES < len(self._whole)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        finally:
            self._unsent.held_bytes -= len(self._whole)
            self._release()


def cut_headers(disposition: str, spent: Mapping[str, float]) -> dict[str, str]:
    """Give the headers of a cutout.

    Parameters
    ----------
    disposition
        Value of Content-Disposition.
    spent
        Seconds of each step.
    """
    timing = (f"{step};dur={1e3 * seconds:.2f}" for step, seconds in spent.items())
    return {
        "Content-Disposition": disposition,
        "Server-Timing": ", ".join(timing),
        "Vary": "Accept",
    }
