"""The images that go into a HiPS: what their headers say and which tiles they reach."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from numpy.typing import NDArray

from hips.names import TILE_WIDTH, pixel_size_arcsec
from hips.settings import HipsSettings
from vodal.errors import DataError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.opening import open_pixels
from vodal.fits.pixels import physical, read_section
from vodal.fits.planes import group_planes
from vodal.fits.wcs import (
    celestial_axes,
    load_wcs,
    pixel_scale_arcsec,
    pixel_to_icrs,
    sky_wcs,
)
from vodal.resample.grid import TOUCH_CELLS
from vodal.storage.base import RangeReader

__all__ = ["ImageFacts", "ImageSource", "OpenImage", "header_number", "look", "touched_parts"]

_BLOCK_PIXELS: Final = 1 << 23
"""Pixels that are read at a time."""
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


class OpenImage:
    """The image plane of a source, with its coordinates.

    Raises
    ------
    DataError
        If it cannot be put on the sky.
    """

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self.index = FileIndex.from_bytes(source.index)
        self.hdu = self._hdu(source.hdus[0])
        self._reader: RangeReader | None = None
        try:
            self._place()
        except BaseException:
            self.close()
            raise

    def _place(self) -> None:
        """Find the image's axes and coordinates."""
        try:
            full = load_wcs(self.hdu, self.index)
        except DataError:
            # Distortions in other HDUs need the file; other faults come up again.
            full = load_wcs(self.hdu, self.index, self.reader)
        first, second = celestial_axes(full)
        axes = len(self.hdu.shape)
        self.y_axis, self.x_axis = axes - 1 - second, axes - 1 - first
        planes = [n for k, n in enumerate(self.hdu.shape) if k not in {self.x_axis, self.y_axis}]
        if any(n != 1 for n in planes):
            raise DataError("it is a cube; only images with two axes become HiPS")
        self.wcs = sky_wcs(full)
        self.shape = self.hdu.shape[self.y_axis], self.hdu.shape[self.x_axis]
        if 0 in self.shape:
            raise DataError("it has no pixels")

    def _hdu(self, number: int) -> HduIndex:
        for hdu in self.index.hdus:
            if hdu.number == number:
                return hdu
        raise DataError(f"the file has no HDU {number}")

    @property
    def reader(self) -> RangeReader:
        """The file; opened when first asked for."""
        if self._reader is None:
            self._reader = open_pixels(self.source.uri, self.index, self.source.hdus)
        return self._reader

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.__exit__(None, None, None)

    def mask(self) -> HduIndex | None:
        """Give the mask plane, if there is one of the image's shape."""
        roles = {n: role for group in group_planes(self.index) for n, role in group.roles.items()}
        for number in self.source.hdus[1:]:
            hdu = self._hdu(number)
            flags = roles.get(number) in {"mask", "quality"} or _names_bits(hdu.header)
            if flags and hdu.shape == self.hdu.shape and hdu.bitpix > 0:
                return hdu
        return None

    def rows(self, hdu: HduIndex, start: int, stop: int) -> NDArray[Any]:
        """Read full rows of a plane, in physical values, as (row, column)."""
        section = [slice(0, 1)] * len(hdu.shape)
        section[self.y_axis], section[self.x_axis] = slice(start, stop), slice(None)
        values = physical(read_section(self.reader, hdu, tuple(section)), hdu.image_header)
        return values.reshape(stop - start, self.shape[1])

    def row_blocks(self) -> Iterator[tuple[int, int]]:
        """Give blocks of rows that do not cut the tiles of a compressed image."""
        size = max(1, _BLOCK_PIXELS // self.shape[1])
        if self.hdu.tiles is not None:
            tile = self.hdu.tiles.tile_shape[self.y_axis]
            size = max(tile, size // tile * tile)
        for start in range(0, self.shape[0], size):
            yield start, min(self.shape[0], start + size)


def _names_bits(header: fits.Header) -> bool:
    return any(keyword.startswith("MP_") for keyword in header)


def look(source: ImageSource, settings: HipsSettings) -> ImageFacts:
    """Read the headers of an image.

    Raises
    ------
    DataError
        If it cannot be put on the sky.
    """
    image = OpenImage(source)
    try:
        ny, nx = image.shape
        scale = pixel_scale_arcsec(image.wcs, (nx - 1) / 2.0, (ny - 1) / 2.0)
        if not (math.isfinite(scale) and scale > 0.0):
            scale = pixel_scale_arcsec(image.wcs)
        if not (math.isfinite(scale) and 0.0 < scale < 3600.0 * 90.0):
            raise DataError("the size of its pixels cannot be told")
        header = image.hdu.image_header
        zero_point = _zero_point(header, settings)
        if zero_point is None and image.index.hdus[0].number != image.hdu.number:
            zero_point = _zero_point(image.index.hdus[0].header, settings)
        unit = header.get("BUNIT")
        return ImageFacts(
            source.number,
            image.shape,
            scale,
            zero_point,
            unit.strip() if isinstance(unit, str) else "",
            source.exposure_s,
        )
    finally:
        image.close()


def header_number(header: fits.Header, keyword: str) -> float | None:
    """Give a finite number of a header, None if there is none."""
    try:
        value = header.get(keyword)
    except (fits.VerifyError, ValueError):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _zero_point(header: fits.Header, settings: HipsSettings) -> float | None:
    """Give the magnitude of one unit, if the header tells a sensible one."""
    for keyword in settings.zero_point_keywords:
        value = header_number(header, keyword)
        if value is not None and 5.0 < value < 50.0:
            return value
    flux = header_number(header, "FLUXMAG0")
    if flux is not None and 1e2 < flux < 1e20:
        return 2.5 * math.log10(flux)
    return None


def touched_parts(source: ImageSource, facts: ImageFacts, order: int) -> dict[int, int]:
    """Find the tiles that an image reaches, and which parts of them.

    The image is sampled finely enough that each part it reaches has a sample in it or in one of
    its neighbours. That holds for every projection and every shape, across poles and seams.

    Returns
    -------
    dict
        By tile number, one bit for each part; bit ``a * TOUCH_CELLS + b`` is part a along x and
        b along y. A little too many rather than too few.
    """
    depth = order + int(math.log2(TOUCH_CELLS))
    cell_arcsec = pixel_size_arcsec(order) * TILE_WIDTH / TOUCH_CELLS
    step = max(0.5, 0.4 * cell_arcsec / facts.scale_arcsec)
    image = OpenImage(source)
    try:
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
                found = healpix.lonlat_to_healpix(
                    Longitude(ra[good], "deg"), Latitude(dec[good], "deg"), depth
                )
                cells.update(np.unique(found).tolist())
    finally:
        image.close()
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
