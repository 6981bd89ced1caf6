"""Files that the kernel sends, to real clients over the wire."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from vodal.testing.server import serve
from vodal.web.zerocopy import ZERO_COPY, offers_zero_copy

CONTENT = os.urandom(3_000_001)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        yield opened


class App:
    """Answers with stretches of a file, and with what is written between them."""

    def __init__(self, file, parts, length=None):
        self.file, self.parts = file, parts
        self.length = sum(
            len(part) if isinstance(part, bytes) else part[1] for part in parts
        ) if length is None else length  # fmt: skip
        self.ended = threading.Event()
        self.failed = None

    async def __call__(self, scope, _receive, send):
        if scope["type"] != "http":
            return
        assert offers_zero_copy(scope)
        headers = [(b"content-length", b"%d" % self.length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            for number, part in enumerate(self.parts, 1):
                more = {"more_body": number < len(self.parts)}
                if isinstance(part, bytes):
                    await send({"type": "http.response.body", "body": part, **more})
                else:
                    span = {"file": self.file, "offset": part[0], "count": part[1]}
                    await send({"type": ZERO_COPY, **span, **more})
        except RuntimeError as error:
            self.failed = error
            raise
        finally:
            self.ended.set()


@pytest.mark.parametrize(
    "parts",
    [
        [(0, len(CONTENT))],
        [b"before", (5, 1_000_000), b"between", (0, 1), (2_000_000, 1_000_001), b"after"],
        [b"x" * 500_000, (7, 700_000)],
    ],
)
def test_stretches_of_a_file_come_in_their_order(file, parts):
    expected = b"".join(
        part if isinstance(part, bytes) else CONTENT[part[0] : sum(part)] for part in parts
    )
    with serve(App(file, parts)) as running, httpx.Client() as client:
        # The connection is as good afterwards as before.
        for _ in range(3):
            assert client.get(running.url).content == expected


def test_requests_that_come_together_are_answered_in_turn(file):
    one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with (
        serve(App(file, [b"<", (0, 400_000), b">"])) as running,
        socket.create_connection(("127.0.0.1", running.port)) as wire,
    ):
        wire.sendall(one + one + last)
        got = b"".join(iter(lambda: wire.recv(1 << 20), b""))
    assert got.count(b"<" + CONTENT[:400_000] + b">") == 3


def test_a_client_that_reads_late_gets_all(file):
    with serve(App(file, [(0, len(CONTENT))])) as running, socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(("127.0.0.1", running.port))
        wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        # Others are served while it does not read.
        assert httpx.get(running.url).content == CONTENT
        got = b"".join(iter(lambda: wire.recv(1 << 20), b""))
    assert got.endswith(CONTENT)


def test_a_client_that_goes_leaves_nothing_behind(file):
    app = App(file, [(0, len(CONTENT))] * 40)
    with serve(app) as running:
        before = _sockets()
        with httpx.stream("GET", running.url) as answer:
            next(answer.iter_raw(1000))
        assert app.ended.wait(10)
        assert httpx.get(f"{running.url}/", headers={"Connection": "close"}).status_code == 200
    assert app.failed is None
    assert _sockets() <= before


def _sockets():
    found = 0
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += "socket:" in str(handle.readlink())
    return found


@pytest.mark.parametrize(
    ("parts", "length", "told"),
    [
        ([(0, 1000)], 999, "longer than the rest"),
        ([(len(CONTENT) - 10, 1000)], 1000, "the file ended"),
    ],
)
def test_an_answer_that_cannot_be_whole_is_cut(file, parts, length, told):
    app = App(file, parts, length)
    with serve(app) as running, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(running.url)
    assert told in str(app.failed)
