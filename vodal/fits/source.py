"""Forward reading of a file, plain or gzip, for the walker over its HDUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from isal import isal_zlib
from typing_extensions import override

from vodal.errors import DataError

__all__ = ["ForwardSource", "GzipSource", "PlainSource", "decompressed_chunks", "foreign_format"]

_CHUNK_BYTES = 1 << 18
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


class GzipSource(ForwardSource):
    """The plain stream of a gzip file, decompressed on the way in bounded memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._chunks = decompressed_chunks(file)
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


def decompressed_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Decompress a gzip file of one or more members, piece by piece.

    Zero bytes after the last member are padding (tapes, block devices) and are ignored.

    Raises
    ------
    DataError
        If the stream is cut, is damaged or its checksum is wrong.
    """
    path = Path(str(file.name)).name
    data = file.read(_CHUNK_BYTES)
    while data:
        member = isal_zlib.decompressobj(wbits=_GZIP_FORMAT)
        while not member.eof:
            try:
                plain = member.decompress(data, _CHUNK_BYTES)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub has no base class
                raise DataError(f"the gzip stream of {path} is damaged: {error}") from None
            if plain:
                yield plain
            data = member.unconsumed_tail
            if plain or data or member.eof:
                continue
            data = file.read(_CHUNK_BYTES)
            if not data:
                raise DataError(f"the gzip stream of {path} is cut: the file is truncated")
        data = member.unused_data or file.read(_CHUNK_BYTES)
        while data and not (data := data.lstrip(b"\0")):
            data = file.read(_CHUNK_BYTES)
        if data and not data.startswith(b"\x1f"):
            raise DataError(f"the gzip stream of {path} is followed by bytes of another kind")
