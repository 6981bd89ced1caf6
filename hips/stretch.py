"""From values to grey levels: cuts from the data's own sky and noise, and an asinh between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vodal.compiled import kernel
from vodal.pictures.levels import sky_and_noise

__all__ = ["Stretch", "choose_stretch"]

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]


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
        reach = (self.high - self.low) / self.softening
        _levels(tile, self.low, 1.0 / self.softening, 254.0 / math.asinh(reach), out)
        return out


@kernel
def _levels(tile: Pixels, low: float, inverse: float, scale: float, out: Bytes) -> None:
    for r in range(tile.shape[0]):
        for c in range(tile.shape[1]):
            value = tile[r, c]
            if math.isnan(value):
                out[r, c] = 0
                continue
            at = (value - low) * inverse
            # The logarithm of the asinh: faster than the function itself.
            level = scale * math.log(at + math.sqrt(at * at + 1.0)) if at > 0.0 else 0.0
            out[r, c] = 1 + int(min(level, 254.0))


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
