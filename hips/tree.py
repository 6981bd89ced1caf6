"""The tiles of a HiPS as files below a folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hips.names import tile_path

__all__ = ["TileTree"]

_ORDER: Final = re.compile(r"Norder(\d+)")
_TILE: Final = re.compile(r"Npix(\d+)\.(\w+)")


@dataclass(frozen=True, slots=True)
class TileTree:
    """The tiles below a folder, in the places that HiPS 1.0 section 4.1 gives them."""

    folder: Path

    def path(self, order: int, npix: int, extension: str) -> Path:
        """Give where a tile is, or would be."""
        return self.folder / tile_path(order, npix, extension)

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

    def take(self, other: TileTree, order: int, npix: int, extensions: Iterable[str]) -> int:
        """Have the tile of another tree here too: one file with two names where disks allow it.

        Gives the number of bytes.
        """
        size = 0
        for extension in extensions:
            source, path = other.path(order, npix, extension), self.path(order, npix, extension)
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, path)
            except FileNotFoundError:
                raise
            except OSError:
                shutil.copyfile(source, path)
            size += path.stat().st_size
        return size

    def tiles(self, order: int, extension: str) -> list[int]:
        """List the tiles of an order that are there, in NESTED order."""
        found = (_TILE.fullmatch(path.name) for path in self._files(order))
        return sorted(int(m[1]) for m in found if m is not None and m[2] == extension)

    def prune(self, wanted: dict[int, set[int]]) -> None:
        """Remove the tiles that are not wanted, and what an interrupted write left.

        Parameters
        ----------
        wanted
            Numbers of the tiles that stay, by order.
        """
        for base in self.folder.glob("Norder*"):
            match = _ORDER.fullmatch(base.name)
            stay = wanted.get(int(match[1]), set()) if match is not None else set()
            for path in self._files(int(match[1])) if match is not None else ():
                tile = _TILE.fullmatch(path.name)
                if tile is None or int(tile[1]) not in stay:
                    path.unlink()
            if not stay:
                shutil.rmtree(base)

    def _files(self, order: int) -> Iterator[Path]:
        base = self.folder / f"Norder{order}"
        if base.is_dir():
            for directory in sorted(base.glob("Dir*")):
                for entry in os.scandir(directory):
                    yield Path(entry.path)
