"""Small polygons whose sides all run the same way around their middle, as those of footprints do.

Such a polygon is simple, encloses an area and winds once; to see that takes one look at each side,
where the general code (`vodal.canonical`) looks at all pairs of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vodal.vectors import cross, dot, minus, vector

__all__ = ["turn_around", "turn_around_middle"]

_MOST = 64
_NEAR = 0.9
"""Cosine of the angle from the middle within which vertices lie."""
_APART = 1e-10
"""Radians that sides which are no neighbours are apart, twenty times what counts as one place."""


def turn_around_middle(places: Sequence[Sequence[float]]) -> int:
    """Tell which way a polygon runs around its middle.

    Parameters
    ----------
    places
        Its vertices, three or more, as ``(ra, dec)`` in degrees.

    Returns
    -------
    int
        1 if it runs anticlockwise as seen from outside of the sphere, -1 if clockwise; 0 if it is
        not clearly one of these that meets itself nowhere.
    """
    if len(places) > _MOST:
        return 0
    plane = _around_middle(places)
    return 0 if plane is None else turn_around(plane)


def turn_around(plane: Sequence[tuple[float, float]]) -> int:
    """Tell which way a polygon in a plane runs around the origin.

    Parameters
    ----------
    plane
        Its vertices, three or more, in radians.

    Returns
    -------
    int
        1 if it runs anticlockwise, -1 if clockwise; 0 if it is not clearly one of these that meets
        itself nowhere.
    """
    shortest = nearest = thinnest = math.inf
    farthest = 0.0
    turns = rises = falls = 0
    x0, y0 = plane[-1]
    r0 = math.hypot(x0, y0)
    for x, y in plane:
        r = math.hypot(x, y)
        cross = x0 * y - x * y0
        length = math.hypot(x - x0, y - y0)
        if cross == 0.0 or length == 0.0:
            return 0
        turns += 1 if cross > 0.0 else -1
        rises += y0 < 0.0 <= y
        falls += y < 0.0 <= y0
        shortest, nearest = min(shortest, length), min(nearest, abs(cross) / length)
        thinnest, farthest = min(thinnest, abs(cross) / (r0 * r)), max(farthest, r)
        x0, y0, r0 = x, y, r
    # Each side fills a sector of its own if all turn one way and the sectors fill the circle once.
    if abs(turns) != len(plane) or rises != 1 or falls != 1:
        return 0
    # Sides that are no neighbours have a sector between them; neighbours do not fold on each other.
    clear = nearest * thinnest > _APART and shortest * nearest > _APART * farthest
    return (1 if turns > 0 else -1) if clear else 0


def _around_middle(places: Sequence[Sequence[float]]) -> list[tuple[float, float]] | None:
    """Project places around their middle, where great circles are straight; x east, y north."""
    corners = [vector(ra_deg, dec_deg) for ra_deg, dec_deg in places]
    x, y, z = (sum(axis) for axis in zip(*corners, strict=True))
    length = math.sqrt(x * x + y * y + z * z)
    if length < _NEAR * len(places):
        return None
    middle = x / length, y / length, z / length
    flat = math.hypot(middle[0], middle[1])
    east = (-middle[1] / flat, middle[0] / flat, 0.0) if flat > 0.0 else (0.0, 1.0, 0.0)
    north = cross(middle, east)
    plane = []
    for corner in corners:
        away = dot(corner, middle)
        if away < _NEAR:
            return None
        # Of differences from the middle, so that small polygons keep their digits.
        off = minus(corner, middle)
        plane.append((dot(off, east) / away, dot(off, north) / away))
    return plane
