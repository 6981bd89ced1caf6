"""CORS, errors, HEAD, streams: through a real server where the wire matters."""

from __future__ import annotations

import logging
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from vodal.errors import AuthorizationError, ServiceUnavailable, UsageError
from vodal.testing.asgi import AppClient
from vodal.web.app import service_app
from vodal.web.responses import no_content, stream, text_error


class Source:
    """A blocking iterator that tells when it was closed."""

    def __init__(self, pieces, size=200_000, fail_at=None):
        self.pieces, self.size, self.fail_at = pieces, size, fail_at
        self.given = 0
        self.closed = threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        if self.given == self.fail_at:
            raise UsageError("the third column is not there")
        if self.given == self.pieces:
            raise StopIteration
        self.given += 1
        return b"x" * self.size

    def close(self):
        self.closed.set()


SOURCES: dict[str, Source] = {}


async def _stream(request: Request):
    return await stream(SOURCES[request.path_params["name"]], "text/csv", {"X-Kind": "test"})


async def _raise(request: Request):
    raise {
        "usage": UsageError("RADIUS must be positive"),
        "busy": ServiceUnavailable("all workers are busy", 7),
        "denied": AuthorizationError("not public yet"),
        "bug": RuntimeError("secret /disk/path"),
    }[request.path_params["what"]]


async def _nothing(request: Request):
    return no_content()


async def _post(request: Request):
    return PlainTextResponse(await request.body())


APP = service_app(
    [
        Route("/stream/{name}", _stream),
        Route("/raise/{what}", _raise),
        Route("/nothing", _nothing),
        Route("/post", _post, methods=["POST"]),
    ]
)


@pytest.fixture(scope="module")
def client():
    return AppClient(APP)


@pytest.fixture(scope="module")
def server_url():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(APP, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def test_every_answer_may_be_read_from_other_origins(client):
    for path in ("/nothing", "/raise/usage", "/raise/bug", "/nowhere", "/post"):
        answer = client.get(path)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "ETag" in answer.headers["access-control-expose-headers"]


def test_preflight_is_answered_for_any_path(client):
    answer = client.options(
        "/post", headers={"Origin": "https://a.b", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 204
    assert "Range" in answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/raise/usage", 400, "UsageError: RADIUS must be positive\n"),
        ("/raise/busy", 503, "ServiceUnavailable: all workers are busy\n"),
        ("/raise/denied", 403, "AuthorizationError: not public yet\n"),
        ("/nowhere", 404, "UsageError: there is nothing at /nowhere\n"),
        ("/post", 405, "UsageError: GET is not possible at /post\n"),
    ],
)
def test_errors_are_one_line_with_label_and_status(client, path, status, text):
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers["content-type"].startswith("text/plain")
    if status == 503:
        assert answer.headers["retry-after"] == "7"
    if status == 405:
        assert "POST" in answer.headers["allow"]


def test_an_unknown_failure_tells_only_the_entry_of_the_log(client, caplog):
    with caplog.at_level(logging.ERROR):
        answer = client.get("/raise/bug")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    entry = answer.text.split()[-1]
    assert entry in caplog.text
    assert "secret" in caplog.text


def test_204_has_no_body_and_no_length(server_url):
    answer = httpx.get(f"{server_url}/nothing")
    assert answer.status_code == 204
    assert answer.content == b""
    assert "content-length" not in answer.headers


def test_newlines_cannot_split_a_text_error():
    assert text_error(UsageError("a\nb\r\nc")).body == b"UsageError: a b c\n"


def test_a_short_stream_has_its_length(server_url):
    SOURCES["short"] = Source(3, size=10)
    answer = httpx.get(f"{server_url}/stream/short")
    assert answer.content == b"x" * 30
    assert answer.headers["content-length"] == "30"
    assert answer.headers["x-kind"] == "test"
    assert answer.headers["content-type"].startswith("text/csv")
    assert SOURCES["short"].closed.is_set()


def test_a_long_stream_arrives_whole_and_is_closed(server_url):
    SOURCES["long"] = Source(30)
    answer = httpx.get(f"{server_url}/stream/long")
    assert len(answer.content) == 30 * 200_000
    assert SOURCES["long"].closed.wait(5)


def test_an_empty_stream_is_an_empty_answer(server_url):
    SOURCES["empty"] = Source(0)
    answer = httpx.get(f"{server_url}/stream/empty")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_failure_before_the_first_piece_is_a_normal_error(server_url):
    SOURCES["early"] = Source(3, fail_at=0)
    answer = httpx.get(f"{server_url}/stream/early")
    assert answer.status_code == 400
    assert "third column" in answer.text
    assert SOURCES["early"].closed.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failure_later_cuts_the_connection(server_url):
    SOURCES["late"] = Source(30, fail_at=10)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server_url}/stream/late")
    assert SOURCES["late"].closed.wait(5)


def test_a_client_that_goes_away_closes_the_source(server_url):
    source = SOURCES["endless"] = Source(10**9)
    with httpx.stream("GET", f"{server_url}/stream/endless") as answer:
        next(answer.iter_raw())
    assert source.closed.wait(5)
    given = source.given
    time.sleep(0.05)
    assert source.given == given


def test_head_takes_the_start_only(server_url):
    source = SOURCES["head"] = Source(10**9)
    answer = httpx.head(f"{server_url}/stream/head")
    assert (answer.status_code, answer.content) == (200, b"")
    assert source.closed.wait(5)
    assert source.given <= 1
    assert httpx.head(f"{server_url}/raise/usage").content == b""
