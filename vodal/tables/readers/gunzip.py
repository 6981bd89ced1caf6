"""A whole-file gzip, decompressed up to a limit."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from vodal.errors import UsageError
from vodal.tables.readers.limits import over

__all__ = ["gunzip"]

_CHUNK_BYTES = 1 << 20


def gunzip(source: Path, target: Path, limit_bytes: int) -> None:
    """Decompress a file into another.

    Parameters
    ----------
    source
        The gzip, of one member or several.
    target
        Is written.
    limit_bytes
        Of the decompressed file.

    Raises
    ------
    TooLargeError
        If there is more; no more than the limit has been written then.
    UsageError
        If the gzip is damaged or cut.
    """
    size = 0
    try:
        with gzip.open(source) as compressed, target.open("wb") as plain:
            while chunk := compressed.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > limit_bytes:
                    raise over("more bytes decompressed", "max_table_bytes", limit_bytes)
                plain.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"the gzip is damaged: {str(error).rstrip('.')[:100]}") from None
