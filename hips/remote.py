"""A HiPS on a server or in an object store, as a tree or in packs, read as it is asked for."""

from __future__ import annotations

import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.names import tile_path
from hips.properties import format_properties, parse_properties
from hips.tiles.base import Found
from hips.tiles.pack import Directory, Entry, read_directory, take_entry
from hips.tiles.packed import LAYOUT_FILE, pack_path, parse_layout, root_of
from vodal.errors import ChangedError, DataError, NotFoundError, ServiceUnavailable
from vodal.storage import Storage

__all__ = ["RemoteHips", "as_mirror"]

_REFRESH_S: Final = 60.0
"""How long what is known of a HiPS serves before its properties are looked at again."""
_DIRECTORIES: Final = 512
_DEEPEST: Final = 29


@dataclass(frozen=True, slots=True)
class _Pack:
    """A pack of which the directory was read."""

    version: str
    modified_unix_s: float
    directory: Directory


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a HiPS for as long as its properties stay."""

    raw: bytes
    properties: dict[str, str]
    modified_unix_s: float
    roots: tuple[int, ...] | None
    """Orders at which packs begin; None of a tree."""
    covered: NDArray[np.uint64] | None
    """Ranges of cells of order 29, begin and end, that hold tiles; None if it is not known."""


class RemoteHips:
    """Reads a HiPS that lies elsewhere. Safe to use from several threads.

    Parameters
    ----------
    uri
        Of its folder: ``https:``, ``http:``, ``s3:`` or ``file:``.
    storage
        Reads it.
    """

    def __init__(self, uri: str, storage: Storage) -> None:
        self._uri, self._storage = uri.rstrip("/"), storage
        self._lock = threading.Lock()
        self._seen: _Seen | None = None
        self._seen_at = 0.0
        self._packs: OrderedDict[str, _Pack | None] = OrderedDict()

    @property
    def properties(self) -> dict[str, str]:
        """Its keywords, as a mirror shows them where it belongs to another server."""
        return self._now().properties

    def tile(self, order: int, npix: int, extension: str) -> Found | None:
        """Open a tile; None if there is no such tile."""
        seen = self._now()
        if npix >= 12 * 4**order or not _meets(seen.covered, order, npix):
            return None
        if seen.roots is None:
            return self._whole(tile_path(order, npix, extension))
        path = pack_path(*root_of(seen.roots, order, npix))
        pack = self._pack(path)
        entry = None if pack is None else pack.directory.get((order, npix, extension))
        if pack is None or entry is None:
            return None
        data: Callable[[], bytes] = partial(self._entry, path, pack, entry)
        tag = f"{entry.size_bytes:x}-{entry.crc:08x}"
        return Found(entry.size_bytes, tag, pack.modified_unix_s, data, _nothing)

    def file(self, path: str) -> Found | None:
        """Open another file than a tile; None if there is none."""
        if path != "properties":
            return self._whole(path)
        seen = self._now()
        text = format_properties(seen.properties).encode()
        tag = f"{len(text):x}-{zlib.crc32(text):08x}"
        return Found(len(text), tag, seen.modified_unix_s, lambda: text, _nothing)

    def _whole(self, path: str) -> Found | None:
        try:
            with self._storage.open(f"{self._uri}/{path}") as reader:
                stat = reader.stat()
                # Small files come with the first request; read while it is the same.
                data = reader.read(0, stat.size_bytes)
        except NotFoundError:
            return None
        tag = f"{len(data):x}-{zlib.crc32(data):08x}"
        return Found(len(data), tag, stat.modified_unix_s, lambda: data, _nothing)

    def _entry(self, path: str, pack: _Pack, entry: Entry) -> bytes:
        try:
            with self._storage.open(f"{self._uri}/{path}", pack.version) as reader:
                return take_entry(reader.read, entry)
        except (ChangedError, NotFoundError):
            with self._lock:
                self._packs.clear()
            raise ServiceUnavailable(
                "this HiPS is just being replaced; try again", retry_after_s=1
            ) from None

    def _pack(self, path: str) -> _Pack | None:
        with self._lock:
            if path in self._packs:
                self._packs.move_to_end(path)
                return self._packs[path]
        try:
            with self._storage.open(f"{self._uri}/{path}") as reader:
                stat = reader.stat()
                directory = read_directory(reader.read, stat.size_bytes)
                pack = _Pack(stat.version, stat.modified_unix_s, directory)
        except NotFoundError:
            pack = None
        with self._lock:
            self._packs[path] = pack
            while len(self._packs) > _DIRECTORIES:
                self._packs.popitem(last=False)
        return pack

    def _now(self) -> _Seen:
        """Look at the properties, now and then; all else is read anew only if they changed."""
        seen = self._seen
        if seen is not None and time.monotonic() - self._seen_at < _REFRESH_S:
            return seen
        with self._lock:
            if self._seen is not None and time.monotonic() - self._seen_at < _REFRESH_S:
                return self._seen
            try:
                seen = self._look(self._seen)
            except (ServiceUnavailable, ChangedError):
                if self._seen is None:
                    raise
                seen = self._seen
            if seen is not self._seen:
                self._packs.clear()
            self._seen, self._seen_at = seen, time.monotonic()
            return seen

    def _look(self, before: _Seen | None) -> _Seen:
        with self._storage.open(f"{self._uri}/properties") as reader:
            stat = reader.stat()
            raw = reader.read(0, stat.size_bytes)
        if before is not None and raw == before.raw:
            return before
        values = parse_properties(raw.decode("utf-8", "replace"))
        if self._uri.lower().startswith(("http:", "https:")):
            values = as_mirror(values)
        moc = self._whole("Moc.fits")
        covered = None if moc is None else _ranges(moc.read(), values.get("hips_frame", ""))
        return _Seen(raw, values, stat.modified_unix_s, self._roots(), covered)

    def _roots(self) -> tuple[int, ...] | None:
        try:
            layout = self._whole(LAYOUT_FILE)
            return None if layout is None else parse_layout(layout.read().decode())
        except (DataError, ValueError):
            # Stores that do not let their objects be listed refuse those that are not there.
            return None


def as_mirror(values: dict[str, str]) -> dict[str, str]:
    """Give the properties of a HiPS as one that shows it for another server has to.

    HiPS 1.0 section 5.1: the copy is a mirror, and keeps ``hips_release_date``.
    """
    words = values.get("hips_status", "public master clonable").split()
    shown = ["mirror" if word == "master" else word for word in words]
    return {**values, "hips_status": " ".join(shown)}


def _nothing() -> None:
    """Close what holds nothing open."""


def _ranges(data: bytes, frame: str) -> NDArray[np.uint64] | None:
    """Give what a MOC covers, if its cells are those of the HiPS.

    That of a HiPS in another frame than the equatorial may be in either of the two.
    """
    from hips.moc import read_coverage  # noqa: PLC0415 - only sites with HiPS elsewhere need it

    coverage = read_coverage(data)
    if isinstance(coverage, str) or not coverage.compares_with(frame):
        return None
    return np.asarray(coverage.moc.to_depth29_ranges, np.uint64)


def _meets(covered: NDArray[np.uint64] | None, order: int, npix: int) -> bool:
    """Tell whether a tile may be there."""
    if covered is None or order > _DEEPEST:
        return True
    levels = 2 * (_DEEPEST - order)
    first, end = npix << levels, (npix + 1) << levels
    at = int(np.searchsorted(covered[:, 1], np.uint64(first), side="right"))
    return at < len(covered) and int(covered[at, 0]) < end
