"""Which cells of HEALPix a footprint touches (Gorski et al. 2005), in compiled code.

From the twelve base cells down, a cell is left out when its circle and the footprint are apart,
taken whole when its circle lies within, and divided else; at the last order all that is left is
taken. So a map holds all of a footprint, and beyond it only cells whose circles touch it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from obscore.adql.moc.cells import cap, cap_radius_deg
from obscore.adql.userdefined.healpix import MAX_ORDER
from obscore.coverage.ranges import Ranges, joined
from vodal.compiled import compiled
from vodal.outlines import ring_of
from vodal.regions import Circle, Polygon, Range, Region
from vodal.sphere import bounding_cap, contains, intersects
from vodal.vectors import point_of

__all__ = ["fitting_order", "touched", "touched_slowly"]

Floats = NDArray[np.float64]

_LOWEST = 3
_PER_RADIUS = 4.0
_APART, _WITHIN, _DIVIDED = 0, 1, 2
_SLACK = 1e-9
"""Radians by which circles of cells are widened."""


_RADII = np.radians([cap_radius_deg(order) for order in range(MAX_ORDER + 1)]) + _SLACK


def fitting_order(region: Region, highest: int) -> int:
    """Choose the order whose cells are about a quarter of a footprint's radius."""
    wanted = math.radians(bounding_cap(region)[1]) / _PER_RADIUS
    order = int(np.searchsorted(-_RADII, -wanted))
    return max(_LOWEST, min(order, highest))


def touched(region: Region, order: int) -> Ranges:
    """Give the cells that a footprint touches.

    Parameters
    ----------
    region
        The footprint.
    order
        Of the smallest cells, up to `MAX_ORDER`.

    Returns
    -------
    array
        Sorted ranges of cells of `MAX_ORDER`, apart from each other; shape (n, 2).
    """
    match region:
        case Circle(_, _, radius_deg):
            center, reach = np.array(bounding_cap(region)[0]), math.radians(radius_deg)
            corners = normals = np.zeros((0, 3))
        case Polygon():
            ring = ring_of(region)
            corners, normals = np.array(ring.vertices), np.array(ring.normals)
            middle, cap_deg = bounding_cap(region)
            center, reach = np.array(middle), math.radians(cap_deg)
        case Range():
            return touched_slowly(region, order)
    size = 1024
    while True:
        found = np.empty((size, 2), np.uint64)
        count = _descend(center, reach, corners, normals, order, _RADII, found)
        if count >= 0:
            return found[:count].copy()
        size *= 8


def touched_slowly(region: Region, order: int) -> Ranges:
    """Do as `touched`, for regions of any kind, by the predicates of the sphere."""
    found: list[tuple[int, int]] = []
    pending = [(0, face) for face in range(12)]
    while pending:
        depth, cell = pending.pop()
        place = point_of(cap(depth, cell)[0])
        radius_deg = min(180.0, math.degrees(float(_RADII[depth])))
        circle = Circle(place.ra_deg, place.dec_deg, radius_deg)
        if not intersects(region, circle):
            continue
        if depth < order and not contains(region, circle):
            pending += [(depth + 1, 4 * cell + part) for part in range(4)]
            continue
        shift = 2 * (MAX_ORDER - depth)
        found.append((cell << shift, (cell + 1) << shift))
    return joined([np.array(found, np.uint64).reshape(-1, 2)])


@compiled
def _center(face: int, x: float, y: float) -> Floats:
    """Give the unit vector of a place in a base cell, from (0, 0) in the south to (1, 1)."""
    row = 2.0 + face // 4 - x - y
    column = 2.0 * (face % 4) + (1.0 if face // 4 != 1 else 0.0)
    if row < 1.0:
        width, z_sign = row, 1.0
    elif row > 3.0:
        width, z_sign = 4.0 - row, -1.0
    else:
        width, z_sign = 1.0, 0.0
    if z_sign == 0.0:
        z = (2.0 - row) * 2.0 / 3.0
        across = math.sqrt(1.0 - z * z)
    else:
        # 1 - |z| is width squared over 3: the cosine of the latitude keeps its digits at the pole.
        z = z_sign * (1.0 - width * width / 3.0)
        across = width * math.sqrt((2.0 - width * width / 3.0) / 3.0)
    turn = 0.0
    if width > 1e-15:
        turn = (column * width + x - y) * (math.pi / 4.0) / width
    vector = np.empty(3)
    vector[0] = across * math.cos(turn)
    vector[1] = across * math.sin(turn)
    vector[2] = z
    return vector


@compiled
def _number(order: int, face: int, x: int, y: int) -> int:
    """Give the number of a cell in the nested scheme."""
    number = face
    for bit in range(order - 1, -1, -1):
        number = (number << 2) | (((y >> bit) & 1) << 1) | ((x >> bit) & 1)
    return number


@compiled
def _is_within(x: Floats, corners: Floats) -> bool:
    """Tell whether a place is inside a polygon, its interior left of its sides: see `Ring`."""
    total = 0.0
    last = corners[len(corners) - 1] - x
    for i in range(len(corners)):
        here = corners[i] - x
        triple = (
            x[0] * (last[1] * here[2] - last[2] * here[1])
            + x[1] * (last[2] * here[0] - last[0] * here[2])
            + x[2] * (last[0] * here[1] - last[1] * here[0])
        )
        total += math.atan2(triple, last[0] * here[0] + last[1] * here[1] + last[2] * here[2])
        last = here
    return total > math.pi / 2


@compiled
def _is_near(x: Floats, corners: Floats, normals: Floats, radius: float) -> bool:
    """Tell whether a place is nearer to a polygon's sides than a radius, less than 90 degrees."""
    sine, square = math.sin(radius), 4.0 * math.sin(radius / 2.0) ** 2
    count = len(corners)
    for i in range(count):
        a, n = corners[i], normals[i]
        dx, dy, dz = x[0] - a[0], x[1] - a[1], x[2] - a[2]
        if dx * dx + dy * dy + dz * dz <= square:
            return True
        if abs(n[0] * x[0] + n[1] * x[1] + n[2] * x[2]) > sine:
            continue
        b = corners[i + 1 if i + 1 < count else 0]
        after = (
            (n[1] * a[2] - n[2] * a[1]) * x[0]
            + (n[2] * a[0] - n[0] * a[2]) * x[1]
            + (n[0] * a[1] - n[1] * a[0]) * x[2]
        )
        before = (
            (b[1] * n[2] - b[2] * n[1]) * x[0]
            + (b[2] * n[0] - b[0] * n[2]) * x[1]
            + (b[0] * n[1] - b[1] * n[0]) * x[2]
        )
        if after >= 0.0 and before >= 0.0:
            return True
    return False


@compiled
def _verdict(
    place: Floats, radius: float, center: Floats, reach: float, corners: Floats, normals: Floats
) -> int:
    """Tell whether a circle is apart from a region, within it, or neither for certain."""
    difference, total = 0.0, 0.0
    for axis in range(3):
        difference += (place[axis] - center[axis]) ** 2
        total += (place[axis] + center[axis]) ** 2
    away = 2.0 * math.atan2(math.sqrt(difference), math.sqrt(total))
    if away > reach + radius:
        return _APART
    if len(corners) == 0:
        return _WITHIN if away + radius <= reach else _DIVIDED
    if radius < 1.5 and not _is_near(place, corners, normals, radius):
        return _WITHIN if _is_within(place, corners) else _APART
    return _DIVIDED


@compiled
def _descend(
    center: Floats, reach: float, corners: Floats, normals: Floats, order: int, radii: Floats,
    found: Ranges,
) -> int:  # fmt: skip
    """Write the ranges of the cells that a circle, or a polygon within it, touches.

    Gives how many, or -1 if there is no room for all.
    """
    count = 0
    stack = np.empty((4 * 30 + 12, 4), np.int64)
    top = 12
    for face in range(12):
        stack[11 - face] = (0, face, 0, 0)
    while top > 0:
        top -= 1
        depth, face, x, y = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3]
        nside = float(1 << depth)
        place = _center(face, (x + 0.5) / nside, (y + 0.5) / nside)
        verdict = _verdict(place, radii[depth], center, reach, corners, normals)
        if verdict == _APART:
            continue
        if depth < order and verdict == _DIVIDED:
            for part in range(3, -1, -1):
                stack[top, 0] = depth + 1
                stack[top, 1] = face
                stack[top, 2] = 2 * x + (part & 1)
                stack[top, 3] = 2 * y + (part >> 1)
                top += 1
            continue
        shift = 2 * (29 - depth)
        start = np.uint64(_number(depth, face, x, y)) << np.uint64(shift)
        if count > 0 and found[count - 1, 1] == start:
            found[count - 1, 1] = start + (np.uint64(1) << np.uint64(shift))
            continue
        if count == len(found):
            return -1
        found[count, 0] = start
        found[count, 1] = start + (np.uint64(1) << np.uint64(shift))
        count += 1
    return count
