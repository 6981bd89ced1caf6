"""Small convex polygons, of which most footprints are: what is known of them, one or many at once.

Of one it is told without numpy's cost. Many are told of by the same operations in the same order,
so that all is the same to the last bit (`vodal.trig`). Each answer is that of the general code
(`vodal.canonical`, `vodal.sphere`), or None where a polygon is not so clearly convex that nothing
needs to be decided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vodal.regions import Polygon
from vodal.trig import dots, each, vectors
from vodal.vectors import Vector, cross, dot, vector

__all__ = ["Convex", "ConvexMany", "clearly_holds", "convex", "convex_many", "farthest_deg"]

_MOST = 16
_SCALE = 1e10
"""Coordinates are kept with ten decimals (`vodal.canonical`)."""
_NEAR = 0.9
"""Cosine of the angle from the first vertex within which the others lie."""
_SHORTEST = 1e-6
"""Radians that a side is at least."""
_BENT = 1e-3
"""Sine of the angle by which sides turn at least."""
_INSIDE = 1e-9
"""Radians that vertices are away from the great circles of other sides."""
_AROUND = 0.5
"""Cosine of the angle from a position within which all vertices around it lie."""
_CLEAR = 1e-12
"""Volume of a position and a side; rounding is a thousandth of it."""


@dataclass(frozen=True, slots=True)
class Convex:
    """A polygon that is clearly convex, simple and of one winding."""

    polygon: Polygon
    """In the canonical form."""
    was_reversed: bool
    """Whether the vertices ran clockwise as seen from inside."""
    _sides: tuple[Vector, ...]
    """Normals of the sides' planes, of any length, that point inside."""

    def holds(self, ra_deg: float, dec_deg: float) -> bool:
        """Tell whether a position lies clearly inside; it may lie inside where this is false."""
        x, y, z = vector(ra_deg, dec_deg)
        return all(a * x + b * y + c * z > 1e-9 for a, b, c in self._sides)


def convex(polygon: Polygon) -> Convex | None:
    """Give the canonical form of a polygon that is clearly convex; None for any other."""
    count = len(polygon.vertices)
    if count > _MOST:
        return None
    places = [
        (round(ra * _SCALE) / _SCALE, round(dec * _SCALE) / _SCALE) for ra, dec in polygon.vertices
    ]
    corners = [vector(*place) for place in places]
    first = corners[0]
    if any(dot(first, one) < _NEAR for one in corners):
        return None
    sides = [cross(corners[at - 1], corners[at]) for at in range(count)]
    """Side ``at`` ends at vertex ``at``."""
    lengths = [math.sqrt(dot(side, side)) for side in sides]
    if min(lengths) < _SHORTEST:
        return None
    sign = 1.0 if dot(sides[0], corners[1]) > 0.0 else -1.0
    for at in range(count):
        # What the side before leaves of the end of the side behind: the sine of their angle.
        turn = sign * dot(sides[at], corners[(at + 1) % count])
        if turn < _BENT * lengths[at] * lengths[(at + 1) % count]:
            return None
        # All others on its inner side, a side belongs to the hull; so the polygon is the hull.
        least = _INSIDE * lengths[at]
        for ahead in range(2, count - 1):
            if sign * dot(sides[at], corners[(at + ahead) % count]) < least:
                return None
    if any(ra >= 360.0 for ra, _ in places):
        return None
    normals = tuple((sign * a, sign * b, sign * c) for a, b, c in sides)
    # Anticlockwise as seen from outside is clockwise from inside.
    kept = places[::-1] if sign > 0.0 else places
    return Convex(Polygon(tuple(kept)), sign > 0.0, normals)


def clearly_holds(polygon: Polygon, ra_deg: float, dec_deg: float) -> bool:
    """Tell whether all sides of a polygon run around a position in one sense, all of them near it.

    It lies inside then, whether the polygon is convex or not; it may lie inside where this is
    false. That costs a third of `vodal.sphere.contains` for a polygon which was not looked at
    before.
    """
    x, y, z = vector(ra_deg, dec_deg)
    a, b, c = vector(*polygon.vertices[-1])
    sense = 0.0
    for vertex in polygon.vertices:
        d, e, f = vector(*vertex)
        volume = x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d)
        if x * d + y * e + z * f < _AROUND or abs(volume) < _CLEAR or volume * sense < 0.0:
            return False
        a, b, c, sense = d, e, f, volume
    return True


@dataclass(frozen=True, slots=True)
class ConvexMany:
    """Polygons with one number of vertices, each of which is told of as by `convex`."""

    places: NDArray[np.float64]
    """Vertices (polygon, vertex, ra and dec) in degrees with ten decimals, in the order given."""
    is_convex: NDArray[np.bool_]
    """Of which of them `convex` tells."""
    is_reversed: NDArray[np.bool_]
    _sides: NDArray[np.float64]

    def hold(self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which hold a position each, clearly inside."""
        x, y, z = vectors(ra_deg, dec_deg)
        a, b, c = self._sides
        heights = a * x[:, None] + b * y[:, None] + c * z[:, None]
        return np.asarray((heights > 1e-9).all(axis=1))


def convex_many(vertices: NDArray[np.float64]) -> ConvexMany:
    """Tell of many polygons what `convex` tells of each.

    Parameters
    ----------
    vertices
        (polygon, vertex, ra and dec) in degrees: 3 to 16 vertices, the first and the last of which
        differ, with right ascensions in [0, 360).
    """
    count = vertices.shape[1]
    places = np.rint(vertices * _SCALE) / _SCALE + 0.0
    v = vectors(places[..., 0], places[..., 1])
    before = np.roll(v, 1, axis=2)
    sides = np.stack([before[k] * v[m] - before[m] * v[k] for k, m in ((1, 2), (2, 0), (0, 1))])
    lengths = np.sqrt(dots(sides, sides))
    is_convex = (dots(v[:, :, :1], v) >= _NEAR).all(axis=1) & (lengths >= _SHORTEST).all(axis=1)
    sign = np.where(dots(sides[:, :, 0], v[:, :, 1]) > 0.0, 1.0, -1.0)[:, None]
    turns = sign * dots(sides, np.roll(v, -1, axis=2))
    is_convex &= (turns >= _BENT * lengths * np.roll(lengths, -1, axis=1)).all(axis=1)
    for ahead in range(2, count - 1):
        heights = sign * dots(sides, np.roll(v, -ahead, axis=2))
        is_convex &= (heights >= _INSIDE * lengths).all(axis=1)
    is_convex &= (places[..., 0] < 360.0).all(axis=1)
    return ConvexMany(places, np.asarray(is_convex), sign[:, 0] > 0.0, sign * sides)


def farthest_deg(
    ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the distance of each position from the farthest of its places, as `distance_deg` does.

    Parameters
    ----------
    ra_deg, dec_deg
        One position each.
    places
        (position, place, ra and dec).

    Returns
    -------
    NDArray
        In degrees; NaN from 90 degrees on.
    """
    dec1, dec2 = np.radians(dec_deg)[:, None], np.radians(places[..., 1])
    half_ra = each(math.sin, np.radians(places[..., 0] - ra_deg[:, None]) / 2)
    half_dec = each(math.sin, (dec2 - dec1) / 2)
    across = half_ra * half_ra
    haversine = half_dec * half_dec + each(math.cos, dec1) * each(math.cos, dec2) * across
    near = np.where(haversine < 0.5, haversine, math.nan)
    return np.asarray(np.degrees(2.0 * each(math.asin, np.sqrt(near))).max(axis=1))
