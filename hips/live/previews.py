"""An image at coarse orders: HEALPix cells with value and valid fraction, in a file of its own.

The file holds the image at the deepest order at which it is no wider than `PREVIEW_WIDTH` cells,
and at each order above: the cells that it reaches, the mean of each, and how much of each is
valid. A coarse tile is put together from those of its order, so that what it takes does not depend
on how large the images are.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.background.kept import Plane
from hips.calibration import Calibration
from hips.frames import Frame
from hips.images import ImageFacts
from hips.live.images import LiveImage
from hips.live.seen import Seen, see
from hips.names import MAX_ORDER, TILE_ORDER, TILE_WIDTH, deinterleave, pixel_size_arcsec
from hips.plan import own_arcsec_of
from hips.settings import HipsSettings
from hips.tile import TileBlock
from vodal.errors import DataError
from vodal.resample.canvas import Canvas
from vodal.resample.grid import TOUCH_CELLS, pixel_grid
from vodal.resample.mapping import ImageMapping

__all__ = ["PREVIEW_WIDTH", "PlacesOfCells", "Preview", "make_preview", "preview_order", "touched"]

Pixels = NDArray[np.float32]

PREVIEW_WIDTH: Final = 512
"""Cells along the longest side of an image."""

_PLACE: Final = "<f2"
_WHOLE: Final = 255.0
"""A cell that is valid as a whole, as it is stored."""
_Where = tuple[int, int, int, str]
"""Of an order's cells in the file: offset in bytes, how many, the lowest number, and the type of
the numbers, which count from that one."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Some cells of an order, rising."""

    numbers: NDArray[np.int64]
    """NESTED."""
    planes: tuple[Pixels, ...]
    """Their values, and where backgrounds are matched their places on the image along x and y, -1
    to 1 from edge to edge."""
    valid: Pixels
    """Fraction of each, above 0."""

    def coarser(self) -> Cells:
        """Take the mean of each four, weighted by how much of each is valid."""
        above = self.numbers >> 2
        first = np.flatnonzero(np.diff(above, prepend=-1))
        shares = self.valid.astype(np.float64)
        weight = np.add.reduceat(shares, first)
        means = tuple(
            (np.add.reduceat(shares * plane, first) / weight).astype(np.float32)
            for plane in self.planes
        )
        return Cells(above[first], means, (weight / 4.0).astype(np.float32))


class PlacesOfCells:
    """Where the cells of a tile lie in it."""

    def __init__(self) -> None:
        x, y = deinterleave(np.arange(TILE_WIDTH * TILE_WIDTH))
        self.pixel = (TILE_WIDTH - 1 - x) * TILE_WIDTH + y
        """By the cell's number in the tile, the flat index of its pixel."""
        self.cell = np.argsort(self.pixel)
        """The other way round."""


_PLACES: Final = PlacesOfCells()


def touched(parts: int) -> NDArray[np.bool_]:
    """Give the touched parts of a tile as an array, of their bits."""
    bits = np.array([parts >> bit & 1 for bit in range(TOUCH_CELLS**2)], np.bool_)
    return bits.reshape(TOUCH_CELLS, TOUCH_CELLS)


def preview_order(facts: ImageFacts) -> int:
    """Give the deepest order of an image's preview."""
    size = max(1.0, max(facts.shape) / PREVIEW_WIDTH) * facts.scale_arcsec
    order = 0
    while order < MAX_ORDER and pixel_size_arcsec(order + 1) >= size:
        order += 1
    return order


def make_preview(image: LiveImage, settings: HipsSettings, path: Path) -> int:
    """Make the preview of an image; gives the size of its file in bytes.

    Raises
    ------
    DataError
        If the image cannot be put on the sky, its pixels cannot be read, or all are blank.
    """
    seen = see(image, settings)
    order = preview_order(seen.facts)
    binning = max(1, int(pixel_size_arcsec(order) / seen.facts.scale_arcsec + 1e-6))
    binning = min(binning, *seen.facts.shape)
    plain = Calibration(1.0, 1, own_arcsec_of(seen.facts, settings.conserve))
    try:
        mean, valid = _averaged(seen, binning, plain)
        sky, noise = 0.0, 0.0
        if settings.background != "none" or settings.weights == "variance":
            sky, noise = seen.level(plain)
    finally:
        seen.image.close()
    placed = _placed(seen, binning) if settings.background == "match" else ()
    cells = _cells(seen, settings.frame, order, seen.mapping(binning), mean, valid, placed)
    if not cells.numbers.size:
        raise DataError("it has no pixel with a value")
    return _write(path, image.did, seen.facts, order, (sky, noise), cells)


def _placed(seen: Seen, binning: int) -> tuple[Pixels, Pixels]:
    """Give the places of averaged pixels along x and y, -1 to 1 from edge to edge."""
    places = [
        ((2 * np.arange(-(-size // binning)) + 1) * binning / size - 1.0).astype(np.float32)
        for size in seen.image.shape
    ]
    v, u = np.meshgrid(*places, indexing="ij")
    return u, v


def _averaged(seen: Seen, binning: int, plain: Calibration) -> tuple[Pixels, Pixels]:
    """Give sums over squares of pixels that count, and the fraction of each square that does."""
    ny, nx = seen.image.shape
    rows, columns = -(-ny // binning), -(-nx // binning)
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    edges = np.arange(0, nx, binning)
    at = 0
    for values, *_ in seen.planes():
        seen.calibrator(plain).apply(values, np.arange(nx), np.arange(at, at + len(values)))
        good = np.isfinite(values)
        across = np.add.reduceat(np.where(good, values, np.float32(0.0)), edges, axis=1)
        shares = np.add.reduceat(good.astype(np.float32), edges, axis=1)
        places = np.arange(at, at + len(values)) // binning
        first = np.flatnonzero(np.diff(places, prepend=-1))
        total[places[first]] += np.add.reduceat(across.astype(np.float64), first, axis=0)
        count[places[first]] += np.add.reduceat(shares.astype(np.float64), first, axis=0)
        at += len(values)
    area = float(binning * binning)
    return (total / area).astype(np.float32), (count / area).astype(np.float32)


def _cells(
    seen: Seen, frame: Frame, order: int, mapping: ImageMapping, total: Pixels, valid: Pixels,
    placed: tuple[Pixels, ...],
) -> Cells:  # fmt: skip
    """Bring an image to the cells of an order.

    Parameters
    ----------
    seen, frame, order, mapping
        The image, the frame and order of the cells, and how it lies.
    total, valid
        Sums of values over valid parts, and the fractions that these are.
    placed
        More that is wanted of each cell, known everywhere.
    """
    shape = total.shape[0], total.shape[1]
    numbers: list[NDArray[np.int64]] = []
    planes: list[list[Pixels]] = [[] for _ in (total, *placed)]
    fractions: list[Pixels] = []
    for npix, parts in sorted(seen.parts(order).items()):
        block = TileBlock(order, npix, frame)
        grid = pixel_grid(mapping, block, shape, touched(parts))
        if grid is None:
            continue
        on_tile = []
        for plane in (valid, total, *placed):
            canvas = Canvas(block.layout)
            canvas.add(plane, grid)
            brought = canvas.finish()
            if brought is not None:
                on_tile.append(brought.ravel()[_PLACES.pixel])
        if not on_tile:
            continue
        shares, sums, *others = on_tile
        there = np.flatnonzero(shares > 1e-4)
        numbers.append((npix << 2 * TILE_ORDER) + there)
        planes[0].append(sums[there] / shares[there])
        for kept, plane in zip(planes[1:], others, strict=True):
            kept.append(plane[there])
        fractions.append(np.minimum(shares[there], np.float32(1.0)))
    if not numbers:
        nothing = np.empty(0, np.float32)
        return Cells(np.empty(0, np.int64), (nothing,), nothing)
    return Cells(
        np.concatenate(numbers),
        tuple(np.concatenate(parts) for parts in planes),
        np.concatenate(fractions),
    )


def _write(
    path: Path, did: str, facts: ImageFacts, order: int, levels: tuple[float, float],
    cells: Cells,
) -> int:  # fmt: skip
    places: dict[str, _Where] = {}
    arrays: list[bytes] = []
    size = 0
    for k in range(order, -1, -1):
        if k < order:
            cells = cells.coarser()
        first = int(cells.numbers[0])
        kind = "<u4" if int(cells.numbers[-1]) - first < 1 << 32 else "<i8"
        places[str(k)] = size, cells.numbers.size, first, kind
        parts = [
            (cells.numbers - first).astype(kind).tobytes(),
            cells.planes[0].astype("<f4").tobytes(),
            np.maximum(np.rint(cells.valid * _WHOLE), 1.0).astype(np.uint8).tobytes(),
            *(plane.astype(_PLACE).tobytes() for plane in cells.planes[1:]),
        ]
        arrays += parts
        size += sum(map(len, parts))
    told = {
        "did": did, "facts": asdict(facts), "order": order, "levels": levels, "places": places,
        "placed": len(cells.planes) > 1,
    }  # fmt: skip
    head = json.dumps(told).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(len(head).to_bytes(8, "little"))
            file.write(head)
            file.writelines(arrays)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return 8 + len(head) + size


class Preview:
    """A preview as it lies on disk.

    Parameters
    ----------
    path
        The file that `make_preview` wrote.

    Raises
    ------
    FileNotFoundError
        If it has fallen from the cache.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            told = json.loads(file.read(length))
        self._start = 8 + length
        self._places: dict[str, _Where] = told["places"]
        self.order: int = told["order"]
        """The deepest."""
        self.did: str = told["did"]
        """Of the image."""
        self._placed: bool = told["placed"]
        self.level, self.noise = (float(value) for value in told["levels"])
        """Sky and noise, uncalibrated; 0 where they do not count."""
        facts = told["facts"]
        self.facts = ImageFacts(**{**facts, "shape": tuple(facts["shape"])})

    def add_to(
        self, total: NDArray[np.float64], weights: NDArray[np.float64], order: int, npix: int,
        factor: float, weight: float, background: Plane | None = None,
    ) -> None:  # fmt: skip
        """Add the image to a tile of an order that is no deeper than its own.

        Parameters
        ----------
        total, weights
            Of the tile's pixels, flat: what is added up, and with which weight.
        order, npix
            The tile.
        factor, weight
            Of the image.
        background
            Subtracted from its values when they have been multiplied; slopes are for previews that
            are made where backgrounds are matched.
        """
        start, count, lowest, kind = self._places[str(order)]
        with self._path.open("rb") as file:
            file.seek(self._start + start)
            numbers = np.fromfile(file, kind, count).astype(np.int64) + lowest
            values = np.fromfile(file, "<f4", count)
            valid = np.fromfile(file, np.uint8, count) / _WHOLE
            u, v = (
                np.fromfile(file, _PLACE, count if self._placed else 0).astype(np.float64)
                for _ in range(2)
            )
        first = npix << 2 * TILE_ORDER
        a, b = np.searchsorted(numbers, (first, first + (1 << 2 * TILE_ORDER)))
        places = _PLACES.pixel[numbers[a:b] - first]
        shares = weight * valid[a:b]
        found = factor * values[a:b].astype(np.float64)
        if background is not None:
            found -= background.offset
            if self._placed:
                found -= background.slope_x * u[a:b] + background.slope_y * v[a:b]
        total[places] += shares * found
        weights[places] += shares
