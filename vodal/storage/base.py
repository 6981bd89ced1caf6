"""The seam of storage: a reader of byte ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

__all__ = ["FileStat", "Page", "RangeReader"]


@dataclass(frozen=True, slots=True)
class FileStat:
    """What is known of a stored file without reading it."""

    size_bytes: int
    version: str
    """Opaque; differs whenever the bytes may differ (size and mtime, or the store's ETag)."""
    modified_unix_s: float


@dataclass(frozen=True, slots=True)
class Page:
    """A text that a server gave."""

    body: bytes
    content_type: str
    """In lower case, without parameters."""
    now_unix_s: float | None
    """What the server's clock said, if it told."""


class RangeReader(Protocol):
    """Reads byte ranges of one file. Used by one thread at a time; closes as a context."""

    taken_bytes: int = 0
    """Bytes that were taken from storage so far, with what was read between ranges."""

    def stat(self) -> FileStat:
        """Give size, version and time of change of what is read."""
        ...

    def identity(self) -> str | None:
        """Give what stays the same as long as the file does, more surely than its version.

        A check of the file's bytes that was made once holds as long as this does. None if no such
        check is needed, since the version proves the bytes; empty if nothing is known that tells.
        """
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly ``length`` bytes from ``offset``.

        Raises
        ------
        ChangedError
            If the file is not, or not any more, of the version that the reader was opened for.
        ServiceUnavailable
            If the storage does not answer now.
        DataError
            If the file ends before that.
        """
        ...

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ``(offset, length)`` as `read` does; near neighbours in one go."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
