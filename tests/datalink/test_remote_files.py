"""Files of buckets and of HTTP servers, through the site or from where they lie."""

from __future__ import annotations

import re
from email.message import Message
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from datalink.app import create_files_app
from datalink.names import encode_segment
from datalink.settings import DatalinkSettings
from vodal.access.asking import SCOPE_KEY, Asking
from vodal.access.identity import Identity
from vodal.access.rules import AccessRule, AccessRules
from vodal.storage import Storage, StorageSettings
from vodal.storage.byteranges import read_pieces
from vodal.storage.settings import S3Settings
from vodal.testing.archive import serve_archive
from vodal.testing.s3 import KEYS, bucket_of, serve_s3
from vodal.testing.server import serve

CONTENT = b"".join(number.to_bytes(3, "big") for number in range(100_000))
RULES = AccessRules(collections={"team": AccessRule(data="groups", groups=("team",))})


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Give an HTTP server and an object store with the same file, and its copy on the disk."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "x.fits").write_bytes(CONTENT)
    with (
        serve_archive(folder) as archive,
        serve_s3() as endpoint,
        bucket_of(endpoint, "images") as client,
    ):
        client.put_object(Bucket="images", Key="a/x.fits", Body=CONTENT)
        yield folder, archive, endpoint


@pytest.fixture(scope="module")
def make_site(stores, make_resolver, tmp_path_factory):
    """Give a function that makes an app for the files, with settings of retrieval."""
    folder, archive, endpoint = stores
    places = {
        "disk": (folder / "x.fits").as_uri(),
        "http": f"{archive.url}/x.fits",
        "s3": "s3://images/a/x.fits",
    }

    opened = []

    def make(**given):
        resolver = make_resolver()
        for collection in ("survey", "team"):
            for place, uri in places.items():
                did = f"ivo://a/{collection}?{place}"
                resolver.add(did, folder / "x.fits", uri=uri, collection=collection)
        s3 = S3Settings(buckets=("images",), endpoint=endpoint, **KEYS)
        storage = Storage(StorageSettings(http_hosts=(archive.host,), s3=s3))
        opened.append(storage)
        cache = tmp_path_factory.mktemp("cache")
        files = create_files_app(resolver, DatalinkSettings(**given), cache=cache, storage=storage)
        inner = Starlette(routes=[Mount("/files", files)])

        async def app(scope, receive, send):
            """Take the group of who asks from a header, as an authenticator would."""
            if scope["type"] == "http":
                named = dict(scope["headers"]).get(b"x-groups", b"").decode()
                rights = RULES.rights(Identity("x", frozenset(named.split())))
                scope[SCOPE_KEY] = Asking(rights=rights, public=RULES.rights(Identity()))
            await inner(scope, receive, send)

        return app

    yield make
    for storage in opened:
        storage.close()


@pytest.fixture(scope="module")
def streaming(make_site):
    with serve(make_site()) as running:
        yield running.url


@pytest.fixture(scope="module")
def redirecting(make_site):
    with serve(make_site(remote_files="redirect", redirect_life_s=40)) as running:
        yield running.url


def address(url, place, collection="survey"):
    return f"{url}/files/{encode_segment(f'ivo://a/{collection}?{place}')}"


PLACES = ("disk", "http", "s3")


@pytest.mark.parametrize("place", PLACES)
def test_files_come_through_the_site_with_ranges_and_conditions(streaming, place):
    url = address(streaming, place)
    whole = httpx.get(url)
    assert (whole.status_code, whole.content) == (200, CONTENT)
    etag = whole.headers["etag"]
    told = httpx.head(url)
    assert told.content == b""
    for name in ("content-length", "content-type", "etag", "accept-ranges", "last-modified"):
        assert told.headers[name] == whole.headers[name]
    held = {"Range": "bytes=299990-", "If-Range": etag}
    assert httpx.get(url, headers=held).content == CONTENT[299_990:]
    assert httpx.get(url, headers={**held, "If-Range": '"x"'}).content == CONTENT
    assert httpx.get(url, headers={"If-None-Match": etag}).status_code == 304
    modified = {"If-Modified-Since": whole.headers["last-modified"]}
    assert httpx.get(url, headers=modified).status_code == 304
    assert httpx.get(url, headers={"If-Match": '"x"'}).status_code == 412
    assert httpx.get(url, headers={"Range": "bytes=300000-"}).status_code == 416


ranges = st.lists(
    st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, 3000)), min_size=2, max_size=9
)


@pytest.mark.parametrize("place", PLACES)
def test_several_ranges_are_slices_of_the_file(streaming, place):
    url = address(streaming, place)

    @settings(max_examples=10, deadline=None)
    @given(ranges)
    def check(asked):
        told = ",".join(f"{start}-{start + length - 1}" for start, length in asked)
        answer = httpx.get(url, headers={"Range": f"bytes={told}"})
        assert answer.status_code == 206
        assert int(answer.headers["content-length"]) == len(answer.content)
        pieces = read_pieces(headers_of(answer), answer.content)
        assert pieces.size_bytes == len(CONTENT)
        for start, length in asked:
            expected = CONTENT[start : start + length]
            assert pieces.take(start, len(expected)) == expected

    check()


def headers_of(answer):
    """Give the headers of an answer as the standard library has them."""
    message = Message()
    message["Content-Type"] = answer.headers["content-type"]
    return message


def test_an_object_is_fetched_from_its_store_by_a_url_that_expires(redirecting, stores):
    url = address(redirecting, "s3")
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, url)
        assert answer.status_code == 307
        assert answer.headers["cache-control"] == "no-store"
        location = answer.headers["location"]
        assert location.startswith(f"{stores[2]}/images/a/x.fits?")
        assert parse_qs(urlsplit(location).query)["X-Amz-Expires"] == ["40"]
        assert KEYS["secret_access_key"] not in location
        followed = httpx.request(method, location)
        assert followed.status_code == 200
    part = httpx.get(url, headers={"Range": "bytes=30-59"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, CONTENT[30:60])


def test_a_signed_url_is_for_who_may_have_the_file(redirecting):
    url = address(redirecting, "s3", "team")
    refused = httpx.get(url)
    assert (refused.status_code, "location" in refused.headers) == (403, False)
    assert httpx.get(url, headers={"X-Groups": "team"}).status_code == 307


def test_an_address_that_nothing_signs_is_given_away_only_if_all_may_have_it(redirecting, stores):
    answer = httpx.get(address(redirecting, "http"))
    assert answer.headers["location"] == f"{stores[1].url}/x.fits"
    held = httpx.get(address(redirecting, "http", "team"), headers={"X-Groups": "team"})
    assert (held.status_code, held.content) == (200, CONTENT)


def test_local_files_and_forms_are_never_elsewhere(redirecting):
    assert httpx.get(address(redirecting, "disk")).content == CONTENT
    answer = httpx.get(address(redirecting, "s3"), params={"HDU": "0"})
    assert "location" not in answer.headers


def test_scripts_of_other_origins_may_ask_and_see(streaming):
    url = address(streaming, "disk")
    asked = {
        "Origin": "https://viewer.example.org",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range, if-range, if-none-match",
    }
    answer = httpx.options(url, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = re.split(r", *", answer.headers["access-control-allow-headers"].lower())
    assert {"range", "if-range", "if-none-match", "if-unmodified-since"} <= set(allowed)
    part = httpx.get(url, headers={"Range": "bytes=0-1,5-9", "Origin": asked["Origin"]})
    seen = re.split(r", *", part.headers["access-control-expose-headers"].lower())
    assert {"accept-ranges", "content-disposition", "content-length", "content-range", "etag",
            "last-modified"} <= set(seen)  # fmt: skip
