"""Writing to a bucket of S3, or of a store that speaks as S3 does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vodal.errors import NotFoundError, ServiceUnavailable, SettingsError, UsageError
from vodal.storage.s3 import Buckets
from vodal.storage.settings import S3Settings

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["Bucket", "StoredObject"]

_PART_BYTES: Final = 16 << 20
"""Larger objects are sent in parts of this size: 10 000 of them, as S3 takes, are 160 GB."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a store tells of an object."""

    size_bytes: int
    etag: str
    """Without quotes; of an object sent in one piece mostly the MD5 of its bytes."""


class Bucket:
    """Writes objects. Safe to use from several threads.

    Parameters
    ----------
    name
        Of the bucket.
    settings
        The store's address and credentials.

    Raises
    ------
    SettingsError
        If what is needed is not installed.
    """

    def __init__(self, name: str, settings: S3Settings) -> None:
        self._name = name
        try:
            self._store: S3Store = Buckets(settings).store(name)
        except ImportError:
            raise SettingsError("writing to S3 needs obstore; install skylane[s3]") from None

    def objects(self, prefix: str) -> dict[str, StoredObject]:
        """Give the objects below a prefix (which ends with a slash, or is empty), by key."""
        from obstore import list as list_objects  # noqa: PLC0415 - an extra

        with self._told():
            return {
                str(item["path"]): StoredObject(int(item["size"]), _plain(item["e_tag"]))
                for batch in list_objects(self._store, prefix or None)
                for item in batch
            }

    def put(self, key: str, content: Path | bytes, content_type: str, caching: str) -> str:
        """Write an object, whole or not at all; gives its ETag without quotes."""
        from obstore import put  # noqa: PLC0415

        with self._told():
            done = put(
                self._store, key, content,
                attributes={"Content-Type": content_type, "Cache-Control": caching},
                chunk_size=_PART_BYTES,
            )  # fmt: skip
        return _plain(done["e_tag"])

    def get(self, key: str) -> bytes | None:
        """Read an object; None if there is none."""
        from obstore import get  # noqa: PLC0415

        try:
            with self._told():
                return bytes(get(self._store, key).bytes())
        except NotFoundError:
            return None

    def delete(self, keys: list[str]) -> None:
        """Remove objects."""
        from obstore import delete  # noqa: PLC0415

        if keys:
            with self._told():
                delete(self._store, keys)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what goes wrong; what the library says may hold parts of credentials."""
        from obstore import exceptions  # noqa: PLC0415

        try:
            yield
        except (exceptions.NotFoundError, FileNotFoundError):
            raise self._none() from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
            raise UsageError(
                f"the store does not let these keys (storage.s3) write to the bucket '{self._name}'"
            ) from None
        except exceptions.BaseError as error:
            if "NoSuchBucket" in str(error):
                raise self._none() from None
            raise ServiceUnavailable(
                f"the store of the bucket '{self._name}' does not answer as it should "
                "(storage.s3); try again later"
            ) from None

    def _none(self) -> NotFoundError:
        return NotFoundError(f"there is no bucket '{self._name}', or not what was asked for in it")


def _plain(etag: str | None) -> str:
    return (etag or "").strip('"')
