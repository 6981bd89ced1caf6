"""How far points and short arcs are from a stencil's boundary, by compiled code.

The same numbers as those of `soda.distance`. Of a polygon with many sides those that lie together
have caps around them (`soda.caps`), so that a place is held against the sides near it only.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vodal.compiled import compiled, uncounted

__all__ = ["CIRCLE", "POLYGON", "RANGE", "Stencil", "distance",
           "distances"]  # fmt: skip

Floats = NDArray[np.float64]

CIRCLE, POLYGON, RANGE = 0, 1, 2
"""Kinds of stencils; `soda.distance.StencilDistance.numbers` tells what their numbers are."""

Stencil = tuple[int, Floats, Floats, Floats]
"""Kind, numbers, sides and caps."""

_RADIUS, _FIRST, _STOP, _NEXT, _LEFT = 3, 4, 5, 6, 7
"""Columns of a cap behind its centre (`soda.caps`)."""


@uncounted
def _dot(one: Floats, x: float, y: float, z: float) -> float:
    product: float = one[0] * x + one[1] * y + one[2] * z
    return product


@uncounted
def _angle(x: float, y: float, z: float, other: Floats) -> float:
    a, b, c = x - other[0], y - other[1], z - other[2]
    d, e, f = x + other[0], y + other[1], z + other[2]
    return 2.0 * math.atan2(math.sqrt(a * a + b * b + c * c), math.sqrt(d * d + e * e + f * f))


@uncounted
def _turn(start: Floats, end: Floats, x: float, y: float, z: float) -> float:
    """Give the angle that an arc subtends, as `soda.distance` sums it."""
    la, lb, lc = start[0] - x, start[1] - y, start[2] - z
    a, b, c = end[0] - x, end[1] - y, end[2] - z
    across = x * (lb * c - lc * b) + y * (lc * a - la * c) + z * (la * b - lb * a)
    return math.atan2(across, la * a + lb * b + lc * c)


@uncounted
def _to_side(side: Floats, x: float, y: float, z: float) -> float:
    """Distance from a side's arc, or its start; a side: start, normal, from_start, to_end."""
    if _dot(side[6:9], x, y, z) >= 0.0 and _dot(side[9:12], x, y, z) >= 0.0:
        return math.asin(min(abs(_dot(side[3:6], x, y, z)), 1.0))
    a, b, c = side[0] - x, side[1] - y, side[2] - z
    return 2.0 * math.asin(min(math.sqrt(a * a + b * b + c * c) / 2.0, 1.0))


@uncounted
def _from_few(sides: Floats, x: float, y: float, z: float) -> float:
    """Distance from a polygon."""
    least, turned = math.inf, 0.0
    count = len(sides)
    for number in range(count):
        least = min(least, _to_side(sides[number], x, y, z))
        turned += _turn(sides[number, 0:3], sides[(number + 1) % count, 0:3], x, y, z)
    return -least if turned > math.pi / 2.0 else least


@uncounted
def _nearer(caps: Floats, x: float, y: float, z: float) -> int:
    """Go down to a cap without parts, always to the part whose centre is nearer."""
    cap = 0
    while int(caps[cap, _NEXT]) > cap + 1:
        one = cap + 1
        other = int(caps[one, _NEXT])
        nearer = _dot(caps[one], x, y, z) >= _dot(caps[other], x, y, z)
        cap = one if nearer else other
    return cap


@uncounted
def _from_many(sides: Floats, caps: Floats, x: float, y: float, z: float) -> float:
    """Distance from a polygon, passing over sides that lie too far."""
    least, turned = math.inf, 0.0
    count = len(sides)
    first = _nearer(caps, x, y, z)
    for number in range(int(caps[first, _FIRST]), int(caps[first, _STOP])):
        least = min(least, _to_side(sides[number], x, y, z))
    cap = 0
    while cap < len(caps):
        away = _angle(x, y, z, caps[cap]) - caps[cap, _RADIUS]
        start, stop, after = int(caps[cap, _FIRST]), int(caps[cap, _STOP]), int(caps[cap, _NEXT])
        # A line in a convex cap may be straightened, seen from outside of it.
        straight = away > 1e-9 and caps[cap, _RADIUS] < 1.5
        if straight and away > least:
            turned += _turn(sides[start, 0:3], sides[stop % count, 0:3], x, y, z) + caps[cap, _LEFT]
            cap = after
        elif after > cap + 1:
            cap += 1
        else:
            for number in range(start, stop):
                least = min(least, _to_side(sides[number], x, y, z))
                turned += _turn(sides[number, 0:3], sides[(number + 1) % count, 0:3], x, y, z)
            cap = after
    return -least if turned > math.pi / 2.0 else least


@uncounted
def _from_meridian(side: Floats, x: float, y: float, z: float) -> float:
    """Distance from a piece of a meridian; a side: start, end, east, from_start, from_end."""
    if _dot(side[9:12], x, y, z) >= 0.0 and _dot(side[12:15], x, y, z) <= 0.0:
        return math.asin(min(abs(_dot(side[6:9], x, y, z)), 1.0))
    return min(_angle(x, y, z, side[0:3]), _angle(x, y, z, side[3:6]))


@uncounted
def _from_range(numbers: Floats, sides: Floats, x: float, y: float, z: float) -> float:
    """Distance from a range; its numbers: south, north, start and width in RA."""
    south, north, start, width = numbers
    dec = math.atan2(z, math.hypot(x, y))
    beyond = -math.inf
    if north < math.pi / 2.0:
        beyond = max(beyond, dec - north)
    if south > -math.pi / 2.0:
        beyond = max(beyond, south - dec)
    if width >= 2.0 * math.pi:
        return max(beyond, -math.pi)
    aside = min(_from_meridian(sides[0], x, y, z), _from_meridian(sides[1], x, y, z))
    east = (math.atan2(y, x) - start) % (2.0 * math.pi)
    if east > width:
        return aside
    return beyond if beyond > 0.0 else -min(-beyond, aside)


@uncounted
def distance(stencil: Stencil, x: float, y: float, z: float) -> float:
    """Measure the distance of a point from a stencil's boundary, as `soda.distance` does."""
    kind, numbers, sides, caps = stencil
    if kind == CIRCLE:
        from_centre = _angle(x, y, z, numbers[0:3])
        return from_centre - float(numbers[3])
    if kind == POLYGON:
        if len(caps) > 0:
            return _from_many(sides, caps, x, y, z)
        return _from_few(sides, x, y, z)
    return _from_range(numbers, sides, x, y, z)


@compiled
def distances(stencil: Stencil, points: Floats) -> Floats:
    """Measure the distances of points (n, 3)."""
    out = np.empty(len(points))
    for number in range(len(points)):
        out[number] = distance(
            stencil, points[number, 0], points[number, 1], points[number, 2]
        )  # fmt: skip
    return out
