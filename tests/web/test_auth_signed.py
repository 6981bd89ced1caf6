"""Signed URLs, proxies that name users, and what an answer says that it depends on."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from vodal.access.asking import asking_of
from vodal.access.identity import Identity
from vodal.access.rules import AccessRule, AccessRules
from vodal.errors import SettingsError
from vodal.testing.asgi import AppClient
from vodal.web.app import service_app
from vodal.web.auth.middleware import Authentication
from vodal.web.auth.proxy import Peer, ProxyHeaders
from vodal.web.auth.routes import create_auth_app
from vodal.web.auth.settings import AccessSettings, OidcSettings, ProxySettings
from vodal.web.auth.signed import SignedUrls, kept_key

KEY = b"k" * 40
ADA = Identity("ada", frozenset({"staff", "b"}))
SETTINGS = AccessSettings(
    oidc=OidcSettings(issuer="https://login.example", audience=("skylane",)),
    proxy=ProxySettings(user_header="X-User", groups_header="X-Groups"),
)
RESTRICTED = AccessRules(AccessRule(data="groups", groups=("staff",)))


async def _echo(request: Request):
    identity = asking_of(request).identity
    return JSONResponse(
        {
            "name": identity.name, "groups": sorted(identity.groups), "path": request.url.path,
            "query": request.scope["query_string"].decode(),
        }
    )  # fmt: skip


async def _kept(request: Request):
    asking_of(request).for_all = "all" in request.query_params
    headers = (
        {"Cache-Control": request.query_params["say"]} if "say" in request.query_params else {}
    )
    return PlainTextResponse("x", headers=headers)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def site(clock=None, rules=None, proxies=("127.0.0.1", "10.0.0.0/8")) -> AppClient:
    signer = SignedUrls(KEY, clock or Clock())
    routes = [Route("/kept", _kept), Route("/{path:path}", _echo, methods=["GET", "POST"])]
    app = Starlette(
        routes=[
            Mount("/auth", create_auth_app(signer, SETTINGS)),
            Mount("/files", service_app(routes)),
        ]
    )
    authenticators = [signer, ProxyHeaders(SETTINGS.proxy, proxies)]
    return AppClient(Authentication(app, authenticators, rules or AccessRules(), SETTINGS))


def signed(path: str, query: str = "", seconds: int = 60, clock=None) -> str:
    return SignedUrls(KEY, clock or Clock()).sign(path, query, ADA, seconds)


def test_a_signed_url_acts_for_who_had_it_signed_and_the_signature_goes_no_further():
    answer = site().get(signed("/files/a b/ü.fits", "ID=x%26y&ID=z"))
    assert answer.json() == {
        "name": "ada", "groups": ["b", "staff"], "path": "/files/a b/ü.fits",
        "query": "ID=x%26y&ID=z",
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["path", "value", "order", "more", "less", "until", "whose", "mac"]
)
def test_a_url_that_differs_in_anything_is_refused(kind):
    url = signed("/files/a", "ID=1&ID=2")
    path, query = url.split("?")
    pairs = query.split("&")
    version, until, whose, mac = pairs[2].removeprefix("SIGNATURE=").split(".")
    other = signed("/files/other", "").split("SIGNATURE=")[1].split(".")
    match kind:
        case "path":
            path = "/files/b"
        case "value":
            pairs[1] = "ID=3"
        case "order":
            pairs[:2] = pairs[1::-1]
        case "more":
            pairs.insert(0, "X=1")
        case "less":
            del pairs[0]
        case "until":
            pairs[2] = f"SIGNATURE={version}.{int(until) + 1}.{whose}.{mac}"
        case "whose":
            evil = SignedUrls(b"e" * 40).sign("/", "", Identity("eve"), 9).split(".")[2]
            pairs[2] = f"SIGNATURE={version}.{until}.{evil}.{mac}"
        case "mac":
            pairs[2] = f"SIGNATURE={version}.{until}.{whose}.{other[3]}"
    answer = site().get(f"{path}?{'&'.join(pairs)}")
    assert answer.status_code == 401
    assert answer.headers.get_list("www-authenticate")
    assert "SIGNATURE does not belong to this URL" in answer.text


@pytest.mark.parametrize(
    "text", ["", ".", "1.2.3", "1.x.y.z", "1.2.3.é", "a.b.c.d.e", "1.1.1.====", "%00"]
)
def test_nonsense_is_refused_and_not_a_fault_of_ours(text):
    assert site().get(f"/files/a?SIGNATURE={text}").status_code == 401


def test_a_signature_ends_and_counts_for_one_get_alone():
    clock = Clock()
    url = signed("/files/a", seconds=60, clock=clock)
    client = site(clock)
    assert client.get(url).status_code == client.head(url).status_code == 200
    assert client.post(url).status_code == 401
    assert client.get(f"{url}&signature=1.2.3.4").status_code == 401
    clock.now += 61
    late = client.get(url)
    assert late.status_code == 401
    assert "expired at 1970-01-12T13:47:40Z" in late.text


SAFE_TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)


@settings(deadline=None)
@given(
    st.text("abz/ é%+&?#.:,", max_size=10), st.lists(st.tuples(SAFE_TEXT, SAFE_TEXT), max_size=4)
)
def test_any_path_and_parameters_pass_as_they_were_signed(path, pairs):
    pairs = [(f"p{name}", value) for name, value in pairs]
    wanted = f"/files/x{path}"
    url = signed(wanted, urlencode(pairs))
    found = SignedUrls(KEY, Clock())
    parts = urlsplit(url)
    scope = {
        "type": "http", "method": "GET", "path": wanted, "root_path": "", "headers": [],
        "query_string": parts.query.encode(),
    }  # fmt: skip
    import asyncio

    assert asyncio.run(found.identity(Request(scope))) == ADA
    assert scope["query_string"] == urlencode(pairs).encode()


def by_proxy(name: str = "ada", groups: str = "staff, b,,") -> dict[str, str]:
    return {"X-User": name, "X-Groups": groups}


def test_urls_are_signed_for_who_is_known_and_only_for_this_site():
    client = site()
    made = client.get(f"/auth/sign?URL={quote('/files/a b?ID=1')}", headers=by_proxy())
    assert made.status_code == 200, made.text
    assert made.headers["cache-control"] == "no-store"
    url = made.text.strip()
    assert url.startswith("http://testserver/files/a%20b?ID=1&SIGNATURE=1.")
    assert client.get(url).json()["groups"] == ["b", "staff"]
    whole = client.post("/auth/sign", data={"URL": "http://testserver/files/c"}, headers=by_proxy())
    assert client.get(whole.text.strip()).json()["name"] == "ada"
    for bad in ("http://elsewhere.example/files/a", "http://testserver.evil.example/a", url, "a"):
        answer = client.get("/auth/sign", params={"URL": bad}, headers=by_proxy())
        assert answer.status_code == 400, bad
        assert answer.text.startswith("UsageError: URL "), answer.text
    too_long = client.get("/auth/sign?URL=/a&SECONDS=99999999", headers=by_proxy())
    assert too_long.status_code == 400
    assert "SECONDS" in too_long.text


def test_nobody_and_who_comes_by_a_signed_url_cannot_sign():
    client = site()
    assert client.get("/auth/sign?URL=/files/a").status_code == 401
    url = signed("/auth/sign", "URL=/files/secret")
    assert client.get(url).status_code == 401
    assert client.get(signed("/auth/whoami")).json() == {"name": "ada", "groups": ["b", "staff"]}
    assert client.get("/auth/whoami").json() == {"name": None, "groups": []}


def test_only_a_trusted_proxy_names_users():
    # httpx's transport connects from 127.0.0.1.
    assert site().get("/files/a", headers=by_proxy()).json()["name"] == "ada"
    far = site(proxies=("10.0.0.0/8",)).get("/files/a", headers=by_proxy())
    assert far.json() == {"name": None, "groups": [], "path": "/files/a", "query": ""}
    assert site().get("/files/a", headers=by_proxy(name="")).json()["name"] is None
    twice = [("X-User", "ada"), ("X-User", "root")]
    assert site().get("/files/a", headers=twice).status_code == 401


@pytest.mark.parametrize(
    ("peer", "is_trusted"),
    [
        ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.1.2.3", False), ("::1", False),
        ("", False), ("unix:", False),
    ],
)  # fmt: skip
def test_it_is_the_peer_that_is_trusted_and_not_the_address_it_forwards(peer, is_trusted):
    import asyncio

    knows = ProxyHeaders(SETTINGS.proxy, ("10.0.0.0/8",))
    found = []

    async def app(scope, _receive, _send):
        scope["client"] = ("10.9.9.9", 0)
        found.append(await knows.identity(Request(scope)))

    scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-user", b"ada")]}
    asyncio.run(Peer(app)(scope, None, None))
    assert found == ([Identity("ada")] if is_trusted else [None])


@pytest.mark.parametrize(
    ("said", "is_taken"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://site"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.org"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://other.site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://portal.example"}, True),
        ({"Origin": "http://site"}, True),
        ({"Origin": "https://public.example"}, True),
        ({"Origin": "http://site.evil.org"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": ""}, False),
    ],
)
def test_pages_of_other_sites_do_not_act_for_users_of_a_proxy(said, is_taken):
    settings = AccessSettings(
        proxy=ProxySettings(user_header="X-User", origins=("https://portal.example",)),
        oidc=SETTINGS.oidc,
    )
    app = service_app([Route("/a", _echo, methods=["GET", "POST", "DELETE"])])
    rules, knows = AccessRules(), [ProxyHeaders(settings.proxy, ("127.0.0.1",))]
    wrapped = AppClient(
        Authentication(app, knows, rules, settings, public_url="https://public.example/sky")
    )
    headers = {"Host": "site", **said}
    for method in ("POST", "DELETE"):
        answer = wrapped.request(method, "/a", headers={**headers, "X-User": "ada"})
        assert answer.status_code == (200 if is_taken else 403)
        if is_taken:
            assert answer.json()["name"] == "ada"
        # Who is not known by a proxy may come from anywhere, as pages with tokens of their own do.
        assert wrapped.request(method, "/a", headers=headers).status_code == 200
    assert wrapped.get("/a", headers={**headers, "X-User": "ada"}).json()["name"] == "ada"


@pytest.mark.parametrize("proxies", [("*",), ("localhost",), ("10.0.0.0/33",)])
def test_a_proxy_of_no_address_cannot_be_trusted_with_users(proxies):
    with pytest.raises(ValueError, match="does not appear to be"):
        ProxyHeaders(SETTINGS.proxy, proxies)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, "private"), ("public, max-age=60", "private, max-age=60"), ("no-store", "no-store"),
        ("no-cache", "private, no-cache"), ("private, no-cache", "private, no-cache"),
        ("s-maxage=9, max-age=3", "private, max-age=3"),
    ],
)  # fmt: skip
def test_answers_that_depend_on_who_asks_are_not_kept_for_others(said, told):
    query = {} if said is None else {"say": said}
    answer = site(rules=RESTRICTED).get("/files/kept", params=query)
    assert answer.headers["cache-control"] == told
    assert answer.headers["vary"] == "Authorization, X-User"
    same = site(rules=RESTRICTED).get("/files/kept", params={**query, "all": "1"})
    free = site().get("/files/kept", params=query)
    for one in (same, free):
        assert one.headers.get("cache-control") == said
        assert "vary" not in one.headers


def test_a_name_is_in_no_answer_that_is_kept_for_others():
    for rules, query in ((RESTRICTED, {"all": "1"}), (None, {})):
        for said, told in (
            ("public, max-age=60", None), ("no-cache", None), ("no-store", "ada"), (None, "ada"),
        ):  # fmt: skip
            asked = query if said is None else {**query, "say": said}
            answer = site(rules=rules).get("/files/kept", params=asked, headers={"X-User": "ada"})
            assert answer.headers.get("x-vo-authenticated") == told
            assert answer.headers.get("cache-control") == said
    answer = site(rules=RESTRICTED).get("/files/kept", headers={"X-User": "ada"})
    assert answer.headers["x-vo-authenticated"] == "ada"
    assert answer.headers["cache-control"] == "private"


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "signing.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: kept_key(path), range(8)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("short")
    with pytest.raises(SettingsError, match="too short"):
        kept_key(path)
    with pytest.raises(SettingsError, match="No such file"):
        kept_key(tmp_path / "nowhere" / "key")


def test_secrets_are_neither_shown_nor_short():
    shown = AccessSettings(signing_key="s" * 32)
    assert "sss" not in f"{shown!r} {shown}"
    with pytest.raises(ValueError, match="32 characters") as refused:
        AccessSettings(signing_key="secret-word")
    assert "secret-word" not in str(refused.value.errors(include_input=False))
