"""The seam of tiles: how a HiPS keeps them, as files or in packs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

__all__ = ["Found", "TileSink", "Tiles"]


@dataclass(frozen=True, slots=True)
class Found:
    """A tile that is there, opened; closes as a context."""

    size_bytes: int
    tag: str
    """Differs whenever the bytes may differ."""
    modified_unix_s: float
    read: Callable[[], bytes]
    """Gives the bytes that the other fields tell of, whatever is published meanwhile."""
    close: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class TileSink(Protocol):
    """What tiles are put into."""

    def write(self, order: int, npix: int, extension: str, data: bytes) -> int:
        """Put a tile in; gives the number of bytes."""
        ...

    def take(self, other: Tiles, order: int, npix: int, extensions: Iterable[str]) -> int:
        """Have the tile of another HiPS here too; gives the number of bytes.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        ...


class Tiles(TileSink, Protocol):
    """The tiles of a HiPS. Can be pickled; holds nothing open."""

    @property
    def folder(self) -> Path:
        """Of the HiPS."""
        ...

    def find(self, order: int, npix: int, extension: str) -> Found | None:
        """Open a tile; None if there is no such tile."""
        ...

    def read(self, order: int, npix: int, extension: str) -> bytes | None:
        """Give a tile's bytes; None if there is no such tile."""
        ...

    def tiles(self, order: int, extension: str) -> list[int]:
        """List the tiles of an order that are there, in NESTED order."""
        ...

    def filling(self, order: int, npix: int) -> AbstractContextManager[TileSink]:
        """Put in a tile and those below it, all of a shard, in place of those there were."""
        ...

    def take_shard(
        self, other: Tiles, order: int, npix: int, tiles: Mapping[int, Iterable[int]],
        extensions: Iterable[str],
    ) -> bool:  # fmt: skip
        """Have a whole shard of another HiPS here too.

        Parameters
        ----------
        other
            The other's tiles.
        order, npix
            Of the shard.
        tiles
            Numbers of its tiles, by order.
        extensions
            In which they are there.

        Returns
        -------
        bool
            False if the other keeps its tiles in another way, and nothing was taken.
        """
        ...

    def prune(self, wanted: Mapping[int, set[int]]) -> None:
        """Remove the tiles that are not wanted, and what an interrupted write left.

        Parameters
        ----------
        wanted
            Numbers of the tiles that stay, by order.
        """
        ...

    def clear(self) -> None:
        """Remove all tiles."""
        ...
