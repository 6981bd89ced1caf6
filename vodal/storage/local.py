"""Files on a local or mounted disk."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from typing_extensions import override

from vodal.errors import ChangedError, NotFoundError
from vodal.storage.base import FileStat
from vodal.storage.files import FileReader

__all__ = ["LocalReader", "stat_local"]


def _file_stat(result: os.stat_result) -> FileStat:
    return FileStat(
        size_bytes=result.st_size,
        version=f"{result.st_size:x}-{result.st_mtime_ns:x}",
        modified_unix_s=result.st_mtime_ns / 1e9,
    )


def stat_local(path: Path) -> FileStat:
    """Give size, version (size and mtime in ns) and time of change of a local file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    """
    try:
        return _file_stat(path.stat())
    except OSError:
        raise NotFoundError(f"the file {path.name} is not there any more") from None


class LocalReader(FileReader):
    """Reads ranges of a local file by `os.pread`.

    A file that is replaced while it is read stays the old one in the open descriptor; one that is
    written in place is noticed by its time of change, after the bytes were read.

    Parameters
    ----------
    path
        The file.
    version
        That is to be read; by default any, and changes are not looked for.

    Raises
    ------
    NotFoundError
        If it cannot be opened.
    ChangedError
        If it is of another version.
    """

    def __init__(self, path: Path, version: str | None = None) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFoundError(
                f"the file {path.name} cannot be opened: {error.strerror}"
            ) from None
        super().__init__(fd, path.name)
        self._version = version
        try:
            self._check()
        except ChangedError:
            os.close(fd)
            raise

    @override
    def _check(self) -> None:
        if self._version is not None and self.stat().version != self._version:
            raise ChangedError(f"the file {self._name} changed since it was catalogued")

    @override
    def stat(self) -> FileStat:
        return _file_stat(os.fstat(self._fd))

    @override
    def identity(self) -> str | None:
        # Who sets back the time of modification cannot set back that of the inode's change.
        about = os.fstat(self._fd)
        return f"{about.st_dev:x}-{about.st_ino:x}-{about.st_ctime_ns:x}"

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)
