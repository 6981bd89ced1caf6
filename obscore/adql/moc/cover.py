"""What shapes and maps have to do with each other.

A point is in a map if its cell of order 29 is. A region meets a map if it touches one of its cells,
and lies in it if it touches no cell outside; boundaries belong to both, so that a region along the
edge of a map touches what is beyond.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from obscore.adql.moc.cells import cap, corner, outline
from obscore.adql.moc.ranges import MAX_CELLS, Moc
from obscore.adql.userdefined.healpix import MAX_ORDER, index
from vodal import sphere
from vodal.errors import UsageError
from vodal.regions import Circle, Point, Polygon, Region, Shape
from vodal.vectors import Vector, angle, point_of

__all__ = ["area_deg2", "around", "cover", "holds_point", "lies_in", "map_lies_in", "meets"]

_FEW = 32
"""Circles that a map is looked up by in the spatial index."""

_MUCH = 0.4
"""Part of the sky from which looking rows up costs more than it saves."""

_TESTS = 20_000
"""Cells that are tested to cover a shape, before it is too much work."""

_SHORT = 6
"""Order from which on outlines are short."""

_SKY_DEG2 = 4.0 * math.pi * math.degrees(1.0) ** 2


def holds_point(moc: Moc, ra_deg: float, dec_deg: float) -> bool:
    """Tell whether a position is in a map."""
    return moc.holds(index(MAX_ORDER, ra_deg, dec_deg))


def meets(moc: Moc, shape: Shape) -> bool:
    """Tell whether a shape touches a cell of a map."""
    if isinstance(shape, Point):
        return holds_point(moc, shape.ra_deg, shape.dec_deg)
    inside = _inside(shape)
    if holds_point(moc, inside.ra_deg, inside.dec_deg):
        return True
    return any(_touches(shape, order, cell) for order, cell in _near(moc, shape))


def lies_in(moc: Moc, shape: Shape) -> bool:
    """Tell whether a shape touches no cell outside a map."""
    if isinstance(shape, Point):
        return holds_point(moc, shape.ra_deg, shape.dec_deg)
    return not meets(moc.rest(), shape)


def map_lies_in(moc: Moc, shape: Shape) -> bool:
    """Tell whether a shape holds all cells of a map."""
    if isinstance(shape, Point):
        return not moc.starts
    return all(
        sphere.contains(shape, Point(*corner(order, cell))) for order, cell in moc.cells()
    ) and all(sphere.contains(shape, outline(order, cell)) for order, cell in moc.cells())


def area_deg2(moc: Moc) -> float:
    """Give the area of a map."""
    return moc.fraction * _SKY_DEG2


def around(moc: Moc) -> list[Circle] | None:
    """Give a few circles that cover a map; None if they would leave out too little of the sky."""
    cells = moc.coarse(_FEW)
    if not cells or len(cells) / (12 << 2 * cells[0][0]) > _MUCH:
        return None
    circles = []
    for order, cell in cells:
        centre, radius_deg = cap(order, cell)
        point = point_of(centre)
        circles.append(Circle(point.ra_deg, point.dec_deg, min(180.0, radius_deg)))
    return circles


def cover(order: int, shape: Shape) -> Moc:
    """Give the cells of an order that a shape touches, as a map.

    Raises
    ------
    UsageError
        If there are too many, or no such order.
    """
    if not 0 <= order <= MAX_ORDER:
        raise UsageError(f"the orders of a MOC go from 0 to {MAX_ORDER}, not {order}")
    if isinstance(shape, Point):
        cell = index(order, shape.ra_deg, shape.dec_deg)
        return Moc.of_cells(order, [_range(order, cell)])
    centre, radius_deg = sphere.bounding_cap(shape)
    found: list[tuple[int, int]] = []
    pending = [(0, cell) for cell in range(12)]
    tests = 0
    while pending:
        depth, cell = pending.pop()
        if not _caps_meet(depth, cell, centre, radius_deg):
            continue
        tests += 1
        if tests > _TESTS or len(found) > MAX_CELLS:
            raise UsageError(f"the shape has too many cells of order {order}; take a lower order")
        if depth < order and not _is_handy(depth, radius_deg):
            pending += _parts(depth, cell)
            continue
        if not _touches(shape, depth, cell):
            continue
        if depth == order or sphere.contains(shape, outline(depth, cell)):
            found.append(_range(depth, cell))
        else:
            pending += _parts(depth, cell)
    return Moc.of_cells(order, found)


def _range(order: int, cell: int) -> tuple[int, int]:
    shift = 2 * (MAX_ORDER - order)
    return cell << shift, (cell + 1) << shift


def _inside(shape: Region) -> Point:
    """Give a point of a region."""
    match shape:
        case Circle(ra_deg, dec_deg, _):
            return Point(ra_deg, dec_deg)
        case Polygon(vertices):
            return Point(*vertices[0])
        case _:
            return Point(shape.ra_min_deg, shape.dec_min_deg)


def _caps_meet(order: int, cell: int, centre: Vector, radius_deg: float) -> bool:
    middle, reach_deg = cap(order, cell)
    return math.degrees(angle(middle, centre)) <= radius_deg + reach_deg + 1e-6


def _near(moc: Moc, shape: Region) -> Iterator[tuple[int, int]]:
    """Give the cells of a map that lie near a region."""
    centre, radius_deg = sphere.bounding_cap(shape)
    pending = [(0, cell) for cell in range(11, -1, -1)]
    while pending:
        order, cell = pending.pop()
        start, end = _range(order, cell)
        if not moc.meets(start, end) or not _caps_meet(order, cell, centre, radius_deg):
            continue
        if moc.has(start, end) and _is_handy(order, radius_deg):
            yield order, cell
        else:
            pending += _parts(order, cell)


def _is_handy(order: int, radius_deg: float) -> bool:
    """Tell whether cells are small: large ones have long outlines, their parts are quicker."""
    return order >= _SHORT or (order >= 2 and cap(order, 0)[1] <= radius_deg)


def _parts(order: int, cell: int) -> list[tuple[int, int]]:
    return [(order + 1, 4 * cell + part) for part in range(4)]


def _touches(shape: Region, order: int, cell: int) -> bool:
    """Tell whether a region and a cell have a point in common."""
    if sphere.contains(shape, Point(*corner(order, cell))):
        return True
    inside = _inside(shape)
    if index(order, inside.ra_deg, inside.dec_deg) == cell:
        return True
    return sphere.intersects(shape, outline(order, cell))
