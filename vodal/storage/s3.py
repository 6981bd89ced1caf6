"""Objects of S3, or of a store that speaks as S3 does, as addresses that HTTP reads.

Requests are signed in their address (AWS Signature Version 4, query parameters), so that objects
are read by the very code that reads files of HTTP servers. obstore signs, and finds credentials
where Amazon's tools do: the environment, the role of the machine or of the container.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

from vodal.errors import DataError, ServiceUnavailable, SettingsError
from vodal.storage.settings import S3Settings

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["Buckets", "split_s3"]

_VALID_S = 900
_RENEWED_S = 600
"""An address that was signed serves so long for further requests."""


def split_s3(uri: str) -> tuple[str, str]:
    """Give bucket and key of ``s3://bucket/key``; the key is taken as it stands, as AWS CLI does.

    Raises
    ------
    DataError
        If it is no such URI, or the key holds empty parts.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise DataError("an object of S3 is named by s3://bucket/key")
    if any(part in {"", ".", ".."} for part in key.split("/")):
        raise DataError("keys of S3 with empty parts, '.' or '..' between slashes are not read")
    return bucket, key


class Buckets:
    """Gives addresses of objects. Safe to use from several threads; belongs to one process."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._stores: dict[str, S3Store] = {}

    @property
    def endpoint(self) -> str:
        """URL of the store, without a trailing slash."""
        default = f"https://s3.{self._settings.region}.amazonaws.com"
        return (self._settings.endpoint or default).rstrip("/")

    def serves(self, scheme: str, host: str, port: int) -> bool:
        """Tell whether a host is the store's own."""
        parts = urlsplit(self.endpoint)
        own = (parts.hostname or "").lower()
        own_port = parts.port or (443 if parts.scheme == "https" else 80)
        below = self._settings.virtual_hosted and any(
            host == f"{bucket.lower()}.{own}" for bucket in self._settings.buckets
        )
        return (scheme, port) == (parts.scheme, own_port) and (host == own or below)

    def check(self, bucket: str) -> None:
        """Refuse a bucket that is not among those that are read.

        Raises
        ------
        DataError
            If it is not.
        """
        if bucket not in self._settings.buckets:
            raise DataError(
                f"the bucket '{bucket[:80]}' is not read by this site (storage.s3.buckets)"
            )

    def address(self, uri: str) -> Callable[[], str]:
        """Give what makes the URL of an object, signed where the settings do not say otherwise.

        Raises
        ------
        DataError
            If it is in a bucket that is not read.
        """
        bucket, key = split_s3(uri)
        self.check(bucket)
        if self._settings.anonymous:
            url = self._plain(bucket, key)
            return lambda: url
        signed = "", 0.0

        def sign() -> str:
            nonlocal signed
            if time.monotonic() - signed[1] > _RENEWED_S or not signed[0]:
                signed = self._signed(bucket, key), time.monotonic()
            return signed[0]

        return sign

    def lent(self, uri: str, method: str, life_s: int, *, for_all: bool) -> str | None:
        """Give a URL of an object for a client, as `vodal.storage.Storage.lent_url`."""
        bucket, key = split_s3(uri)
        self.check(bucket)
        if self._settings.anonymous:
            return self._plain(bucket, key) if for_all else None
        return self._signed(bucket, key, "HEAD" if method == "HEAD" else "GET", life_s)

    def _plain(self, bucket: str, key: str) -> str:
        path = quote(key, safe="/-_.~")
        if self._settings.virtual_hosted:
            scheme, _, host = self.endpoint.partition("://")
            return f"{scheme}://{bucket}.{host}/{path}"
        return f"{self.endpoint}/{bucket}/{path}"

    def _signed(
        self, bucket: str, key: str, method: Literal["GET", "HEAD"] = "GET", life_s: int = _VALID_S
    ) -> str:
        try:
            from obstore import sign  # noqa: PLC0415 - an extra
            from obstore.exceptions import BaseError  # noqa: PLC0415
        except ImportError:
            raise SettingsError("signed requests to S3 need obstore; install skylane[s3]") from None
        try:
            return str(sign(self.store(bucket), method, key, timedelta(seconds=life_s)))
        except BaseError:
            # What obstore says may hold parts of credentials.
            raise ServiceUnavailable(
                "there are no credentials for the archive's storage now (storage.s3); try again"
                " later",
                retry_after_s=30,
            ) from None

    def store(self, bucket: str) -> S3Store:
        """Give what signs for a bucket, lists it and writes to it."""
        store = self._stores.get(bucket)
        if store is None:
            from obstore.store import S3Store  # noqa: PLC0415

            settings = self._settings
            endpoint = self.endpoint
            if settings.virtual_hosted:
                scheme, _, host = endpoint.partition("://")
                endpoint = f"{scheme}://{bucket}.{host}"
            given = {
                "access_key_id": settings.access_key_id,
                "secret_access_key": settings.secret_access_key,
                "session_token": settings.session_token,
            }
            store = self._stores[bucket] = S3Store(
                bucket,
                endpoint=endpoint,
                region=settings.region,
                virtual_hosted_style_request=settings.virtual_hosted,
                skip_signature=settings.anonymous,
                client_options={"allow_http": True, "timeout": timedelta(seconds=5)},
                retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=5)},
                **{name: value for name, value in given.items() if value},  # type: ignore[arg-type]
            )
        return store
