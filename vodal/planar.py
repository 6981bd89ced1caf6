"""Polygons in a plane onto which a part of the sky is projected."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["gnomonic", "hull", "meets_itself", "signed_area"]

Floats = NDArray[np.float64]


def gnomonic(vectors: Floats, middle: Floats) -> Floats:
    """Project unit vectors around ``middle``, where great circles are straight.

    Differences from the middle are projected, so that small polygons keep their digits.

    Returns
    -------
    array
        Columns east and north, in radians near the middle, which is less than 90 degrees away.
    """
    ra = math.atan2(middle[1], middle[0])
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    north = np.cross(middle, east)
    apart = vectors - middle
    plane: Floats = np.stack([apart @ east, apart @ north], axis=1)
    return plane / (vectors @ middle)[:, None]


def signed_area(plane: Floats) -> float:
    """Give the area of a polygon, positive if it runs anticlockwise in the plane."""
    x, y = (plane - plane.mean(axis=0)).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def meets_itself(plane: Floats, near: float) -> bool:
    """Tell whether two sides that are no neighbours meet, or a vertex lies on another side.

    Parameters
    ----------
    plane
        Vertices, shape (n, 2).
    near
        Distance, in their unit, within which places are one.
    """
    size = float(np.abs(plane).max())
    a = plane / size
    b = np.roll(a, -1, axis=0)
    count = len(a)
    if count == 3:
        return False
    near = max(1e-12, near / size)
    for i in range(count - 1):
        # Side i beside all later ones that are no neighbours of it.
        others = np.arange(i + 2, count - (i == 0))
        if others.size and _any_meets(a[i], b[i], a[others], b[others], near):
            return True
    # Neighbours meet beyond their common vertex where one turns back on the other.
    along, back = b - a, np.roll(a - b, 1, axis=0)
    cross = along[:, 0] * back[:, 1] - along[:, 1] * back[:, 0]
    ahead = np.sum(along * back, axis=1)
    shorter = np.minimum(np.linalg.norm(along, axis=1), np.linalg.norm(back, axis=1))
    longer = np.maximum(np.linalg.norm(along, axis=1), np.linalg.norm(back, axis=1))
    return bool(((ahead > 0.0) & (np.abs(cross) <= near * longer * (shorter > 0.0))).any())


def _any_meets(start: Floats, end: Floats, starts: Floats, ends: Floats, near: float) -> bool:
    along, alongs = end - start, ends - starts

    def off(point: Floats, origin: Floats, way: Floats) -> Floats:
        to = point - origin
        length = np.linalg.norm(way, axis=-1)
        away: Floats = (way[..., 0] * to[..., 1] - way[..., 1] * to[..., 0]) / length
        return np.where(np.abs(away) <= near, 0.0, np.sign(away))

    p, q = off(starts, start, along), off(ends, start, along)
    r, s = off(start, starts, alongs), off(end, starts, alongs)
    if bool(((p * q < 0.0) & (r * s < 0.0)).any()):
        return True

    def lies_on(points: Floats, origin: Floats, way: Floats, is_on_line: NDArray[np.bool_]) -> bool:
        part = np.sum((points - origin) * way, axis=-1)
        inside = (part >= 0.0) & (part <= np.sum(way * way, axis=-1))
        return bool((is_on_line & inside).any())

    return (
        lies_on(starts, start, along, p == 0.0)
        or lies_on(ends, start, along, q == 0.0)
        or lies_on(start, starts, alongs, r == 0.0)
        or lies_on(end, starts, alongs, s == 0.0)
    )


def hull(plane: Floats) -> list[int]:
    """Give the corners of the convex hull of points, anticlockwise in the plane (Andrew 1979).

    Points on the way from one corner to the next are none; there are fewer than three corners if
    all points lie on one line.

    Parameters
    ----------
    plane
        Points, shape (n, 2).

    Returns
    -------
    list of int
        Their numbers.
    """
    order = np.lexsort((plane[:, 1], plane[:, 0])).tolist()
    points = plane.tolist()
    least = 1e-14 * float(np.ptp(plane, axis=0).max()) ** 2

    def half(numbers: list[int]) -> list[int]:
        chain: list[int] = []
        for number in numbers:
            x, y = points[number]
            while len(chain) > 1:
                (ax, ay), (bx, by) = points[chain[-2]], points[chain[-1]]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > least:
                    break
                chain.pop()
            chain.append(number)
        return chain[:-1]

    return half(order) + half(order[::-1])
