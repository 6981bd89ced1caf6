"""Files by HTTP from a real server."""

from __future__ import annotations

import email
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from datalink.app import create_files_app
from datalink.delivery import content_disposition
from datalink.makers.file import FileLinkMaker
from datalink.names import encode_segment
from datalink.settings import DatalinkSettings
from vodal.products import Product, Resolver
from vodal.testing.asgi import AppClient
from vodal.testing.server import serve

DID = "ivo://example.org/survey?night 1/exp#2%2F&x=é.fits"
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def stored(resolver, tmp_path):
    path = tmp_path / "exp.fits"
    path.write_bytes(CONTENT)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return resolver.add(DID, path)


@pytest.fixture
def app(resolver, tmp_path):
    files = create_files_app(resolver, DatalinkSettings(), cache=tmp_path / "cache")
    return Starlette(routes=[Mount("/files", files)])


@pytest.fixture
def server(app):
    with serve(app) as running:
        yield running.url


@pytest.fixture
def url(server, stored):
    (link,) = FileLinkMaker().links(stored, server)
    return link.access_url


def test_the_whole_file_comes_with_what_describes_it(url):
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-type"] == "image/fits"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert answer.headers["content-disposition"] == 'attachment; filename="exp.fits"'
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["etag"].startswith('"')


def test_head_tells_the_same_without_the_bytes(url):
    got, told = httpx.get(url), httpx.head(url)
    assert told.content == b""
    for name in ("content-length", "content-type", "etag", "last-modified", "accept-ranges"):
        assert told.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-99", 0, 100), ("1000000-", 1_000_000, None), ("-7", -7, None), ("5-5", 5, 6)],
)
def test_a_range_gives_its_bytes(url, asked, start, stop):
    answer = httpx.get(url, headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    first = start if start >= 0 else len(CONTENT) + start
    last = first + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_several_ranges_come_as_multipart(url):
    answer = httpx.get(url, headers={"Range": "bytes=300000-700000,0-9,-1"})
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(answer.content))
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content)
    parts = message.get_payload()
    assert [part["content-range"] for part in parts] == [
        "bytes 300000-700000/1024000",
        "bytes 0-9/1024000",
        "bytes 1023999-1023999/1024000",
    ]
    assert [part.get_content_type() for part in parts] == ["image/fits"] * 3
    # Bytes by hand: the mail parser is not for binary bodies.
    for wanted in (CONTENT[300_000:700_001], CONTENT[:10], CONTENT[-1:]):
        assert b"\r\n\r\n" + wanted + b"\r\n--" in answer.content


def test_a_range_beyond_the_end_is_told_the_size(url):
    answer = httpx.get(url, headers={"Range": "bytes=2000000-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert answer.content == b""


def test_a_malformed_range_is_passed_over(url):
    answer = httpx.get(url, headers={"Range": "bytes=9-1"})
    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


def test_what_the_client_has_is_not_sent_again(url):
    first = httpx.get(url)
    for headers in (
        {"If-None-Match": first.headers["etag"]},
        {"If-Modified-Since": first.headers["last-modified"]},
    ):
        answer = httpx.get(url, headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == first.headers["etag"]
    assert httpx.get(url, headers={"If-Match": '"other"'}).status_code == 412


def test_if_range_gives_the_rest_or_the_whole_new_file(url, stored, tmp_path):
    etag = httpx.get(url).headers["etag"]
    headers = {"Range": "bytes=10-", "If-Range": etag}
    assert httpx.get(url, headers=headers).status_code == 206
    (tmp_path / "exp.fits").write_bytes(b"new" * 100)
    answer = httpx.get(url, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"new" * 100)
    assert answer.headers["etag"] != etag


def test_a_file_that_changed_is_served_as_it_is_now(url, stored, tmp_path):
    (tmp_path / "exp.fits").write_bytes(b"shorter")
    answer = httpx.get(url)
    assert answer.content == b"shorter"
    assert answer.headers["content-length"] == "7"


def test_a_file_that_vanished_is_a_404_without_its_folder(url, tmp_path):
    (tmp_path / "exp.fits").unlink()
    answer = httpx.get(url)
    assert answer.status_code == 404
    assert str(tmp_path) not in answer.text


def test_a_file_that_became_a_folder_is_an_error_not_a_crash(url, tmp_path):
    (tmp_path / "exp.fits").unlink()
    (tmp_path / "exp.fits").mkdir()
    try:
        answer = httpx.get(url)
    except httpx.HTTPError:
        return  # the connection is cut
    assert answer.status_code in {404, 500}
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/files/",
        "/files/nothing",
        "/files//etc/passwd",
        "/files/../../../../etc/passwd",
        "/files/%2e%2e/%2e%2e/etc/passwd",
        "/files/..%2F..%2Fetc%2Fpasswd",
        "/files/~2E~2E~2Fetc~2Fpasswd",
        "/files/~2Fetc~2Fpasswd",
        "/files/file:///etc/passwd",
        "/files/file~3A~2F~2F~2Fetc~2Fpasswd",
        "/files/preview/..%2F..%2Fetc%2Fpasswd",
        "/files/%00",
        "/files/%FF%FE",
        "/files/~00",
        "/files/exp.fits",
    ],
)
def test_nothing_but_products_can_be_reached(server, stored, path):
    # Sent as it is, since clients tidy paths up.
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as wire:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        wire.sendall(request.encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"root:" not in answer


def test_the_path_of_a_file_on_the_disk_is_no_name_of_it(server, stored, tmp_path):
    for text in (str(tmp_path / "exp.fits"), (tmp_path / "exp.fits").as_uri()):
        assert httpx.get(f"{server}/files/{encode_segment(text)}").status_code == 404


DIDS = st.text(
    st.sampled_from("/:?#%&=+~. é\U0001f52d") | st.characters(exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=24,
)


@given(st.lists(DIDS, min_size=1, max_size=4, unique=True))
@example(["a/b", "a%2Fb", "a%252Fb", "a~2Fb"])
@example(["ivo://x/y?z", "ivo:/x/y", "..", "."])
@settings(max_examples=60, deadline=None)
def test_every_identifier_leads_to_its_own_file(tmp_path_factory, dids):
    folder = tmp_path_factory.mktemp("files")
    resolver = _Files(folder, dids)
    files = create_files_app(resolver, DatalinkSettings(), cache=folder / "cache")
    client = AppClient(Starlette(routes=[Mount("/files", files)]))
    for did in dids:
        (link,) = FileLinkMaker().links(resolver.products[did], "http://testserver")
        assert client.get(link.access_url).content == repr(did).encode()


class _Files(Resolver):
    """Products whose files hold their own identifiers."""

    def __init__(self, folder, dids):
        self.products = {}
        for number, did in enumerate(dids):
            path = folder / f"{number}.fits"
            path.write_bytes(repr(did).encode())
            self.products[did] = Product(
                did, "c", path.as_uri(), path.name, "image/fits", 1, "v", 0.0, (0,), None
            )

    def resolve(self, dids):
        return {did: self.products[did] for did in dids if did in self.products}


def test_a_percent_encoded_identifier_is_understood_too(server, url):
    answer = httpx.get(f"{server}/files/{quote(DID, safe='')}")
    assert answer.content == CONTENT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exp 1.fits", 'attachment; filename="exp 1.fits"'),
        (
            'a"b\r\nX: y.fits',
            "attachment; filename=\"a_b__X: y.fits\"; filename*=UTF-8''a%22b%0D%0AX%3A%20y.fits",
        ),
        ("ñ.fits", "attachment; filename=\"_.fits\"; filename*=UTF-8''%C3%B1.fits"),
        ("", "attachment; filename=\"file\"; filename*=UTF-8''"),
    ],
)
def test_a_file_name_cannot_break_its_header(name, expected):
    assert content_disposition(name) == expected


@given(st.text())
def test_any_file_name_makes_one_line_of_ascii(name):
    value = content_disposition(name)
    assert value.isascii()
    assert value.isprintable()
    plain = value.split('"')
    assert len(plain) == 3


def test_a_media_type_of_the_catalogue_cannot_break_a_header(resolver, app, tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"x")
    resolver.add("ivo://a/b", path, content_type="text/html\r\nX: y")
    answer = AppClient(app).get(f"/files/{encode_segment('ivo://a/b')}")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_gzipped_file_comes_as_it_is_stored(resolver, server, tmp_path):
    path = tmp_path / "x.fits.gz"
    fits.PrimaryHDU().writeto(path)
    resolver.add("ivo://a/gz", path, content_type="application/gzip")
    answer = httpx.get(f"{server}/files/{encode_segment('ivo://a/gz')}")
    assert "content-encoding" not in answer.headers
    assert answer.content == path.read_bytes()


def test_astropy_opens_a_product_over_http(survey_resolver, tmp_path):
    files = create_files_app(survey_resolver, DatalinkSettings(), cache=tmp_path)
    with serve(Starlette(routes=[Mount("/files", files)])) as running:
        did, product = next(iter(survey_resolver.products.items()))
        with fits.open(f"{running.url}/files/{encode_segment(did)}", cache=False) as hdus:
            assert len(hdus) >= 3
        assert product.did == did


def test_many_clients_at_once_get_whole_files(url):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: httpx.get(url).content == CONTENT, range(64)))
    assert all(answers)


def test_no_file_stays_open(resolver, server, url, tmp_path):
    big = tmp_path / "big.fits"
    with big.open("wb") as file:
        file.truncate(300_000_000)
    resolver.add("ivo://a/big", big)
    for headers in (
        {},
        {"Range": "bytes=5-"},
        {"Range": "bytes=999999999-"},
        {"If-None-Match": "*"},
    ):
        httpx.get(url, headers=headers)
    httpx.head(url)
    with httpx.stream("GET", f"{server}/files/{encode_segment('ivo://a/big')}") as answer:
        next(answer.iter_raw())
    deadline = time.monotonic() + 5
    while _open_under(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _open_under(tmp_path) == []


def _open_under(folder):
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = handle.readlink()
            if target.is_relative_to(folder):
                found.append(target)
    return found
