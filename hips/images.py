"""The images that go into a HiPS: what their headers say and which tiles they reach."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from numpy.typing import NDArray

from hips.frames import Frame, from_icrs
from hips.names import TILE_WIDTH, pixel_size_arcsec
from hips.settings import HipsSettings
from vodal.errors import DataError
from vodal.fits.calibration import unit_of, zero_point_mag
from vodal.fits.index import FileIndex
from vodal.fits.opened import OpenImage
from vodal.fits.wcs import (
    pixel_scale_arcsec,
    pixel_to_icrs,
)
from vodal.resample.grid import TOUCH_CELLS

__all__ = [
    "ImageFacts", "ImageSource", "Planes", "facts_of", "look", "open_image", "parts_of",
    "touched_parts",
]  # fmt: skip

Planes = tuple[tuple[int, ...], ...]
"""Of a cube, which planes, as `vodal.fits.opened.OpenImage` takes them."""

_BITS: Final = TOUCH_CELLS * TOUCH_CELLS


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image and where it lies."""

    number: int
    """Among the images of one HiPS."""
    did: str
    uri: str
    index: bytes
    """A packed `vodal.fits.index.FileIndex`."""
    hdus: tuple[int, ...]
    """Image plane first."""
    exposure_s: float | None
    t_min_mjd: float | None = None
    """When the observation began."""
    version: str = ""
    """Of the file."""
    planes: Planes = ()
    """Of a cube, those that go in."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the headers of an image say."""

    number: int
    shape: tuple[int, int]
    """Rows first."""
    scale_arcsec: float
    """Side of a pixel at the image's centre."""
    zero_point_mag: float | None
    unit: str
    exposure_s: float | None


def open_image(source: ImageSource) -> OpenImage:
    """Open the image plane of a source; who asks for it closes it.

    A thread that asks again soon gets the same one: finding out its coordinates takes as long as
    a tile.

    Raises
    ------
    DataError
        If it cannot be put on the sky.
    """
    opened = _opened_plane if source.planes else _opened
    return opened(source, threading.get_ident())


def _open(source: ImageSource, _thread: int) -> OpenImage:
    # One for each thread, as wcslib's coordinates are not to be shared.
    index = FileIndex.from_bytes(source.index)
    return OpenImage(source.uri, index, source.hdus, planes=source.planes)


_opened = lru_cache(maxsize=128)(_open)
_opened_plane = lru_cache(maxsize=8)(_open)
"""Fewer: each holds the index of all planes of its cube."""


def look(source: ImageSource, settings: HipsSettings) -> ImageFacts:
    """Read the headers of an image.

    Raises
    ------
    DataError
        If it cannot be put on the sky.
    """
    image = open_image(source)
    try:
        return facts_of(image, source.number, source.exposure_s, settings)
    finally:
        image.close()


def facts_of(
    image: OpenImage, number: int, exposure_s: float | None, settings: HipsSettings
) -> ImageFacts:
    """Tell what the headers of an image say; see `look`."""
    ny, nx = image.shape
    scale = pixel_scale_arcsec(image.wcs, (nx - 1) / 2.0, (ny - 1) / 2.0)
    if not (math.isfinite(scale) and scale > 0.0):
        scale = pixel_scale_arcsec(image.wcs)
    if not (math.isfinite(scale) and 0.0 < scale < 3600.0 * 90.0):
        raise DataError("the size of its pixels cannot be told")
    return ImageFacts(
        number,
        image.shape,
        scale,
        zero_point_mag(image.headers, settings.zero_point_keywords),
        unit_of(image.hdu.image_header),
        exposure_s,
    )


def touched_parts(
    source: ImageSource, facts: ImageFacts, order: int, frame: Frame = "equatorial"
) -> dict[int, int]:
    """Find the tiles that an image reaches, and which parts of them.

    The image is sampled finely enough that each part it reaches has a sample in it or in one of
    its neighbours. That holds for every projection and every shape, across poles and seams.

    Returns
    -------
    dict
        By tile number, one bit for each part; bit ``a * TOUCH_CELLS + b`` is part a along x and
        b along y. A little too many rather than too few.
    """
    image = open_image(source)
    try:
        return parts_of(image, facts, order, frame)
    finally:
        image.close()


def parts_of(
    image: OpenImage, facts: ImageFacts, order: int, frame: Frame = "equatorial"
) -> dict[int, int]:
    """Find the tiles that an image reaches; see `touched_parts`."""
    depth = order + int(math.log2(TOUCH_CELLS))
    cell_arcsec = pixel_size_arcsec(order) * TILE_WIDTH / TOUCH_CELLS
    step = max(0.5, 0.4 * cell_arcsec / facts.scale_arcsec)
    ny, nx = facts.shape
    xs = np.linspace(-0.5, nx - 0.5, math.ceil(nx / step) + 1)
    cells: set[int] = set()
    for rows in np.array_split(
        np.linspace(-0.5, ny - 0.5, math.ceil(ny / step) + 1),
        1 + int(ny / step * len(xs) / 1e6),
    ):
        ra, dec = pixel_to_icrs(image.wcs, *np.meshgrid(xs, rows))
        good = np.isfinite(ra) & np.isfinite(dec)
        if good.any():
            lon, lat = from_icrs(frame, ra[good], dec[good])
            found = healpix.lonlat_to_healpix(Longitude(lon, "deg"), Latitude(lat, "deg"), depth)
            cells.update(np.unique(found).tolist())
    return _with_neighbours(np.fromiter(cells, np.uint64, len(cells)), depth)


def _with_neighbours(cells: NDArray[np.uint64], depth: int) -> dict[int, int]:
    if not cells.size:
        return {}
    around = healpix.neighbours(cells, depth).ravel()
    found = np.unique(around[around >= 0]).astype(np.int64)
    inner = found & (_BITS - 1)
    a = (inner & 1) | (inner >> 1 & 2)
    b = (inner >> 1 & 1) | (inner >> 2 & 2)
    parts: dict[int, int] = {}
    for tile, bit in zip((found // _BITS).tolist(), (a * TOUCH_CELLS + b).tolist(), strict=True):
        parts[tile] = parts.get(tile, 0) | 1 << bit
    return parts
