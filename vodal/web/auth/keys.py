"""The keys of whoever issues tokens: from a file, or from where the issuer shows them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from vodal.errors import ServiceUnavailable
from vodal.web.auth.settings import OidcSettings

__all__ = ["IssuerKeys"]

log = logging.getLogger(__name__)

_LIMIT_BYTES = 1 << 20
_LIMIT_S = 10.0

_RETRY_S = 10.0
"""Seconds in which the keys are fetched once at most, whatever tokens come: anybody can send one
of a key that is not known."""


def _fetched(url: str) -> Any:
    """Fetch a JSON document; redirects are followed by the standard library's own rules."""
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked settings
    with build_opener().open(request, timeout=_LIMIT_S) as answer:
        return json.loads(answer.read(_LIMIT_BYTES))


class IssuerKeys:
    """Keys, fetched when they are needed and kept for a while. Safe to use from several threads.

    Parameters
    ----------
    settings
        Where they are.
    clock
        Gives seconds, which never go back.
    """

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._tried = -_RETRY_S
        self._fresh_until = 0.0
        self._mark: object = None

    def current(self, *, renewed: bool = False) -> KeySet:
        """Give the keys; blocks while they are fetched.

        Parameters
        ----------
        renewed
            Whether they may be older ones that lack a key.

        Raises
        ------
        ServiceUnavailable
            If there are none: the issuer does not answer, or the file cannot be read.
        """
        # Those from before serve while somebody else fetches: the issuer may take its time.
        if self._is_due(renewed=renewed) and self._lock.acquire(blocking=self._keys is None):
            try:
                if self._is_due(renewed=renewed):
                    self._tried = self._clock()
                    self._renew()
            finally:
                self._lock.release()
        if self._keys is None:
            raise ServiceUnavailable(
                "the keys by which tokens are checked cannot be had at this moment", 30
            )
        return self._keys

    def _is_due(self, *, renewed: bool) -> bool:
        if self._has_changed():
            return True
        now = self._clock()
        stale = renewed or self._keys is None or now >= self._fresh_until
        return stale and now - self._tried >= _RETRY_S

    def _has_changed(self) -> bool:
        path = self._settings.jwks_file
        return path is not None and self._stamp(path) != self._mark

    @staticmethod
    def _stamp(path: Path) -> object:
        try:
            stat = path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _renew(self) -> None:
        try:
            document = self._read()
            if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
                raise TypeError("no JWK set")  # noqa: TRY301 - as any other malformed document
            self._keys = KeySet.import_key_set({"keys": document["keys"]})
        except (OSError, HTTPException, ValueError, TypeError, KeyError, JoseError) as error:
            # Those from before serve on.
            log.warning("the keys of %s cannot be read: %s", self._settings.issuer, error)
        else:
            self._fresh_until = self._clock() + self._settings.keys_max_age_s

    def _read(self) -> Any:
        path = self._settings.jwks_file
        if path is not None:
            self._mark = self._stamp(path)
            return json.loads(path.read_text("utf-8"))
        return _fetched(self._settings.jwks_url or self._discovered())

    def _discovered(self) -> str:
        """Give where the issuer says that its keys are (OpenID Connect Discovery 1.0)."""
        base = self._settings.issuer.rstrip("/")
        found = _fetched(f"{base}/.well-known/openid-configuration")
        if found.get("issuer") != self._settings.issuer:
            raise ValueError("its discovery document names another issuer")
        url = str(found["jwks_uri"])
        if urlsplit(url).scheme not in {"https", urlsplit(base).scheme}:
            raise ValueError("its discovery document leads to keys without https")
        return url
