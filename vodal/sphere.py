"""Predicates and measures on the sphere, for the values of `vodal.regions`.

All angles are ICRS degrees at the edge and unit vectors inside. Boundaries belong to regions and
are `TOLERANCE_DEG` wide, about the rounding of a coordinate, so that a polygon contains its own
vertices and equal regions contain each other.

A circle is compared by distances. All other pairs are compared by their boundaries, written as
arcs of circles: where no two arcs cross, one point of each piece decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from vodal.errors import UsageError
from vodal.regions import Circle, Point, Polygon, Range, Region, Shape

__all__ = [
    "TOLERANCE_DEG",
    "area_deg2",
    "bounding_cap",
    "box_polygon",
    "cap_box",
    "centroid",
    "contains",
    "distance_deg",
    "intersects",
]

Vector = tuple[float, float, float]

_TOLERANCE = 1e-12
TOLERANCE_DEG = math.degrees(_TOLERANCE)
"""Half the width of a boundary, in degrees (0.2 micro-arcseconds)."""

_INWARD = 1e-10
"""Step in radians from a polygon's side to a point that is inside for certain."""

_CONVEX_LIMIT = 12
"""Polygons of more vertices take the general way, whose cost grows slower than n squared."""


def _vector(ra_deg: float, dec_deg: float) -> Vector:
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    cos_dec = math.cos(dec)
    return (cos_dec * math.cos(ra), cos_dec * math.sin(ra), math.sin(dec))


def _point(x: Vector) -> Point:
    dec = math.degrees(math.atan2(x[2], math.hypot(x[0], x[1])))
    return Point(math.degrees(math.atan2(x[1], x[0])), dec)


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _minus(a: Vector, b: Vector) -> Vector:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _normal(a: Vector, b: Vector) -> Vector:
    """Cross product of near vectors without the loss of digits of the plain formula."""
    return _cross(a, _minus(b, a))


def _unit(a: Vector) -> Vector:
    norm = math.sqrt(_dot(a, a))
    if norm == 0.0:
        return (0.0, 0.0, 1.0)
    return (a[0] / norm, a[1] / norm, a[2] / norm)


def _negative(a: Vector) -> Vector:
    return (-a[0], -a[1], -a[2])


def _angle(a: Vector, b: Vector) -> float:
    """Angle of two unit vectors in radians, exact at 0 and at pi."""
    difference = _minus(a, b)
    total = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
    return 2.0 * math.atan2(math.sqrt(_dot(difference, difference)), math.sqrt(_dot(total, total)))


def distance_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Give the great-circle distance of two positions, accurate at 0 and at 180 degrees."""
    delta = math.radians(ra2_deg - ra1_deg)
    dec1, dec2 = math.radians(dec1_deg), math.radians(dec2_deg)
    sin1, cos1, sin2, cos2 = math.sin(dec1), math.cos(dec1), math.sin(dec2), math.cos(dec2)
    # Half-angle forms keep the digits of small differences.
    half_ra = math.sin(delta / 2) ** 2
    half_dec = math.sin((dec2 - dec1) / 2) ** 2
    haversine = half_dec + cos1 * cos2 * half_ra
    if haversine < 0.5:
        return math.degrees(2.0 * math.asin(math.sqrt(haversine)))
    x = cos2 * math.sin(delta)
    y = cos1 * sin2 - sin1 * cos2 * math.cos(delta)
    return math.degrees(math.atan2(math.hypot(x, y), sin1 * sin2 + cos1 * cos2 * math.cos(delta)))


@dataclass(frozen=True, slots=True)
class _Arc:
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
        return self.sweep >= 2.0 * math.pi

    def at(self, turn: float) -> Vector:
        cos, sin = self.radius * math.cos(turn), self.radius * math.sin(turn)
        return _unit(
            (
                self.height * self.axis[0] + cos * self.u[0] + sin * self.v[0],
                self.height * self.axis[1] + cos * self.u[1] + sin * self.v[1],
                self.height * self.axis[2] + cos * self.u[2] + sin * self.v[2],
            )
        )

    def turn(self, x: Vector) -> float:
        """Azimuth of a point about the axis, from the start, in [0, 2 pi)."""
        return math.atan2(_dot(x, self.v), _dot(x, self.u)) % (2.0 * math.pi)

    def distance(self, x: Vector) -> float:
        """Distance of a point from the arc in radians."""
        if self.closed or self.turn(x) <= self.sweep:
            off = math.atan2(_dot(x, self.axis), math.hypot(_dot(x, self.u), _dot(x, self.v)))
            return abs(off - math.atan2(self.height, self.radius))
        return min(_angle(x, self.start), _angle(x, self.end))


def _arc(axis: Vector, start: Vector, sweep: float, end: Vector | None = None) -> _Arc:
    """Make an arc anticlockwise about ``axis`` from ``start``."""
    height = _dot(axis, start)
    v = _cross(axis, start)
    radius = math.sqrt(_dot(v, v))
    v = _unit(v)
    u = _cross(v, axis)
    arc = _Arc(axis, height, u, v, radius, sweep, start, start)
    return _Arc(axis, height, u, v, radius, sweep, start, end or arc.at(sweep))


@dataclass(frozen=True, slots=True)
class _Ring:
    """A polygon as unit vectors, turned so that its interior lies left of its sides."""

    vertices: tuple[Vector, ...]
    normals: tuple[Vector, ...]
    """Unit normals of the sides; that of side i points to the left of i -> i + 1."""
    lengths: tuple[float, ...]
    area_sr: float
    convex: bool

    def sides(self) -> list[tuple[Vector, Vector, Vector]]:
        """Start, end and normal of each side."""
        ends = self.vertices[1:] + self.vertices[:1]
        return list(zip(self.vertices, ends, self.normals, strict=True))

    def holds(self, x: Vector) -> bool:
        """Whether the point is inside or on the boundary."""
        if self.convex:
            a, b, c = x
            return all(n[0] * a + n[1] * b + n[2] * c >= -_TOLERANCE for n in self.normals)
        # Each side seen in stereographic projection from the point's antipode; the angles add up
        # to 2 pi - area / 2 inside, and to -area / 2 outside, whatever the shape.
        total = 0.0
        differences = [_minus(vertex, x) for vertex in self.vertices]
        last = differences[-1]
        for difference in differences:
            total += math.atan2(_dot(x, _cross(last, difference)), _dot(last, difference))
            last = difference
        return total > math.pi / 2 or self.distance_to_boundary(x) <= _TOLERANCE

    def distance_to_boundary(self, x: Vector) -> float:
        """Distance in radians from the nearest side."""
        best = math.inf
        for start, end, normal in self.sides():
            if _dot(_cross(normal, start), x) >= 0.0 and _dot(_cross(end, normal), x) >= 0.0:
                distance = abs(math.asin(max(-1.0, min(1.0, _dot(normal, x)))))
            else:
                distance = _angle(start, x)
            best = min(best, distance)
        return best


@lru_cache(maxsize=256)
def _ring(polygon: Polygon) -> _Ring:
    vertices: list[Vector] = []
    for ra_deg, dec_deg in polygon.vertices:
        vertex = _vector(ra_deg, dec_deg)
        # A vertex that repeats its predecessor makes a side without a direction.
        if not vertices or _angle(vertices[-1], vertex) > _TOLERANCE / 10:
            vertices.append(vertex)
    apex = _unit(
        (
            sum(x for x, _, _ in vertices),
            sum(y for _, y, _ in vertices),
            sum(z for _, _, z in vertices),
        )
    )
    area = 0.0
    for b, c in zip(vertices, vertices[1:] + vertices[:1], strict=True):
        triple = _dot(apex, _cross(_minus(b, apex), _minus(c, apex)))
        area += 2.0 * math.atan2(triple, 1.0 + _dot(apex, b) + _dot(b, c) + _dot(c, apex))
    area = math.remainder(area, 4.0 * math.pi)
    if area < 0.0:
        vertices.reverse()
        area = -area
    crosses = [_normal(a, b) for a, b in zip(vertices, vertices[1:] + vertices[:1], strict=True)]
    normals = tuple(_unit(cross) for cross in crosses)
    lengths = tuple(
        _angle(a, b) for a, b in zip(vertices, vertices[1:] + vertices[:1], strict=True)
    )
    return _Ring(tuple(vertices), normals, lengths, area, _is_convex(vertices, normals))


def _is_convex(vertices: list[Vector], normals: tuple[Vector, ...]) -> bool:
    if not 3 <= len(vertices) <= _CONVEX_LIMIT:
        return False
    for normal in normals:
        heights = [_dot(normal, vertex) for vertex in vertices]
        if min(heights) < -1e-15 or max(heights) < 1e-10:
            return False
    return True


def _arcs(region: Region) -> list[_Arc]:
    """Write the boundary as arcs with the region on their left."""
    match region:
        case Circle(ra, dec, radius):
            if not 0.0 < radius < 180.0:
                return []
            axis = _vector(ra, dec)
            side = _unit(_cross(axis, (0.0, 0.0, 1.0) if abs(dec) < 80 else (1.0, 0.0, 0.0)))
            cos, sin = math.cos(math.radians(radius)), math.sin(math.radians(radius))
            start = tuple(cos * a + sin * s for a, s in zip(axis, side, strict=True))
            return [_arc(axis, (start[0], start[1], start[2]), 2.0 * math.pi)]
        case Polygon():
            ring = _ring(region)
            return [
                _arc(normal, start, length, end)
                for (start, end, normal), length in zip(ring.sides(), ring.lengths, strict=True)
                if length > 0.0
            ]
        case Range():
            return _range_arcs(region)


def _range_arcs(region: Range) -> list[_Arc]:
    arcs = []
    width = math.radians(region.ra_width_deg)
    west, east = region.ra_min_deg, region.ra_max_deg
    south, north = region.dec_min_deg, region.dec_max_deg
    if south > -90.0:
        arcs.append(_arc((0.0, 0.0, 1.0), _vector(west, south), width))
    if north < 90.0:
        arcs.append(_arc((0.0, 0.0, -1.0), _vector(east, north), width))
    if region.ra_width_deg < 360.0 and north > south:
        height = math.radians(north - south)
        for ra_deg, start, end, quarter in (
            (east, south, north, -90.0),
            (west, north, south, 90.0),
        ):
            axis = _vector(ra_deg + quarter, 0.0)
            arcs.append(_arc(axis, _vector(ra_deg, start), height, _vector(ra_deg, end)))
    return [arc for arc in arcs if arc.sweep > 0.0]


def _range_holds(region: Range, x: Vector) -> bool:
    dec = math.atan2(x[2], math.hypot(x[0], x[1]))
    if not (
        math.radians(region.dec_min_deg) - _TOLERANCE
        <= dec
        <= math.radians(region.dec_max_deg) + _TOLERANCE
    ):
        return False
    width = math.radians(region.ra_width_deg)
    cos_dec = math.cos(dec)
    ra = math.atan2(x[1], x[0])
    east = (ra - math.radians(region.ra_min_deg)) % (2.0 * math.pi)
    if east <= width:
        return True
    return min(east - width, 2.0 * math.pi - east) * cos_dec <= _TOLERANCE


def _holds(region: Region, x: Vector) -> bool:
    """Whether a region has the point inside or on its boundary."""
    match region:
        case Circle(ra, dec, radius):
            return _angle(_vector(ra, dec), x) <= math.radians(radius) + _TOLERANCE
        case Polygon():
            return _ring(region).holds(x)
        case Range():
            return _range_holds(region, x)


def _distance_to(region: Region, x: Vector) -> float:
    """Distance of a point from a region in radians, 0 inside."""
    if _holds(region, x):
        return 0.0
    return _distance_to_boundary(region, x)


def _distance_to_boundary(region: Region, x: Vector) -> float:
    match region:
        case Circle(ra, dec, radius):
            return abs(_angle(_vector(ra, dec), x) - math.radians(radius))
        case Polygon():
            return _ring(region).distance_to_boundary(x)
        case Range():
            arcs = _range_arcs(region)
            if not arcs:  # a pole, or the whole sphere
                return _angle(x, _sample(region))
            return min(arc.distance(x) for arc in arcs)


def _holds_deep(region: Region, x: Vector) -> bool:
    """Whether the point is inside and clear of the boundary."""
    if not _holds(region, x):
        return False
    arcs = _arcs(region)
    return not arcs or min(arc.distance(x) for arc in arcs) > 10.0 * _TOLERANCE


def _sample(region: Region) -> Vector:
    """Give a point of the interior, where there is one."""
    match region:
        case Circle(ra, dec, _):
            return _vector(ra, dec)
        case Polygon():
            ring = _ring(region)
            longest = max(range(len(ring.lengths)), key=ring.lengths.__getitem__)
            start, end, normal = ring.sides()[longest]
            # Off the middle, where the tip of a concave side may touch.
            step = min(_INWARD, ring.lengths[longest] / 100)
            return _unit(
                (
                    0.53 * start[0] + 0.47 * end[0] + step * normal[0],
                    0.53 * start[1] + 0.47 * end[1] + step * normal[1],
                    0.53 * start[2] + 0.47 * end[2] + step * normal[2],
                )
            )
        case Range():
            ra_deg = region.ra_min_deg + region.ra_width_deg / 2
            return _vector(ra_deg, (region.dec_min_deg + region.dec_max_deg) / 2)


def _meets(a: _Arc, b: _Arc) -> list[Vector]:
    """Points that two arcs have in common; of overlapping arcs their ends in each other."""
    found = [x for x in (b.start, b.end) if a.distance(x) <= _TOLERANCE]
    found += [x for x in (a.start, a.end) if b.distance(x) <= _TOLERANCE]
    across = _cross(a.axis, b.axis)
    determinant = _dot(across, across)
    if determinant < 1e-24:
        return found
    cosine = _dot(a.axis, b.axis)
    alpha = (a.height - cosine * b.height) / determinant
    beta = (b.height - cosine * a.height) / determinant
    square = (1.0 - alpha * a.height - beta * b.height) / determinant
    if square < -1e-12:
        return found
    for gamma in (math.sqrt(max(square, 0.0)), -math.sqrt(max(square, 0.0))):
        x = _unit(
            (
                alpha * a.axis[0] + beta * b.axis[0] + gamma * across[0],
                alpha * a.axis[1] + beta * b.axis[1] + gamma * across[1],
                alpha * a.axis[2] + beta * b.axis[2] + gamma * across[2],
            )
        )
        if a.distance(x) <= _TOLERANCE and b.distance(x) <= _TOLERANCE:
            found.append(x)
    return found


def _pieces(arc: _Arc, others: list[_Arc]) -> list[Vector]:
    """Cut an arc wherever it meets the others; gives the middle of each piece."""
    cuts = sorted(
        {min(arc.turn(x), arc.sweep) for other in others for x in _meets(arc, other)}
        | {0.0, arc.sweep}
    )
    return [arc.at((a + b) / 2) for a, b in pairwise(cuts) if b > a]


def _contains_by_boundary(outer: Region, inner: Region) -> bool:
    outer_arcs, inner_arcs = _arcs(outer), _arcs(inner)
    if not _holds(outer, _sample(inner)):
        return False
    if not all(_holds(outer, x) for arc in inner_arcs for x in _pieces(arc, outer_arcs)):
        return False
    return not any(_holds_deep(inner, x) for arc in outer_arcs for x in _pieces(arc, inner_arcs))


def _intersects_by_boundary(a: Region, b: Region) -> bool:
    arcs_a, arcs_b = _arcs(a), _arcs(b)
    # A band has a boundary of two parts, so that every arc is asked.
    starts_a = [arc.start for arc in arcs_a] or [_sample(a)]
    starts_b = [arc.start for arc in arcs_b] or [_sample(b)]
    if any(_holds(b, x) for x in starts_a) or any(_holds(a, x) for x in starts_b):
        return True
    return any(_meets(one, other) for one in arcs_a for other in arcs_b)


def _rings_intersect(a: _Ring, b: _Ring) -> bool:
    if any(a.holds(x) for x in b.vertices) or any(b.holds(x) for x in a.vertices):
        return True
    # No vertex of one is in the other: they meet only where two sides cross properly.
    return any(_sides_cross(side, other_side) for side in a.sides() for other_side in b.sides())


def _sides_cross(a: tuple[Vector, Vector, Vector], b: tuple[Vector, Vector, Vector]) -> bool:
    (a_start, a_end, a_normal), (b_start, b_end, b_normal) = a, b
    left, right = _dot(a_normal, b_start), _dot(a_normal, b_end)
    if left * right >= 0.0 or _dot(b_normal, a_start) * _dot(b_normal, a_end) >= 0.0:
        return False
    # The circles cross in two opposite points: is it the same one on both sides?
    crossing = _cross(a_normal, b_normal)
    on_a = _dot(crossing, a_start) + _dot(crossing, a_end)
    on_b = _dot(crossing, b_start) + _dot(crossing, b_end)
    return on_a * on_b > 0.0


def contains(outer: Region | Point, inner: Shape) -> bool:
    """Tell whether ``inner`` lies wholly in ``outer``; the boundary belongs to ``outer``.

    A point contains only itself.
    """
    if isinstance(inner, Point):
        x = _vector(inner.ra_deg, inner.dec_deg)
        if isinstance(outer, Point):
            return _angle(_vector(outer.ra_deg, outer.dec_deg), x) <= _TOLERANCE
        return _holds(outer, x)
    if isinstance(outer, Point):
        ra_deg, dec_deg = outer.ra_deg, outer.dec_deg
        return contains(Circle(ra_deg, dec_deg, 0.0), inner)
    if isinstance(outer, Circle):
        # All of it is within the circle if none of it is nearer to the antipode than the rest.
        antipode = _negative(_vector(outer.ra_deg, outer.dec_deg))
        clear = math.pi - math.radians(outer.radius_deg) - _TOLERANCE
        return clear <= 0.0 or _distance_to(inner, antipode) >= clear
    if isinstance(inner, Circle):
        centre = _vector(inner.ra_deg, inner.dec_deg)
        if not _holds(outer, centre):
            return False
        if not _arcs(outer):
            return isinstance(outer, Range) and outer.dec_min_deg < outer.dec_max_deg
        radius = math.radians(inner.radius_deg)
        return _distance_to_boundary(outer, centre) >= radius - _TOLERANCE
    if isinstance(outer, Polygon) and isinstance(inner, Polygon):
        ring = _ring(outer)
        if ring.convex:
            return all(ring.holds(x) for x in _ring(inner).vertices)
    return _contains_by_boundary(outer, inner)


def intersects(a: Shape, b: Shape) -> bool:
    """Tell whether two shapes have a point in common; touching is enough."""
    if isinstance(a, Point):
        return contains(b, a)
    if isinstance(b, Point):
        return contains(a, b)
    if isinstance(a, Circle):
        reach = math.radians(a.radius_deg) + _TOLERANCE
        return _distance_to(b, _vector(a.ra_deg, a.dec_deg)) <= reach
    if isinstance(b, Circle):
        return intersects(b, a)
    if isinstance(a, Polygon) and isinstance(b, Polygon):
        return _rings_intersect(_ring(a), _ring(b))
    return _intersects_by_boundary(a, b)


def bounding_cap(shape: Shape) -> tuple[Vector, float]:
    """Give a circle around a shape: the unit vector of its centre and its radius in degrees.

    The radius is never too small; for polygons it is near, not always at, the smallest.
    """
    match shape:
        case Point(ra, dec):
            return _vector(ra, dec), 0.0
        case Circle(ra, dec, radius):
            return _vector(ra, dec), radius
        case Polygon():
            x, y, z = (sum(axis) for axis in zip(*_ring(shape).vertices, strict=True))
            centres = [_unit((x, y, z))]
        case Range():
            centres = [_sample(shape), (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]
    best = (centres[0], 180.0)
    for centre in centres:
        farthest = math.pi - _distance_to(shape, _negative(centre))
        radius_deg = min(180.0, math.degrees(farthest + _TOLERANCE))
        if radius_deg < best[1]:
            best = (centre, radius_deg)
    return best


def cap_box(xyz: Vector, radius_deg: float) -> tuple[float, float, float, float, float, float]:
    """Give the axis-aligned box of a spherical cap: ``xmin, xmax, ymin, ymax, zmin, zmax``.

    The bounds are single-precision numbers rounded outward, so that an R*Tree that keeps them as
    such loses nothing.
    """
    radius = math.radians(radius_deg)
    bounds = []
    for component in _unit(xyz):
        angle = math.acos(max(-1.0, min(1.0, component)))
        low = -1.0 if angle + radius >= math.pi else math.cos(angle + radius)
        high = 1.0 if angle <= radius else math.cos(angle - radius)
        # acos loses digits near the axes; 1e-7 is below the single-precision step of 1.
        bounds.append(float(np.nextafter(np.float32(low - 1e-7), np.float32(-2.0))))
        bounds.append(float(np.nextafter(np.float32(high + 1e-7), np.float32(2.0))))
    return (bounds[0], bounds[1], bounds[2], bounds[3], bounds[4], bounds[5])


def area_deg2(region: Region) -> float:
    """Give the area of a region in square degrees."""
    match region:
        case Circle(_, _, radius):
            area = 4.0 * math.pi * math.sin(math.radians(radius) / 2) ** 2
        case Polygon():
            area = _ring(region).area_sr
        case Range(_, _, south, north):
            middle, half = math.radians(north + south) / 2, math.radians(north - south) / 2
            area = math.radians(region.ra_width_deg) * 2.0 * math.cos(middle) * math.sin(half)
    return area * math.degrees(1.0) ** 2


def centroid(region: Shape) -> Point:
    """Give the centre of a region's area; a point is its own.

    Where the area has no centre (a band around the sky) the middle of the coordinates is given.
    """
    match region:
        case Point():
            return region
        case Circle(ra, dec, _):
            return Point(ra, dec)
        case Polygon():
            ring = _ring(region)
            total = [0.0, 0.0, 0.0]
            for normal, length in zip(ring.normals, ring.lengths, strict=True):
                for axis in range(3):
                    total[axis] += normal[axis] * length
            if ring.area_sr > 1e-20:
                return _point(_unit((total[0], total[1], total[2])))
            x, y, z = (sum(axis) for axis in zip(*ring.vertices, strict=True))
            return _point(_unit((x, y, z)))
        case Range():
            return _point(_range_centroid(region))


def _range_centroid(region: Range) -> Vector:
    width = math.radians(region.ra_width_deg)
    south, north = math.radians(region.dec_min_deg), math.radians(region.dec_max_deg)
    plane = math.sin(width / 2) * (north - south + (math.sin(2 * north) - math.sin(2 * south)) / 2)
    height = width * (math.cos(2 * south) - math.cos(2 * north)) / 4
    if math.hypot(plane, height) < 1e-15:
        return _sample(region)
    ra = math.radians(region.ra_min_deg) + width / 2
    return _unit((plane * math.cos(ra), plane * math.sin(ra), height))


def box_polygon(ra_deg: float, dec_deg: float, width_deg: float, height_deg: float) -> Polygon:
    """Give ADQL's ``BOX``: a cross of great circles of the two lengths, closed by great circles.

    Raises
    ------
    UsageError
        If the centre is no position, or a length is not within (0, 180) degrees.
    """
    if not (0.0 < width_deg < 180.0 and 0.0 < height_deg < 180.0):
        raise UsageError("BOX: width and height must be within (0, 180) degrees")
    centre = Point(ra_deg, dec_deg)
    forward = _vector(centre.ra_deg, centre.dec_deg)
    ra = math.radians(centre.ra_deg)
    east = (-math.sin(ra), math.cos(ra), 0.0)
    north = _cross(forward, east)
    half_width = math.tan(math.radians(width_deg) / 2)
    half_height = math.tan(math.radians(height_deg) / 2)
    corners = []
    for x, y in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        a, b = x * half_width, y * half_height
        corner = _unit(
            (
                forward[0] + a * east[0] + b * north[0],
                forward[1] + a * east[1] + b * north[1],
                forward[2] + a * east[2] + b * north[2],
            )
        )
        point = _point(corner)
        corners.append((point.ra_deg, point.dec_deg))
    return Polygon(tuple(corners))
