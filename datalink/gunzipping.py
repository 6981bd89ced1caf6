"""The plain stream of a whole-file gzip, read as it is decompressed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vodal.errors import DataError
from vodal.fits.source import decompressed_chunks
from vodal.storage import RangeReader

__all__ = ["GunzippedStream"]

_READ_BYTES = 1 << 20


class GunzippedStream:
    """Reads the plain stream front to back; a read before the last one begins anew.

    Nothing is kept but the piece that is being decompressed.

    Parameters
    ----------
    reader
        Of the gzip; who made it closes it.
    name
        Of the file, for errors.
    """

    def __init__(self, reader: RangeReader, name: str) -> None:
        self._reader, self._name = reader, name
        self._chunks: Iterator[bytes] = iter(())
        self._rest = memoryview(b"")
        self._position = -1

    def _compressed(self) -> Iterator[bytes]:
        size = self._reader.stat().size_bytes
        for start in range(0, size, _READ_BYTES):
            yield self._reader.read(start, min(_READ_BYTES, size - start))

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly so many bytes of the plain stream.

        Raises
        ------
        DataError
            If it is damaged, or ends before that.
        ChangedError, ServiceUnavailable
            As reading the gzip does.
        """
        if self._position < 0 or offset < self._position:
            self._chunks = decompressed_chunks(self._compressed(), self._name)
            self._rest, self._position = memoryview(b""), 0
        self._take(offset - self._position, lambda _: None)
        parts: list[memoryview] = []
        self._take(length, parts.append)
        return b"".join(parts)

    def _take(self, length: int, use: Callable[[memoryview], None]) -> None:
        while length > 0:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise DataError(f"the gzip {self._name} holds less than it did")
                self._rest = memoryview(chunk)
            part = self._rest[:length]
            self._rest = self._rest[length:]
            self._position += len(part)
            length -= len(part)
            use(part)
