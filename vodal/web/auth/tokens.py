"""Bearer tokens: JWT of an OpenID provider (RFC 6750, RFC 7519, RFC 8725)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
)
from joserfc.jwk import KeySet
from starlette.requests import HTTPConnection
from typing_extensions import override

from vodal.access.identity import Identity
from vodal.errors import AuthenticationError
from vodal.web.auth.base import Authenticator
from vodal.web.auth.keys import IssuerKeys
from vodal.web.auth.settings import OidcSettings

__all__ = ["BearerTokens"]

_LONGEST = 16_384
_THREADS = 8
"""In which tokens are checked: threads of their own, since an issuer may take its time."""


class BearerTokens(Authenticator):
    """Knows who sends ``Authorization: Bearer ...``; other schemes are left to others.

    Parameters
    ----------
    settings
        Whose tokens are taken, and what they must say.
    keys
        Of the issuer.
    """

    def __init__(self, settings: OidcSettings, keys: IssuerKeys | None = None) -> None:
        self._settings = settings
        self._keys = keys or IssuerKeys(settings)
        self._threads = CapacityLimiter(_THREADS)
        self._claims = jwt.JWTClaimsRegistry(
            leeway=settings.leeway_s,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "values": list(settings.audience)},
            exp={"essential": True},
        )

    @override
    async def identity(self, request: HTTPConnection) -> Identity | None:
        tokens = [
            value.partition(" ")[2].strip()
            for value in request.headers.getlist("authorization")
            if value.partition(" ")[0].lower() == "bearer"
        ]
        if not tokens:
            return None
        if len(tokens) > 1:
            raise AuthenticationError("the request has several bearer tokens; send one")
        if len(tokens[0]) > _LONGEST:
            raise AuthenticationError(f"the bearer token is longer than {_LONGEST} characters")
        return self._named(await run_sync(self._checked, tokens[0], limiter=self._threads))

    def _checked(self, token: str) -> Mapping[str, Any]:
        """Give the claims of a token.

        Raises
        ------
        AuthenticationError
            If it is none that is taken here.
        """
        try:
            try:
                found = self._decoded(token, self._keys.current())
            except InvalidKeyIdError:
                found = self._decoded(token, self._keys.current(renewed=True))
            self._claims.validate(found.claims)
        except ExpiredTokenError:
            raise AuthenticationError("the bearer token has expired; get a new one") from None
        except MissingClaimError as error:
            raise AuthenticationError(f"the bearer token lacks a claim: {_told(error)}") from None
        except InvalidClaimError as error:
            raise AuthenticationError(self._refusal(error)) from None
        except (JoseError, ValueError, TypeError, KeyError):
            raise AuthenticationError(
                "the bearer token is not signed by the provider that this site trusts, or is"
                " malformed"
            ) from None
        return found.claims

    def _refusal(self, error: InvalidClaimError) -> str:
        """Say what a claim is to be; issuer and audience are no secrets."""
        match error.claim if error.description.startswith("Invalid claim") else None:
            case "aud":
                listed = ", ".join(self._settings.audience)
                return (
                    "the bearer token is for another service: its claim 'aud' names none of"
                    f" {listed}"
                )
            case "iss":
                return (
                    "the bearer token is of another provider: its claim 'iss' is not"
                    f" {self._settings.issuer}"
                )
            case _:
                return f"the bearer token is not for here, or not yet: {_told(error)}"

    def _decoded(self, token: str, keys: KeySet) -> jwt.Token:
        algorithms = self._settings.algorithms
        try:
            return jwt.decode(token, keys, algorithms=algorithms)
        except InvalidKeyIdError:
            if len(keys.keys) < 2 or _names_key(token):
                raise
        # It does not say which key: any will do that fits.
        for key in keys:
            try:
                return jwt.decode(token, key, algorithms=algorithms)
            except (JoseError, ValueError):
                continue
        raise BadSignatureError

    def _named(self, claims: Mapping[str, Any]) -> Identity:
        name = _claim(claims, self._settings.name_claim)
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise AuthenticationError(
                f"the bearer token names nobody in its claim '{self._settings.name_claim}'"
            )
        groups = _claim(claims, self._settings.groups_claim)
        if isinstance(groups, str):
            groups = groups.split()
        listed = groups if isinstance(groups, list) else []
        return Identity(name, frozenset(one for one in listed if isinstance(one, str)))


def _told(error: JoseError) -> str:
    return " ".join(error.description.split())[:120]


def _names_key(token: str) -> bool:
    from joserfc.jws import extract_compact  # noqa: PLC0415 - rarely needed

    return "kid" in extract_compact(token.encode()).headers()


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """Give a claim, or what dots lead to within one."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
