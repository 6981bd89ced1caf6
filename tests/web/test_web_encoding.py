"""Compressed answers: who gets them, that they are the same, and that nothing waits for them."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
import zlib

import httpx
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from vodal.testing.asgi import AppClient
from vodal.testing.server import serve
from vodal.web.app import service_app
from vodal.web.encoding import CODINGS, Compression, choose_coding
from vodal.web.responses import no_content, stream

LONG = "".join(f"{number},observation {number}\n" for number in range(3000))
GO_ON = threading.Event()
PIECES = 60
"""Of 100 kB each, some of them compressed in a thread."""


def unpack(coding: str, data: bytes) -> bytes:
    if coding == "gzip":
        return gzip.decompress(data)
    return pa.input_stream(pa.BufferReader(data), compression="zstd").read()


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("zstd;q=0.5, gzip; Q = 0.5", "zstd"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, zstd;q=0", None),
        ("identity", None),
        ("identity, gzip", "gzip"),
        ("identity, gzip;q=0.9", None),
        ("identity;q=0.5, gzip;q=0.6, zstd;q=0.4", "gzip"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*;q=0, zstd", "zstd"),
        ("gzip;q=0, *", None),
        ("identity;q=0, *;q=0", None),
        ("br", None),
        ("deflate, br;q=1.0", None),
        ("", None),
        ("gzip;q=2", None),
        ("gzip;q=x, zstd;q=", None),
        ("gzip;level=9", "gzip"),
        (",,;;q=,gzip", "gzip"),
        ("gzip" * 3000, None),
    ],
)
def test_the_client_chooses_by_weights(accepted, coding):
    assert choose_coding(accepted) == coding


@settings(deadline=None)
@given(st.sampled_from(sorted(CODINGS)), st.lists(st.binary(max_size=3000), min_size=1))
def test_pieces_unpack_to_what_was_packed(coding, pieces):
    coder = CODINGS[coding]()
    packed = [
        coder.piece(piece, last=number == len(pieces)) for number, piece in enumerate(pieces, 1)
    ]
    assert unpack(coding, b"".join(packed)) == b"".join(pieces)


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_each_piece_can_be_read_when_it_comes(coding):
    coder = CODINGS[coding]()
    sent = coder.piece(b"the first rows", last=False)
    if coding == "gzip":
        assert zlib.decompressobj(31).decompress(sent) == b"the first rows"
    else:
        reader = pa.input_stream(pa.BufferReader(sent), compression="zstd")
        assert reader.read(14) == b"the first rows"


async def _long(_: Request) -> Response:
    return PlainTextResponse(LONG, headers={"ETag": '"abc"', "Vary": "Accept"})


async def _short(_: Request) -> Response:
    return PlainTextResponse("x" * 999)


async def _slow(_: Request) -> Response:
    def pieces():
        yield b"ID,access_url\n"
        time.sleep(0.06)
        yield b"first\n"
        assert GO_ON.wait(20)
        yield b"second\n"

    return await stream(pieces(), "text/csv")


async def _many(_: Request) -> Response:
    return await stream(iter([LONG.encode()[:100_000]] * PIECES), "text/csv")


async def _failing(_: Request) -> Response:
    def pieces():
        yield LONG.encode() * 3
        raise RuntimeError("lost the disk")

    return await stream(pieces(), "text/csv")


def _as(media_type: str, **headers: str):
    async def answer(_: Request) -> Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(LONG.encode(), media_type=media_type, headers=given)

    return answer


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoding") / "result.csv"
    path.write_text(LONG * 10)
    return path


@pytest.fixture(scope="module")
def app(file):
    async def from_file(_: Request) -> Response:
        return FileResponse(file, media_type="text/csv")

    async def nothing(_: Request) -> Response:
        return no_content()

    return service_app(
        [
            Route("/long", _long),
            Route("/short", _short),
            Route("/slow", _slow),
            Route("/many", _many),
            Route("/failing", _failing),
            Route("/file", from_file),
            Route("/nothing", nothing),
            Route("/parquet", _as("application/vnd.apache.parquet")),
            Route("/tile", _as("image/png")),
            Route("/packed", _as("text/csv", Content_Encoding="gzip")),
            Route("/fixed", _as("text/csv", Cache_Control="no-store, no-transform")),
            Route("/votable", _as("application/x-votable+xml;serialization=TABLEDATA")),
        ]
    )


@pytest.fixture(scope="module")
def client(app):
    return AppClient(Compression(app))


@pytest.fixture(scope="module")
def server(app):
    with serve(Compression(app)) as running:
        yield running


def raw(client: AppClient, path: str, accepted: str, method: str = "GET") -> httpx.Response:
    return client.request(method, path, headers={"Accept-Encoding": accepted})


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_whole_answer_is_compressed(server, coding):
    with httpx.stream("GET", f"{server.url}/long", headers={"Accept-Encoding": coding}) as answer:
        data = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["etag"] == 'W/"abc"'
    assert int(answer.headers["content-length"]) == len(data) < len(LONG) / 3
    assert unpack(coding, data) == LONG.encode()


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0"])
def test_who_takes_none_gets_the_answer_as_it_is(client, accepted):
    answer = raw(client, "/long", accepted)
    assert "content-encoding" not in answer.headers
    assert answer.text == LONG
    assert answer.headers["content-length"] == str(len(LONG))
    assert answer.headers["vary"] == "Accept, Accept-Encoding", "caches must know all the same"
    assert answer.headers["etag"] == '"abc"'


async def messages(app, path: str, accepted: str) -> list[dict]:
    """Give all that an app sends."""
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "scheme": "http", "server": ("testserver", 80),
        "client": ("192.0.2.7", 4000), "headers": [(b"accept-encoding", accepted.encode())],
    }  # fmt: skip
    sent = []

    async def receive():
        await asyncio.sleep(3600)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/parquet", "/tile", "/packed", "/fixed", "/nothing"])
def test_what_gains_nothing_is_left_alone(app, path):
    plain = asyncio.run(messages(app, path, "gzip"))
    assert asyncio.run(messages(Compression(app), path, "gzip")) == plain


def test_a_short_answer_is_not_worth_it(client):
    answer = raw(client, "/short", "gzip")
    assert answer.headers["content-length"] == "999"
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


def test_parameters_of_a_media_type_do_not_matter(client):
    assert raw(client, "/votable", "gzip").headers["content-encoding"] == "gzip"


def test_errors_are_compressed_by_the_same_rules(client):
    answer = raw(client, "/nowhere/" + "x" * 2000, "gzip")
    assert answer.status_code == 404
    assert answer.headers["content-encoding"] == "gzip"
    assert "there is nothing at /nowhere/" in answer.text


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_head_request_gets_the_headers_of_get(client, server, coding):
    for path in ("/long", "/many", "/short", "/file"):
        answer = httpx.head(server.url + path, headers={"Accept-Encoding": coding})
        assert answer.content == b""
        got = httpx.get(server.url + path, headers={"Accept-Encoding": "gzip"}).headers
        same = {"content-type", "vary", "etag", "accept-ranges"}
        assert {k: v for k, v in answer.headers.items() if k in same} == {
            k: v for k, v in got.items() if k in same
        }
        assert ("content-encoding" in answer.headers) == ("content-encoding" in got)


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_long_stream_is_compressed_piece_by_piece(server, coding):
    with httpx.stream("GET", f"{server.url}/many", headers={"Accept-Encoding": coding}) as answer:
        data = b"".join(answer.iter_raw())
    assert "content-length" not in answer.headers
    assert len(data) < PIECES * 30_000
    assert unpack(coding, data) == LONG.encode()[:100_000] * PIECES


def test_first_rows_do_not_wait_for_later_ones(server):
    GO_ON.clear()
    with httpx.stream("GET", f"{server.url}/slow", headers={"Accept-Encoding": "gzip"}) as answer:
        reader = zlib.decompressobj(31)
        parts = answer.iter_raw()
        begun = reader.decompress(next(parts))
        assert begun.startswith(b"ID,access_url")
        GO_ON.set()
        assert begun + b"".join(map(reader.decompress, parts)) == b"ID,access_url\nfirst\nsecond\n"
    assert reader.eof


def test_a_stream_that_fails_is_cut_and_never_looks_whole(server, caplog):
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("GET", f"{server.url}/failing", headers={"Accept-Encoding": "gzip"}) as answer,
    ):
        answer.read()
    assert "lost the disk" in caplog.text


def test_a_file_is_compressed_whole_and_served_in_ranges_as_it_is(server, file):
    whole = httpx.get(f"{server.url}/file", headers={"Accept-Encoding": "gzip"})
    assert whole.headers["content-encoding"] == "gzip"
    assert whole.content == file.read_bytes()
    assert "accept-ranges" not in whole.headers
    assert "content-length" not in whole.headers
    part = httpx.get(
        f"{server.url}/file", headers={"Accept-Encoding": "gzip", "Range": "bytes=5-2004"}
    )
    assert part.status_code == 206
    assert "content-encoding" not in part.headers
    assert part.content == file.read_bytes()[5:2005]


@pytest.mark.parametrize(
    ("mode", "client_host", "is_packed"),
    [
        ("always", "127.0.0.1", True),
        ("remote", "127.0.0.1", False),
        ("remote", "::1", False),
        ("remote", "192.0.2.7", True),
        ("never", "192.0.2.7", False),
    ],
)
def test_the_mode_says_who_gets_compressed_answers(app, mode, client_host, is_packed):
    wrapped = Compression(app, mode=mode)

    async def from_host(scope, receive, send):
        await wrapped({**scope, "client": (client_host, 4000)}, receive, send)

    start, *_ = asyncio.run(messages(from_host, "/long", "gzip"))
    names = dict(start["headers"])
    assert (b"content-encoding" in names) == is_packed
    assert (names[b"vary"] == b"Accept, Accept-Encoding") == (mode != "never")


def test_only_the_chosen_kinds_are_compressed(app):
    only_png = AppClient(Compression(app, {"image/png"}))
    assert raw(only_png, "/tile", "gzip").headers["content-encoding"] == "gzip"
    answer = raw(only_png, "/long", "gzip")
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept"
