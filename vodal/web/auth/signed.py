"""URLs that are signed and expire, for browsers and ``wget``, which send no tokens.

A signed URL has one parameter more, ``SIGNATURE``: until when it holds, for whom it was signed,
and an HMAC (SHA-256) of these, of the path below the site's root and of all other parameters in
their order. Whoever has it may, until then, make this very request as the one who had it signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import HTTPConnection
from typing_extensions import override

from vodal.access.identity import Identity
from vodal.errors import AuthenticationError, SettingsError
from vodal.web.auth.base import Authenticator

__all__ = ["PARAMETER", "SignedUrls", "kept_key", "site_path"]

PARAMETER = "SIGNATURE"
"""Name of the parameter; it compares without case, as all do."""

_VERSION = "1"


def kept_key(path: Path) -> bytes:
    """Give the key in a file; one is made where there is none.

    Raises
    ------
    SettingsError
        If the file can be neither read nor made.
    """
    try:
        if not path.exists():
            # Whole under its name or not there, whichever of several processes is the first.
            own = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(secrets.token_urlsafe(48))
                with suppress(FileExistsError):
                    os.link(own, path)
            finally:
                own.unlink()
        key = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"access: the key of signed URLs, {path}: {error.strerror}") from None
    if len(key) < 32:
        raise SettingsError(f"access: the key of signed URLs, {path}, is too short; remove it")
    return key


def site_path(request: HTTPConnection) -> str:
    """Give the path of a request below the site's root, decoded, as routes see it."""
    scope = request.scope
    root = str(scope.get("app_root_path", scope.get("root_path", "")))
    return "/" + str(scope["path"]).removeprefix(root).lstrip("/")


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class SignedUrls(Authenticator):
    """Signs URLs, and knows the ones that it signed.

    Parameters
    ----------
    key
        The secret.
    clock
        Gives seconds since 1970.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock

    def _mac(self, path: str, pairs: list[tuple[str, str]], until: str, whose: str) -> bytes:
        message = json.dumps([_VERSION, path, pairs, until, whose]).encode()
        return hmac.new(self._key, message, hashlib.sha256).digest()

    def sign(self, path: str, query: str, identity: Identity, seconds: int) -> str:
        """Sign a URL for somebody.

        Parameters
        ----------
        path
            Below the site's root, decoded, with its leading slash.
        query
            What is behind the ``?``, as it is sent; without a signature.
        identity
            Who may have what the URL gives.
        seconds
            For which it holds.

        Returns
        -------
        url
            From the site's root on: path and query.
        """
        until = str(int(self._clock()) + seconds)
        person = [identity.name, sorted(identity.groups)]
        whose = _packed(json.dumps(person, separators=(",", ":")).encode())
        pairs = parse_qsl(query, keep_blank_values=True)
        mac = _packed(self._mac(path, pairs, until, whose))
        signature = f"{_VERSION}.{until}.{whose}.{mac}"
        return f"{quote(path, safe='/')}?{urlencode([*pairs, (PARAMETER, signature)])}"

    @override
    async def identity(self, request: HTTPConnection) -> Identity | None:
        query = request.scope["query_string"].decode("latin-1")
        if PARAMETER not in query.upper():
            return None
        pairs = parse_qsl(query, keep_blank_values=True)
        given = [value for name, value in pairs if name.upper() == PARAMETER]
        if not given:
            return None
        if len(given) > 1 or request.scope["method"] not in {"GET", "HEAD"}:
            raise AuthenticationError(
                f"{PARAMETER} is for one GET; ask for the URL as it was given"
            )
        others = [(name, value) for name, value in pairs if name.upper() != PARAMETER]
        identity = self._checked(given[0], site_path(request), others)
        # It is no parameter of the service, and belongs into nobody's log.
        request.scope["query_string"] = urlencode(others).encode()
        return identity

    def _checked(self, signature: str, path: str, pairs: list[tuple[str, str]]) -> Identity:
        try:
            version, until, whose, mac = signature.split(".")
            given = _unpacked(mac)
        except ValueError:
            raise AuthenticationError(f"{PARAMETER} is malformed") from None
        wanted = self._mac(path, pairs, until, whose)
        if not hmac.compare_digest(given, wanted) or version != _VERSION:
            raise AuthenticationError(
                f"{PARAMETER} does not belong to this URL; ask for the URL as it was given"
            )
        if int(until) < self._clock():
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(until)))
            raise AuthenticationError(f"the signed URL expired at {moment}; have it signed anew")
        name, groups = json.loads(_unpacked(whose))
        return Identity(name, frozenset(groups))
