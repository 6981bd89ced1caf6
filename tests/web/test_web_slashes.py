"""Redirects from an address to the one with, or without, a slash."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Mount, Route

from vodal.testing.asgi import AppClient
from vodal.web.slashes import SlashRedirects


async def _hello(_request):
    return PlainTextResponse("hello")


async def _elsewhere(_request):
    return RedirectResponse("https://store.example.org/elsewhere/?X=1", 307)


@pytest.fixture(scope="module")
def client():
    inner = Starlette(routes=[Route("/", _hello), Route("/links", _hello), Route("/a:b/", _hello)])
    routes = [Mount("/tap", inner), Route("/elsewhere", _elsewhere)]
    return AppClient(SlashRedirects(Starlette(routes=routes)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tap", "tap/"),
        ("tap/links/", "tap/links"),
        ("tap/a:b", "tap/a:b/"),
        ("tap/links/?ID=a%2Fb&X=c", "tap/links?ID=a%2Fb&X=c"),
    ],
)
def test_they_lead_within_the_site_wherever_a_proxy_shows_it(client, path, expected):
    answer = client.get(f"/{path}", headers={"host": "inside.example.org:8080"})
    assert answer.status_code == 307
    for site in ("https://archive.example.org/", "https://archive.example.org/deep/sky/"):
        assert urljoin(site + path, answer.headers["location"]) == site + expected
    assert client.get(f"/{expected}").text == "hello"


def test_other_redirects_stay_as_they_are(client):
    answer = client.get("/elsewhere")
    assert answer.headers["location"] == "https://store.example.org/elsewhere/?X=1"
