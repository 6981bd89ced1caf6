"""A whole-file gzip, decompressed once so that its plain stream can be read by ranges."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from typing_extensions import override

from vodal.errors import DataError, ServiceUnavailable
from vodal.storage.base import FileStat
from vodal.storage.files import FileReader

__all__ = ["SpooledReader"]


class SpooledReader(FileReader):
    """Reads ranges of a stream that lies in an anonymous temporary file.

    The file has no name and vanishes when the reader is closed or its process ends.

    Parameters
    ----------
    chunks
        The stream, front to back.
    stat
        Of the file the stream came from; `stat` gives it again.
    name
        Of that file, for errors.
    limit_bytes
        The most that the temporary file may take.
    identity
        Of that file, as its own reader gives it.

    Raises
    ------
    DataError
        If the stream is longer than the limit, or is damaged.
    ServiceUnavailable
        If there is no room for the temporary file.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        stat: FileStat,
        name: str,
        limit_bytes: int,
        identity: str | None = "",
    ) -> None:
        self._stat, self._identity = stat, identity
        size = 0
        try:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - closed on exit
                prefix="skylane-", buffering=0
            )
        except OSError as error:
            raise _no_room(error) from None
        super().__init__(self._file.fileno(), name)
        try:
            for chunk in chunks:
                size += len(chunk)
                if size > limit_bytes:
                    raise DataError(  # noqa: TRY301 - the handler only closes the file
                        f"{name} holds more than {limit_bytes} bytes decompressed"
                    )
                _write(self._file.fileno(), chunk)
        except BaseException:
            self._file.close()
            raise
        self.size_bytes = size
        """Of the stream."""

    @override
    def stat(self) -> FileStat:
        return self._stat

    @override
    def identity(self) -> str | None:
        return self._identity

    @override
    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size_bytes:
            raise DataError(f"the file {self._name} ends before byte {offset + length}")
        return super().read(offset, length)

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
        self._file.close()


def _write(fd: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError as error:
        raise _no_room(error) from None


def _no_room(error: OSError) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"there is no room for a decompressed file on the server now ({error.strerror})", 60
    )
