"""An HTTP server of one file that answers as from far away: late, and no faster than a line allows.

    python bench/farserver.py FILE LATENCY_MS MEGABYTES_PER_SECOND_AND_CONNECTION

Prints its port, and for each line on its standard input the requests and bytes since the last.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

_PIECE = 1 << 18


class _Far:
    def __init__(self, path: Path, latency_s: float, bytes_a_second: float) -> None:
        self._data = path.read_bytes()
        self._latency_s, self._rate = latency_s, bytes_a_second
        self.requests = self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self._latency_s)
                await self._answer(writer, head)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, head: bytes) -> None:
        size = len(self._data)
        told = re.search(rb"(?i)\r\nrange: *bytes=([0-9,-]+)", head)
        asked = told[1] if told else b"0-%d" % (size - 1)
        spans = [(int(a), min(int(b) + 1, size)) for a, b in re.findall(rb"(\d+)-(\d+)", asked)]
        if len(spans) == 1:
            ((start, stop),) = spans
            kind = b"Content-Range: bytes %d-%d/%d" % (start, stop - 1, size)
            parts = [self._data[start:stop]]
        else:
            kind, parts = b"Content-Type: multipart/byteranges; boundary=far", []
            for start, stop in spans:
                where = b"Content-Range: bytes %d-%d/%d" % (start, stop - 1, size)
                parts += [b"\r\n--far\r\n" + where + b"\r\n\r\n", self._data[start:stop]]
            parts.append(b"\r\n--far--\r\n")
        body = b"".join(parts)
        self.requests, self.sent = self.requests + 1, self.sent + len(body)
        fixed = b'HTTP/1.1 206 Partial Content\r\nETag: "far"\r\n'
        dated = b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        writer.write(fixed + dated + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body))
        loop = asyncio.get_running_loop()
        began, done = loop.time(), 0
        for first in range(0, len(body), _PIECE):
            writer.write(body[first : first + _PIECE])
            done += _PIECE
            await writer.drain()
            await asyncio.sleep(max(0.0, began + done / self._rate - loop.time()))


async def _main() -> None:
    far = _Far(Path(sys.argv[1]), float(sys.argv[2]) / 1e3, float(sys.argv[3]) * 1e6)
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(far.requests, far.sent, flush=True)
        far.requests = far.sent = 0


if __name__ == "__main__":
    asyncio.run(_main())
