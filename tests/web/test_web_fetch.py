"""Files fetched for strangers: from listed hosts, of public addresses, and no further."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vodal.errors import TooLargeError, UsageError
from vodal.web.fetch import FetchRules, fetch


class Handler(BaseHTTPRequestHandler):
    """Notes who comes with what, and misbehaves as the path says."""

    came: list[tuple[str, dict[str, str]]]
    ended: threading.Event

    def do_GET(self):
        self.came.append((self.path, dict(self.headers)))
        match self.path:
            case "/ok":
                self._answer(200, b"a\n1\n")
            case "/long":
                self._answer(200, b"x" * 5000)
            case "/short":
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"x")
            case "/slow":
                self.send_response(200)
                self.end_headers()
                try:
                    while not self.ended.wait(0.02):
                        self.wfile.write(b"x")
                except OSError:
                    pass
            case "/silent":
                self.ended.wait(20)
            case _:
                self.send_response(302)
                self.send_header("Location", "/ok")
                self.end_headers()

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def running():
    handler = type("Here", (Handler,), {"came": [], "ended": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], handler.came
    finally:
        handler.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def inside():
    with running() as found:
        yield found


def rules(port, *hosts, private=()) -> FetchRules:
    return FetchRules(tuple(f"{host}:{port}" for host in hosts), private, 1000, 5.0)


def test_a_listed_host_gives_a_file_and_is_told_no_secret(inside, tmp_path):
    port, came = inside
    allowed = rules(port, "127.0.0.1", private=(f"127.0.0.1:{port}",))
    found = fetch(f"http://127.0.0.1:{port}/ok", tmp_path / "t", allowed)
    assert found.path.read_bytes() == b"a\n1\n"
    path, headers = came[-1]
    assert path == "/ok"
    assert not {"Authorization", "Cookie", "X-Forwarded-For"} & set(headers)


INSIDE = [
    "127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::", "0.0.0.0", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255",
    "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "2002:7f00:1::", "64:ff9b::7f00:1",
    "2001:0:1::1", "::127.0.0.1", "ff02::1", "192.0.2.1", "198.18.0.1", "240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize(
    "answers", [*([one] for one in INSIDE), ["93.184.216.34", "127.0.0.1"]], ids=",".join
)
def test_a_listed_name_that_leads_inside_is_refused(inside, tmp_path, monkeypatch, answers):
    port, came = inside
    before = len(came)

    def resolved(host, at, *_, **__):
        kinds = (socket.AF_INET6 if ":" in one else socket.AF_INET for one in answers)
        return [(kind, socket.SOCK_STREAM, 6, "", (one, at))
                for kind, one in zip(kinds, answers, strict=True)]  # fmt: skip

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with pytest.raises(UsageError, match=r"^the host 'evil.example' cannot be reached$"):
        fetch(f"http://evil.example:{port}/ok", tmp_path / "t", rules(port, "evil.example"))
    assert len(came) == before


def test_a_name_is_looked_up_once_so_that_a_second_answer_changes_nothing(
    inside, tmp_path, monkeypatch
):
    port, came = inside
    asked = []

    def rebound(host, at, *_, **__):
        asked.append(host)
        # First where one may go; ever after somewhere else.
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.99"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, at))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    allowed = rules(port, "rebinding.example", private=(f"rebinding.example:{port}",))
    fetch(f"http://rebinding.example:{port}/ok", tmp_path / "t", allowed)
    assert asked == ["rebinding.example"]
    assert came[-1][1]["Host"] == f"rebinding.example:{port}"


def test_a_redirect_is_not_followed(inside, tmp_path):
    port, came = inside
    allowed = rules(port, "127.0.0.1", private=(f"127.0.0.1:{port}",))
    before = len(came)
    with pytest.raises(UsageError, match="leads to another one"):
        fetch(f"http://127.0.0.1:{port}/elsewhere", tmp_path / "t", allowed)
    assert [path for path, _ in came[before:]] == ["/elsewhere"]


@pytest.mark.parametrize(
    "url",
    [
        "http://u:p@127.0.0.1:{port}/ok", "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://a/",
        "http://127.0.0.1:{port}/o k", "http://127.0.0.1:{port}/ok\r\nX: y", "http:///ok", "http://[",
        "http://127.0.0.1:99999/", "http://127.0.0.1:{port}@example.org/", "//127.0.0.1/ok", "ok",
        "http://127.0.0.1.example.org:{port}/ok", "http://x127.0.0.1:{port}/ok",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_of_a_listed_host_is_refused(inside, tmp_path, url):
    port, came = inside
    before = len(came)
    allowed = rules(port, "127.0.0.1", private=(f"127.0.0.1:{port}",))
    with pytest.raises(UsageError):
        fetch(url.format(port=port), tmp_path / "t", allowed)
    assert len(came) == before


@pytest.mark.parametrize(
    ("path", "error"),
    [("/long", TooLargeError), ("/slow", TooLargeError), ("/silent", TooLargeError),
     ("/short", UsageError)],
)  # fmt: skip
def test_a_server_that_gives_too_much_or_takes_too_long_is_left(inside, tmp_path, path, error):
    port, _ = inside
    allowed = rules(port, "127.0.0.1", private=(f"127.0.0.1:{port}",))
    with pytest.raises(error):
        fetch(f"http://127.0.0.1:{port}{path}", tmp_path / "t", replace(allowed, limit_s=0.4))
