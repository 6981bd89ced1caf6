"""From values to grey levels: cuts from the data's own sky and noise, and an asinh between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.compiled import compiled
from vodal.pictures.levels import sky_and_noise

__all__ = ["Stretch", "choose_stretch"]

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

_ONE: Final = 0x3F800000
"""Bits of a float32 of 1."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """How values become grey levels."""

    low: float
    """Black."""
    high: float
    """White."""
    softening: float
    """Values up to about this far above black are shown linearly, brighter ones by their
    logarithm."""

    def levels(self, tile: Pixels) -> Bytes:
        """Give levels from 1 (black) to 255 (white), 0 where blank."""
        out = np.empty(tile.shape, np.uint8)
        bounds, first = _table(self)
        _levels(tile, self.low, 1.0 / self.softening, bounds, first, out)
        return out

    def bounds(self) -> Floats:
        """Give the value, above black and in units of the softening, where each level begins.

        Level ``1 + k`` begins at ``bounds[k]``; what lies below ``bounds[1]`` is black.
        """
        reach = (self.high - self.low) / self.softening
        return np.sinh(np.arange(255) / 254.0 * math.asinh(reach))


_BINS: Final = 10
"""Bits of the mantissa by which values are sorted into bins."""


@lru_cache(maxsize=8)
def _table(stretch: Stretch) -> tuple[Floats, NDArray[np.uint8]]:
    """Give where levels begin, and the level at the beginning of each bin.

    The bins are those of `_levels`: they grow with the value, as the levels do, so that hardly one
    reaches over more than one level.
    """
    bounds = stretch.bounds()
    top = int(np.float32(1.0 + bounds[-1]).view(np.uint32)) >> 23 - _BINS
    edges = np.arange(_ONE >> 23 - _BINS, top + 2, dtype=np.uint32) << np.uint32(23 - _BINS)
    begin = edges.view(np.float32).astype(np.float64) - 1.0
    # A value that was rounded up into a bin may lie a little below its edge.
    found = np.searchsorted(bounds, begin * (1.0 - 1e-6) - 1e-6, "right") - 1
    return np.append(bounds, math.inf), np.maximum(found, 0).astype(np.uint8)


@compiled
def _levels(
    tile: Pixels, low: float, inverse: float, bounds: Floats, first: Bytes, out: Bytes
) -> None:
    highest = bounds[bounds.size - 2]
    for r in range(tile.shape[0]):
        for c in range(tile.shape[1]):
            value = tile[r, c]
            if math.isnan(value):
                out[r, c] = 0
                continue
            at = (value - low) * inverse
            if not at > 0.0:
                out[r, c] = 1
                continue
            if at >= highest:
                out[r, c] = 255
                continue
            bin_ = (np.float32(1.0 + at).view(np.uint32) - _ONE) >> (23 - _BINS)
            level = int(first[bin_])
            while at >= bounds[level + 1]:
                level += 1
            out[r, c] = 1 + level


def choose_stretch(samples: Sequence[Pixels]) -> Stretch:
    """Choose cuts for images from samples of some of them."""
    values = np.concatenate(samples) if samples else np.empty(0, np.float32)
    if not values.size:
        return Stretch(0.0, 1.0, 0.1)
    sky, noise = sky_and_noise(values)
    low, high = float(values.min()), float(np.percentile(values, 99.8))
    if noise > 0.0:
        low, high = max(low, sky - 1.5 * noise), max(high, sky + 10.0 * noise)
    if not high > low:
        high = low + max(abs(low), 1.0) * 1e-3
    softening = 3.0 * noise if noise > 0.0 else 0.1 * (high - low)
    return Stretch(low, high, min(softening, high - low))
