"""The tiles of a HiPS in packs: a shard's in one file, the orders above in few."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from hips.names import BUILD_FOLDER, MAX_ORDER, parse_tile_path
from hips.tiles.base import Found, Tiles, TileSink
from hips.tiles.pack import Directory, PackWriter, read_directory, take_entry
from hips.tiles.tree import TileTree, link_or_copy

__all__ = [
    "LAYOUT_FILE",
    "PACKS",
    "PackedTree",
    "pack_digest",
    "pack_path",
    "parse_layout",
    "root_of",
    "roots_of",
]

PACKS: Final = "Packs"
"""The folder of the packs, in a HiPS's own."""
LAYOUT_FILE: Final = f"{PACKS}/layout.json"
_UPPER_ORDERS: Final = 4
"""Orders that a pack above the shards holds: 85 tiles at most, like a shard's by default."""
_DIRECTORIES: Final = 512
"""Directories of packs that a process holds, some 40 kB each."""
_PACK: Final = re.compile(r"Npix(\d+)\.zip")


def roots_of(top: int) -> tuple[int, ...]:
    """Give the orders at which packs begin, rising; the last is that of the shards.

    >>> roots_of(9)
    (0, 1, 5, 9)
    """
    roots = {0, *range(top, 0, -_UPPER_ORDERS)}
    return tuple(sorted(roots))


def root_of(roots: tuple[int, ...], order: int, npix: int) -> tuple[int, int]:
    """Give the order and the number of the cell whose pack holds a tile."""
    root = max(k for k in roots if k <= order)
    return root, npix >> 2 * (order - root)


def pack_path(root: int, npix: int) -> str:
    """Give a pack's path below the HiPS's folder, which is built as a tile's is."""
    return f"{PACKS}/Norder{root}/Dir{npix // 10000 * 10000}/Npix{npix}.zip"


def parse_layout(text: str) -> tuple[int, ...]:
    """Read at which orders packs begin.

    Raises
    ------
    ValueError
        If it is no layout.
    """
    try:
        roots = tuple(sorted({int(root) for root in json.loads(text)["roots"]}))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no layout of packs: {error}") from None
    if not roots or roots[0] != 0 or roots[-1] > MAX_ORDER:
        raise ValueError("the packs of a HiPS begin at order 0")
    return roots


@dataclass(frozen=True, slots=True)
class PackedTree:
    """The tiles of a HiPS in packs (`hips.tiles.pack`).

    Tiles above the shards are files of their own until `prune` makes packs of them.
    """

    folder: Path
    roots: tuple[int, ...]
    """Orders at which packs begin, rising."""

    @property
    def _loose(self) -> TileTree:
        return TileTree(self.folder / BUILD_FOLDER / "loose")

    def path(self, root: int, npix: int) -> Path:
        """Give where a pack is, or would be."""
        return self.folder / pack_path(root, npix)

    def save_layout(self) -> None:
        """Write down how the tiles are kept, for `hips.tiles.opening`."""
        path = self.folder / LAYOUT_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"roots": self.roots}) + "\n", "utf-8")
        part.replace(path)

    def find(self, order: int, npix: int, extension: str) -> Found | None:
        """Open a tile; None if there is no such tile."""
        loose = self._loose.find(order, npix, extension) if order < self.roots[-1] else None
        if loose is not None:
            return loose
        try:
            fd = os.open(self.path(*root_of(self.roots, order, npix)), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            pack = _Pack.of(fd)
            entry = _directory(pack).get((order, npix, extension))
        except BaseException:
            os.close(fd)
            raise
        if entry is None:
            os.close(fd)
            return None
        tag = f"{entry.size_bytes:x}-{entry.crc:08x}"
        read = partial(take_entry, pack.read, entry)
        return Found(entry.size_bytes, tag, pack.modified_ns / 1e9, read, partial(os.close, fd))

    def read(self, order: int, npix: int, extension: str) -> bytes | None:
        """Give a tile's bytes; None if there is no such tile."""
        found = self.find(order, npix, extension)
        if found is None:
            return None
        with found:
            return found.read()

    def write(self, order: int, npix: int, extension: str, data: bytes) -> int:
        """Write a tile above the shards; gives the number of bytes."""
        if order >= self.roots[-1]:
            raise ValueError(f"tiles of order {order} are written by shard, not one by one")
        return self._loose.write(order, npix, extension, data)

    def take(self, other: Tiles, order: int, npix: int, extensions: Iterable[str]) -> int:
        """Have a tile above the shards of another HiPS here too; gives the number of bytes."""
        return _take(self.write, other, order, npix, extensions)

    @contextmanager
    def filling(self, order: int, npix: int) -> Iterator[TileSink]:
        """Put in the tiles of a shard, which become one pack when the block ends."""
        self._check(order)
        with PackWriter(self.path(order, npix)) as pack:
            yield _Filling(pack)

    def take_shard(
        self, other: Tiles, order: int, npix: int, tiles: Mapping[int, Iterable[int]],
        extensions: Iterable[str],
    ) -> bool:  # fmt: skip
        """Have a whole pack of another HiPS here too: one file with two names."""
        del extensions
        self._check(order)
        if not isinstance(other, PackedTree) or other.roots != self.roots:
            return False
        if tiles:
            link_or_copy(other.path(order, npix), self.path(order, npix))
        return True

    def _check(self, order: int) -> None:
        if order != self.roots[-1]:
            raise ValueError(f"shards are of order {self.roots[-1]}, not {order}")

    def tiles(self, order: int, extension: str) -> list[int]:
        """List the tiles of an order that are there, in NESTED order."""
        found = set(self._loose.tiles(order, extension))
        for _, path in self._packs(max(root for root in self.roots if root <= order)):
            found.update(n for k, n, e in _read(path) if (k, e) == (order, extension))
        return sorted(found)

    def prune(self, wanted: Mapping[int, set[int]]) -> None:
        """Put the tiles above the shards into packs; remove all that is not wanted."""
        for left in (self.folder / PACKS).rglob(".*.part"):
            left.unlink()
        loose = self._loose_tiles()
        for lowest, above in zip(self.roots, (*self.roots[1:], None), strict=True):
            orders = range(lowest, above or lowest + 1)
            cells: dict[int, set[tuple[int, int]]] = {}
            for order in orders:
                for npix in wanted.get(order, ()):
                    cells.setdefault(npix >> 2 * (order - lowest), set()).add((order, npix))
            for npix, path in list(self._packs(lowest)):
                if npix not in cells:
                    path.unlink()
            if above is not None:
                for npix, stay in cells.items():
                    self._gather(self.path(lowest, npix), stay, loose)
        shutil.rmtree(self._loose.folder, ignore_errors=True)

    def _loose_tiles(self) -> dict[tuple[int, int], list[str]]:
        """Give the extensions of the tiles that are files, by order and number."""
        base = self._loose.folder
        found: dict[tuple[int, int], list[str]] = {}
        for path in base.glob("Norder*/Dir*/Npix*"):
            tile = parse_tile_path(path.relative_to(base).as_posix())
            if tile is not None:
                found.setdefault(tile[:2], []).append(tile[2])
        return found

    def _gather(
        self, path: Path, stay: set[tuple[int, int]], loose: Mapping[tuple[int, int], list[str]]
    ) -> None:
        """Make a pack of tiles that are files and those of the pack as it is."""
        before = set(_read(path)) if path.exists() else set()
        found = {(*tile, extension) for tile in stay for extension in loose.get(tile, ())}
        kept = {key for key in before if key[:2] in stay}
        if not found and kept == before:
            return
        with PackWriter(path) as pack:
            for key in sorted(found | kept):
                data = self.read(*key)
                if data is None:
                    raise FileNotFoundError(f"tile {key[1]} of order {key[0]}")
                pack.write(*key, data)

    def clear(self) -> None:
        """Remove all tiles, with the pictures of whole orders."""
        shutil.rmtree(self.folder / PACKS, ignore_errors=True)
        shutil.rmtree(self._loose.folder, ignore_errors=True)
        TileTree(self.folder).clear()

    def _packs(self, root: int) -> Iterator[tuple[int, Path]]:
        for path in sorted((self.folder / PACKS / f"Norder{root}").glob("Dir*/Npix*.zip")):
            match = _PACK.fullmatch(path.name)
            if match is not None:
                yield int(match[1]), path


@dataclass(frozen=True, slots=True)
class _Filling:
    """The pack of a shard in the making."""

    pack: PackWriter

    def write(self, order: int, npix: int, extension: str, data: bytes) -> int:
        return self.pack.write(order, npix, extension, data)

    def take(self, other: Tiles, order: int, npix: int, extensions: Iterable[str]) -> int:
        return _take(self.pack.write, other, order, npix, extensions)


def _take(
    write: Callable[[int, int, str, bytes], int],
    other: Tiles,
    order: int,
    npix: int,
    extensions: Iterable[str],
) -> int:
    size = 0
    for extension in extensions:
        data = other.read(order, npix, extension)
        if data is None:
            raise FileNotFoundError(f"tile {npix} of order {order}, {extension}")
        size += write(order, npix, extension, data)
    return size


@dataclass(frozen=True, slots=True)
class _Pack:
    """An open pack. Two are the same if their bytes are, as far as the disk tells."""

    fd: int = field(compare=False)
    device: int
    inode: int
    modified_ns: int
    size_bytes: int

    @classmethod
    def of(cls, fd: int) -> _Pack:
        stat = os.fstat(fd)
        return cls(fd, stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self.fd, length, offset)


@lru_cache(maxsize=_DIRECTORIES)
def _directory(pack: _Pack) -> Directory:
    return read_directory(pack.read, pack.size_bytes)


def pack_digest(path: Path) -> str:
    """Tell packs apart by the tiles in them: by their directories, not by all their bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for key, entry in sorted(_read(path).items()):
        digest.update(f"{key} {entry}".encode())
    return digest.hexdigest()


def _read(path: Path) -> Directory:
    with path.open("rb") as file:
        return _directory(_Pack.of(file.fileno()))
