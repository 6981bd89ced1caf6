"""Checksums of files: taken as the files are sent, and kept for who goes on with an archive."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from isal import isal_zlib
from typing_extensions import override

from datalink.bulk.plan import PlannedFile
from datalink.content import Part, Share
from datalink.files import most_piece_bytes
from vodal.diskcache import DiskCache
from vodal.storage import RangeReader, Storage
from vodal.web.threads import in_thread

__all__ = ["FilePart", "KeptSums", "Sums"]

_MOST_BYTES = 16 << 20
"""Of all that are kept: some hundred thousand."""
_FORM = struct.Struct(">32sI")


@dataclass(frozen=True, slots=True)
class Sums:
    """Of the bytes of one file."""

    sha256: bytes
    crc32: int


class _Summing:
    """Adds up the bytes of a file."""

    def __init__(self) -> None:
        self._sha256, self._crc32 = hashlib.sha256(), 0

    def add(self, data: bytes) -> None:
        self._sha256.update(data)
        self._crc32 = isal_zlib.crc32(data, self._crc32)

    @property
    def sums(self) -> Sums:
        return Sums(self._sha256.digest(), self._crc32)


class KeptSums:
    """Checksums by file and version, on disk. Belongs to one event loop.

    Parameters
    ----------
    folder
        Where they are; may be deleted at any time.
    storage
        Opens files of which they are not known.
    """

    def __init__(self, folder: Path, storage: Storage) -> None:
        self.storage = storage
        self._kept = DiskCache(folder, _MOST_BYTES)
        # Reading whole files for their sums alone is nothing that many should do at once.
        self._turn = asyncio.Semaphore(2)

    def _key(self, file: PlannedFile) -> str:
        return hashlib.sha256(f"{file.uri}\0{file.version}".encode()).hexdigest()[:32]

    def put(self, file: PlannedFile, sums: Sums) -> None:
        """Keep those of a file; blocks."""
        self._kept.put(self._key(file), "sums", _FORM.pack(sums.sha256, sums.crc32))

    def known(self, file: PlannedFile) -> Sums | None:
        """Give those of a file if they are kept; blocks."""
        data = self._kept.get(self._key(file), "sums")
        return Sums(*_FORM.unpack(data)) if data is not None and len(data) == _FORM.size else None

    async def of(self, file: PlannedFile, share: Share) -> Sums:
        """Give those of a file, which is read if they are not kept.

        Raises
        ------
        ChangedError, NotFoundError, DataError, ServiceUnavailable
            If it cannot be read as it was.
        """
        found = await run_sync(self.known, file)
        if found is not None:
            return found
        async with self._turn:
            part = FilePart(file, self)
            async with aclosing(part.pieces(0, file.size_bytes, share)) as pieces:
                async for _ in pieces:
                    pass
        assert part.sums is not None
        return part.sums


class FilePart(Part):
    """A file, opened when it is its turn.

    Parameters
    ----------
    file
        Of which version it is read.
    kept
        Where its checksums go if it is read as a whole.
    """

    def __init__(self, file: PlannedFile, kept: KeptSums) -> None:
        self._file, self._kept = file, kept
        self.size_bytes = file.size_bytes
        self.sums: Sums | None = None
        """Once it was read from its beginning to its end."""

    @override
    async def pieces(self, start: int, stop: int, share: Share) -> AsyncGenerator[bytes, None]:
        most = most_piece_bytes(self._file.uri)
        summing = _Summing() if start == 0 else None
        opening = partial(self._kept.storage.open, self._file.uri, self._file.version)
        reader = await in_thread(opening)
        try:
            while start < stop:
                length = min(share.piece_bytes(most), stop - start)
                yield await in_thread(partial(_read, reader, start, length, summing))
                start += length
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(partial(reader.__exit__, None, None, None))
        if summing is not None and stop == self.size_bytes:
            self.sums = summing.sums
            await in_thread(partial(self._kept.put, self._file, self.sums))


def _read(reader: RangeReader, start: int, length: int, summing: _Summing | None) -> bytes:
    data = reader.read(start, length)
    if summing is not None:
        summing.add(data)
    return data
