"""The HiPS that is checked: what its properties say, which tiles there are, which are looked at."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.check.picture import Picture, read_picture
from hips.check.place import Place
from hips.moc import Coverage, read_coverage
from hips.names import tile_path

__all__ = ["EXTENSIONS", "Survey", "number"]

EXTENSIONS: Final = {"fits": "fits", "png": "png", "jpeg": "jpg", "webp": "webp"}
"""Word of ``hips_tile_format`` and the files' extension (HiPS 1.0 section 4.2.1.3)."""

_KEPT: Final = 40
_DEEPEST: Final = 29
_ORDER: Final = re.compile(r"Norder(\d{1,2})")
_TILE: Final = re.compile(r"Npix(\d{1,19})\.(\w+)")

Numbers = NDArray[np.int64]


def number(text: str | None, default: int) -> int:
    """Read a whole number of the properties; the default if it is none."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,9}", text) else default


@dataclass
class Survey:
    """A HiPS of images."""

    place: Place
    values: Mapping[str, str]
    """Of its properties; of a keyword that is repeated the last."""
    pairs: Sequence[tuple[str, str]]
    """Keywords and values in their order."""
    limit: int | None
    """How many of the deepest tiles of a format are looked at, with all above them; None is all."""
    _pictures: OrderedDict[tuple[int, int, str], tuple[bytes | None, Picture | str | None]] = field(
        default_factory=OrderedDict
    )

    @property
    def order(self) -> int:
        """Deepest order."""
        return min(number(self.values.get("hips_order"), 0), _DEEPEST)

    @property
    def lowest(self) -> int:
        """Order of the coarsest tiles, as far as the properties say."""
        return min(number(self.values.get("hips_order_min"), 0), self.order)

    @property
    def width(self) -> int:
        """Pixels along a tile's side."""
        return number(self.values.get("hips_tile_width"), 512)

    @property
    def frame(self) -> str:
        """Frame of the coordinates."""
        return self.values.get("hips_frame", "equatorial")

    @property
    def color(self) -> bool:
        """Whether its tiles are in colour."""
        return "color" in self.values.get("dataproduct_subtype", "").split()

    @cached_property
    def extensions(self) -> tuple[str, ...]:
        """Of the tiles, those that are known."""
        words = re.split(r"[\s,]+", self.values.get("hips_tile_format", "").strip())
        return tuple(dict.fromkeys(EXTENSIONS[word] for word in words if word in EXTENSIONS))

    @cached_property
    def coverage(self) -> Coverage | str | None:
        """What its MOC says; a sentence if it cannot be read, None if there is none."""
        data = self.place.read("Moc.fits")
        return None if data is None else read_coverage(data)

    @cached_property
    def orders(self) -> tuple[int, ...]:
        """Orders that have a folder."""
        found = (_ORDER.fullmatch(name) for name, folder in self.place.names("") if folder)
        return tuple(sorted(int(m[1]) for m in found if m is not None and int(m[1]) <= _DEEPEST))

    @cached_property
    def _listing(self) -> dict[tuple[int, str], Numbers]:
        found: dict[tuple[int, str], list[int]] = {}
        for order in self.orders:
            for name, is_folder in self.place.names(f"Norder{order}"):
                if not is_folder or not re.fullmatch(r"Dir\d{1,19}", name):
                    continue
                for file, _ in self.place.names(f"Norder{order}/{name}"):
                    match = _TILE.fullmatch(file)
                    if match is not None and name == f"Dir{int(match[1]) // 10000 * 10000}":
                        found.setdefault((order, match[2]), []).append(int(match[1]))
        return {key: np.unique(np.array(numbers, np.int64)) for key, numbers in found.items()}

    def tiles(self, order: int, extension: str) -> Numbers:
        """List the tiles of an order: those that are there or, on a server, that should be.

        On a server these are the cells of its MOC, or of the whole sky if it has none.
        """
        if self.place.listable:
            return self._listing.get((order, extension), np.empty(0, np.int64))
        coverage = self.coverage
        if isinstance(coverage, Coverage) and coverage.compares_with(self.frame):
            return coverage.cells(order)
        return np.arange(12 * 4 ** min(order, 3), dtype=np.int64) << 2 * max(0, order - 3)

    def sample(self, extension: str) -> Iterator[tuple[int, int]]:
        """Choose tiles to look at: deepest ones from all over the sky, and all above each.

        Gives order and number, deepest first; each once.
        """
        orders = range(self.order, self.lowest - 1, -1)
        deepest = next((k for k in orders if len(self.tiles(k, extension))), self.order)
        chosen = self.tiles(deepest, extension)
        if self.limit is not None and len(chosen) > self.limit:
            places = np.linspace(0, len(chosen) - 1, self.limit).round().astype(np.int64)
            chosen = chosen[places]
        for order in range(deepest, self.lowest - 1, -1):
            there = np.unique(chosen >> 2 * (deepest - order))
            if self.place.listable:
                there = there[np.isin(there, self.tiles(order, extension))]
            for npix in there.tolist():
                yield order, npix

    def raw(self, order: int, npix: int, extension: str) -> bytes | None:
        """Read a tile's bytes; None if there is no such tile."""
        return self._read(order, npix, extension)[0]

    def picture(self, order: int, npix: int, extension: str) -> Picture | str | None:
        """Read a tile's pixels; a sentence if they cannot be read, None if there is no tile."""
        return self._read(order, npix, extension)[1]

    def _read(
        self, order: int, npix: int, extension: str
    ) -> tuple[bytes | None, Picture | str | None]:
        key = order, npix, extension
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        data = self.place.read(tile_path(order, npix, extension))
        result = (data, None if data is None else read_picture(data, extension))
        self._pictures[key] = result
        if len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        return result
