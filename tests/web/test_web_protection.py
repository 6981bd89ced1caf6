"""What answers say to browsers, and requests for hosts that a site is not."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from vodal.testing.asgi import AppClient
from vodal.web.app import service_app
from vodal.web.protection import PagePolicy, Protection
from vodal.web.requests import site_url


async def _page(_request: Request) -> Response:
    return HTMLResponse("<p>")


async def _own(_request: Request) -> Response:
    return HTMLResponse("<p>", headers={"Content-Security-Policy": "own", "Referrer-Policy": "own"})


async def _url(request: Request) -> Response:
    return PlainTextResponse(site_url(request, None))


APP = service_app(
    [
        Route("/", _page), Route("/page", _page), Route("/sky/a", _page), Route("/sky", _page),
        Route("/own", _own), Route("/url", _url),
    ]
)  # fmt: skip


def client(**options) -> AppClient:
    pages = {"/": PagePolicy({"default-src": "first"}), "/sky/": PagePolicy({"default-src": "sky"})}
    return AppClient(Protection(APP, pages=pages, **options))


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/", "default-src first"), ("/page", "default-src 'none'"),
        ("/sky/a", "default-src sky"), ("/sky", "default-src 'none'"), ("/own", "own"),
        ("/url", None), ("/nowhere", None),
    ],
)  # fmt: skip
def test_documents_may_do_nothing_but_those_that_need_to(path, policy):
    answer = client().get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == ("own" if path == "/own" else "same-origin")
    said = answer.headers.get("content-security-policy")
    assert said is None if policy is None else said.startswith(policy)
    if policy not in {None, "own"}:
        assert said.endswith("frame-ancestors 'self'")
    assert "strict-transport-security" not in answer.headers


def test_who_may_frame_pages_and_whether_to_come_by_https_is_set():
    site = client(framed_by=["https://portal.example"], hsts_s=60)
    answer = site.get("https://a.example/page")
    assert answer.headers["content-security-policy"].endswith("'self' https://portal.example")
    assert answer.headers["strict-transport-security"] == "max-age=60"
    assert "strict-transport-security" not in site.get("http://a.example/page").headers


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("a.example", True), ("A.Example:8080", True), ("a.example.", True), ("x.b.example", True),
        ("b.example", False), ("a.example.evil.org", False), ("evil.org", False), ("", False),
        ("[::1]:80", True), ("[::2]:80", False), ("a.example@evil.org", False),
        ("a.example/evil.org", False), ("evilb.example", False),
    ],
)  # fmt: skip
def test_other_hosts_are_refused(host, is_ours):
    site = client(hosts=["a.example", "*.b.example", "[::1]"])
    answer = site.get("/page", headers={"Host": host})
    assert answer.status_code == (200 if is_ours else 400)
    if not is_ours:
        assert "is not" in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_forwarded_names_of_hosts_are_not_believed():
    said = {"Host": "a.example", "X-Forwarded-Host": "evil.org", "Forwarded": "host=evil.org"}
    assert client().get("/url", headers=said).text == "http://a.example"
