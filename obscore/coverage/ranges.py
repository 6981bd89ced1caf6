"""Many ranges of cells of HEALPix as one map: joined, and coarsened where they are too many.

Maps are arrays of shape (n, 2): start and end (not included) of ranges of cells of order 29,
sorted and apart from each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from obscore.adql.userdefined.healpix import MAX_ORDER

__all__ = ["NOTHING", "Ranges", "coarsened", "finest_order", "joined", "within"]

Ranges = NDArray[np.uint64]

NOTHING: Ranges = np.zeros((0, 2), np.uint64)


def joined(parts: Sequence[Ranges]) -> Ranges:
    """Give one map of several, or of ranges in any order."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return NOTHING
    every = parts[0] if len(parts) == 1 else np.concatenate(parts)
    every = every[np.argsort(every[:, 0], kind="stable")]
    reach = np.maximum.accumulate(every[:, 1])
    first = np.ones(len(every), bool)
    first[1:] = every[1:, 0] > reach[:-1]
    begins = np.flatnonzero(first)
    return np.stack([every[begins, 0], reach[np.append(begins[1:], len(every)) - 1]], axis=1)


def finest_order(ranges: Ranges) -> int:
    """Give the lowest order in whose cells a map can be written."""
    if not len(ranges):
        return 0
    bits = int(np.bitwise_or.reduce(ranges, axis=None))
    zeros = (bits & -bits).bit_length() - 1 if bits else 2 * MAX_ORDER
    return MAX_ORDER - min(MAX_ORDER, zeros // 2)


def within(ranges: Ranges, order: int) -> Ranges:
    """Give the map of all cells of an order that a map meets."""
    shift = np.uint64(2 * (MAX_ORDER - order))
    one = np.uint64(1)
    starts = ranges[:, 0] >> shift << shift
    ends = (ranges[:, 1] - one >> shift) + one << shift
    return joined([np.stack([starts, ends], axis=1)])


def coarsened(ranges: Ranges, most: int) -> Ranges:
    """Give a map of no more than so many ranges, that holds a map, at the highest such order."""
    order = finest_order(ranges)
    while len(ranges) > most and order > 0:
        order -= 1
        ranges = within(ranges, order)
    return ranges
