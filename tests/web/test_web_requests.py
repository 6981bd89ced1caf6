"""Parameters and the site's URL, through real ASGI requests."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from vodal.errors import UsageError
from vodal.testing.asgi import AppClient
from vodal.web.app import service_app
from vodal.web.requests import MAX_FIELDS, read_params, site_url


async def _echo(request: Request):
    return JSONResponse(dict(await read_params(request)))


async def _site(request: Request):
    return PlainTextResponse(site_url(request, None))


ROUTES = [Route("/echo", _echo, methods=["GET", "POST"]), Route("/site", _site)]


@pytest.fixture(scope="module")
def client():
    return AppClient(service_app(ROUTES, max_body_bytes=2_000_000))


def test_query_and_body_come_together_without_case(client):
    answer = client.post("/echo?Id=a&lang=ADQL", data={"ID": ["b", "c"], "EMPTY": " "})
    assert answer.json() == {"ID": ["a", "b", "c"], "LANG": ["ADQL"]}


def test_multipart_fields_are_read_and_files_passed_over(client):
    answer = client.post(
        "/echo", data={"ID": "ä/?&"}, files={"table": ("t.xml", b"<VOTABLE/>", "text/xml")}
    )
    assert answer.json() == {"ID": ["ä/?&"]}


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"Content-Type": "application/json"}, "is 'application/json'; parameters are taken as"),
        ({"Content-Type": ""}, "is not told"),
        (
            {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"},
            "the Content-Encoding 'gzip'; send it without",
        ),
        ({"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "br"}, "'br'"),
    ],
)
def test_a_body_that_is_not_read_is_told(client, headers, sentence):
    answer = client.post("/echo?ID=1", content=b"ID=2", headers=headers)
    assert answer.status_code == 415
    assert sentence in answer.text
    if "Content-Encoding" not in headers:
        assert client.post("/echo?ID=1", content=b"", headers=headers).json() == {"ID": ["1"]}


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_any_text_survives_query_and_body(text):
    async def app_values(request):
        params = await read_params(request)
        return JSONResponse(params.all("ID"))

    client = AppClient(service_app([Route("/", app_values, methods=["GET", "POST"])]))
    expected = [text.strip()] if text.strip() else []
    assert client.get("/", params={"ID": text}).json() == expected
    assert client.post("/", data={"ID": text}).json() == expected


@pytest.mark.parametrize("query", ["ID=%FF%FE", "ID=a%00b", "%00=b"])
def test_bad_encodings_are_usage_errors(client, query):
    answer = client.get(f"/echo?{query}")
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: ")
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/echo", content=query.encode(), headers=form).status_code == 400


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary here"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n\0\0: y\r\n\r\n"),
    ],
)
def test_malformed_multipart_is_a_usage_error(client, content_type, body):
    answer = client.post("/echo", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: the multipart body")


def test_bodies_and_fields_over_the_limit_are_refused(client):
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/echo", content=b"ID=" + b"a" * 2_000_000, headers=form).status_code == 413
    many = b"&".join([b"I=1"] * (MAX_FIELDS + 1))
    assert client.post("/echo", content=many, headers=form).status_code == 413

    async def chunks():
        for _ in range(30):
            yield b"a" * 100_000

    assert client.post("/echo", content=chunks(), headers=form).status_code == 413


def _request(headers, **scope):
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "scheme": "https",
            "server": ("::1", 8080),
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            **scope,
        }
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "archive.example.org"}, "https://archive.example.org"),
        ({"host": "localhost:8080"}, "https://localhost:8080"),
        ({"host": "[::1]:8080"}, "https://[::1]:8080"),
        ({}, "https://[::1]:8080"),
    ],
)
def test_the_site_is_where_the_host_header_says(headers, expected):
    assert site_url(_request(headers), None) == expected
    assert site_url(_request(headers), "https://public.org/sky/") == "https://public.org/sky"


@pytest.mark.parametrize(
    "host", ["a/b", "a b", "evil\r\nX: y", 'a"><script>', "user@host", "host:port", "a:1:2", "é"]
)
def test_a_host_that_could_inject_is_refused(host):
    request = _request({})
    request.scope["headers"] = [(b"host", host.encode("latin-1"))]
    with pytest.raises(UsageError, match="Host"):
        site_url(request, None)


def test_a_mounted_app_tells_the_root_of_the_site():
    outer = service_app([Mount("/tap", app=service_app(ROUTES))])
    client = AppClient(outer, root_path="/sky")
    assert client.get("/sky/tap/site").text == "http://testserver/sky"
