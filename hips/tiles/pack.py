"""Packs: many tiles in one ZIP file, stored as they are, so that each is one range of its bytes.

Any unzip makes the tree of them (APPNOTE 6.3; ZIP64 where a pack needs it). Times and attributes
are fixed, so that the same tiles in the same order give the same bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from typing_extensions import override

from hips.names import parse_tile_path, tile_path
from vodal.errors import DataError

__all__ = ["Directory", "Entry", "PackWriter", "read_directory", "take_entry"]

Key = tuple[int, int, str]
Directory = Mapping[Key, "Entry"]
"""Of a pack: where each tile is, by order, number and extension."""
ReadRange = Callable[[int, int], bytes]
"""Gives as many bytes from an offset on."""

_TIME: Final = (1980, 1, 1, 0, 0, 0)
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_TAIL: Final = 1 << 16
"""Bytes that are read at once from a pack's end: the directory of some hundred tiles."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tile is in a pack."""

    offset: int
    """Of its local header."""
    header_bytes: int
    """Of its local header, with the name."""
    size_bytes: int
    crc: int


class PackWriter:
    """Writes a pack under another name, and renames it when it is whole.

    Used as a context: a block that ends in an error leaves what was there before. A pack without
    a tile is no file.

    Parameters
    ----------
    path
        Of the pack.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.part")

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._zip = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED)
        return self

    def write(self, order: int, npix: int, extension: str, data: bytes) -> int:
        """Put a tile in; gives its bytes."""
        info = zipfile.ZipInfo(tile_path(order, npix, extension), _TIME)
        info.create_system, info.external_attr = 3, 0o100644 << 16
        self._zip.writestr(info, data)
        return len(data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        empty = not self._zip.filelist
        self._zip.close()
        if kind is not None:
            self._partial.unlink(missing_ok=True)
        elif empty:
            self._partial.unlink()
            self._path.unlink(missing_ok=True)
        else:
            self._partial.replace(self._path)


class _Tail(io.RawIOBase):
    """A file of ranges, of whose end some is read at once."""

    def __init__(self, read: ReadRange, size_bytes: int) -> None:
        super().__init__()
        self._read, self._size, self._at = read, size_bytes, 0
        self._start = max(0, size_bytes - _TAIL)
        self._tail = read(self._start, size_bytes - self._start)

    @override
    def seekable(self) -> bool:
        return True

    @override
    def readable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._at

    @override
    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        if self._at < 0:
            raise OSError("before the beginning")
        return self._at

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._size - self._at)
        count = left if size is None or size < 0 else min(size, left)
        first = self._at - self._start
        data = self._tail[first : first + count] if first >= 0 else self._read(self._at, count)
        self._at += len(data)
        return data


def read_directory(read: ReadRange, size_bytes: int) -> Directory:
    """Read where the tiles of a pack are.

    Parameters
    ----------
    read
        Reads ranges of it.
    size_bytes
        Of the whole pack.

    Raises
    ------
    DataError
        If it is no pack.
    """
    try:
        with zipfile.ZipFile(_Tail(read, size_bytes)) as pack:
            infos = pack.infolist()
    except (zipfile.BadZipFile, OSError, struct.error, NotImplementedError) as error:
        raise DataError(f"a pack of tiles cannot be read: {error}") from None
    found: dict[Key, Entry] = {}
    for info in infos:
        key = parse_tile_path(info.filename)
        if key is not None and info.compress_type == zipfile.ZIP_STORED:
            # The name is all that a local header of `PackWriter` has besides its fixed part.
            header = _LOCAL.size + len(info.filename)
            found[key] = Entry(info.header_offset, header, info.file_size, info.CRC)
    return found


def take_entry(read: ReadRange, entry: Entry) -> bytes:
    """Read a tile out of a pack.

    Raises
    ------
    DataError
        If it does not lie where the directory says, as in a ZIP that another program wrote.
    """
    data = read(entry.offset, entry.header_bytes + entry.size_bytes)
    if len(data) != entry.header_bytes + entry.size_bytes:
        raise DataError("a pack of tiles ends too early")
    magic, *_, name, extra = _LOCAL.unpack_from(data)
    if magic != b"PK\x03\x04" or _LOCAL.size + name + extra != entry.header_bytes:
        raise DataError("a pack of tiles was not written as packs are")
    return data[entry.header_bytes :]
