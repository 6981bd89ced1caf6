"""The client side of measurements: requests over plain sockets, so that a client costs little.

Run as a script it is one process of clients: it takes a `Load` as JSON in a line, connects, says
``ready``, waits for a line, sends requests for the given time, and prints what it saw.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import urlencode, urlsplit

__all__ = ["Answer", "Load", "Report", "Wire", "request_bytes", "run_load"]

_CLIENTS_A_PROCESS = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    location: str | None
    first_s: float
    """From the request to the first byte of the body."""
    size: int
    """Bytes of the body."""
    tail: bytes
    """The last bytes of the body."""
    head: bytes
    """The first bytes of the body."""


class Wire:
    """One connection, kept alive, made anew when the server closes it.

    Parameters
    ----------
    url
        Of the service; only host and port are used.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._socket: socket.socket | None = None
        self._buffer = bytearray(1 << 18)

    def send(self, request: bytes) -> Answer:
        """Send a request and read the whole answer."""
        began = time.perf_counter()
        fresh = self._socket is None
        try:
            return self._exchange(request, began)
        except (ConnectionError, EOFError):
            self.close()
            if fresh:
                raise
            # The server had closed an idle connection.
            return self._exchange(request, began)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes, began: float) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=600)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        lines = data[:end].decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        status = int(lines[0].split(" ")[1])
        body = data[end + 4 :]
        first_s = time.perf_counter() - began
        if not body and headers.get("content-length") != "0":
            body = self._receive(at_end=True)
            first_s = time.perf_counter() - began
        size, tail = self._body(headers, body)
        if headers.get("connection", "").lower() == "close" or lines[0].startswith("HTTP/1.0"):
            self.close()
        return Answer(status, headers.get("location"), first_s, size, tail, body[:2000])

    def _receive(self, *, at_end: bool = False) -> bytes:
        assert self._socket is not None
        count = self._socket.recv_into(self._buffer)
        if not count and not at_end:
            raise EOFError
        return bytes(self._buffer[:count])

    def _body(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Read on to the end of the body; gives its size on the wire and its last bytes."""
        size, tail = len(body), body[-4000:]
        if "content-length" in headers:
            ended: Callable[[], bool] = lambda: size >= int(headers["content-length"])  # noqa: E731
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            ended = lambda: tail.endswith(b"0\r\n\r\n")  # noqa: E731
        else:
            ended = lambda: False  # noqa: E731
        while not ended():
            more = self._receive(at_end=True)
            if not more:
                break
            size += len(more)
            tail = more[-4000:] if len(more) >= 4000 else (tail + more)[-4000:]
        return size, tail


def request_bytes(url: str, params: dict[str, str], method: str = "POST") -> bytes:
    """Write a request: the parameters as a form body, or by GET in the address."""
    parts = urlsplit(url)
    query = parts.query if method == "POST" else urlencode(params)
    path = parts.path + (f"?{query}" if query else "")
    body = urlencode(params).encode() if method == "POST" else b""
    head = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}"]
    if body:
        head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True, slots=True)
class Load:
    """What clients do."""

    url: str
    params: list[dict[str, str]]
    """Of the requests, taken in turn; each client begins at another one."""
    clients: int
    seconds: float
    method: str = "POST"


@dataclass(slots=True)
class Report:
    """What clients saw."""

    times_s: list[float] = field(default_factory=list)
    """Of each answer, in no order."""
    errors: list[str] = field(default_factory=list)
    """The first bytes of answers that were none."""
    seconds: float = 0.0
    size: int = 0
    """Bytes of all bodies."""

    @property
    def rate(self) -> float:
        """Answers a second, of all clients."""
        return len(self.times_s) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """Give the time that this share of the answers took at most."""
        ordered = sorted(self.times_s)
        return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run_load(load: Load) -> Report:
    """Let clients work in processes of their own."""
    processes = []
    for start in range(0, load.clients, _CLIENTS_A_PROCESS):
        part = asdict(load) | {"clients": min(_CLIENTS_A_PROCESS, load.clients - start)}
        shift = len(load.params) * start // load.clients
        part["params"] = load.params[shift:] + load.params[:shift]
        process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(part) + "\n")
        process.stdin.flush()
        processes.append(process)
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    whole = Report()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        part_seen = json.loads(process.communicate()[0])
        whole.times_s += part_seen["times_s"]
        whole.errors += part_seen["errors"]
        whole.seconds = max(whole.seconds, part_seen["seconds"])
        whole.size += part_seen["size"]
    return whole


def _client(wire: Wire, requests: Sequence[bytes], start: int, until: float, seen: Report) -> None:
    number = start
    while True:
        began = time.perf_counter()
        if began >= until:
            return
        try:
            answer = wire.send(requests[number % len(requests)])
        except (OSError, EOFError) as error:
            seen.errors.append(repr(error))
            continue
        number += 1
        if answer.status == 200 and b'value="ERROR"' not in answer.head:
            seen.times_s.append(time.perf_counter() - began)
            seen.size += answer.size
        else:
            seen.errors.append(f"{answer.status} {answer.head[:600]!r}")


def _main() -> None:
    load = Load(**json.loads(sys.stdin.readline()))
    requests = [request_bytes(load.url, params, load.method) for params in load.params]
    wires = [Wire(load.url) for _ in range(load.clients)]
    reports = [Report() for _ in wires]
    for wire in wires[:64]:
        wire.send(requests[0])
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    threads = [
        threading.Thread(
            target=_client,
            args=(
                wire,
                requests,
                len(requests) * place // len(wires) + 1,
                began + load.seconds,
                seen,
            ),
        )
        for place, (wire, seen) in enumerate(zip(wires, reports, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Report(seconds=time.perf_counter() - began)
    for seen in reports:
        whole.times_s += seen.times_s
        whole.errors += seen.errors[:3]
        whole.size += seen.size
    print(json.dumps(asdict(whole)))


if __name__ == "__main__":
    _main()
