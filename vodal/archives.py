"""Archives of files that are written piece by piece and can be gone on with: tar and zip.

An entry depends on nothing before it but where it begins; only the end of a zip lists them all.
FITS of pixels hardly gets smaller, so that nothing is compressed.
"""

from __future__ import annotations

import struct
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

__all__ = ["ARCHIVES", "STREAMED", "Archive", "Entry", "StreamedZip", "TarArchive", "ZipArchive"]

_TAR_BLOCK = 512
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive."""

    name: str
    size_bytes: int
    crc32: int
    offset_bytes: int
    """Where its entry begins."""


class Archive(Protocol):
    """A form of archives; an entry is ``head``, the file's bytes and ``tail``."""

    media_type: str
    extension: str

    def head(self, name: str, size_bytes: int, crc32: int) -> bytes:
        """Give what precedes a file's bytes."""
        ...

    def tail(self, size_bytes: int, crc32: int = 0) -> bytes:
        """Give what follows a file's bytes; its length depends on their number alone."""
        ...

    def end(self, entries: Iterable[Entry], offset_bytes: int) -> Iterator[bytes]:
        """Give the end of the archive.

        Parameters
        ----------
        entries
            All of them, in order.
        offset_bytes
            Where the end begins.
        """
        ...


class TarArchive(Archive):
    """A tar of POSIX.1-2001 (pax), which any tar reads.

    Parameters
    ----------
    modified_unix_s
        Time of all files.
    """

    media_type, extension = "application/x-tar", "tar"

    def __init__(self, modified_unix_s: float) -> None:
        self._modified = int(modified_unix_s)

    @override
    def head(self, name: str, size_bytes: int, crc32: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = size_bytes, self._modified
        return info.tobuf(tarfile.PAX_FORMAT)

    @override
    def tail(self, size_bytes: int, crc32: int = 0) -> bytes:
        return bytes(-size_bytes % _TAR_BLOCK)

    @override
    def end(self, entries: Iterable[Entry], offset_bytes: int) -> Iterator[bytes]:
        yield bytes(2 * _TAR_BLOCK)


class ZipArchive(Archive):
    """A zip whose files are stored as they are, with the extensions for many and large ones.

    The structures are those of PKWARE's APPNOTE.TXT 6.3.9, sections 4.3.7, 4.3.12, 4.3.14 to 16.

    Parameters
    ----------
    modified_unix_s
        Time of all files.
    """

    media_type, extension = "application/zip", "zip"
    _flags = 0x800
    """Names are UTF-8."""

    def __init__(self, modified_unix_s: float) -> None:
        now = time.gmtime(max(modified_unix_s, 315532800.0))  # 1980, where its calendar begins
        self._time = now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2
        self._date = (now.tm_year - 1980) << 9 | now.tm_mon << 5 | now.tm_mday

    def _common(self, crc32: int, sizes: int, name: bytes, extra: bytes) -> bytes:
        """Give what both headers of an entry have: version needed, UTF-8 name, stored."""
        return struct.pack(
            "<5H3I2H", 45, self._flags, 0, self._time, self._date, crc32, sizes, sizes,
            len(name), len(extra),
        )  # fmt: skip

    @override
    def head(self, name: str, size_bytes: int, crc32: int) -> bytes:
        encoded, extra = name.encode(), b""
        if size_bytes >= _MAX_32:
            extra = struct.pack("<2H2Q", 1, 16, size_bytes, size_bytes)
        common = self._common(crc32, min(size_bytes, _MAX_32), encoded, extra)
        return b"PK\x03\x04" + common + encoded + extra

    @override
    def tail(self, size_bytes: int, crc32: int = 0) -> bytes:
        return b""

    def _listed(self, entry: Entry) -> bytes:
        name, large = entry.name.encode(), []
        if entry.size_bytes >= _MAX_32:
            large += [entry.size_bytes, entry.size_bytes]
        if entry.offset_bytes >= _MAX_32:
            large.append(entry.offset_bytes)
        extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        common = self._common(entry.crc32, min(entry.size_bytes, _MAX_32), name, extra)
        # Made on Unix, a regular file that all may read.
        rest = struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, min(entry.offset_bytes, _MAX_32))
        return b"PK\x01\x02" + struct.pack("<H", 3 << 8 | 45) + common + rest + name + extra

    @override
    def end(self, entries: Iterable[Entry], offset_bytes: int) -> Iterator[bytes]:
        count = size = 0
        for entry in entries:
            listed = self._listed(entry)
            count, size = count + 1, size + len(listed)
            yield listed
        if count >= _MAX_16 or size >= _MAX_32 or offset_bytes >= _MAX_32:
            yield b"PK\x06\x06" + struct.pack(
                "<Q2H2I4Q", 44, 3 << 8 | 45, 45, 0, 0, count, count, size, offset_bytes
            )
            yield b"PK\x06\x07" + struct.pack("<IQI", 0, offset_bytes + size, 1)
        counts = min(count, _MAX_16)
        yield b"PK\x05\x06" + struct.pack(
            "<4H2IH", 0, 0, counts, counts, min(size, _MAX_32), min(offset_bytes, _MAX_32), 0
        )


class StreamedZip(ZipArchive):
    """A zip whose checksums follow each file, so that it can be begun before they are known.

    Bit 3 and the data descriptor of sections 4.4.4 and 4.3.9. What reads a zip by the list at its
    end sees no difference; what reads it front to back cannot tell where a stored file ends.
    """

    _flags = 0x808

    @override
    def head(self, name: str, size_bytes: int, crc32: int = 0) -> bytes:
        encoded, extra = name.encode(), b""
        if size_bytes >= _MAX_32:
            extra = struct.pack("<2H2Q", 1, 16, 0, 0)
        common = self._common(0, _MAX_32 if extra else 0, encoded, extra)
        return b"PK\x03\x04" + common + encoded + extra

    @override
    def tail(self, size_bytes: int, crc32: int = 0) -> bytes:
        form = "<I2Q" if size_bytes >= _MAX_32 else "<3I"
        return b"PK\x07\x08" + struct.pack(form, crc32, size_bytes, size_bytes)


ARCHIVES: dict[str, Callable[[float], Archive]] = {"tar": TarArchive, "zip": ZipArchive}
"""By the value of MULTI; checksums are known before."""

STREAMED: dict[str, Callable[[float], Archive]] = {"tar": TarArchive, "zip": StreamedZip}
"""Those that can be begun before checksums are known; all but `Archive.tail` and `Archive.end` have
0 for them."""
