"""Storage of all kinds, opened by URI."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from vodal.errors import UsageError
from vodal.storage.base import FileStat, Page, RangeReader
from vodal.storage.local import LocalReader, stat_local
from vodal.storage.settings import StorageSettings

if TYPE_CHECKING:
    from vodal.storage.remote import Remote

__all__ = ["LOCAL", "Storage", "is_local", "local_path", "storage_of"]


def is_local(uri: str) -> bool:
    """Tell whether a file lies on a local or mounted disk."""
    return uri.startswith("file:")


def local_path(uri: str) -> Path:
    """Give the path of a ``file:`` URI.

    Raises
    ------
    UsageError
        If the URI is of another scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise UsageError(f"storage of the scheme '{parts.scheme}:' is not supported; use file:")
    return Path(unquote(parts.path))


class Storage:
    """Opens files for range reads. Safe to use from several threads.

    Connections are kept in each process for those that come after. Pickled, it is its settings:
    a process has one for all that have the same.

    Parameters
    ----------
    settings
        Which servers are read.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._remote: Remote | None = None

    @override
    def __reduce__(self) -> tuple[object, tuple[StorageSettings]]:
        return storage_of, (self.settings,)

    def _servers(self) -> Remote:
        with self._lock:
            if self._remote is None:
                # Sites whose files lie on disks load no HTTP client for them.
                from vodal.storage.remote import Remote  # noqa: PLC0415

                self._remote = Remote(self.settings)
            return self._remote

    def close(self) -> None:
        """Close the connections that are kept; they are made anew if it is used again."""
        with self._lock:
            remote, self._remote = self._remote, None
        if remote is not None:
            remote.close()

    def open(self, uri: str, version: str | None = None) -> RangeReader:
        """Open a file for range reads.

        Files of servers are not asked for yet: that one is not there or changed shows when it is
        read.

        Parameters
        ----------
        uri
            ``file:``, ``http:``, ``https:`` or ``s3:``.
        version
            That is to be read; reads of another raise ChangedError.

        Raises
        ------
        NotFoundError
            If it is not there.
        ChangedError
            If it is of another version.
        DataError
            If it lies where the settings do not let it be read.
        UsageError
            If its scheme is none of these.
        """
        scheme = uri.partition(":")[0].lower()
        match scheme:
            case "file":
                return LocalReader(local_path(uri), version)
            case "http" | "https" | "s3":
                return self._servers().open(uri, version)
            case _:
                raise UsageError(f"files are read by file:, http:, https: and s3:, not '{scheme}:'")

    def stat(self, uri: str) -> FileStat:
        """Give size, version and time of change of a file, with errors as of `open` and of reads.

        Of a file on a server it takes a round trip.
        """
        if is_local(uri):
            return stat_local(local_path(uri))
        return self._servers().stat(uri)

    def lent_url(self, uri: str, method: str, life_s: int, *, for_all: bool) -> str | None:
        """Give a URL by which a client fetches a file from where it lies; None if there is none.

        Objects of S3 have one that is signed and expires. Files of HTTP servers and of public
        buckets have their own, which is given away only if everybody may have it.

        Parameters
        ----------
        uri
            Of the file.
        method
            ``GET`` or ``HEAD``, for which it is signed.
        life_s
            Seconds for which a signature holds.
        for_all
            Whether everybody may have the file.

        Raises
        ------
        DataError
            If it lies where the settings do not let it be read.
        ServiceUnavailable
            If there are no credentials now.
        """
        if is_local(uri):
            return None
        return self._servers().lent_url(uri, method, life_s, for_all=for_all)

    def objects(self, uri: str) -> Iterator[tuple[str, FileStat]]:
        """Give the objects below ``s3://bucket/prefix/``, as `vodal.storage.objects.listed`."""
        return self._servers().objects(uri)

    def page(self, url: str, most_bytes: int) -> Page:
        """Fetch a page of text from an HTTP server.

        Raises
        ------
        NotFoundError
            If it is not there.
        DataError
            If the settings do not let the server be asked, it refuses, or the page is larger.
        ServiceUnavailable
            If the server does not answer now.
        """
        return self._servers().page(url, most_bytes)


@lru_cache(maxsize=16)
def storage_of(settings: StorageSettings) -> Storage:
    """Give this process's storage of some settings."""
    return Storage(settings)


LOCAL = Storage(StorageSettings())
"""Reads local and mounted disks only."""
