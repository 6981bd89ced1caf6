"""What becomes of a tile's pixels where images overlap: mean, median, or the first image's value.

A pixel's value is taken from the images that give a sample there (`vodal.resample.canvas` says
when one does), and blank where none does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hips.decode import LoadedImage
from vodal.resample.block import Layout, Sampling
from vodal.resample.canvas import Canvas
from vodal.resample.grid import PixelGrid
from vodal.resample.medians import median_of

__all__ = ["Coadd", "Combination", "coadd_of"]

Combination = Literal["mean", "median", "first"]

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]

_HELD: Final = 64
"""Images of one tile whose samples are held in memory for the median; those of more are put on
disk."""
_ROWS: Final = 32
"""Rows of which a median is taken at a time."""


class Coadd(Protocol):
    """A block in the making."""

    def add(self, image: LoadedImage, grid: PixelGrid, weight: float) -> None:
        """Add an image.

        Parameters
        ----------
        image
            With its pixels' own weights, if they have any.
        grid
            Where the block's pixels lie on it.
        weight
            Of the image among the others; more than 0.
        """
        ...

    def finish(self) -> Pixels | None:
        """Give the block, None if all of it is blank."""
        ...


def coadd_of(
    combination: Combination, layout: Layout, sampling: Sampling, scratch: Path | None = None
) -> Coadd:
    """Start a block.

    Parameters
    ----------
    combination
        ``mean`` is weighted; ``median`` is not; ``first`` is the value of the image that is added
        first.
    layout
        Of the block.
    sampling
        How images are sampled.
    scratch
        Folder for the samples of medians of many images; by default the system's.
    """
    match combination:
        case "mean":
            return _Mean(layout, sampling)
        case "median":
            return _Median(layout, sampling, scratch)
        case "first":
            return _First(layout, sampling)


class _Mean(Coadd):
    def __init__(self, layout: Layout, sampling: Sampling) -> None:
        self._layout, self._sampling = layout, sampling
        self._canvas = Canvas(layout, sampling)
        self._totals: Floats | None = None
        self._weights: Floats = np.empty(0)
        """Of images whose pixels have weights of their own."""

    @override
    def add(self, image: LoadedImage, grid: PixelGrid, weight: float) -> None:
        if image.weights is None:
            self._canvas.add(image.pixels, grid, weight * image.weight)
            return
        values, counts = Canvas(self._layout, self._sampling), Canvas(self._layout)
        values.add(image.pixels, grid)
        # Blank where the image is, so that the shares are the same; never negative, as Lanczos
        # might make it.
        counts.add(image.weights, grid)
        own = counts.finish()
        if own is None:
            return
        if self._totals is None:
            self._totals = np.zeros_like(values.totals)
            self._weights = np.zeros_like(values.totals)
        factor = weight * image.weight * np.nan_to_num(own.astype(np.float64), nan=0.0)
        self._totals += factor * values.totals
        self._weights += factor * values.weights

    @override
    def finish(self) -> Pixels | None:
        if self._totals is None:
            return self._canvas.finish()
        weights = self._weights + self._canvas.weights
        if not weights.any():
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Pixels = ((self._totals + self._canvas.totals) / weights).astype(np.float32)
        return mean


class _First(Coadd):
    def __init__(self, layout: Layout, sampling: Sampling) -> None:
        self._layout, self._sampling = layout, sampling
        self._values: Pixels | None = None
        self._full = False

    @override
    def add(self, image: LoadedImage, grid: PixelGrid, weight: float) -> None:
        if self._full:
            return
        values = _sampled(image, grid, self._layout, self._sampling)
        if values is None:
            return
        if self._values is None:
            self._values = values
        else:
            open_ = np.isnan(self._values)
            self._values[open_] = values[open_]
        self._full = not np.isnan(self._values).any()

    @override
    def finish(self) -> Pixels | None:
        return self._values


class _Median(Coadd):
    def __init__(self, layout: Layout, sampling: Sampling, scratch: Path | None) -> None:
        self._layout, self._sampling = layout, sampling
        self._held: list[Pixels] = []
        self._scratch = scratch
        self._spilled = 0
        self._file: IO[bytes] | None = None

    @override
    def add(self, image: LoadedImage, grid: PixelGrid, weight: float) -> None:
        values = _sampled(image, grid, self._layout, self._sampling)
        if values is None:
            return
        self._held.append(values)
        if len(self._held) == _HELD:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - see finish
            self._file.writelines(held.tobytes() for held in self._held)
            self._spilled += _HELD
            self._held.clear()

    @override
    def finish(self) -> Pixels | None:
        if not self._spilled and not self._held:
            return None
        height, width = self._layout.height, self._layout.width
        out = np.empty((height, width), np.float32)
        for start in range(0, height, _ROWS):
            rows = slice(start, min(start + _ROWS, height))
            parts = [held[None, rows] for held in self._held]
            out[rows] = median_of(np.concatenate([*self._back(rows, width), *parts]))
        if self._file is not None:
            self._file.close()
        return out

    def _back(self, rows: slice, width: int) -> list[Pixels]:
        """Read rows of the samples on disk."""
        if self._file is None:
            return []
        parts = []
        for number in range(self._spilled):
            self._file.seek(4 * width * (number * self._layout.height + rows.start))
            data = self._file.read(4 * width * (rows.stop - rows.start))
            parts.append(np.frombuffer(data, np.float32).reshape(1, -1, width))
        return parts


def _sampled(
    image: LoadedImage, grid: PixelGrid, layout: Layout, sampling: Sampling
) -> Pixels | None:
    canvas = Canvas(layout, sampling)
    canvas.add(image.pixels, grid)
    return canvas.finish()
