"""Bytes by offset from wherever they lie.

- `base`    the seam: `RangeReader` and `FileStat`
- `ranges`  coalescing of near neighbours
- `files`   ranges of an open file
- `local`   files on a disk
- `gzipped` the plain stream of a whole-file gzip
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from vodal.errors import UsageError
from vodal.storage.base import FileStat, RangeReader
from vodal.storage.local import LocalReader, stat_local

__all__ = ["FileStat", "LocalReader", "RangeReader", "local_path", "open_reader", "stat_local"]


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


def open_reader(uri: str) -> RangeReader:
    """Open a stored file for range reads.

    Raises
    ------
    NotFoundError
        If it is not there.
    UsageError
        If its scheme is not supported.
    """
    return LocalReader(local_path(uri))
