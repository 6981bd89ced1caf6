"""Caps around the sides of a polygon that lie together, so that far ones are passed over as one."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEW_SIDES", "caps_around"]

Floats = NDArray[np.float64]

FEW_SIDES: Final = 8
"""A cap with no more sides has no parts."""


def caps_around(corners: Floats) -> Floats:
    """Draw caps around all sides of a polygon, around each half of them, and so on.

    Parameters
    ----------
    corners
        Unit vectors (n, 3); a side goes from each to the next.

    Returns
    -------
    array
        Shape (k, 8), in the order in which a walk meets them, a whole before its parts: the
        centre's unit vector; the radius, radians; the first side and the one behind the last; the
        place of the next cap that is no part of this one; by how much the sum of angles that the
        sides subtend (`soda.distance`) differs, seen from outside, from that of the arc between
        the two ends. Empty for a polygon of few sides.
    """
    if len(corners) <= 2 * FEW_SIDES:
        return np.empty((0, 8))
    spans: list[tuple[int, int, int]] = []
    _split(0, len(corners), spans)
    first, stop, after = np.array(spans, np.int64).T
    closed = np.concatenate([corners, corners[:1]])
    # All corners of all caps in one row.
    counts = stop - first + 1
    begin = np.concatenate([[0], np.cumsum(counts)[:-1]])
    owner = np.repeat(np.arange(len(counts)), counts)
    members = closed[np.arange(counts.sum()) - begin[owner] + first[owner]]
    centre = np.add.reduceat(members, begin)
    length = np.linalg.norm(centre, axis=1, keepdims=True)
    centre = np.where(length > 1e-9, centre / np.where(length > 0.0, length, 1.0), [0.0, 0.0, 1.0])
    chord = np.linalg.norm(members - centre[owner], axis=1)
    reach = np.maximum.reduceat(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0)), begin)
    # Sides of a wide cap may leave it; nothing is passed over then.
    radius = np.where(reach < 1.5, reach + 1e-12, np.pi)
    turned = _turns(members[:-1], members[1:], -centre[owner[:-1]])
    turned[begin[1:] - 1] = 0.0
    left = np.add.reduceat(np.append(turned, 0.0), begin)
    left -= _turns(closed[first], closed[stop], -centre)
    return np.column_stack([centre, radius, first, stop, after, left])


def _split(first: int, stop: int, spans: list[tuple[int, int, int]]) -> None:
    place = len(spans)
    spans.append((first, stop, 0))
    if stop - first > FEW_SIDES:
        middle = (first + stop) // 2
        _split(first, middle, spans)
        _split(middle, stop, spans)
    spans[place] = (first, stop, len(spans))


def _turns(start: Floats, end: Floats, point: Floats) -> Floats:
    """Give the angles that arcs subtend, each seen from a point of its own."""
    one, other = start - point, end - point
    across = np.einsum("nk,nk->n", point, np.cross(one, other))
    return np.asarray(np.arctan2(across, np.einsum("nk,nk->n", one, other)), np.float64)
