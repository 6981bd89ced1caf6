"""Images' pixels, decoded once: calibrated, bad ones blank, as plain float32 for all processes.

`decode` writes them to a scratch file; `ImageCache` holds those in use in a process.
"""

from __future__ import annotations

import math
import mmap
import pickle
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from hips.calibration import Calibration, Calibrator
from hips.images import ImageSource, open_image
from hips.settings import HipsSettings
from hips.weights import feather, inverse, with_variances
from vodal.fits.calibration import bad_bits
from vodal.fits.opened import OpenImage
from vodal.pictures.levels import sky_and_noise
from vodal.resample.mapping import ImageMapping
from vodal.resample.reading import good_pixels, in_bins

__all__ = [
    "ImageCache",
    "ImageStats",
    "LoadedImage",
    "blank_bits",
    "decode",
    "drop_decoded",
    "sample_step",
]

Pixels = NDArray[np.float32]

_POPULATE_READ: Final = 22
"""``MADV_POPULATE_READ`` of Linux 5.14, which Python does not name; others refuse it."""
_SAMPLE: Final = 1 << 14
"""Pixels that stand for an image in its statistics."""


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
    weights: Pixels | None = None
    """Of each pixel, blank where it is; None if all count alike."""
    weight: float = 1.0
    """Of the whole image."""


def source_path(target: Path) -> Path:
    """Give the file beside a decoded image that says what it is."""
    return target.with_suffix(".source")


def weights_path(target: Path) -> Path:
    """Give the file beside a decoded image that holds the weights of its pixels."""
    return target.with_suffix(".weights")


def drop_decoded(target: Path) -> None:
    """Remove what `decode` wrote."""
    for path in (target, source_path(target), weights_path(target)):
        path.unlink(missing_ok=True)


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
        Which masked pixels are left out, whether the sky level is subtracted, and what pixels
        are weighted by.
    target
        The file to write; those beside it that hold the source and the weights are named after it.

    Raises
    ------
    DataError
        If its pixels cannot be read.
    """
    image = open_image(source)
    try:
        binning = calibration.binning
        shape = (-(-image.shape[0] // binning), -(-image.shape[1] // binning))
        planes = _read(image, binning, shape, settings)
    finally:
        image.close()
    pixels = planes[0]
    Calibrator(calibration, image.wcs, image.shape).apply(
        pixels, np.arange(shape[1]), np.arange(shape[0]), planes[1] if len(planes) > 1 else None
    )
    sample = _sample(pixels)
    sky, noise = sky_and_noise(sample) if sample.size else (0.0, 0.0)
    if settings.background == "median":
        pixels -= np.float32(sky)
        sample -= np.float32(sky)
    weights, weight = None, 1.0
    if len(planes) > 1:
        weights = inverse(planes[1], calibration.factor, binning)
    elif settings.weights == "variance" and noise > 0.0:
        weight = noise**-2
    elif settings.weights == "feather":
        weights = feather(pixels, settings.feather)
    pixels.tofile(target)
    if weights is not None:
        weights.tofile(weights_path(target))
    with source_path(target).open("wb") as file:
        pickle.dump((source, shape, binning, weights is not None, weight), file)
    return ImageStats(source.number, sample)


def _read(
    image: OpenImage, binning: int, shape: tuple[int, int], settings: HipsSettings
) -> list[Pixels]:
    """Read the values of an image and, where they count, the variances of these."""
    mask = image.mask()
    bits = 0 if mask is None else blank_bits(mask.header, settings)
    plane = image.weight_plane() if settings.weights == "variance" else None
    blocks: Iterable[tuple[Pixels, ...]]
    if plane is None:
        blocks = ((values,) for values in good_pixels(image, mask, bits, binning))
    else:
        blocks = in_bins(with_variances(image, *plane, good_pixels(image, mask, bits)), binning)
    planes = [np.empty(shape, np.float32) for _ in range(1 if plane is None else 2)]
    filled = 0
    for block in blocks:
        for whole, part in zip(planes, block, strict=True):
            whole[filled : filled + len(part)] = part
        filled += len(block[0])
    return planes


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
    """Decoded images, mapped from their files: processes share what the system holds of these.

    Parameters
    ----------
    limit_bytes
        Of all images held, the least recently used dropped first, and those whose files are gone
        before. An image of more than half of it is read as far as it is needed, others at once.
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
        for gone in [known for known in self._images if not known.exists()]:
            self._held -= _size(self._images.pop(gone))
        # Written by `decode` of this same run, never by a stranger.
        with source_path(path).open("rb") as file:
            source, shape, binning, weighted, weight = pickle.load(file)  # noqa: S301
        opened = open_image(source)
        opened.close()
        files = [path, weights_path(path)][: 2 if weighted else 1]
        whole = 4 * shape[0] * shape[1] * len(files) <= self._limit // 2
        planes = [_mapped(file, shape, whole=whole) for file in files]
        self._images[path] = image = LoadedImage(
            planes[0],
            ImageMapping(opened.wcs, binning),
            planes[1] if weighted else None,
            weight,
        )
        self._held += _size(image)
        while self._held > self._limit and len(self._images) > 1:
            _, dropped = self._images.popitem(last=False)
            self._held -= _size(dropped)
        return image


def _mapped(path: Path, shape: tuple[int, int], *, whole: bool) -> Pixels:
    """Map a plane, at once if it is wanted whole: page by page takes twice the time."""
    with path.open("rb") as file:
        # Nothing is written there; what can only be read would be compiled for once more.
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if whole:
        with suppress(OSError):
            memory.madvise(_POPULATE_READ)
    return np.frombuffer(memory, np.float32).reshape(shape)


def _size(image: LoadedImage) -> int:
    """Give the bytes that an image takes."""
    return image.pixels.nbytes + (0 if image.weights is None else image.weights.nbytes)
