"""The tiles of a HiPS as files below a folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hips.names import tile_path
from hips.tiles.base import Found, Tiles, TileSink

__all__ = ["TileTree", "found_file", "link_or_copy"]

_ORDER: Final = re.compile(r"Norder(\d+)")
_TILE: Final = re.compile(r"Npix(\d+)\.(\w+)")


def link_or_copy(source: Path, path: Path) -> None:
    """Give a file a second name where disks allow it, in place of what was there.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, path)


def found_file(path: Path) -> Found | None:
    """Open a whole file; None if there is none."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    # Size and time are those of the bytes that are read, whatever is published meanwhile.
    stat = os.fstat(file.fileno())
    tag = f"{stat.st_size:x}-{stat.st_mtime_ns:x}"
    read = partial(file.read, stat.st_size)
    return Found(stat.st_size, tag, stat.st_mtime, read, file.close)


@dataclass(frozen=True, slots=True)
class TileTree:
    """The tiles below a folder, in the places that HiPS 1.0 section 4.1 gives them."""

    folder: Path

    def path(self, order: int, npix: int, extension: str) -> Path:
        """Give where a tile is, or would be."""
        return self.folder / tile_path(order, npix, extension)

    def find(self, order: int, npix: int, extension: str) -> Found | None:
        """Open a tile; None if there is no such tile."""
        return found_file(self.path(order, npix, extension))

    def read(self, order: int, npix: int, extension: str) -> bytes | None:
        """Give a tile's bytes; None if there is no such tile."""
        try:
            return self.path(order, npix, extension).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, order: int, npix: int, extension: str, data: bytes) -> int:
        """Write a tile under another name and rename it; gives the number of bytes.

        A tile that is shared with an earlier version of the HiPS (`take`) stays as it is there.
        """
        path = self.path(order, npix, extension)
        partial = path.with_name(f".{path.name}")
        try:
            partial.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
        partial.replace(path)
        return len(data)

    def take(self, other: Tiles, order: int, npix: int, extensions: Iterable[str]) -> int:
        """Have the tile of another HiPS here too: of another tree, one file with two names.

        Gives the number of bytes.
        """
        size = 0
        for extension in extensions:
            path = self.path(order, npix, extension)
            if isinstance(other, TileTree):
                link_or_copy(other.path(order, npix, extension), path)
                size += path.stat().st_size
                continue
            data = other.read(order, npix, extension)
            if data is None:
                raise FileNotFoundError(path.name)
            size += self.write(order, npix, extension, data)
        return size

    @contextmanager
    def filling(self, order: int, npix: int) -> Iterator[TileSink]:  # noqa: ARG002 - of the seam
        """Put in the tiles of a shard."""
        yield self

    def take_shard(
        self, other: Tiles, order: int, npix: int, tiles: Mapping[int, Iterable[int]],
        extensions: Iterable[str],
    ) -> bool:  # fmt: skip
        """Have a whole shard of another tree here too."""
        del order, npix
        if not isinstance(other, TileTree):
            return False
        formats = tuple(extensions)
        for k, numbers in tiles.items():
            for number in sorted(numbers):
                self.take(other, k, number, formats)
        return True

    def tiles(self, order: int, extension: str) -> list[int]:
        """List the tiles of an order that are there, in NESTED order."""
        found = (_TILE.fullmatch(path.name) for path in self._files(order))
        return sorted(int(m[1]) for m in found if m is not None and m[2] == extension)

    def prune(self, wanted: Mapping[int, set[int]]) -> None:
        """Remove the tiles that are not wanted, and what an interrupted write left."""
        for base in self.folder.glob("Norder*"):
            match = _ORDER.fullmatch(base.name)
            stay = wanted.get(int(match[1]), set()) if match is not None else set()
            for path in self._files(int(match[1])) if match is not None else ():
                tile = _TILE.fullmatch(path.name)
                if tile is None or int(tile[1]) not in stay:
                    path.unlink()
            if not stay:
                shutil.rmtree(base)

    def clear(self) -> None:
        """Remove all tiles, with the pictures of whole orders."""
        for path in self.folder.glob("Norder*"):
            shutil.rmtree(path)

    def _files(self, order: int) -> Iterator[Path]:
        base = self.folder / f"Norder{order}"
        if base.is_dir():
            for directory in sorted(base.glob("Dir*")):
                for entry in os.scandir(directory):
                    yield Path(entry.path)
