"""How somebody can be known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from vodal.access.rules import AccessRule, TableRule
from vodal.settings import Settings

__all__ = ["AccessSettings", "OidcSettings", "ProxySettings"]

_LEAST_KEY = 32
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

_OWN_SCHEMAS = {"ivoa", "tap_schema", "tap_upload"}

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
"""Signatures by a private key whose public part the issuer shows; no shared secrets."""


class OidcSettings(Settings):
    """Bearer tokens (JWT) of an OpenID provider; needs the extra ``skylane[oidc]``."""

    issuer: str = ""
    """The ``iss`` of tokens, a URL to the letter as the provider writes it. Empty: no tokens."""
    audience: tuple[str, ...] = ()
    """Of which a token must name one in ``aud``, so that tokens for other services are refused."""
    jwks_url: str = ""
    """Where the provider shows its keys; by default as its discovery document says
    (``ISSUER/.well-known/openid-configuration``)."""
    jwks_file: Path | None = None
    """A file with the keys instead, for servers that reach no provider; read again as it changes.
    """
    name_claim: str = "sub"
    """Claim with the name of a user, to whom jobs belong."""
    groups_claim: str = "groups"
    """Claim with the names of groups: a list, or a text with blanks between them. Dots lead into
    objects (``realm_access.roles``)."""
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    """Signatures that are taken."""
    leeway_s: int = Field(default=30, ge=0, le=600)
    """Seconds by which the clocks of provider and server may differ."""
    keys_max_age_s: float = Field(default=3600.0, gt=0.0)
    """Seconds after which the keys are fetched anew; a token of an unknown key has them fetched
    earlier."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.issuer:
            return self
        if not self.audience:
            raise ValueError("audience is needed: without it tokens for others would do")
        for name, url in (("issuer", self.issuer), ("jwks_url", self.jwks_url)):
            parts = urlsplit(url)
            safe = parts.scheme == "https" or (
                parts.scheme == "http" and parts.hostname in _LOOPBACK
            )
            if url and not (safe and parts.hostname):
                raise ValueError(f"{name} is a URL that starts with https://")
        return self


class ProxySettings(Settings):
    """Users that a proxy in front has made known; only proxies of ``server.trusted_proxies``."""

    user_header: str = ""
    """Header with the user's name, such as ``X-Forwarded-User``. The proxy must remove what
    clients send under this name. Empty: none is believed."""
    groups_header: str = ""
    """Header with the groups, with commas between them."""
    origins: tuple[str, ...] = ()
    """Origins (``https://portal.example.org``) of other sites whose pages may start, change and
    delete what is of a user who is logged in; the site's own always may."""


class AccessSettings(Settings):
    """Who may see what. Without anything here all is public and nobody is asked who they are."""

    signing_key: SecretStr | None = None
    """Secret of signed URLs, 32 characters or more. By default one is made and kept in
    ``signing.key`` in the site's folder. Another key ends all URLs signed before."""
    signed_url_s: int = Field(default=3600, gt=0)
    """Seconds for which a signed URL holds, if its user says nothing."""
    signed_url_max_s: int = Field(default=7 * 86_400, gt=0)
    """Seconds for which it can hold at most."""
    oidc: OidcSettings = OidcSettings()
    proxy: ProxySettings = ProxySettings()
    admins: tuple[str, ...] = ()
    """Groups whose members may have and know of all images, whatever the rules say."""
    tables: dict[str, TableRule] = Field(default_factory=dict)
    """Rules of tables that the site publishes itself, by the table's full name (``cat.stars``), or
    ``cat.*`` for all of a schema; the rest is public."""
    others: AccessRule = AccessRule()
    """The rule of collections without one of their own (`obscore.collections.<name>.access`)."""

    @model_validator(mode="after")
    def _own_tables(self) -> Self:
        for name in self.tables:
            if name.lower().partition(".")[0] in _OWN_SCHEMAS:
                raise ValueError(f"tables: '{name}' is none that a site publishes itself")
            if "." not in name:
                raise ValueError(f"tables: '{name}' is no full name; write 'schema.{name}'")
        return self

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.signing_key is not None and len(self.signing_key.get_secret_value()) < _LEAST_KEY:
            raise ValueError(f"signing_key has {_LEAST_KEY} characters or more")
        return self

    @property
    def identifies(self) -> bool:
        """Whether anybody can be known."""
        return bool(self.oidc.issuer or self.proxy.user_header)
