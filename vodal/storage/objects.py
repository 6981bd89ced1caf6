"""What lies in a bucket of S3, or of a store that speaks as S3 does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vodal.errors import DataError, NotFoundError, ServiceUnavailable, SettingsError
from vodal.storage.base import FileStat
from vodal.storage.s3 import Buckets

__all__ = ["listed", "split_prefix"]

_PAGE = 1000
"""Objects that one request tells of: as many as S3 gives."""


def split_prefix(uri: str) -> tuple[str, str]:
    """Give bucket and prefix of ``s3://bucket/prefix/``; the prefix may be empty.

    Raises
    ------
    DataError
        If it is no such URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket or "//" in prefix:
        raise DataError(f"'{uri[:200]}' is no place in a bucket; write s3://bucket/prefix/")
    return bucket, prefix


def listed(buckets: Buckets, uri: str) -> Iterator[tuple[str, FileStat]]:
    """Give the objects below a prefix, by URI, as the store lists them: by their names.

    The version is the one by which `vodal.storage.http` reads them: size and ETag.

    Parameters
    ----------
    buckets
        Which may be read, and with what keys.
    uri
        ``s3://bucket/prefix/``; only whole parts between slashes count.

    Raises
    ------
    DataError
        If the bucket is not among those that are read, or the store does not let these keys list.
    NotFoundError
        If there is no such bucket.
    ServiceUnavailable
        If the store does not answer.
    SettingsError
        If what is needed is not installed.
    """
    bucket, prefix = split_prefix(uri)
    buckets.check(bucket)
    try:
        from obstore import list as list_objects  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError("listing S3 needs obstore; install skylane[s3]") from None
    with _told(bucket):
        store = buckets.store(bucket)
        for page in list_objects(store, prefix or None, chunk_size=_PAGE):
            for item in page:
                size, etag = int(item["size"]), str(item["e_tag"] or "").strip('"')
                modified = item["last_modified"].timestamp()
                stat = FileStat(size, f'{size:x}-"{etag}"', modified)
                yield f"s3://{bucket}/{item['path']}", stat


@contextmanager
def _told(bucket: str) -> Iterator[None]:
    """Say what goes wrong; what the library says may hold parts of credentials."""
    from obstore import exceptions  # noqa: PLC0415

    missing = NotFoundError(f"there is no bucket '{bucket}' at the store (storage.s3.endpoint)")
    try:
        yield
    except (exceptions.NotFoundError, FileNotFoundError):
        raise missing from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
        raise _forbidden(bucket) from None
    except exceptions.BaseError as error:
        text = str(error)
        if "NoSuchBucket" in text:
            raise missing from None
        if "InvalidAccessKeyId" in text or "SignatureDoesNotMatch" in text:
            raise _forbidden(bucket) from None
        raise ServiceUnavailable(
            f"the store of the bucket '{bucket}' does not answer as it should now (storage.s3)"
        ) from None


def _forbidden(bucket: str) -> DataError:
    return DataError(f"the store does not let these keys (storage.s3) list the bucket '{bucket}'")
