"""Files opened to read pixels: by an index that is held against them, or indexed on the spot."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from vodal.errors import ChangedError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.scan import scan_reader
from vodal.fits.source import decompressed_chunks
from vodal.storage import LOCAL, FileStat, RangeReader, Storage, is_local
from vodal.storage.gzipped import SpooledReader

__all__ = ["MAX_SPOOL_BYTES", "open_pixels", "open_scanned"]

MAX_SPOOL_BYTES = 8 << 30
"""Default limit of a decompressed gzip."""
_PIECE_BYTES = 4 << 20
"""Of a file that is read front to back."""
_REMEMBERED = 4096


class _Looked:
    """Headers that were found to be those of an index. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], None] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, key: tuple[object, ...]) -> bool:
        with self._lock:
            if key not in self._known:
                return False
            self._known.move_to_end(key)
            return True

    def add(self, key: tuple[object, ...]) -> None:
        with self._lock:
            self._known[key] = None
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


_LOOKED = _Looked()


def open_pixels(
    uri: str,
    index: FileIndex,
    hdus: Sequence[int] | None = None,
    *,
    storage: Storage = LOCAL,
    limit_bytes: int = MAX_SPOOL_BYTES,
) -> RangeReader:
    """Open a file for range reads in the offsets of its index.

    A file whose version is that of the index may still be another: times of modification can be
    set, and Last-Modified counts in seconds. So the bytes of the headers are looked at, once for
    each state of the file, unless its version proves them (a strong ETag).

    A whole-file gzip is decompressed once, to an anonymous temporary file that lives as long as
    the reader; a caller that needs it again keeps the reader.

    Parameters
    ----------
    uri
        Of the file, as `vodal.storage.Storage.open` takes it.
    index
        Of the same file.
    hdus
        Numbers of those that will be read; None for all.
    storage
        Opens it.
    limit_bytes
        The most that a gzip may hold.

    Raises
    ------
    ChangedError
        If the file is not the one that was indexed; of files on servers when they are read.
    DataError
        If it is a damaged or too large gzip.
    NotFoundError
        If the file is not there.
    ServiceUnavailable
        If its storage does not answer now.
    """
    reader = storage.open(uri, index.version)
    if index.encoding:
        reader = _decompressed(reader, uri, limit_bytes)
    try:
        _look(reader, uri, index, range(len(index.hdus)) if hdus is None else hdus)
    except BaseException:
        reader.__exit__(None, None, None)
        raise
    return reader


def open_scanned(
    uri: str, *, storage: Storage = LOCAL, limit_bytes: int = MAX_SPOOL_BYTES
) -> tuple[FileIndex, RangeReader]:
    """Index a file by its headers and keep it open; a gzip is decompressed only once for both.

    Parameters and errors are those of `open_pixels`.

    Raises
    ------
    DataError
        If it is not FITS, or is damaged.
    """
    reader = storage.open(uri)
    try:
        stat = reader.stat()
        encoding = reader.read(0, min(2, stat.size_bytes)) == b"\x1f\x8b"
    except BaseException:
        reader.__exit__(None, None, None)
        raise
    if is_local(uri):
        # A reader of a server keeps to the version, and the beginning, that it read first.
        reader.__exit__(None, None, None)
        reader = storage.open(uri, stat.version)
    size = stat.size_bytes
    if encoding:
        reader = spooled = _decompressed(reader, uri, limit_bytes)
        size = spooled.size_bytes
    try:
        index = scan_reader(reader, stat, size, "gzip" if encoding else "")
    except BaseException:
        reader.__exit__(None, None, None)
        raise
    return index, reader


def _decompressed(reader: RangeReader, uri: str, limit_bytes: int) -> SpooledReader:
    """Decompress a gzip to a temporary file, and close its reader."""
    name = unquote(urlsplit(uri).path.rpartition("/")[2])
    with reader:
        stat = reader.stat()
        chunks = decompressed_chunks(_pieces(reader, stat), name)
        return SpooledReader(chunks, stat, name, limit_bytes, reader.identity())


def _pieces(reader: RangeReader, stat: FileStat) -> Iterator[bytes]:
    for start in range(0, stat.size_bytes, _PIECE_BYTES):
        yield reader.read(start, min(_PIECE_BYTES, stat.size_bytes - start))


def _look(reader: RangeReader, uri: str, index: FileIndex, hdus: Sequence[int]) -> None:
    """Hold the headers of some HDUs against the index."""
    identity = reader.identity()
    if identity is None:
        return
    unseen: list[tuple[HduIndex, tuple[object, ...]]] = []
    for number in hdus:
        hdu = index.hdus[number]
        key: tuple[object, ...] = (
            uri,
            index.version,
            identity,
            number,
            hdu.header_offset,
            hdu.checksum,
        )
        if hdu.checked_bytes and not (identity and _LOOKED.has(key)):
            unseen.append((hdu, key))
    if not unseen:
        return
    parts = reader.read_many([(hdu.header_offset, hdu.checked_bytes) for hdu, _ in unseen])
    for (hdu, key), part in zip(unseen, parts, strict=True):
        if zlib.crc32(part) != hdu.checksum:
            raise ChangedError(f"the header of HDU {hdu.number} changed since it was catalogued")
        if identity:
            _LOOKED.add(key)
