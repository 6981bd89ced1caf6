"""A glance at two shapes, compiled: it tells how most pairs of them lie, and which need a look.

`vodal.sphere` compares shapes exactly, which takes tens of microseconds of Python for a pair. Most
pairs lie clear of each other or well within each other; that is told here from distances that are
far larger than any rounding. Where it is closer than `_MARGIN`, or a shape is not one of the usual
kinds, the answer is `UNDECIDED` and the exact comparison has to be asked.

Usual are circles below a hemisphere and convex polygons of few vertices, which are the part of the
sky within all their sides.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vodal.compiled import compiled, in_turn

__all__ = ["UNDECIDED", "contains", "holds", "intersects", "load"]

UNDECIDED = -1
OUTSIDE, INSIDE = 0, 1

_MARGIN = 1e-9
"""Radians: a thousand times the width of a boundary and the rounding of what is computed here."""

_MOST_VERTICES = 12
_LARGEST = math.radians(80.0)
"""Circles and polygons up to this radius are looked at."""

Numbers = NDArray[np.float64]

_CIRCLE, _POLYGON = ord("c"), ord("y")


@compiled
def _vector(ra_deg: float, dec_deg: float) -> tuple[float, float, float]:
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    return math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)


@compiled
def _apart(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Give the distance of two unit vectors in radians."""
    chord = math.sqrt((ax - bx) ** 2 + (ay - by) ** 2 + (az - bz) ** 2)
    return 2.0 * math.asin(min(1.0, chord / 2.0))


@compiled
def _is_place(ra_deg: float, dec_deg: float) -> bool:
    return math.isfinite(ra_deg) and -90.0 <= dec_deg <= 90.0


@compiled
def _circle(shape: Numbers) -> bool:
    """Tell whether a circle is a usual one."""
    return (
        len(shape) == 3
        and _is_place(shape[0], shape[1])
        and shape[2] > 0.0
        and math.radians(shape[2]) < _LARGEST
    )


@compiled
def _polygon(shape: Numbers, corners: Numbers, sides: Numbers) -> float:
    """Compute the vectors of a polygon's vertices and the normals of its sides, inward.

    Parameters
    ----------
    shape
        Its coordinates.
    corners, sides
        For the vectors, and one more of the corners for the middle.

    Returns
    -------
    float
        The radius of a circle about the middle that holds it, in radians; negative if it is not
        a usual one.
    """
    count = len(shape) // 2
    if count < 3 or count > _MOST_VERTICES or len(shape) != 2 * count:
        return -1.0
    middle = corners[count]
    middle[:] = 0.0
    for k in range(count):
        if not _is_place(shape[2 * k], shape[2 * k + 1]):
            return -1.0
        corners[k, 0], corners[k, 1], corners[k, 2] = _vector(shape[2 * k], shape[2 * k + 1])
        middle += corners[k]
    length = math.sqrt(middle[0] ** 2 + middle[1] ** 2 + middle[2] ** 2)
    if length < 0.1:
        return -1.0
    middle /= length
    radius = 0.0
    for k in range(count):
        a, b = corners[k], corners[(k + 1) % count]
        radius = max(radius, _apart(a[0], a[1], a[2], middle[0], middle[1], middle[2]))
        x, y, z = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
        size = math.sqrt(x * x + y * y + z * z)
        if size < 1e-6:
            return -1.0
        side = x * middle[0] + y * middle[1] + z * middle[2]
        turn = 1.0 / size if side > 0.0 else -1.0 / size
        sides[k, 0], sides[k, 1], sides[k, 2] = x * turn, y * turn, z * turn
        for other in range(count):
            if other not in (k, (k + 1) % count) and _height(sides[k], corners[other]) < 1e-8:
                # Not convex, or nearly not.
                return -1.0
    return radius if radius < _LARGEST else -1.0


@compiled
def _height(side: Numbers, place: Numbers) -> Any:
    return side[0] * place[0] + side[1] * place[1] + side[2] * place[2]


@compiled
def _in_polygon(sides: Numbers, count: int, place: Numbers) -> int:
    lowest = 1.0
    for k in range(count):
        lowest = min(lowest, _height(sides[k], place))
    if lowest > _MARGIN:
        return INSIDE
    return OUTSIDE if lowest < -_MARGIN else UNDECIDED


@compiled
def _holds(kind: int, shape: Numbers, ra_deg: float, dec_deg: float) -> int:
    if not _is_place(ra_deg, dec_deg):
        return UNDECIDED
    place = np.empty(3)
    place[0], place[1], place[2] = _vector(ra_deg, dec_deg)
    if kind == _CIRCLE and _circle(shape):
        x, y, z = _vector(shape[0], shape[1])
        beyond = _apart(x, y, z, place[0], place[1], place[2]) - math.radians(shape[2])
        if abs(beyond) < _MARGIN:
            return UNDECIDED
        return INSIDE if beyond < 0.0 else OUTSIDE
    if kind == _POLYGON:
        corners, sides = np.empty((_MOST_VERTICES + 1, 3)), np.empty((_MOST_VERTICES, 3))
        if _polygon(shape, corners, sides) >= 0.0:
            return _in_polygon(sides, len(shape) // 2, place)
    return UNDECIDED


@compiled
def _corners_in_circle(circle: Numbers, corners: Numbers, count: int) -> tuple[int, int]:
    """Count the corners of a polygon that are inside and outside of a circle for certain."""
    x, y, z = _vector(circle[0], circle[1])
    radius = math.radians(circle[2])
    inside = outside = 0
    for k in range(count):
        beyond = _apart(x, y, z, corners[k, 0], corners[k, 1], corners[k, 2]) - radius
        inside += beyond < -_MARGIN
        outside += beyond > _MARGIN
    return inside, outside


@compiled
def _circle_and_polygon(circle: Numbers, polygon: Numbers, asked: int) -> int:
    """Tell whether they intersect (0), the circle holds the polygon (1), or is held by it (2)."""
    corners, sides = np.empty((_MOST_VERTICES + 1, 3)), np.empty((_MOST_VERTICES, 3))
    count = len(polygon) // 2
    reach = _polygon(polygon, corners, sides)
    if reach < 0.0 or not _circle(circle):
        return UNDECIDED
    inside, outside = _corners_in_circle(circle, corners, count)
    if asked == 1:
        if inside == count:
            return INSIDE
        return OUTSIDE if outside else UNDECIDED
    centre, middle = np.empty(3), corners[count]
    centre[0], centre[1], centre[2] = _vector(circle[0], circle[1])
    lowest = 1.0
    for k in range(count):
        lowest = min(lowest, _height(sides[k], centre))
    radius = math.radians(circle[2])
    if asked == 2:
        clear = lowest - math.sin(radius)
        if abs(clear) < _MARGIN:
            return UNDECIDED
        return INSIDE if clear > 0.0 else OUTSIDE
    if inside or lowest > _MARGIN:
        return INSIDE
    apart = _apart(centre[0], centre[1], centre[2], middle[0], middle[1], middle[2])
    if lowest < -math.sin(radius) - _MARGIN or apart > radius + reach + _MARGIN:
        return OUTSIDE
    return UNDECIDED


@compiled
def _polygons(a: Numbers, b: Numbers, is_within: bool) -> int:  # noqa: FBT001
    """Tell whether polygons intersect, or the first holds the second."""
    a_corners, a_sides = np.empty((_MOST_VERTICES + 1, 3)), np.empty((_MOST_VERTICES, 3))
    b_corners, b_sides = np.empty((_MOST_VERTICES + 1, 3)), np.empty((_MOST_VERTICES, 3))
    if _polygon(a, a_corners, a_sides) < 0.0 or _polygon(b, b_corners, b_sides) < 0.0:
        return UNDECIDED
    a_count, b_count = len(a) // 2, len(b) // 2
    inside = 0
    for k in range(b_count):
        found = _in_polygon(a_sides, a_count, b_corners[k])
        inside += found == INSIDE
        if is_within and found == OUTSIDE:
            return OUTSIDE
    if is_within:
        return INSIDE if inside == b_count else UNDECIDED
    if inside:
        return INSIDE
    for k in range(a_count):
        if _in_polygon(b_sides, b_count, a_corners[k]) == INSIDE:
            return INSIDE
    if _parts(a_sides, a_count, b_corners, b_count) or _parts(b_sides, b_count, a_corners, a_count):
        return OUTSIDE
    return UNDECIDED


@compiled
def _parts(sides: Numbers, count: int, corners: Numbers, others: int) -> bool:
    """Tell whether all of some corners lie beyond one of some sides."""
    for k in range(count):
        beyond = 0
        for other in range(others):
            beyond += _height(sides[k], corners[other]) < -_MARGIN
        if beyond == others:
            return True
    return False


def _numbers(packed: bytes) -> Numbers:
    return np.frombuffer(packed[1:], np.float64)


def holds(shape: bytes, ra_deg: float, dec_deg: float) -> int:
    """Tell whether a packed shape has a position inside: 1, 0, or `UNDECIDED`."""
    if len(shape) % 8 != 1:
        return UNDECIDED
    return int(_holds(shape[0], _numbers(shape), float(ra_deg), float(dec_deg)))


def intersects(a: bytes, b: bytes) -> int:
    """Tell whether two packed shapes have a point in common: 1, 0, or `UNDECIDED`."""
    if len(a) % 8 != 1 or len(b) % 8 != 1:
        return UNDECIDED
    if a[0] == _POLYGON and b[0] == _POLYGON:
        return int(_polygons(_numbers(a), _numbers(b), False))
    if a[0] == _CIRCLE and b[0] == _POLYGON:
        return int(_circle_and_polygon(_numbers(a), _numbers(b), 0))
    if a[0] == _POLYGON and b[0] == _CIRCLE:
        return int(_circle_and_polygon(_numbers(b), _numbers(a), 0))
    return UNDECIDED


def contains(outer: bytes, inner: bytes) -> int:
    """Tell whether one packed shape holds another: 1, 0, or `UNDECIDED`."""
    if len(outer) % 8 != 1 or len(inner) % 8 != 1:
        return UNDECIDED
    if outer[0] == _POLYGON and inner[0] == _POLYGON:
        return int(_polygons(_numbers(outer), _numbers(inner), True))
    if outer[0] == _CIRCLE and inner[0] == _POLYGON:
        return int(_circle_and_polygon(_numbers(outer), _numbers(inner), 1))
    if outer[0] == _POLYGON and inner[0] == _CIRCLE:
        return int(_circle_and_polygon(_numbers(inner), _numbers(outer), 2))
    return UNDECIDED


@in_turn(_polygons)
def load() -> None:
    """Compile, or read from the disk what was compiled before."""
    # Memory that cannot be written, as that of the shapes.
    numbers = _numbers(b"c" + bytes(24))
    _holds(0, numbers, 0.0, 0.0)
    _circle_and_polygon(numbers, numbers, 0)
    _polygons(numbers, numbers, False)
