"""What can be made again, kept on disk up to a size; what was used longest ago goes first."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

__all__ = ["DiskCache"]

_SHARE = 16
"""The folder is measured after so much of its limit was added: other processes add to it too."""


class DiskCache:
    """A folder of files by key. Safe to use from several threads and processes.

    A full or read-only disk only means that things are made again.

    Parameters
    ----------
    path
        The folder; may be deleted at any time.
    limit_bytes
        Of all files.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path, self._limit_bytes = path, limit_bytes
        self._added: int | None = None

    def path(self, key: str, extension: str) -> Path:
        """Give where a file is, or would be."""
        return self._path / key[:2] / f"{key}.{extension}"

    def has(self, key: str, extension: str) -> bool:
        """Tell whether a file is there, and note its use."""
        try:
            os.utime(self.path(key, extension))
        except OSError:
            return False
        return True

    def get(self, key: str, extension: str) -> bytes | None:
        """Give a file's bytes, and note its use; None if it is not there."""
        path = self.path(key, extension)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def put(self, key: str, extension: str, data: bytes) -> None:
        """Keep a file; readers see all of it or nothing."""
        path = self.path(key, extension)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                Path(name).replace(path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
            self.added(len(data))

    def added(self, size_bytes: int) -> None:
        """Count a file that another has put there, and make room if need be."""
        if self._added is None or self._added + size_bytes > self._limit_bytes // _SHARE:
            self._make_room()
            self._added = 0
        else:
            self._added += size_bytes

    def _make_room(self) -> None:
        """If there is too much, leave three quarters of the limit."""
        entries: list[tuple[float, int, Path]] = []
        for path in self._path.glob("*/*"):
            with suppress(OSError):
                stat = path.stat()
                if S_ISREG(stat.st_mode):
                    entries.append((stat.st_mtime, stat.st_size, path))
        # Room for what is added until the next look.
        if sum(size for _, size, _ in entries) <= self._limit_bytes * (_SHARE - 1) // _SHARE:
            return
        kept = 0
        for _, size, path in sorted(entries, reverse=True):
            if kept + size <= self._limit_bytes * 3 // 4:
                kept += size
            else:
                with suppress(OSError):
                    path.unlink()
