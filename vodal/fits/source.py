"""Forward reading of a file, plain or gzip, for the walker over its HDUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from isal import isal_zlib
from typing_extensions import override

from vodal.errors import DataError
from vodal.storage.base import RangeReader

__all__ = [
    "ForwardSource",
    "GzipSource",
    "PlainSource",
    "RangeSource",
    "decompressed_chunks",
    "foreign_format",
    "pieces_of",
]

_CHUNK_BYTES = 1 << 18
_AHEAD_BYTES = 1 << 16
_GZIP_FORMAT = 31
"""Window bits that tell zlib to expect a gzip header and to verify its CRC."""

_MAGIC = (
    (b"\x1f\x8b", "a gzip file inside a gzip file"),
    (b"BZh", "a bzip2 file; recompress it with gzip, or fpack it"),
    (b"\xfd7zXZ", "an xz file; recompress it with gzip, or fpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd file; recompress it with gzip, or fpack it"),
    (b"\x1f\x9d", "a compress (.Z) file; recompress it with gzip, or fpack it"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"#ASDF", "an ASDF file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with 'git lfs pull'"),
)


def foreign_format(start: bytes) -> str:
    """Name what a file is that does not start as FITS does.

    Parameters
    ----------
    start
        The first few hundred bytes.
    """
    if not start:
        return "an empty file"
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")) or b"<html" in text[:512]:
        return "an HTML page"
    if text.startswith(b"<"):
        return "an XML document"
    if not start.strip(b"\0"):
        return "a file of zero bytes only"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start[:256]):
        return "a text file"
    return "no FITS file (it does not start with SIMPLE)"


class ForwardSource(Protocol):
    """Bytes of the plain stream, front to back."""

    def read(self, length: int) -> bytes:
        """Read up to ``length`` bytes; fewer only at the end of the stream."""
        ...

    def skip(self, length: int) -> int:
        """Pass over up to ``length`` bytes and give the number that were there."""
        ...


class PlainSource(ForwardSource):
    """A file as it is; skipping costs nothing."""

    def __init__(self, file: BinaryIO) -> None:
        self._fd = file.fileno()
        self._size = os.fstat(self._fd).st_size
        self._position = 0

    @override
    def read(self, length: int) -> bytes:
        # Never ask for more than is there: the system call's buffer is made as asked.
        length = min(length, self._size - self._position)
        parts = []
        while length > 0:
            part = os.pread(self._fd, length, self._position)
            if not part:
                break
            parts.append(part)
            self._position += len(part)
            length -= len(part)
        return b"".join(parts)

    @override
    def skip(self, length: int) -> int:
        length = min(length, self._size - self._position)
        self._position += length
        return length


class RangeSource(ForwardSource):
    """A file read by ranges, some blocks ahead of what is asked for.

    Parameters
    ----------
    reader
        Of the file.
    size_bytes
        Of what the reader gives.
    """

    def __init__(self, reader: RangeReader, size_bytes: int) -> None:
        self._reader, self._size = reader, size_bytes
        self._position = self._start = 0
        self._ahead = b""

    @override
    def read(self, length: int) -> bytes:
        length = min(length, self._size - self._position)
        low = self._position - self._start
        if low < 0 or low + length > len(self._ahead):
            count = min(max(length, _AHEAD_BYTES), self._size - self._position)
            self._ahead = self._reader.read(self._position, count)
            self._start, low = self._position, 0
        self._position += length
        return self._ahead[low : low + length]

    @override
    def skip(self, length: int) -> int:
        length = min(length, self._size - self._position)
        self._position += length
        return length


class GzipSource(ForwardSource):
    """The plain stream of a gzip file, decompressed on the way in bounded memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._chunks = decompressed_chunks(pieces_of(file), Path(str(file.name)).name)
        self._rest = memoryview(b"")

    @override
    def read(self, length: int) -> bytes:
        parts = []
        while length > 0 and self._fill():
            part = self._rest[:length]
            self._rest = self._rest[length:]
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    @override
    def skip(self, length: int) -> int:
        skipped = 0
        while skipped < length and self._fill():
            step = min(length - skipped, len(self._rest))
            self._rest = self._rest[step:]
            skipped += step
        return skipped

    def _fill(self) -> bool:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._rest = memoryview(chunk)
        return True


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Give the bytes of an open file, piece by piece."""
    return iter(lambda: file.read(_CHUNK_BYTES), b"")


def decompressed_chunks(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Decompress a gzip file of one or more members, piece by piece.

    Zero bytes after the last member are padding (tapes, block devices) and are ignored.

    Parameters
    ----------
    pieces
        The file, front to back.
    name
        Of the file, for errors.

    Raises
    ------
    DataError
        If the stream is cut, is damaged or its checksum is wrong.
    """
    data = next(pieces, b"")
    while data:
        member = isal_zlib.decompressobj(wbits=_GZIP_FORMAT)
        while not member.eof:
            try:
                plain = member.decompress(data, _CHUNK_BYTES)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub has no base class
                raise DataError(f"the gzip stream of {name} is damaged: {error}") from None
            if plain:
                yield plain
            data = member.unconsumed_tail
            if plain or data or member.eof:
                continue
            data = next(pieces, b"")
            if not data:
                raise DataError(f"the gzip stream of {name} is cut: the file is truncated")
        data = member.unused_data or next(pieces, b"")
        while data and not (data := data.lstrip(b"\0")):
            data = next(pieces, b"")
        if data and not data.startswith(b"\x1f"):
            raise DataError(f"the gzip stream of {name} is followed by bytes of another kind")
