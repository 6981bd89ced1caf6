"""Several images on one block of the grid."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from soda.parameters import Combination
from vodal.resample.block import Layout, Sampling
from vodal.resample.canvas import Canvas
from vodal.resample.grid import PixelGrid
from vodal.resample.medians import median_of

__all__ = ["STACK_BYTES", "Combiner"]

Pixels = NDArray[np.float32]

STACK_BYTES: Final = 1 << 28
"""The most that the images of one block take together, where all are held for the median."""


class Combiner:
    """A block in the making.

    Parameters
    ----------
    layout
        Of the block.
    sampling
        How images are sampled.
    combination
        What becomes of pixels that several images give.
    """

    def __init__(self, layout: Layout, sampling: Sampling, combination: Combination) -> None:
        self._layout, self._sampling, self._how = layout, sampling, combination
        self._canvas = Canvas(layout, sampling)
        self._stack: list[Pixels] = []
        self._values: Pixels | None = None
        self._coverage: Pixels = np.zeros((layout.height, layout.width), np.float32)

    def add(self, pixels: Pixels, grid: PixelGrid, weight: float) -> NDArray[np.bool_]:
        """Add an image, or the part of it that the block reaches; tells which pixels it gives."""
        if self._how in {"mean", "weighted"}:
            before = self._canvas.weights.copy()
            self._canvas.add(pixels, grid, weight)
            given: NDArray[np.bool_] = self._canvas.weights > before
            return given
        canvas = Canvas(self._layout, self._sampling)
        canvas.add(pixels, grid)
        values = canvas.finish()
        if values is None:
            return np.zeros(self._coverage.shape, np.bool_)
        known: NDArray[np.bool_] = np.isfinite(values)
        if self._how == "median":
            self._stack.append(values)
            self._coverage += known
        elif self._values is None:
            self._values = values
            self._coverage += known
        else:
            known &= ~np.isfinite(self._values)
            self._values[known] = values[known]
            self._coverage += known
        return known

    def finish(self) -> tuple[Pixels | None, Pixels]:
        """Give the values, None if all are blank, and the sum of the weights that made each."""
        if self._how in {"mean", "weighted"}:
            return self._canvas.finish(), self._canvas.weights
        if self._how == "median":
            return (median_of(np.stack(self._stack)) if self._stack else None), self._coverage
        return self._values, self._coverage
