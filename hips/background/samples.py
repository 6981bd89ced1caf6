"""An image's sky in coarse cells: robust means of squares of pixels, where it overlaps others.

The cells are HEALPix cells that all images of a HiPS have in common, so that two images are
compared cell by cell. A star that is in the cell is there in both images.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from numpy.typing import NDArray

from hips.calibration import Calibration, Calibrator
from hips.decode import blank_bits
from hips.frames import from_icrs, to_icrs
from hips.images import ImageFacts, ImageSource, open_image
from hips.names import TILE_ORDER, pixel_size_arcsec
from hips.settings import HipsSettings
from vodal.fits.opened import OpenImage
from vodal.fits.wcs import pixel_to_icrs
from vodal.resample.grid import TOUCH_CELLS
from vodal.resample.mapping import ImageMapping
from vodal.resample.reading import good_pixels

__all__ = ["SAMPLE", "SampleJob", "choose_depth", "take_samples"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Pixels = NDArray[np.float32]

SAMPLE: Final = np.dtype([("cell", "<i8"), ("value", "<f8"), ("u", "<f4"), ("v", "<f4")])
"""A cell's number (NESTED, of the frame of the HiPS), the image's value there, and the place on the
image: -1 to 1 from edge to edge along x and y."""

_ACROSS: Final = 64
"""Cells along the shorter side of the median image, at most."""
_LEAST_PIXELS: Final = 4.0
"""Along a cell's side."""
_ALONG: Final = 15
"""Pixels along a cell's side that are looked at, at most."""
_AT_ONCE: Final = 1024
_MAX_DEPTH: Final = 29


@dataclass(frozen=True, slots=True)
class SampleJob:
    """An image to be looked at."""

    source: ImageSource
    scale_arcsec: float
    """Side of its pixels."""
    calibration: Calibration
    depth: int
    """Order of the cells."""
    order: int
    """Of the tiles."""
    shared: Sequence[tuple[int, int]]
    """Tiles and parts of these (bits) outside of which it is not looked at."""
    target: Path
    """The file to write: an array of `SAMPLE`, rising by cell."""


def choose_depth(facts: Iterable[ImageFacts]) -> int:
    """Give the order of the cells in which images are compared."""
    known = list(facts)
    pixel = statistics.median(fact.scale_arcsec for fact in known)
    side = statistics.median(fact.scale_arcsec * min(fact.shape) for fact in known)
    wanted = max(_LEAST_PIXELS * pixel, side / _ACROSS)
    depth = 0
    while depth < _MAX_DEPTH and _side_arcsec(depth + 1) >= wanted:
        depth += 1
    return depth


def _side_arcsec(depth: int) -> float:
    return pixel_size_arcsec(depth - TILE_ORDER)


def take_samples(job: SampleJob, settings: HipsSettings) -> float | None:
    """Write what an image has in the cells; gives its sky level, None if it has no cell.

    A cell counts if the square of pixels in its middle, as large as the cell, is wholly on the
    image and half of it has values. Its value is the mean of those between the quartiles: a star
    that covers less than a quarter hardly changes it, and it is steady where values are whole
    numbers.

    Raises
    ------
    DataError
        If the image's pixels cannot be read.
    """
    image = open_image(job.source)
    try:
        half = max(1, round(_side_arcsec(job.depth) / job.scale_arcsec / 2.0))
        cells, x, y = _places(image, job, settings, half)
        values = _values(image, job.calibration, settings, (x, y), half)
    finally:
        image.close()
    ny, nx = image.shape
    known = np.isfinite(values)
    found = np.empty(int(known.sum()), SAMPLE)
    found["cell"], found["value"] = cells[known], values[known]
    found["u"], found["v"] = (2 * x[known] + 1) / nx - 1, (2 * y[known] + 1) / ny - 1
    found.sort(order="cell")
    with job.target.open("wb") as file:
        np.save(file, found)
    return float(np.median(found["value"])) if found.size else None


def _places(
    image: OpenImage, job: SampleJob, settings: HipsSettings, half: int
) -> tuple[Integers, Integers, Integers]:
    """Give the cells to look at and the pixels in their middles, by rising y."""
    ny, nx = image.shape
    step = max(0.5, 0.4 * _side_arcsec(job.depth) / job.scale_arcsec)
    xs, ys = (np.linspace(-0.5, size - 0.5, math.ceil(size / step) + 1) for size in (nx, ny))
    ra, dec = (sky.ravel() for sky in pixel_to_icrs(image.wcs, *np.meshgrid(xs, ys)))
    good = np.isfinite(ra) & np.isfinite(dec)
    lon, lat = from_icrs(settings.frame, ra[good], dec[good])
    cells = np.unique(
        healpix.lonlat_to_healpix(Longitude(lon, "deg"), Latitude(lat, "deg"), job.depth)
    )
    cells = cells[_in_parts(cells.astype(np.int64), job)]
    lon, lat = healpix.healpix_to_lonlat(cells, job.depth)
    sky = to_icrs(settings.frame, np.asarray(lon.deg), np.asarray(lat.deg))
    x, y = ImageMapping(image.wcs).to_pixel(*sky)
    with np.errstate(invalid="ignore"):
        inside = (x >= half) & (y >= half) & (x <= nx - 1 - half) & (y <= ny - 1 - half)
    found = cells[inside].astype(np.int64), np.rint(x[inside]), np.rint(y[inside])
    order = np.argsort(found[2], kind="stable")
    return found[0][order], found[1][order].astype(np.int64), found[2][order].astype(np.int64)


def _in_parts(cells: Integers, job: SampleJob) -> NDArray[np.bool_]:
    """Tell which cells lie in the parts of tiles that are looked at."""
    bits = TOUCH_CELLS * TOUCH_CELLS
    finer = 2 * (job.depth - job.order) - (bits.bit_length() - 1)
    if finer < 0:
        return np.ones(cells.shape, np.bool_)
    parts = cells >> finer
    inner = parts & (bits - 1)
    a, b = (inner & 1) | (inner >> 1 & 2), (inner >> 1 & 1) | (inner >> 2 & 2)
    tiles, known = (np.array(column, np.int64) for column in zip(*job.shared, strict=True))
    order = np.argsort(tiles)
    place = np.minimum(np.searchsorted(tiles, parts // bits, sorter=order), tiles.size - 1)
    found: NDArray[np.bool_] = (tiles[order][place] == parts // bits) & (
        known[order][place] >> (a * TOUCH_CELLS + b) & 1 > 0
    )
    return found


def _values(
    image: OpenImage, calibration: Calibration, settings: HipsSettings,
    places: tuple[Integers, Integers], half: int,
) -> Floats:  # fmt: skip
    """Read the image from the first to the last row that is needed, and keep few rows at a time."""
    x, y = places
    values = np.full(x.size, np.nan)
    if not x.size:
        return values
    x0, x1 = int(x.min()) - half, int(x.max()) + half + 1
    first, last = int(y[0]) - half, int(y[-1]) + half + 1
    plain = replace(calibration, binning=1, background=None)
    calibrator = Calibrator(plain, image.wcs, image.shape)
    mask = image.mask()
    bits = 0 if mask is None else blank_bits(mask.header, settings)
    reach = np.unique(np.rint(np.linspace(-half, half, min(2 * half + 1, _ALONG))).astype(np.int64))
    held, done, columns = np.empty((0, x1 - x0), np.float32), 0, np.arange(x0, x1)
    for block in good_pixels(image, mask, bits, 1, (x0, x1, first, last)):
        begin = first + len(held)
        calibrator.apply(block, columns, np.arange(begin, begin + len(block)))
        held = np.concatenate([held, block])
        ready = int(np.searchsorted(y, first + len(held) - half))
        for start in range(done, ready, _AT_ONCE):
            part = slice(start, min(ready, start + _AT_ONCE))
            rows = (y[part] - first)[:, None, None] + reach[:, None]
            across = (x[part] - x0)[:, None, None] + reach
            values[part] = _midmeans(held[rows, across].reshape(part.stop - part.start, -1))
        done = ready
        unused = (int(y[done]) - half if done < y.size else last) - first
        held, first = held[max(0, unused) :], first + max(0, unused)
    return values


def _midmeans(stack: Pixels) -> Floats:
    """Give the mean between the quartiles of each row; NaN if less than half of it has values."""
    ordered = np.sort(stack.astype(np.float64), axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    sums = np.concatenate(
        [np.zeros((len(ordered), 1)), np.cumsum(np.nan_to_num(ordered), axis=1)], axis=1
    )
    low = count // 4
    high = np.maximum(count - low, low + 1)
    which = np.arange(len(ordered))
    with np.errstate(invalid="ignore"):
        means = (sums[which, np.minimum(high, stack.shape[1])] - sums[which, low]) / (high - low)
    found: Floats = np.where(2 * count >= stack.shape[1], means, np.nan)
    return found
