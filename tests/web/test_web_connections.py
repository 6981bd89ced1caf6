"""Clients that take their time, or take too much: a real server and plain sockets."""

from __future__ import annotations

import re
import socket
from contextlib import closing, contextmanager

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vodal.testing.server import serve
from vodal.web.app import service_app
from vodal.web.connections import ConnectionLimits

LIMITS = ConnectionLimits(head_bytes=8192, request_s=0.4, body_bytes_per_s=2000.0, most=8)
BEAT_S = 0.03
"""Between two bytes of a client that is slow on purpose."""


async def _post(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _refuse(_request: Request) -> Response:
    return PlainTextResponse("no", 403)


APP = service_app(
    [Route("/post", _post, methods=["GET", "POST"]), Route("/refuse", _refuse, methods=["POST"])]
)


@pytest.fixture(scope="module")
def server():
    with serve(APP, LIMITS) as running:
        yield running


@contextmanager
def connected(server):
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def dribbled(sock: socket.socket, text: bytes, most: int = 2000) -> bytes:
    """Send a text byte by byte, again and again, until the server ends the connection."""
    answer = b""
    sock.settimeout(BEAT_S)
    for number in range(most):
        try:
            sock.sendall(text[number % len(text)].to_bytes())
            while piece := sock.recv(4096):
                answer += piece
        except TimeoutError:
            continue
        except ConnectionError:
            pass
        return answer
    raise AssertionError("the server let it go on")


HEAD = b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"

SLOW = {
    "nothing but blank lines": (b"", b"\r\n", [408]),
    "a line that never ends": (b"GET /", b"a", [408]),
    "headers without end": (b"GET / HTTP/1.1\r\n", b"X-A: b\r\n", [408]),
    "one header without end": (b"GET / HTTP/1.1\r\nX-A: ", b"b", [408]),
    "a body": (HEAD, b"x", [408]),
    "chunks": (HEAD.replace(b"Content-Length: 1000000", b"Transfer-Encoding: chunked"),
               b"1\r\nx\r\n", [408]),
    "a body after its answer": (HEAD.replace(b"/post", b"/refuse"), b"x", [403]),
    "blank lines after an answer": (b"GET /post HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", [200, 408]),
}  # fmt: skip


@pytest.mark.parametrize("kind", SLOW)
def test_who_sends_slowly_is_sent_away(server, kind):
    begin, rest, statuses = SLOW[kind]
    with connected(server) as sock:
        sock.sendall(begin)
        answer = dribbled(sock, rest)
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", answer)] == statuses
    assert (b"did not come in time" in answer) == (408 in statuses)


def test_who_says_nothing_is_sent_away_without_a_word(server):
    with connected(server) as sock:
        assert sock.recv(100) == b""


def test_a_slow_line_may_send_a_long_body(server):
    size = 3000
    with connected(server) as sock:
        sock.sendall(HEAD.replace(b"1000000", b"%d" % size))
        sock.settimeout(BEAT_S)
        for _ in range(size // 100):
            # Longer than the limit alone, and faster than the rate.
            sock.sendall(b"x" * 100)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            size -= 100
            if size == 100:
                break
        sock.sendall(b"x" * size)
        sock.settimeout(10)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def flood(server, begin: bytes, piece: bytes) -> bytes:
    answer = b""
    with connected(server) as sock:
        try:
            sock.sendall(begin)
            for _ in range(1000):
                sock.sendall(piece)
            while found := sock.recv(4096):
                answer += found
        except ConnectionError:
            pass
    return answer


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /", b"a" * 1000),
        (b"GET / HTTP/1.1\r\nX-A: ", b"b" * 1000),
        (b"GET / HTTP/1.1\r\n", b"X-A: b\r\n" * 100),
        (b"GET /post HTTP/1.1\r\nHost: a\r\n\r\nGET /", b"a" * 1000),
    ],
)
def test_a_head_without_end_is_not_kept(server, begin, piece):
    flood(server, begin, piece)
    assert httpx.get(f"{server.url}/post").text == "0"


@pytest.mark.parametrize(
    "more",
    [
        {"params": {"ID": "x" * 9000}},
        {"headers": {"X": "y" * 9000}},
    ],
)
def test_a_head_over_the_limit_is_told_how_to_do_better(server, more):
    with httpx.Client() as client:
        answer = client.get(f"{server.url}/post", **more)
        assert answer.status_code == 431
        assert "send parameters by POST" in answer.text
        assert client.post(f"{server.url}/post", content=b"x" * 9000).text == "9000"


def test_many_who_wait_keep_nobody_out(server):
    sockets = []
    try:
        for number in range(60):
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            sock.sendall(HEAD if number % 2 else b"GET / HTTP")
            sockets.append(sock)
        assert httpx.get(f"{server.url}/post", timeout=5).text == "0"
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize(
    "head",
    [
        b"POST /post HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
        b"GET /post HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        b"GET /post\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /post HTTP/1.1\r\nHost: a\r\nX\x01: b\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /post HTTP/9.9\r\nHost: a\r\n\r\n",
    ],
)
def test_what_a_proxy_could_read_otherwise_is_refused(server, head):
    with connected(server) as sock:
        sock.sendall(head + b"0\r\n\r\nGET /refuse HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        try:
            while piece := sock.recv(4096):
                answer += piece
        except ConnectionError:
            pass
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert answer.count(b"HTTP/1.1 ") == 1
