"""How far points and short arcs are from a stencil's boundary, by compiled code.

The same numbers as those of `soda.distance`. Of a polygon with many sides those that lie together
have caps around them (`soda.caps`), so that a place is held against the sides near it only.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vodal.compiled import compiled, uncounted

__all__ = [
    "CIRCLE",
    "POLYGON",
    "RANGE",
    "Stencil",
    "clearance",
    "distance",
    "distances",
    "holds",
    "holds_corner",
    "is_beside",
    "span",
    "walk",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CIRCLE, POLYGON, RANGE = 0, 1, 2
"""Kinds of stencils; `soda.distance.StencilDistance.numbers` tells what their numbers are."""

Stencil = tuple[int, Floats, Floats, Floats]
"""Kind, numbers, sides and caps."""

_RADIUS, _FIRST, _STOP, _NEXT, _LEFT = 3, 4, 5, 6, 7
"""Columns of a cap behind its centre (`soda.caps`)."""

_POINT = 1e-15
"""An arc that is shorter, radians, has no direction."""


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


@uncounted
def _apart(one: float, other: float) -> float:
    """Tell how far two points of one side of a great circle are from it, or 0."""
    return min(abs(one), abs(other)) if one * other > 0.0 else 0.0


@uncounted
def _beyond(one: float, other: float) -> float:
    return max(0.0, min(-one, -other))


@uncounted
def _side_clearance(side: Floats, end: Floats, arc: Floats) -> float:
    """Tell how far at least an arc is from a side; an arc: start, end, normal, from_start, to_end.

    Two arcs are disjoint if a great circle of either separates them.
    """
    ax, ay, az, bx, by, bz = arc[0], arc[1], arc[2], arc[3], arc[4], arc[5]
    cx, cy, cz, dx, dy, dz = side[0], side[1], side[2], end[0], end[1], end[2]
    gap = _apart(_dot(side[3:6], ax, ay, az), _dot(side[3:6], bx, by, bz))
    gap = max(gap, _apart(_dot(arc[6:9], cx, cy, cz), _dot(arc[6:9], dx, dy, dz)))
    gap = max(gap, _beyond(_dot(side[6:9], ax, ay, az), _dot(side[6:9], bx, by, bz)))
    gap = max(gap, _beyond(_dot(side[9:12], ax, ay, az), _dot(side[9:12], bx, by, bz)))
    gap = max(gap, _beyond(_dot(arc[9:12], cx, cy, cz), _dot(arc[9:12], dx, dy, dz)))
    return max(gap, _beyond(_dot(arc[12:15], cx, cy, cz), _dot(arc[12:15], dx, dy, dz)))


@uncounted
def _polygon_clearance(sides: Floats, caps: Floats, arc: Floats, enough: float) -> float:
    gap, count = enough, len(sides)
    if len(caps) == 0:
        for number in range(count):
            end = sides[(number + 1) % count]
            gap = min(gap, _side_clearance(sides[number], end, arc))
        return gap
    half = 0.5 * _angle(arc[0], arc[1], arc[2], arc[3:6])
    x, y, z = arc[0] + arc[3], arc[1] + arc[4], arc[2] + arc[5]
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    cap = 0
    while cap < len(caps):
        after = int(caps[cap, _NEXT])
        if _angle(x, y, z, caps[cap]) - caps[cap, _RADIUS] - half > gap:
            cap = after
        elif after > cap + 1:
            cap += 1
        else:
            for number in range(int(caps[cap, _FIRST]), int(caps[cap, _STOP])):
                end = sides[(number + 1) % count]
                gap = min(gap, _side_clearance(sides[number], end, arc))
            cap = after
    return gap


@uncounted
def _circle_clearance(numbers: Floats, arc: Floats) -> float:
    x, y, z = numbers[0], numbers[1], numbers[2]
    first, last = _dot(arc[9:12], x, y, z), _dot(arc[12:15], x, y, z)
    if first >= 0.0 and last >= 0.0 and first + last > 0.0:
        away = math.asin(min(abs(_dot(arc[6:9], x, y, z)), 1.0))
    else:
        away = min(_angle(x, y, z, arc[0:3]), _angle(x, y, z, arc[3:6]))
    nearest: float = away - numbers[3]
    return nearest


@uncounted
def _range_clearance(numbers: Floats, sides: Floats, arc: Floats) -> float:
    south, north, _, width = numbers
    one = math.atan2(arc[2], math.hypot(arc[0], arc[1]))
    other = math.atan2(arc[5], math.hypot(arc[3], arc[4]))
    low, high = min(one, other), max(one, other)
    top = math.acos(min(abs(arc[8]), 1.0))
    # The third coordinates of what leads along the arc: does it rise at its start, at its end?
    if arc[11] > 0.0 and arc[14] > 0.0:
        high = max(high, top)
    if arc[11] < 0.0 and arc[14] < 0.0:
        low = min(low, -top)
    gap = -math.inf
    if north < math.pi / 2.0:
        gap = max(gap, low - north)
    if south > -math.pi / 2.0:
        gap = max(gap, south - high)
    if width >= 2.0 * math.pi:
        return gap
    west = min(
        -_dot(sides[0, 6:9], arc[0], arc[1], arc[2]), -_dot(sides[0, 6:9], arc[3], arc[4], arc[5])
    )
    east = min(
        _dot(sides[1, 6:9], arc[0], arc[1], arc[2]), _dot(sides[1, 6:9], arc[3], arc[4], arc[5])
    )
    return max(gap, max(west, east) if width <= math.pi else min(west, east))


@uncounted
def span(arc: Floats) -> None:
    """Fill in normal, from_start and to_end of an arc whose ends are there."""
    a, b, c, d, e, f = arc[0], arc[1], arc[2], arc[3], arc[4], arc[5]
    # Of ends so near, the difference keeps the digits.
    d, e, f = d - a, e - b, f - c
    x, y, z = b * f - c * e, c * d - a * f, a * e - b * d
    length = math.sqrt(x * x + y * y + z * z)
    if length > _POINT:
        x, y, z = x / length, y / length, z / length
    else:
        x, y, z = 0.0, 0.0, 0.0
    d, e, f = arc[3], arc[4], arc[5]
    arc[6], arc[7], arc[8] = x, y, z
    arc[9], arc[10], arc[11] = y * c - z * b, z * a - x * c, x * b - y * a
    arc[12], arc[13], arc[14] = e * z - f * y, f * x - d * z, d * y - e * x


@uncounted
def clearance(stencil: Stencil, arc: Floats, enough: float) -> float:
    """Tell how far at least a short arc is from a stencil, or from a polygon's boundary.

    It is 0 or less where they meet, and only there; near a corner it may be less than the
    distance. Nothing is looked at that is farther than ``enough``, radians.
    """
    kind, numbers, sides, caps = stencil
    if kind == CIRCLE:
        return _circle_clearance(numbers, arc)
    if kind == POLYGON:
        return _polygon_clearance(sides, caps, arc, enough)
    return _range_clearance(numbers, sides, arc)


@uncounted
def holds(stencil: Stencil, corners: Floats) -> bool:
    """Tell whether a quadrangle (4, 3) clear of a stencil's boundary lies around it."""
    place = stencil[1][0:3] if stencil[0] == CIRCLE else stencil[2][0, 0:3]
    turned = 0.0
    for number in range(4):
        turned += _turn(
            corners[number], corners[(number + 1) % 4], place[0], place[1], place[2]
        )  # fmt: skip
    return abs(turned) > math.pi


@uncounted
def is_beside(stencil: Stencil, corners: Floats, gap: float) -> bool:
    """Tell, if it is easily told, that a quadrangle is clear of a polygon's boundary by a gap."""
    kind, _, sides, caps = stencil
    if kind != POLYGON or len(caps) > 0:
        return False
    for number in range(len(sides)):
        low, high, start, end = math.inf, -math.inf, -math.inf, -math.inf
        for corner in range(4):
            x, y, z = corners[corner]
            across = _dot(sides[number, 3:6], x, y, z)
            low, high = min(low, across), max(high, across)
            start = max(start, _dot(sides[number, 6:9], x, y, z))
            end = max(end, _dot(sides[number, 9:12], x, y, z))
        if low <= gap and high >= -gap and start >= -gap and end >= -gap:
            return False
    return True


@uncounted
def holds_corner(stencil: Stencil, corners: Floats, arcs: Floats, gap: float) -> bool:
    """Tell whether one of a stencil's few corners lies in a quadrangle, not near its sides."""
    kind, _, sides, caps = stencil
    if kind == CIRCLE or len(caps) > 0:
        return False
    for number in range(len(sides)):
        for first in range(0, 6 if kind == RANGE else 3, 3):
            place = sides[number, first : first + 3]
            low, high = math.inf, -math.inf
            for arc in range(4):
                across = _dot(arcs[arc, 6:9], place[0], place[1], place[2])
                low, high = min(low, across), max(high, across)
            near = _dot(corners[0], place[0], place[1], place[2]) > 0.0
            if near and (low > gap or high < -gap):
                return True
    return False


@uncounted
def _bend(first: Floats, middle: Floats, last: Floats) -> float:
    """Tell how far a place is from the middle of the arc between two others; NaN off the sky."""
    total, apart = 0.0, 0.0
    for k in range(3):
        total += (first[k] + last[k]) ** 2
    length = math.sqrt(total)
    if length == 0.0:
        return math.inf
    for k in range(3):
        apart += ((first[k] + last[k]) / length - middle[k]) ** 2
    return math.sqrt(apart)


@compiled
def walk(stencil: Stencil, points: Floats, touch: float) -> tuple[bool, Bools, float]:
    """Walk along pieces of a line, as `soda.edges.walk_by_arrays` does."""
    pieces, count, _ = points.shape
    clear = np.zeros((pieces, count // 2), np.bool_)
    # An arc of the layout that the search has too, so that functions of arcs are compiled once.
    arc = np.empty((1, 16))[:, :15][0]
    turned = 0.0
    place = stencil[1][0:3] if stencil[0] == CIRCLE else stencil[2][0, 0:3]
    for piece in range(pieces):
        for number in range(count):
            x, y, z = points[piece, number]
            if distance(stencil, x, y, z) <= touch:
                return True, clear, turned
        for part in range(count // 2):
            first, middle, last = (
                points[piece, 2 * part], points[piece, 2 * part + 1], points[piece, 2 * part + 2],
            )  # fmt: skip
            for k in range(3):
                arc[k], arc[3 + k] = first[k], last[k]
            span(arc)
            near = 2.0 * _bend(first, middle, last) + 0.5 * touch
            if clearance(stencil, arc, 2.0 * near) > near:
                clear[piece, part] = True
                turned += _turn(first, middle, place[0], place[1], place[2])
                turned += _turn(middle, last, place[0], place[1], place[2])
    return False, clear, turned
