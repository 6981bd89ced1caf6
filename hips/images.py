"""The images that go into a HiPS: what their headers say, and their pixels decoded once.

`look` reads what must be known of all images before the first tile is made; `touched_parts`
tells which tiles an image reaches; `decode` writes its pixels, calibrated and with bad ones
blank, as plain float32 to a scratch file that all processes read; `ImageCache` holds those in use.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from hips.grid import TOUCH_CELLS
from hips.names import TILE_ORDER, TILE_WIDTH, pixel_size_arcsec
from hips.settings import HipsSettings
from vodal.errors import DataError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.pixels import open_pixels, physical, read_section
from vodal.fits.planes import group_planes
from vodal.fits.wcs import (
    celestial_axes,
    icrs_to_pixel,
    load_wcs,
    pixel_scale_arcsec,
    pixel_to_icrs,
    sky_wcs,
)
from vodal.storage.base import RangeReader

__all__ = ["Calibration", "ImageCache", "ImageFacts", "ImageSource", "ImageStats", "LoadedImage",
           "decode", "look", "touched_parts"]  # fmt: skip

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]

_BLOCK_PIXELS: Final = 1 << 23
"""Pixels that are decoded at a time."""
_SAMPLE: Final = 1 << 14
"""Pixels that stand for an image in its statistics."""
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


@dataclass(frozen=True, slots=True)
class Calibration:
    """How an image's values are brought to the common scale."""

    factor: float
    """Multiplies the values."""
    binning: int
    """Image pixels along a side that are averaged first, where they are much finer than the
    tiles' pixels."""


@dataclass(frozen=True, slots=True)
class ImageStats:
    """Of a decoded image, after calibration."""

    number: int
    sample: Pixels
    """Some values, none blank."""


class _Mapping:
    """World coordinates of an image whose pixels may have been averaged."""

    def __init__(self, wcs: WCS, binning: int) -> None:
        self._wcs, self._binning = wcs, binning

    def to_icrs(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Give (ra, dec) in degrees of 0-based pixels."""
        b = self._binning
        return pixel_to_icrs(
            self._wcs, (np.asarray(x) + 0.5) * b - 0.5, (np.asarray(y) + 0.5) * b - 0.5
        )

    def to_pixel(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Give 0-based (x, y), NaN where there is none."""
        x, y = icrs_to_pixel(self._wcs, ra_deg, dec_deg)
        b = self._binning
        return (x + 0.5) / b - 0.5, (y + 0.5) / b - 0.5


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image ready to be put on tiles."""

    pixels: Pixels
    mapping: _Mapping


class _OpenImage:
    """The image plane of a source, with its coordinates."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self.index = FileIndex.from_bytes(source.index)
        self.hdu = self._hdu(source.hdus[0])
        self._reader: RangeReader | None = None
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
            self._reader = open_pixels(self.source.uri, self.index)
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
    image = _OpenImage(source)
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


def _number(header: fits.Header, keyword: str) -> float | None:
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
        value = _number(header, keyword)
        if value is not None and 5.0 < value < 50.0:
            return value
    flux = _number(header, "FLUXMAG0")
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
    image = _OpenImage(source)
    try:
        ny, nx = facts.shape
        xs = np.linspace(-0.5, nx - 0.5, math.ceil(nx / step) + 1)
        cells: set[int] = set()
        for rows in np.array_split(
            np.linspace(-0.5, ny - 0.5, math.ceil(ny / step) + 1), 1 + int(ny / step * len(xs) / 1e6)
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


def decode(
    source: ImageSource, calibration: Calibration, settings: HipsSettings, target: Path
) -> ImageStats:
    """Write an image's pixels as native float32, bad ones NaN, and what is needed to map them.

    Parameters
    ----------
    source
        The image.
    calibration
        Applied to its values.
    settings
        Which masked pixels are left out, and whether the sky level is subtracted.
    target
        The file to write; a second one with the suffix ``.source`` holds the source.

    Raises
    ------
    DataError
        If its pixels cannot be read.
    """
    image = _OpenImage(source)
    try:
        binning = calibration.binning
        shape = tuple(-(-size // binning) for size in image.shape)
        pixels = np.empty(shape, np.float32)
        mask = image.mask()
        bits = 0 if mask is None else _bad_bits(mask.header, settings)
        filled = 0
        for values in _values(image, mask if bits else None, bits, binning):
            pixels[filled : filled + len(values)] = values
            filled += len(values)
    finally:
        image.close()
    pixels *= np.float32(calibration.factor)
    sample = _sample(pixels)
    if settings.background == "median" and sample.size:
        level = np.float32(_sky_level(sample))
        pixels -= level
        sample -= level
    pixels.tofile(target)
    with target.with_suffix(".source").open("wb") as file:
        pickle.dump((source, shape, binning), file)
    return ImageStats(source.number, sample)


def _values(
    image: _OpenImage, mask: HduIndex | None, bits: int, binning: int
) -> Iterator[Pixels]:
    """Give blocks of rows, blank where masked, averaged if asked."""
    left: Pixels = np.empty((0, image.shape[1]), np.float32)
    for start, stop in image.row_blocks():
        values = image.rows(image.hdu, start, stop).astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        if mask is not None:
            flags = image.rows(mask, start, stop)
            if flags.dtype.kind in "iu":
                values[flags.astype(np.int64) & bits != 0] = np.nan
        if binning == 1:
            yield values
            continue
        values = np.concatenate([left, values])
        whole = len(values) if stop == image.shape[0] else len(values) // binning * binning
        left = values[whole:]
        if whole:
            yield _binned(values[:whole], binning)


def _binned(values: Pixels, binning: int) -> Pixels:
    """Average squares of pixels, blank ones left out; squares at the far edges may be cut."""
    ny, nx = (-(-size // binning) for size in values.shape)
    padded = np.full((ny * binning, nx * binning), np.nan, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(ny, binning, nx, binning)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Pixels = (np.where(valid, blocks, 0.0).sum(axis=(1, 3)) / count).astype(np.float32)
    return mean


def _bad_bits(header: fits.Header, settings: HipsSettings) -> int:
    """Give the bits whose pixels are left out, as a number."""
    if settings.mask_bits is not None:
        return sum(1 << bit for bit in set(settings.mask_bits) if 0 <= bit < 63)
    bits = 0
    wanted = {name.upper() for name in settings.mask_names}
    for keyword in header:
        if keyword.startswith("MP_") and keyword[3:].upper() in wanted:
            bit = _number(header, keyword)
            if bit is not None and 0 <= bit < 63:
                bits |= 1 << int(bit)
    return bits


def _sample(pixels: Pixels) -> Pixels:
    """Take values evenly from the image, the blank ones left out."""
    step = max(1, int(math.sqrt(pixels.size / _SAMPLE)))
    values = pixels[step // 2 :: step, step // 2 :: step]
    return values[np.isfinite(values)]


def _sky_level(sample: Pixels) -> float:
    """Give the median after three rounds of clipping at three sigma."""
    values = sample.astype(np.float64)
    for _ in range(3):
        middle = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - middle))
        kept = values[np.abs(values - middle) <= 3.0 * spread]
        if spread == 0.0 or kept.size == values.size:
            break
        values = kept
    return float(np.median(values))


class ImageCache:
    """Decoded images, the least recently used dropped first.

    Parameters
    ----------
    limit_bytes
        Of all images held; an image of more than half of it is mapped from its file instead.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._held = limit_bytes, 0
        self._images: OrderedDict[Path, LoadedImage] = OrderedDict()

    def get(self, path: Path) -> LoadedImage:
        """Give the image that `decode` wrote to ``path``."""
        image = self._images.get(path)
        if image is not None:
            self._images.move_to_end(path)
            return image
        # Written by `decode` of this same run, never by a stranger.
        with path.with_suffix(".source").open("rb") as file:
            source, shape, binning = pickle.load(file)  # noqa: S301
        opened = _OpenImage(source)
        opened.close()
        if 4 * shape[0] * shape[1] > self._limit // 2:
            pixels: Pixels = np.memmap(path, np.float32, "r", shape=shape)
        else:
            pixels = np.fromfile(path, np.float32).reshape(shape)
            self._held += pixels.nbytes
        self._images[path] = image = LoadedImage(pixels, _Mapping(opened.wcs, binning))
        while self._held > self._limit and len(self._images) > 1:
            _, dropped = self._images.popitem(last=False)
            if not isinstance(dropped.pixels, np.memmap):
                self._held -= dropped.pixels.nbytes
        return image
