"""Images' pixels, decoded once: calibrated, bad ones blank, as plain float32 for all processes.

`decode` writes them to a scratch file; `ImageCache` holds those in use in a process.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from hips.images import ImageSource, open_image
from hips.settings import HipsSettings
from vodal.fits.calibration import bad_bits
from vodal.pictures.levels import sky_and_noise
from vodal.resample.mapping import ImageMapping
from vodal.resample.reading import good_pixels

__all__ = [
    "Calibration",
    "ImageCache",
    "ImageStats",
    "LoadedImage",
    "blank_bits",
    "decode",
    "sample_step",
    "source_path",
]

Pixels = NDArray[np.float32]

_SAMPLE: Final = 1 << 14
"""Pixels that stand for an image in its statistics."""


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


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image ready to be put on tiles."""

    pixels: Pixels
    mapping: ImageMapping


def source_path(target: Path) -> Path:
    """Give the file beside a decoded image that says what it is."""
    return target.with_suffix(".source")


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
        The file to write; `source_path` names the one that holds the source.

    Raises
    ------
    DataError
        If its pixels cannot be read.
    """
    image = open_image(source)
    try:
        binning = calibration.binning
        shape = tuple(-(-size // binning) for size in image.shape)
        pixels = np.empty(shape, np.float32)
        mask = image.mask()
        bits = 0 if mask is None else blank_bits(mask.header, settings)
        filled = 0
        for values in good_pixels(image, mask, bits, binning):
            pixels[filled : filled + len(values)] = values
            filled += len(values)
    finally:
        image.close()
    pixels *= np.float32(calibration.factor)
    sample = _sample(pixels)
    if settings.background == "median" and sample.size:
        level = np.float32(sky_and_noise(sample)[0])
        pixels -= level
        sample -= level
    pixels.tofile(target)
    with source_path(target).open("wb") as file:
        pickle.dump((source, shape, binning), file)
    return ImageStats(source.number, sample)


def blank_bits(header: fits.Header, settings: HipsSettings) -> int:
    """Give the bits whose pixels are left out, as a number."""
    if settings.mask_bits is not None:
        return sum(1 << bit for bit in set(settings.mask_bits) if 0 <= bit < 63)
    return bad_bits(header, settings.mask_names)


def sample_step(size: int) -> int:
    """Give which rows and columns of an image of so many pixels stand for it: one of so many."""
    return max(1, int(math.sqrt(size / _SAMPLE)))


def _sample(pixels: Pixels) -> Pixels:
    """Take values evenly from the image, the blank ones left out."""
    step = sample_step(pixels.size)
    values = pixels[step // 2 :: step, step // 2 :: step]
    return values[np.isfinite(values)]


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
        with source_path(path).open("rb") as file:
            source, shape, binning = pickle.load(file)  # noqa: S301
        opened = open_image(source)
        opened.close()
        if 4 * shape[0] * shape[1] > self._limit // 2:
            pixels: Pixels = np.memmap(path, np.float32, "r", shape=shape)
        else:
            pixels = np.fromfile(path, np.float32).reshape(shape)
            self._held += pixels.nbytes
        self._images[path] = image = LoadedImage(pixels, ImageMapping(opened.wcs, binning))
        while self._held > self._limit and len(self._images) > 1:
            _, dropped = self._images.popitem(last=False)
            if not isinstance(dropped.pixels, np.memmap):
                self._held -= dropped.pixels.nbytes
        return image
