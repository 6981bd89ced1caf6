"""Small convex polygons, of which most footprints are: what is known of them without numpy's cost.

Each answer is that of the general code (`vodal.canonical`, `vodal.sphere`) or None, where a
polygon is not so clearly convex that nothing needs to be decided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vodal.regions import Polygon

__all__ = ["Convex", "convex"]

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

_Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Convex:
    """A polygon that is clearly convex, simple and of one winding."""

    polygon: Polygon
    """In the canonical form."""
    was_reversed: bool
    """Whether the vertices ran clockwise as seen from inside."""
    _sides: tuple[_Vector, ...]
    """Normals of the sides' planes, of any length, that point inside."""

    def holds(self, ra_deg: float, dec_deg: float) -> bool:
        """Tell whether a position lies clearly inside; it may lie inside where this is false."""
        x, y, z = _vector(ra_deg, dec_deg)
        return all(a * x + b * y + c * z > 1e-9 for a, b, c in self._sides)


def convex(polygon: Polygon) -> Convex | None:
    """Give the canonical form of a polygon that is clearly convex; None for any other."""
    count = len(polygon.vertices)
    if count > _MOST:
        return None
    places = [
        (round(ra * _SCALE) / _SCALE, round(dec * _SCALE) / _SCALE) for ra, dec in polygon.vertices
    ]
    vectors = [_vector(*place) for place in places]
    first = vectors[0]
    if any(_dot(first, one) < _NEAR for one in vectors):
        return None
    sides = [_cross(vectors[at - 1], vectors[at]) for at in range(count)]
    """Side ``at`` ends at vertex ``at``."""
    lengths = [math.sqrt(_dot(side, side)) for side in sides]
    if min(lengths) < _SHORTEST:
        return None
    sign = 1.0 if _dot(sides[0], vectors[1]) > 0.0 else -1.0
    for at in range(count):
        # What the side before leaves of the end of the side behind: the sine of their angle.
        turn = sign * _dot(sides[at], vectors[(at + 1) % count])
        if turn < _BENT * lengths[at] * lengths[(at + 1) % count]:
            return None
        # All others on its inner side, a side belongs to the hull; so the polygon is the hull.
        least = _INSIDE * lengths[at]
        for ahead in range(2, count - 1):
            if sign * _dot(sides[at], vectors[(at + ahead) % count]) < least:
                return None
    if any(ra >= 360.0 for ra, _ in places):
        return None
    normals = tuple((sign * a, sign * b, sign * c) for a, b, c in sides)
    # Anticlockwise as seen from outside is clockwise from inside.
    kept = places[::-1] if sign > 0.0 else places
    return Convex(Polygon(tuple(kept)), sign > 0.0, normals)


def _vector(ra_deg: float, dec_deg: float) -> _Vector:
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    cosine = math.cos(dec)
    return cosine * math.cos(ra), cosine * math.sin(ra), math.sin(dec)


def _dot(a: _Vector, b: _Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: _Vector, b: _Vector) -> _Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
