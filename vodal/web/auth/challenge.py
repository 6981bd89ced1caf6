"""How a client is told to say who it is (RFC 9110 section 11.6.1; IVOA AuthVO, draft of 2025).

The draft lets services send challenges with status 401, and with 200 from ``/capabilities`` where
one may remain anonymous. It leaves open how ``ivoa_bearer`` says where tokens come from; what is
sent here has the parameters of both forms in use: ``standard_id`` and ``access_url`` of the first
drafts (which clients such as TOPCAT parse) and ``discovery_url``, which later services send.
"""

from __future__ import annotations

import re

from vodal.errors import SkylaneError
from vodal.web.auth.settings import AccessSettings

__all__ = ["challenges", "security_methods"]

_OPENID = "ivo://ivoa.net/sso#OpenID"
_OAUTH = "ivo://ivoa.net/sso#OAuth"


def _quoted(text: str) -> str:
    """Write a text as a quoted string of a header."""
    return '"' + re.sub(r"[^ !#-\[\]-~]", " ", text)[:300] + '"'


def challenges(settings: AccessSettings, fault: SkylaneError | None = None) -> list[str]:
    """Give the values of ``WWW-Authenticate``.

    Parameters
    ----------
    settings
        How somebody can be known.
    fault
        What was wrong with what the client said of itself, if it did.

    Returns
    -------
    list of str
        Empty where no tokens are taken.
    """
    issuer = settings.oidc.issuer
    if not issuer:
        return []
    why = ""
    if fault is not None:
        why = f', error="invalid_token", error_description={_quoted(str(fault))}'
    discovery = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    names = (("standard_id", _OPENID), ("access_url", issuer), ("discovery_url", discovery))
    where = ", ".join(f"{name}={_quoted(value)}" for name, value in names)
    return [f'Bearer realm="skylane"{why}', f"ivoa_bearer {where}{why}"]


def security_methods(settings: AccessSettings) -> tuple[str, ...]:
    """Give how one can be known, as IVOA names it (SSO 2.0 section 3), for capabilities."""
    return (_OAUTH,) if settings.oidc.issuer else ()
