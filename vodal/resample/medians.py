"""The median of images that overlap, a few rows at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["median_of"]

Pixels = NDArray[np.float32]


def median_of(stack: Pixels) -> Pixels:
    """Give the median of the known values of each pixel, NaN where there are none.

    Parameters
    ----------
    stack
        (image, row, column); NaN is blank. Of an even number of values,
        the middle two are averaged.
    """
    ordered = np.sort(stack, axis=0)  # NaN last
    count = np.isfinite(ordered).sum(axis=0)
    lower, upper = (
        np.take_along_axis(ordered, np.maximum(place, 0)[None], 0)[0]
        for place in ((count - 1) // 2, count // 2)
    )
    return np.asarray((lower + upper) / np.float32(2.0), np.float32)
