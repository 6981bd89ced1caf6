"""The circles around the blocks of an image that lies wholly on the sky, by compiled code.

As `soda.skyimage` draws them by arrays, in the rows that `soda.skysearch` starts from.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vodal.compiled import compiled, uncounted

__all__ = ["measure"]

Floats = NDArray[np.float64]

_FLAT_PIXELS = 0.02
_STRETCH, _STRETCH_CURVED = 1.02, 1.2
_FLAT, _WHOLE = 1.0, 0.5
_SIDES = ((0, 0, 0, 2), (2, 0, 2, 2), (0, 0, 2, 0), (0, 2, 2, 2))
"""Samples at both ends of each side. With numbers in the call each call would be compiled anew."""


@uncounted
def _bend(samples: Floats, y0: int, x0: int, y1: int, x1: int) -> float:
    """Tell how far the middle between two samples of a block is from the arc between them."""
    total, apart = 0.0, 0.0
    for k in range(3):
        total += (0.5 * (samples[y0, x0, k] + samples[y1, x1, k])) ** 2
    length = math.sqrt(total)
    if length == 0.0:
        return math.inf
    for k in range(3):
        middle = 0.5 * (samples[y0, x0, k] + samples[y1, x1, k]) / length
        apart += (middle - samples[(y0 + y1) // 2, (x0 + x1) // 2, k]) ** 2
    return math.sqrt(apart)


@uncounted
def _bulge(samples: Floats) -> float:
    """Tell how far the middle of a block is from that of its corners."""
    total, apart = 0.0, 0.0
    for k in range(3):
        mean = samples[0, 0, k] + samples[0, 2, k] + samples[2, 0, k] + samples[2, 2, k]
        total += mean * mean
    length = math.sqrt(total)
    if length == 0.0:
        return math.inf
    for k in range(3):
        mean = samples[0, 0, k] + samples[0, 2, k] + samples[2, 0, k] + samples[2, 2, k]
        apart += (mean / length - samples[1, 1, k]) ** 2
    return math.sqrt(apart)


@uncounted
def _reach(samples: Floats) -> float:
    """Tell how far the samples of a block are from its middle."""
    longest = 0.0
    for y in range(3):
        for x in range(3):
            square = 0.0
            for k in range(3):
                square += (samples[y, x, k] - samples[1, 1, k]) ** 2
            longest = max(longest, square)
    return math.sqrt(longest)


@compiled
def measure(samples: Floats, size: float) -> Floats:
    """Draw the circles around blocks.

    Parameters
    ----------
    samples
        Unit vectors (2 rows + 1, 2 columns + 1, 3) of the blocks' corners, the middles of their
        sides and their own, all on the sky.
    size
        Of a block, pixels.

    Returns
    -------
    array
        Rows of the table that `soda.skysearch.search` starts from (rows x columns, 19).
    """
    rows, columns = samples.shape[0] // 2, samples.shape[1] // 2
    table = np.empty((rows * columns, 19))
    for number in range(rows * columns):
        row, column = number // columns, number % columns
        part = samples[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        block = table[number]
        block[0], block[1] = column * size, row * size
        for corner in range(4):
            for k in range(3):
                block[2 + 3 * corner + k] = part[2 * (corner // 2), 2 * (corner % 2), k]
        for k in range(3):
            block[14 + k] = part[1, 1, k]
        reach = _reach(part)
        bend = _bulge(part)
        for side in range(4):
            y0, x0, y1, x1 = _SIDES[side]
            bend = max(bend, _bend(part, y0, x0, y1, x1))
        is_flat = bend <= _FLAT_PIXELS * reach / (size * math.sqrt(0.5))
        stretch = _STRETCH if is_flat else _STRETCH_CURVED
        block[17] = 2.0 * math.asin(min(1.0, stretch * reach / 2.0))
        block[18] = _FLAT if is_flat else _WHOLE
    return table
