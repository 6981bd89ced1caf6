"""What a worker keeps of images: coordinates, what headers say, and the tiles they reach."""

from __future__ import annotations

import mmap
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.calibration import Calibration, Calibrator
from hips.decode import LoadedImage, blank_bits, sample_step
from hips.images import facts_of, parts_of
from hips.live.images import LiveImage
from hips.settings import HipsSettings
from hips.weights import feather_within, inverse, with_variances
from vodal.fits.opened import OpenImage
from vodal.pictures.levels import sky_and_noise
from vodal.resample.mapping import ImageMapping
from vodal.resample.reading import good_pixels, in_bins

__all__ = ["Seen", "see"]

Pixels = NDArray[np.float32]

_MOST: Final = 512
_STRIP: Final = 64
_WHOLE_BYTES: Final = 1 << 30
"""Up to this size an image has memory of its own size, of which only what is read is used."""

_seen: OrderedDict[tuple[int, str], Seen] = OrderedDict()


def see(image: LiveImage, settings: HipsSettings) -> Seen:
    """Look at an image, or remember it.

    Raises
    ------
    DataError
        If it cannot be put on the sky.
    """
    key = image.number, settings.model_dump_json(exclude={"live"})
    found = _seen.get(key)
    if found is None:
        found = _seen[key] = Seen(image, settings)
        if len(_seen) > _MOST:
            _seen.popitem(last=False)
    _seen.move_to_end(key)
    return found


class Seen:
    """An image.

    Parameters
    ----------
    image
        The image.
    settings
        What counts: zero points, masked pixels, weights.

    Raises
    ------
    DataError
        If it cannot be put on the sky.
    """

    def __init__(self, image: LiveImage, settings: HipsSettings) -> None:
        self.image = OpenImage(image.uri, image.index, image.hdus, storage=image.storage)
        """Closed by whoever has read it."""
        self.facts = facts_of(self.image, 0, image.exposure_s, settings)
        self._settings = settings
        self._mask = self.image.mask()
        self._bits = 0 if self._mask is None else blank_bits(self._mask.header, settings)
        self._plane = self.image.weight_plane() if settings.weights == "variance" else None
        self._parts: dict[int, dict[int, int]] = {}
        self._levels: dict[Calibration, tuple[float, float]] = {}
        self._mappings: dict[int, ImageMapping] = {}
        self._calibrators: dict[Calibration, Calibrator] = {}
        self._bounds: dict[int, tuple[int, int, int, int]] = {}

    def parts(self, order: int) -> dict[int, int]:
        """Give the tiles of the frame that it reaches, and which parts (`hips.images.parts_of`)."""
        if order not in self._parts:
            self._parts[order] = parts_of(self.image, self.facts, order, self._settings.frame)
        return self._parts[order]

    def mapping(self, binning: int) -> ImageMapping:
        """Give its coordinates, of pixels that are averaged."""
        if binning not in self._mappings:
            self._mappings[binning] = ImageMapping(self.image.wcs, binning)
        return self._mappings[binning]

    def calibrator(self, calibration: Calibration) -> Calibrator:
        """Give what brings its pixels to the common scale."""
        if calibration not in self._calibrators:
            self._calibrators[calibration] = Calibrator(
                calibration, self.image.wcs, self.image.shape
            )
        return self._calibrators[calibration]

    def planes(
        self, binning: int = 1, box: tuple[int, int, int, int] | None = None
    ) -> Iterator[tuple[Pixels, ...]]:
        """Read values, bad ones blank, and where they count variances, in blocks of rows.

        Parameters
        ----------
        binning
            Pixels along a side that are averaged.
        box
            (x0, x1, y0, y1) in averaged pixels, half open; by default all.
        """
        if self._plane is None:
            for values in good_pixels(self.image, self._mask, self._bits, binning, box):
                yield (values,)
            return
        ny, nx = self.image.shape
        x0, x1, y0, y1 = box or (0, nx, 0, ny)
        stored = x0 * binning, min(nx, x1 * binning), y0 * binning, min(ny, y1 * binning)
        blocks = good_pixels(self.image, self._mask, self._bits, 1, stored)
        pairs = with_variances(self.image, *self._plane, blocks, (stored[0], stored[2]))
        yield from in_bins(pairs, binning)

    def load(
        self, calibration: Calibration, box: tuple[int, int, int, int]
    ) -> tuple[LoadedImage, tuple[int, int]]:
        """Read a part of the image as `hips.decode.decode` and its cache give the whole.

        Parameters
        ----------
        calibration
            Of its values.
        box
            (x0, x1, y0, y1) in averaged pixels, half open.

        Returns
        -------
        image
            The whole, of which only the part may be looked at; of a large image the part.
        corner
            The x and y of its first pixel.
        """
        b, settings = calibration.binning, self._settings
        x0, x1, y0, y1 = box
        shape = -(-self.image.shape[0] // b), -(-self.image.shape[1] // b)
        # Places on the whole are those of the generator to the last bit.
        whole = 4 * shape[0] * shape[1] <= _WHOLE_BYTES
        corner = (0, 0) if whole else (x0, y0)
        place = slice(y0 - corner[1], y1 - corner[1]), slice(x0 - corner[0], x1 - corner[0])

        def room() -> Pixels:
            return _untouched(*shape) if whole else np.empty((y1 - y0, x1 - x0), np.float32)

        planes = [room() for _ in range(1 if self._plane is None else 2)]
        filled = place[0].start
        for block in self.planes(b, box):
            for plane, part in zip(planes, block, strict=True):
                plane[filled : filled + len(part), place[1]] = part
            filled += len(block[0])
        pixels = planes[0][place]
        self.calibrator(calibration).apply(
            pixels, np.arange(x0, x1), np.arange(y0, y1),
            None if self._plane is None else planes[1][place],
        )  # fmt: skip
        if settings.background == "median":
            pixels -= np.float32(self.level(calibration)[0])
        weights, weight = None, 1.0
        if self._plane is not None:
            weights = planes[1]
            weights[place] = inverse(weights[place], calibration.factor, b)
        elif settings.weights == "variance":
            weight = self.noise_weight(calibration)
        elif settings.weights == "feather":
            weights = room()
            bounds = self._bounds_of(b, shape)
            weights[place] = feather_within(pixels, bounds, settings.feather, (x0, y0))
        return LoadedImage(planes[0], self.mapping(b), weights, weight), corner

    def noise_weight(self, calibration: Calibration) -> float:
        """Give the weight of the image by the noise of its pixels; 1 if there is none."""
        noise = self.level(calibration)[1]
        return noise**-2 if noise > 0.0 else 1.0

    def level(self, calibration: Calibration) -> tuple[float, float]:
        """Give the image's own sky and noise, calibrated."""
        if calibration not in self._levels:
            sample = self.sample(calibration)
            self._levels[calibration] = sky_and_noise(sample) if sample.size else (0.0, 0.0)
        return self._levels[calibration]

    def sample(self, calibration: Calibration) -> Pixels:
        """Give the values that stand for the image, as of `hips.decode.ImageStats`."""
        b = calibration.binning
        ny, nx = (-(-size // b) for size in self.image.shape)
        step = sample_step(ny * nx)
        rows = range(step // 2, ny, step)
        columns = slice(step // 2, None, step)
        parts, at = [], 0
        if self.image.rows_at_once(1, nx) > 1 or not self.image.uri.startswith("file:"):
            # Rows of tiles that are packed together, and far files, are read once.
            for values, *_ in self.planes(b, (0, nx, 0, ny)):
                wanted = [row - at for row in rows if at <= row < at + len(values)]
                parts.append(values[wanted, columns])
                at += len(values)
        else:
            for row in rows:
                parts += [block[0][:, columns] for block in self.planes(b, (0, nx, row, row + 1))]
        sample = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
        self.calibrator(calibration).apply(sample, np.arange(nx)[columns], np.asarray(rows))
        return sample[np.isfinite(sample)]

    def _bounds_of(self, b: int, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Give (x0, x1, y0, y1) of the rectangle that holds all values, half open."""
        if b not in self._bounds:
            ny, nx = shape
            y0, y1 = self._first(b, ny, lambda a, z: (0, nx, a, z), 1)
            x0, x1 = self._first(b, nx, lambda a, z: (a, z, 0, ny), 0)
            self._bounds[b] = x0, x1, y0, y1
        return self._bounds[b]

    def _first(
        self, b: int, size: int, box: Callable[[int, int], tuple[int, int, int, int]], axis: int
    ) -> tuple[int, int]:
        """Give the first place along an axis that has a value, and the one after the last."""
        found = []
        for backwards in (False, True):
            at = 0
            while at < size:
                end = min(size, at + _STRIP)
                strip = (size - end, size - at) if backwards else (at, end)
                values = np.concatenate([block[0] for block in self.planes(b, box(*strip))])
                there = np.flatnonzero(np.isfinite(values).any(axis=axis))
                if there.size:
                    found.append(strip[0] + int(there[-1] + 1 if backwards else there[0]))
                    break
                at = end
        return (found[0], found[1]) if len(found) == 2 else (0, size)


def _untouched(ny: int, nx: int) -> Pixels:
    """Give an array that takes no memory before it is filled, and then by small pages."""
    memory = mmap.mmap(-1, max(1, 4 * ny * nx), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32, ny * nx).reshape(ny, nx)
