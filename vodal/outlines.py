"""Boundaries of regions: polygons as rings of vectors, all regions as arcs of circles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from vodal.regions import Circle, Polygon, Range, Region
from vodal.vectors import Vector, angle, cross, dot, mean, minus, negative, normal_of, unit, vector

__all__ = ["TOLERANCE", "Arc", "Ring", "arcs_of", "ring_of"]

TOLERANCE = 1e-12
"""Half the width of a boundary, in radians (0.2 micro-arcseconds)."""

_CONVEX_LIMIT = 12
"""Polygons of more vertices take the general way, whose cost grows slower than n squared."""


@dataclass(frozen=True, slots=True)
class Arc:
    """A piece of the circle ``axis . x = height``, ``sweep`` radians anticlockwise from ``u``."""

    axis: Vector
    height: float
    u: Vector
    v: Vector
    radius: float
    sweep: float
    start: Vector
    end: Vector

    @property
    def closed(self) -> bool:
        """Whether the arc is a whole circle."""
        return self.sweep >= 2.0 * math.pi

    def at(self, turn: float) -> Vector:
        """Give the point so many radians from the start."""
        cos, sin = self.radius * math.cos(turn), self.radius * math.sin(turn)
        return unit(
            (
                self.height * self.axis[0] + cos * self.u[0] + sin * self.v[0],
                self.height * self.axis[1] + cos * self.u[1] + sin * self.v[1],
                self.height * self.axis[2] + cos * self.u[2] + sin * self.v[2],
            )
        )

    def turn(self, x: Vector) -> float:
        """Give the azimuth of a point about the axis, from the start, in [0, 2 pi)."""
        return math.atan2(dot(x, self.v), dot(x, self.u)) % (2.0 * math.pi)

    def distance(self, x: Vector) -> float:
        """Give the distance of a point from the arc in radians."""
        if self.closed or self.turn(x) <= self.sweep:
            u, v = dot(x, self.u), dot(x, self.v)
            off = math.atan2(dot(x, self.axis), math.sqrt(u * u + v * v))
            return abs(off - math.atan2(self.height, self.radius))
        return min(angle(x, self.start), angle(x, self.end))


def _arc(axis: Vector, start: Vector, sweep: float, end: Vector | None = None) -> Arc:
    """Make an arc anticlockwise about ``axis`` from ``start``."""
    height = dot(axis, start)
    v = cross(axis, start)
    radius = math.sqrt(dot(v, v))
    v = unit(v)
    u = cross(v, axis)
    arc = Arc(axis, height, u, v, radius, sweep, start, start)
    return Arc(axis, height, u, v, radius, sweep, start, end or arc.at(sweep))


@dataclass(frozen=True, slots=True)
class Ring:
    """A polygon as unit vectors, turned so that its interior lies left of its sides."""

    vertices: tuple[Vector, ...]
    normals: tuple[Vector, ...]
    """Unit normals of the sides; that of side i points to the left of i -> i + 1."""
    convex: bool

    def lengths(self) -> list[float]:
        """Give the lengths of the sides in radians."""
        return [angle(start, end) for start, end, _ in self.sides()]

    def area_sr(self) -> float:
        """Give the area in steradians."""
        return abs(_signed_area(self.vertices))

    def sides(self) -> list[tuple[Vector, Vector, Vector]]:
        """Give start, end and normal of each side."""
        ends = self.vertices[1:] + self.vertices[:1]
        return list(zip(self.vertices, ends, self.normals, strict=True))

    def holds(self, x: Vector) -> bool:
        """Tell whether the point is inside or on the boundary."""
        if self.convex:
            a, b, c = x
            return all(n[0] * a + n[1] * b + n[2] * c >= -TOLERANCE for n in self.normals)
        # Each side seen in stereographic projection from the point's antipode; the angles add up
        # to 2 pi - area / 2 inside, and to -area / 2 outside, whatever the shape.
        total = 0.0
        differences = [minus(vertex, x) for vertex in self.vertices]
        last = differences[-1]
        for difference in differences:
            total += math.atan2(dot(x, cross(last, difference)), dot(last, difference))
            last = difference
        return total > math.pi / 2 or self.distance_to_boundary(x) <= TOLERANCE

    def distance_to_boundary(self, x: Vector) -> float:
        """Give the distance in radians from the nearest side."""
        best = math.inf
        for start, end, normal in self.sides():
            if dot(cross(normal, start), x) >= 0.0 and dot(cross(end, normal), x) >= 0.0:
                distance = abs(math.asin(max(-1.0, min(1.0, dot(normal, x)))))
            else:
                distance = angle(start, x)
            best = min(best, distance)
        return best


@lru_cache(maxsize=256)
def ring_of(polygon: Polygon) -> Ring:
    """Give a polygon as a ring."""
    vertices: list[Vector] = []
    for ra_deg, dec_deg in polygon.vertices:
        vertex = vector(ra_deg, dec_deg)
        # A vertex that repeats its predecessor makes a side without a direction.
        if not vertices or max(map(abs, minus(vertex, vertices[-1]))) > TOLERANCE / 10:
            vertices.append(vertex)
    normals = [unit(normal_of(a, b)) for a, b in zip(vertices, _turned(vertices), strict=True)]
    side = _convex_side(vertices, normals)
    if side < 0.0 or (side == 0.0 and _signed_area(vertices) < 0.0):
        vertices.reverse()
        normals = [negative(normal) for normal in normals[-2::-1] + normals[-1:]]
    return Ring(tuple(vertices), tuple(normals), side != 0.0)


def _turned(vertices: Sequence[Vector]) -> list[Vector]:
    """Give the vertex that follows each."""
    return [*vertices[1:], vertices[0]]


def _signed_area(vertices: Sequence[Vector]) -> float:
    """Give the area of the smaller part in steradians, negative if it lies to the right."""
    apex = mean(vertices)
    area = 0.0
    for b, c in zip(vertices, _turned(vertices), strict=True):
        triple = dot(apex, cross(minus(b, apex), minus(c, apex)))
        area += 2.0 * math.atan2(triple, 1.0 + dot(apex, b) + dot(b, c) + dot(c, apex))
    return math.remainder(area, 4.0 * math.pi)


def _convex_side(vertices: list[Vector], normals: list[Vector]) -> float:
    """Tell on which side of all its sides a polygon lies: 1 left, -1 right, 0 neither.

    Where one is given, the polygon is the part of the sky within all its sides.
    """
    if not 3 <= len(vertices) <= _CONVEX_LIMIT:
        return 0.0
    side = 0.0
    for normal in normals:
        a, b, c = normal
        heights = [a * x + b * y + c * z for x, y, z in vertices]
        low, high = min(heights), max(heights)
        if side == 0.0:
            side = 1.0 if high > -low else -1.0
        if side < 0.0:
            low, high = -high, -low
        if low < -1e-15 or high < 1e-10:
            return 0.0
    return side


def arcs_of(region: Region) -> list[Arc]:
    """Write the boundary as arcs with the region on their left."""
    match region:
        case Circle(ra, dec, radius):
            if not 0.0 < radius < 180.0:
                return []
            axis = vector(ra, dec)
            side = unit(cross(axis, (0.0, 0.0, 1.0) if abs(dec) < 80 else (1.0, 0.0, 0.0)))
            cos, sin = math.cos(math.radians(radius)), math.sin(math.radians(radius))
            start = tuple(cos * a + sin * s for a, s in zip(axis, side, strict=True))
            return [_arc(axis, (start[0], start[1], start[2]), 2.0 * math.pi)]
        case Polygon():
            ring = ring_of(region)
            return [
                _arc(normal, start, length, end)
                for (start, end, normal), length in zip(ring.sides(), ring.lengths(), strict=True)
                if length > 0.0
            ]
        case Range():
            return _range_arcs(region)


def _range_arcs(region: Range) -> list[Arc]:
    arcs = []
    width = math.radians(region.ra_width_deg)
    west, east = region.ra_min_deg, region.ra_max_deg
    south, north = region.dec_min_deg, region.dec_max_deg
    if south > -90.0:
        arcs.append(_arc((0.0, 0.0, 1.0), vector(west, south), width))
    if north < 90.0:
        arcs.append(_arc((0.0, 0.0, -1.0), vector(east, north), width))
    if region.ra_width_deg < 360.0 and north > south:
        height = math.radians(north - south)
        for ra_deg, start, end, quarter in (
            (east, south, north, -90.0),
            (west, north, south, 90.0),
        ):
            axis = vector(ra_deg + quarter, 0.0)
            arcs.append(_arc(axis, vector(ra_deg, start), height, vector(ra_deg, end)))
    return [arc for arc in arcs if arc.sweep > 0.0]
