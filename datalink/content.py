"""What is sent for a product: bytes of a known number, made of parts.

A part gives any stretch of its bytes, a piece at a time, so that ranges can be had of whatever is
put together, and nothing is in memory but the piece that a client is about to get.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Protocol

from typing_extensions import override

from vodal.errors import DataError
from vodal.storage.files import FileReader
from vodal.web.threads import in_thread

__all__ = [
    "LOCAL_PIECE_BYTES",
    "Content",
    "FileSpan",
    "LiteralPart",
    "Part",
    "Piece",
    "Readable",
    "Share",
    "StoredPart",
]

_LEAST_PIECE_BYTES = 64 * 1024
LOCAL_PIECE_BYTES = 512 * 1024
"""Read of a local file at a time, where few clients are served."""
_SPAN_BYTES = 16 << 20
"""Of a file, sent before it is looked at whether it changed."""


class Share:
    """How much memory each of the answers under way may hold. Belongs to one event loop.

    Few clients are sent large pieces, which cost less; many clients get small ones, so that those
    that read slowly do not fill the memory.

    Parameters
    ----------
    total_bytes
        Of all answers together, as long as each has the smallest piece.
    """

    def __init__(self, total_bytes: int = 16 << 20) -> None:
        self._total_bytes, self._answers = total_bytes, 0

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Count one answer more within the block."""
        self._answers += 1
        try:
            yield
        finally:
            self._answers -= 1

    def piece_bytes(self, most: int) -> int:
        """Give the size of the next piece of an answer."""
        return max(_LEAST_PIECE_BYTES, min(most, self._total_bytes // max(1, self._answers)))


@dataclass(frozen=True, slots=True)
class FileSpan:
    """Bytes of a local file, which a server may have the kernel send."""

    reader: FileReader
    offset: int
    length: int

    async def read(self, share: Share) -> AsyncGenerator[bytes, None]:
        """Give the bytes themselves."""
        part = StoredPart(self.reader, self.offset, self.length, LOCAL_PIECE_BYTES)
        async for piece in part.read(0, self.length, share):
            yield piece


Piece = bytes | FileSpan


class Part(Protocol):
    """Bytes that follow each other in a content."""

    size_bytes: int
    is_direct: bool = True
    """Whether any stretch costs no more than its own bytes."""

    def pieces(self, start: int, stop: int, share: Share) -> AsyncGenerator[Piece, None]:
        """Give the bytes from ``start`` to ``stop`` (exclusive), counted in the part.

        Raises
        ------
        DataError
            If they cannot be read.
        ServiceUnavailable
            If they cannot be had now.
        """
        ...


class LiteralPart(Part):
    """Bytes that are there."""

    def __init__(self, data: bytes) -> None:
        self._data, self.size_bytes = data, len(data)

    @override
    async def pieces(self, start: int, stop: int, share: Share) -> AsyncGenerator[Piece, None]:
        yield self._data[start:stop]


class Readable(Protocol):
    """What a stored part is read from, by one thread at a time."""

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly so many bytes."""
        ...


class StoredPart(Part):
    """Bytes of a file that is open.

    Parameters
    ----------
    reader
        Of the file; who made it closes it.
    offset, size_bytes
        Which bytes.
    most_piece_bytes
        Of one read.
    is_direct
        As of `Part`.
    """

    def __init__(
        self,
        reader: Readable,
        offset: int,
        size_bytes: int,
        most_piece_bytes: int,
        *,
        is_direct: bool = True,
    ) -> None:
        self.is_direct = is_direct
        self._reader, self._offset = reader, offset
        self.size_bytes, self._most = size_bytes, most_piece_bytes

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return self._reader.read(offset, length)
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}") from error

    @override
    async def pieces(self, start: int, stop: int, share: Share) -> AsyncGenerator[Piece, None]:
        if isinstance(self._reader, FileReader):
            for at in range(self._offset + start, self._offset + stop, _SPAN_BYTES):
                yield FileSpan(self._reader, at, min(_SPAN_BYTES, self._offset + stop - at))
            return
        async for piece in self.read(start, stop, share):
            yield piece

    async def read(self, start: int, stop: int, share: Share) -> AsyncGenerator[bytes, None]:
        """Give bytes as `pieces`, read in threads."""
        offset, end = self._offset + start, self._offset + stop
        while offset < end:
            length = min(share.piece_bytes(self._most), end - offset)
            yield await in_thread(partial(self._read, offset, length))
            offset += length


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Content:
    """What a URL gives, before a client's conditions and ranges."""

    parts: Sequence[Part]
    version: str
    """Opaque; differs whenever the bytes may differ."""
    modified_unix_s: float
    media_type: str
    file_name: str
    close: Callable[[], None] = _nothing
    """Called once, in a thread, when nothing is read any more."""
    several_ranges: bool = True
    """Whether several ranges are given in one answer; not where each costs the way to it."""

    @property
    def size_bytes(self) -> int:
        """Of all parts."""
        return sum(part.size_bytes for part in self.parts)

    async def pieces(self, start: int, stop: int, share: Share) -> AsyncGenerator[Piece, None]:
        """Give the bytes from ``start`` to ``stop`` (exclusive)."""
        ends = list(accumulate(part.size_bytes for part in self.parts))
        number = bisect_right(ends, start)
        while start < stop:
            part = self.parts[number]
            begin = ends[number] - part.size_bytes
            low, high = start - begin, min(stop, ends[number]) - begin
            if low < high:
                async with aclosing(part.pieces(low, high, share)) as pieces:
                    async for piece in pieces:
                        yield piece
            start, number = begin + high, number + 1
