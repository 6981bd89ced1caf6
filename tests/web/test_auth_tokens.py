"""Bearer tokens: signed by hand, shown by a provider on the wire."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import pytest
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from vodal.access.asking import asking_of
from vodal.access.rules import AccessRules
from vodal.errors import AuthorizationError
from vodal.testing.asgi import AppClient
from vodal.testing.issuer import SigningKey, b64, issuer
from vodal.web.app import service_app
from vodal.web.auth.keys import IssuerKeys
from vodal.web.auth.middleware import Authentication
from vodal.web.auth.settings import AccessSettings, OidcSettings
from vodal.web.auth.tokens import BearerTokens


@pytest.fixture(scope="module")
def provider():
    with issuer() as running:
        yield running


async def _who(request: Request):
    identity = asking_of(request).identity
    return JSONResponse({"name": identity.name, "groups": sorted(identity.groups)})


async def _forbidden(_: Request):
    raise AuthorizationError("for members of 'staff'")


def client_of(settings: OidcSettings, keys: IssuerKeys | None = None) -> AppClient:
    access = AccessSettings(oidc=settings)
    app = service_app([Route("/who", _who), Route("/forbidden", _forbidden)])
    wrap = Middleware(Authentication, [BearerTokens(settings, keys)], AccessRules(), access)
    return AppClient(wrap.cls(app, *wrap.args))


@pytest.fixture(scope="module")
def settings(provider) -> OidcSettings:
    return OidcSettings(issuer=provider.url, audience=("skylane",))


@pytest.fixture(scope="module")
def client(settings) -> AppClient:
    return client_of(settings)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_tells_name_and_groups(client, provider):
    answer = client.get("/who", headers=bearer(provider.token("staff", "b")))
    assert answer.json() == {"name": "ada", "groups": ["b", "staff"]}
    assert answer.headers["x-vo-authenticated"] == "ada"


def test_who_sends_no_token_is_nobody_and_is_not_refused(client):
    for headers in ({}, {"Authorization": "Basic YWRhOnB3"}):
        answer = client.get("/who", headers=headers)
        assert answer.json() == {"name": None, "groups": []}
        assert "x-vo-authenticated" not in answer.headers
        assert "www-authenticate" not in answer.headers


def test_elliptic_keys_and_the_word_bearer_in_any_case(client, provider):
    key = SigningKey("curve", "ES256")
    provider.keys.append(key)
    fresh = client_of(OidcSettings(issuer=provider.url, audience=("skylane",)))
    token = key.token(provider.claims("staff"))
    answer = fresh.get("/who", headers={"Authorization": f"bEARER {token}"})
    provider.keys.remove(key)
    assert answer.json()["groups"] == ["staff"]


def _unsigned(provider) -> str:
    parts = {"alg": "none", "typ": "JWT"}, provider.claims("staff")
    return ".".join(b64(json.dumps(part).encode()) for part in parts) + "."


def _signed_with_the_public_key(provider) -> str:
    """The public key taken for a shared secret (RFC 8725 section 2.1)."""
    header = {"alg": "HS256", "typ": "JWT", "kid": "first"}
    text = ".".join(b64(json.dumps(p).encode()) for p in (header, provider.claims("staff")))
    secret = json.dumps(provider.key.public).encode()
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def _altered(provider) -> str:
    head, _, mac = provider.token("guests").split(".")
    return f"{head}.{b64(json.dumps(provider.claims('staff')).encode())}.{mac}"


BAD = {
    "none": _unsigned,
    "public key as secret": _signed_with_the_public_key,
    "altered": _altered,
    "of another key": lambda p: SigningKey("first").token(p.claims("staff")),
    "of an unknown key": lambda p: SigningKey("other").token(p.claims("staff")),
    "expired": lambda p: p.token("staff", exp=int(time.time()) - 60),
    "without an end": lambda p: p.token("staff", exp=None),
    "not valid yet": lambda p: p.token("staff", nbf=int(time.time()) + 300),
    "of another issuer": lambda p: p.token("staff", iss="https://elsewhere.example"),
    "without an issuer": lambda p: p.token("staff", iss=None),
    "for others": lambda p: p.token("staff", aud=["mail", "wiki"]),
    "for nobody": lambda p: p.token("staff", aud=None),
    "without a name": lambda p: p.token("staff", sub=None),
    "with a name that would end a header": lambda p: p.token("staff", name="a\r\nX-Evil: 1"),
    "nonsense": lambda _: "abc",
    "two dots": lambda _: "..",
    "empty": lambda _: "",
    "too long": lambda _: "a" * 20_000,
}  # fmt: skip


def test_a_token_for_others_is_told_what_is_taken(client, provider):
    for kind, sentence in (
        ("for others", "is for another service: its claim 'aud' names none of skylane"),
        ("of another issuer", f"is of another provider: its claim 'iss' is not {provider.url}"),
    ):
        answer = client.get("/who", headers=bearer(BAD[kind](provider)))
        assert sentence in answer.text
        assert sentence in answer.headers.get_list("www-authenticate")[0]


@pytest.mark.parametrize("kind", BAD)
def test_bad_tokens_are_401_with_a_challenge_and_a_sentence(client, provider, kind):
    token = BAD[kind](provider)
    answer = client.get("/who", headers=bearer(token))
    assert answer.status_code == 401, answer.text
    assert answer.text.startswith("AuthenticationError: ")
    assert "token" in answer.text
    plain, ivoa = answer.headers.get_list("www-authenticate")
    assert plain.startswith('Bearer realm="skylane", error="invalid_token", error_description="')
    assert ivoa.startswith('ivoa_bearer standard_id="ivo://ivoa.net/sso#OpenID", access_url="')
    assert f'discovery_url="{provider.url}/.well-known/openid-configuration"' in ivoa
    assert not token or len(token) < 3 or token not in answer.text + plain + ivoa


def test_two_tokens_are_refused(client, provider):
    token = provider.token("staff")
    both = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert client.get("/who", headers=both).status_code == 401


def test_who_is_known_is_refused_with_403_and_who_is_not_is_asked(client, provider):
    known = client.get("/forbidden", headers=bearer(provider.token("guests")))
    unknown = client.get("/forbidden")
    assert (known.status_code, unknown.status_code) == (403, 401)
    assert "www-authenticate" not in known.headers
    assert len(unknown.headers.get_list("www-authenticate")) == 2
    assert "error=" not in unknown.headers["www-authenticate"]
    assert unknown.text == "AuthenticationError: for members of 'staff'\n"


def test_a_new_key_is_fetched_when_its_first_token_comes_and_not_for_every_forged_one(provider):
    now = 0.0
    settings = OidcSettings(issuer=provider.url, audience=("skylane",))
    client = client_of(settings, IssuerKeys(settings, lambda: now))
    assert client.get("/who", headers=bearer(provider.token())).status_code == 200
    before = provider.asked.count("/keys")
    key = SigningKey("second")
    now = 60.0
    provider.keys.append(key)
    try:
        token = key.token(provider.claims("staff"))
        assert client.get("/who", headers=bearer(token)).json()["groups"] == ["staff"]
        for number in range(5):
            forged = SigningKey(f"forged{number}", "ES256").token(provider.claims("staff"))
            assert client.get("/who", headers=bearer(forged)).status_code == 401
    finally:
        provider.keys.remove(key)
    assert provider.asked.count("/keys") == before + 1


def test_a_token_without_a_key_name_is_tried_with_each_key(provider):
    other = SigningKey("other")
    provider.keys.insert(0, other)
    try:
        client = client_of(OidcSettings(issuer=provider.url, audience=("skylane",)))
        token = provider.key.token(provider.claims("staff"), kid=None)
        forged = SigningKey("x").token(provider.claims("staff"), kid=None)
        assert client.get("/who", headers=bearer(token)).json()["groups"] == ["staff"]
        assert client.get("/who", headers=bearer(forged)).status_code == 401
    finally:
        provider.keys.remove(other)


def test_keys_from_a_file_that_is_replaced(tmp_path, provider):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [provider.key.public]}))
    client = client_of(
        OidcSettings(issuer="https://login.example", audience=("skylane",), jwks_file=path)
    )
    token = provider.token(iss="https://login.example")
    assert client.get("/who", headers=bearer(token)).json()["name"] == "ada"
    other = SigningKey("other", "ES256")
    path.write_text(json.dumps({"keys": [other.public]}))
    assert client.get("/who", headers=bearer(token)).status_code == 401
    new = other.token(provider.claims("staff", iss="https://login.example"))
    assert client.get("/who", headers=bearer(new)).json()["groups"] == ["staff"]


def test_without_keys_the_service_says_try_again_rather_than_bad_token(provider, tmp_path):
    gone = OidcSettings(
        issuer=provider.url, audience=("skylane",), jwks_url="http://127.0.0.1:9/keys"
    )
    none = OidcSettings(
        issuer=provider.url, audience=("skylane",), jwks_file=tmp_path / "not-there"
    )
    for settings in (gone, none):
        answer = client_of(settings).get("/who", headers=bearer(provider.token()))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert client_of(settings).get("/who").status_code == 200


def test_a_provider_that_is_away_is_not_missed_while_its_keys_are_known(provider):
    now = 0.0
    settings = OidcSettings(issuer=provider.url, audience=("skylane",), keys_max_age_s=100.0)
    keys = IssuerKeys(settings, lambda: now)
    client = client_of(settings, keys)
    token = provider.token()
    assert client.get("/who", headers=bearer(token)).status_code == 200
    hidden, provider.keys = provider.keys, []
    try:
        now = 1000.0
        assert client.get("/who", headers=bearer(token)).status_code == 200
    finally:
        provider.keys = hidden


@pytest.mark.parametrize(
    ("claim", "value", "groups"),
    [
        ("groups", "a b", ["a", "b"]),
        ("groups", ["a", 7, None], ["a"]),
        ("groups", None, []),
        ("realm_access.roles", {"realm_access": {"roles": ["x"]}}, ["x"]),
        ("https://my.example/groups", {"https://my.example/groups": ["y"]}, ["y"]),
    ],
)
def test_groups_claims_of_several_providers(provider, claim, value, groups):
    settings = OidcSettings(issuer=provider.url, audience=("skylane",), groups_claim=claim)
    others = value if isinstance(value, dict) else {"groups": value}
    answer = client_of(settings).get("/who", headers=bearer(provider.token(**others)))
    assert answer.json()["groups"] == groups


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"issuer": "https://x.example"}, "audience is needed"),
        ({"issuer": "http://x.example", "audience": ["a"]}, "issuer is a URL that starts with"),
        (
            {"issuer": "https://x.example", "audience": ["a"], "jwks_url": "http://x.example/k"},
            "jwks_url is a URL that starts with https://",
        ),
        (
            {"issuer": "https://x.example", "audience": ["a"], "algorithms": ["HS256"]},
            "Input should be 'RS256'",
        ),
    ],
)
def test_settings_that_would_not_be_safe_are_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        OidcSettings.model_validate(values)
