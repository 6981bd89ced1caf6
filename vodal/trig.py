"""Vectors of many positions: the arithmetic of `vodal.vectors`, to the last bit.

Sums and products are those of numpy, which rounds them as Python does; sines and the like are
Python's, since numpy's may differ in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Numbers", "dots", "each", "vectors"]

Numbers = NDArray[np.float64]


def each(function: Callable[..., float], *values: Numbers) -> Numbers:
    """Apply a function of numbers to all elements of arrays of one shape."""
    found = map(function, *(some.ravel().tolist() for some in values))
    return np.fromiter(found, np.float64, values[0].size).reshape(values[0].shape)


def vectors(ra_deg: Numbers, dec_deg: Numbers) -> Numbers:
    """Give the unit vectors of positions; their three components come first."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    cosine = each(math.cos, dec)
    return np.stack([cosine * each(math.cos, ra), cosine * each(math.sin, ra), each(math.sin, dec)])


def dots(a: Numbers, b: Numbers) -> Numbers:
    """Give scalar products of vectors whose components come first."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
