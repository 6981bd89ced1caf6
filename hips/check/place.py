"""Where a HiPS lies: a folder, or a server that is asked one file after the other."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Final

from typing_extensions import override

from hips.names import MAX_ORDER, parse_tile_path
from hips.tiles.base import Tiles
from hips.tiles.opening import open_tiles
from hips.tiles.tree import TileTree
from vodal.errors import DataError, NotFoundError, ServiceUnavailable

__all__ = ["FolderPlace", "PackedPlace", "Place", "WebPlace", "open_place"]

_MOST_BYTES: Final = 256 << 20
_TIMEOUT_S: Final = 30.0
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 0.5
_EXTENSIONS: Final = ("fits", "png", "jpg", "webp")
_ABSENT: Final = {403, 404, 410}
"""What servers say of tiles that are not there; object stores say 403."""


class Place(ABC):
    """The files of a HiPS by their path below its folder."""

    name: str
    """As the user gave it."""
    listable: bool
    """Whether its files can be listed."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Give a file's bytes; None if there is no such file.

        Raises
        ------
        DataError
            If the file is there and cannot be read.
        ServiceUnavailable
            If the server does not answer.
        """

    @abstractmethod
    def names(self, path: str) -> Iterator[tuple[str, bool]]:
        """List a folder: names, and whether each is a folder. Nothing if it cannot be listed."""


class FolderPlace(Place):
    """A folder on a disk."""

    listable = True

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder

    @override
    def read(self, path: str) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None

    @override
    def names(self, path: str) -> Iterator[tuple[str, bool]]:
        try:
            with os.scandir(self._folder / path) as entries:
                for entry in entries:
                    yield entry.name, entry.is_dir()
        except (FileNotFoundError, NotADirectoryError):
            return


class PackedPlace(FolderPlace):
    """A HiPS of this package that keeps its tiles in packs, seen as the tree it stands for."""

    def __init__(self, folder: Path, tiles: Tiles) -> None:
        super().__init__(folder)
        self._tiles = tiles

    @override
    def read(self, path: str) -> bytes | None:
        place = parse_tile_path(path)
        return super().read(path) if place is None else self._tiles.read(*place)

    @override
    def names(self, path: str) -> Iterator[tuple[str, bool]]:
        orders = [order for order in range(MAX_ORDER + 1) if any(self._numbers(order).values())]
        match = re.fullmatch(r"Norder(\d+)(?:/Dir(\d+))?", path)
        if match is None:
            yield from ((f"Norder{order}", True) for order in orders if not path)
            return
        numbers = self._numbers(int(match[1]))
        if match[2] is None:
            groups = {npix // 10000 * 10000 for each in numbers.values() for npix in each}
            yield from ((f"Dir{group}", True) for group in sorted(groups))
            return
        first = int(match[2])
        for extension, each in numbers.items():
            for npix in each:
                if npix // 10000 * 10000 == first:
                    yield f"Npix{npix}.{extension}", False

    def _numbers(self, order: int) -> dict[str, list[int]]:
        return {extension: self._tiles.tiles(order, extension) for extension in _EXTENSIONS}


class WebPlace(Place):
    """A HiPS on a server."""

    listable = False

    def __init__(self, url: str) -> None:
        self.name = url
        self._base = url.strip().rstrip("/")

    @override
    def read(self, path: str) -> bytes | None:
        url = f"{self._base}/{path}" if path else self._base
        # What was asked for was given by the user as a URL of http or https.
        request = urllib.request.Request(url, headers={"User-Agent": "skylane-hips-check"})  # noqa: S310
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                    body: bytes = answer.read(_MOST_BYTES + 1)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code in _ABSENT:
                    return None
                if error.code not in {429, 500, 502, 503, 504} or attempt == _ATTEMPTS:
                    raise DataError(f"{url}: the server says {error.code}") from None
            except (OSError, HTTPException) as error:
                if attempt == _ATTEMPTS:
                    raise ServiceUnavailable(f"{url}: no answer: {error}") from None
            else:
                if len(body) > _MOST_BYTES:
                    raise DataError(f"{url} is longer than {_MOST_BYTES >> 20} MB")
                return body
            time.sleep(_PAUSE_S * 2 ** (attempt - 1))
        return None

    @override
    def names(self, path: str) -> Iterator[tuple[str, bool]]:
        return iter(())


def open_place(where: str | Path) -> Place:
    """Give the place that a path or a URL of http or https names.

    Raises
    ------
    NotFoundError
        If there is no such folder.
    DataError
        If it has packs whose layout cannot be read.
    """
    text = str(where)
    if isinstance(where, str) and text.lower().startswith(("http://", "https://")):
        return WebPlace(text)
    folder = Path(where)
    if not folder.is_dir():
        raise NotFoundError(f"'{text}' is neither a folder nor a URL of http or https")
    tiles = open_tiles(folder)
    return FolderPlace(folder) if isinstance(tiles, TileTree) else PackedPlace(folder, tiles)
