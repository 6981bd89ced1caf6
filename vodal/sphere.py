"""Predicates and measures on the sphere, for the values of `vodal.regions`.

All angles are ICRS degrees at the edge and unit vectors inside. Boundaries belong to regions and
are `TOLERANCE_DEG` wide, about the rounding of a coordinate, so that a polygon contains its own
vertices and equal regions contain each other.

A circle is compared by distances. All other pairs are compared by their boundaries, written as
arcs of circles (`vodal.outlines`): where no two arcs cross, one point of each piece decides.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from itertools import pairwise

from vodal.errors import UsageError
from vodal.outlines import TOLERANCE, Arc, Ring, arcs_of, ring_of
from vodal.regions import Circle, Point, Polygon, Range, Region, Shape
from vodal.vectors import Vector, angle, cross, dot, mean, negative, point_of, unit, vector

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

TOLERANCE_DEG = math.degrees(TOLERANCE)
"""Half the width of a boundary, in degrees (0.2 micro-arcseconds)."""

_INWARD = 1e-10
"""Step in radians from a polygon's side to a point that is inside for certain."""


def distance_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Give the great-circle distance of two positions, accurate at 0 and at 180 degrees."""
    delta = math.radians(ra2_deg - ra1_deg)
    dec1, dec2 = math.radians(dec1_deg), math.radians(dec2_deg)
    sin1, cos1, sin2, cos2 = math.sin(dec1), math.cos(dec1), math.sin(dec2), math.cos(dec2)
    # Half-angle forms keep the digits of small differences.
    half_ra = math.sin(delta / 2)
    half_dec = math.sin((dec2 - dec1) / 2)
    haversine = half_dec * half_dec + cos1 * cos2 * (half_ra * half_ra)
    if haversine < 0.5:
        return math.degrees(2.0 * math.asin(math.sqrt(haversine)))
    x = cos2 * math.sin(delta)
    y = cos1 * sin2 - sin1 * cos2 * math.cos(delta)
    off_axis = math.sqrt(x * x + y * y)
    return math.degrees(math.atan2(off_axis, sin1 * sin2 + cos1 * cos2 * math.cos(delta)))


def _range_holds(region: Range, x: Vector) -> bool:
    dec = math.atan2(x[2], math.sqrt(x[0] * x[0] + x[1] * x[1]))
    if not (
        math.radians(region.dec_min_deg) - TOLERANCE
        <= dec
        <= math.radians(region.dec_max_deg) + TOLERANCE
    ):
        return False
    width = math.radians(region.ra_width_deg)
    cos_dec = math.cos(dec)
    ra = math.atan2(x[1], x[0])
    east = (ra - math.radians(region.ra_min_deg)) % (2.0 * math.pi)
    if east <= width:
        return True
    return min(east - width, 2.0 * math.pi - east) * cos_dec <= TOLERANCE


def _holds(region: Region, x: Vector) -> bool:
    """Whether a region has the point inside or on its boundary."""
    match region:
        case Circle(ra, dec, radius):
            return angle(vector(ra, dec), x) <= math.radians(radius) + TOLERANCE
        case Polygon():
            return ring_of(region).holds(x)
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
            return abs(angle(vector(ra, dec), x) - math.radians(radius))
        case Polygon():
            return ring_of(region).distance_to_boundary(x)
        case Range():
            arcs = arcs_of(region)
            if not arcs:  # a pole, or the whole sphere
                return angle(x, _sample(region))
            return min(arc.distance(x) for arc in arcs)


def _holds_deep(region: Region, x: Vector) -> bool:
    """Whether the point is inside and clear of the boundary."""
    if not _holds(region, x):
        return False
    arcs = arcs_of(region)
    return not arcs or min(arc.distance(x) for arc in arcs) > 10.0 * TOLERANCE


def _sample(region: Region) -> Vector:
    """Give a point of the interior, where there is one."""
    match region:
        case Circle(ra, dec, _):
            return vector(ra, dec)
        case Polygon():
            ring = ring_of(region)
            length, (start, end, normal) = max(zip(ring.lengths(), ring.sides(), strict=True))
            # Off the middle, where the tip of a concave side may touch.
            step = min(_INWARD, length / 100)
            return unit(
                (
                    0.53 * start[0] + 0.47 * end[0] + step * normal[0],
                    0.53 * start[1] + 0.47 * end[1] + step * normal[1],
                    0.53 * start[2] + 0.47 * end[2] + step * normal[2],
                )
            )
        case Range():
            ra_deg = region.ra_min_deg + region.ra_width_deg / 2
            return vector(ra_deg, (region.dec_min_deg + region.dec_max_deg) / 2)


def _nearer(a: Arc, b: Arc, x: Vector, across: Vector, cosine: float, determinant: float) -> Vector:
    """Take one step of Newton's towards where two circles cross.

    Circles of like axes lose digits when they are solved: near 3 degrees, a thousand times the
    rounding.
    """
    slope = dot(across, x)
    if abs(slope) < 1e-9:
        return x
    off_a, off_b = a.height - dot(a.axis, x), b.height - dot(b.axis, x)
    to_a = (off_a - cosine * off_b) / determinant
    to_b = (off_b - cosine * off_a) / determinant
    to_c = -(to_a * dot(a.axis, x) + to_b * dot(b.axis, x)) / slope
    return unit(
        (
            x[0] + to_a * a.axis[0] + to_b * b.axis[0] + to_c * across[0],
            x[1] + to_a * a.axis[1] + to_b * b.axis[1] + to_c * across[1],
            x[2] + to_a * a.axis[2] + to_b * b.axis[2] + to_c * across[2],
        )
    )


def _meets(a: Arc, b: Arc) -> list[Vector]:
    """Points that two arcs have in common; of overlapping arcs their ends in each other."""
    found = [x for x in (b.start, b.end) if a.distance(x) <= TOLERANCE]
    found += [x for x in (a.start, a.end) if b.distance(x) <= TOLERANCE]
    across = cross(a.axis, b.axis)
    determinant = dot(across, across)
    if determinant < 1e-24:
        return found
    cosine = dot(a.axis, b.axis)
    alpha = (a.height - cosine * b.height) / determinant
    beta = (b.height - cosine * a.height) / determinant
    square = (1.0 - alpha * a.height - beta * b.height) / determinant
    if square < -1e-12:
        return found
    for gamma in (math.sqrt(max(square, 0.0)), -math.sqrt(max(square, 0.0))):
        x = unit(
            (
                alpha * a.axis[0] + beta * b.axis[0] + gamma * across[0],
                alpha * a.axis[1] + beta * b.axis[1] + gamma * across[1],
                alpha * a.axis[2] + beta * b.axis[2] + gamma * across[2],
            )
        )
        x = _nearer(a, b, x, across, cosine, determinant)
        if a.distance(x) <= TOLERANCE and b.distance(x) <= TOLERANCE:
            found.append(x)
    return found


def _pieces(arc: Arc, others: list[Arc]) -> list[Vector]:
    """Cut an arc wherever it meets the others; gives the middle of each piece."""
    cuts = sorted(
        {min(arc.turn(x), arc.sweep) for other in others for x in _meets(arc, other)}
        | {0.0, arc.sweep}
    )
    return [arc.at((a + b) / 2) for a, b in pairwise(cuts) if b > a]


def _contains_by_boundary(outer: Region, inner: Region) -> bool:
    outer_arcs, inner_arcs = arcs_of(outer), arcs_of(inner)
    if not _holds(outer, _sample(inner)):
        return False
    if not all(_holds(outer, x) for arc in inner_arcs for x in _pieces(arc, outer_arcs)):
        return False
    return not any(_holds_deep(inner, x) for arc in outer_arcs for x in _pieces(arc, inner_arcs))


def _intersects_by_boundary(a: Region, b: Region) -> bool:
    arcs_a, arcs_b = arcs_of(a), arcs_of(b)
    # A band has a boundary of two parts, so that every arc is asked.
    starts_a = [arc.start for arc in arcs_a] or [_sample(a)]
    starts_b = [arc.start for arc in arcs_b] or [_sample(b)]
    if any(_holds(b, x) for x in starts_a) or any(_holds(a, x) for x in starts_b):
        return True
    return any(_meets(one, other) for one in arcs_a for other in arcs_b)


def _rings_intersect(a: Ring, b: Ring) -> bool:
    if any(a.holds(x) for x in b.vertices) or any(b.holds(x) for x in a.vertices):
        return True
    # No vertex of one is in the other: they meet only where two sides cross properly.
    return any(_sides_cross(side, other_side) for side in a.sides() for other_side in b.sides())


def _ring_contains(outer: Ring, inner: Ring) -> bool | None:
    """Tell whether one ring holds another; None where they touch and need a closer look."""
    if not all(outer.holds(x) for x in inner.vertices):
        return False
    if outer.convex:
        return True
    if any(outer.distance_to_boundary(x) <= 10.0 * TOLERANCE for x in inner.vertices):
        return None
    if any(inner.holds(x) for x in outer.vertices):
        return None
    if any(_sides_cross(a, b) for a in outer.sides() for b in inner.sides()):
        return None
    return True


def _sides_cross(a: tuple[Vector, Vector, Vector], b: tuple[Vector, Vector, Vector]) -> bool:
    (a_start, a_end, a_normal), (b_start, b_end, b_normal) = a, b
    left, right = dot(a_normal, b_start), dot(a_normal, b_end)
    if left * right >= 0.0 or dot(b_normal, a_start) * dot(b_normal, a_end) >= 0.0:
        return False
    # The circles cross in two opposite points: is it the same one on both sides?
    crossing = cross(a_normal, b_normal)
    on_a = dot(crossing, a_start) + dot(crossing, a_end)
    on_b = dot(crossing, b_start) + dot(crossing, b_end)
    return on_a * on_b > 0.0


def contains(outer: Region | Point, inner: Shape) -> bool:
    """Tell whether ``inner`` lies wholly in ``outer``; the boundary belongs to ``outer``.

    A point contains only itself.
    """
    if isinstance(inner, Point):
        x = vector(inner.ra_deg, inner.dec_deg)
        if isinstance(outer, Point):
            return angle(vector(outer.ra_deg, outer.dec_deg), x) <= TOLERANCE
        return _holds(outer, x)
    if isinstance(outer, Point):
        ra_deg, dec_deg = outer.ra_deg, outer.dec_deg
        return contains(Circle(ra_deg, dec_deg, 0.0), inner)
    if isinstance(outer, Circle):
        # All of it is within the circle if none of it is nearer to the antipode than the rest.
        antipode = negative(vector(outer.ra_deg, outer.dec_deg))
        clear = math.pi - math.radians(outer.radius_deg) - TOLERANCE
        return clear <= 0.0 or _distance_to(inner, antipode) >= clear
    if isinstance(inner, Circle):
        centre = vector(inner.ra_deg, inner.dec_deg)
        if not _holds(outer, centre):
            return False
        if not arcs_of(outer):
            return isinstance(outer, Range) and outer.dec_min_deg < outer.dec_max_deg
        radius = math.radians(inner.radius_deg)
        return _distance_to_boundary(outer, centre) >= radius - TOLERANCE
    if isinstance(outer, Polygon) and isinstance(inner, Polygon):
        answer = _ring_contains(ring_of(outer), ring_of(inner))
        if answer is not None:
            return answer
    return _contains_by_boundary(outer, inner)


def intersects(a: Shape, b: Shape) -> bool:
    """Tell whether two shapes have a point in common; touching is enough."""
    if isinstance(a, Point):
        return contains(b, a)
    if isinstance(b, Point):
        return contains(a, b)
    if isinstance(a, Circle):
        reach = math.radians(a.radius_deg) + TOLERANCE
        return _distance_to(b, vector(a.ra_deg, a.dec_deg)) <= reach
    if isinstance(b, Circle):
        return intersects(b, a)
    if isinstance(a, Polygon) and isinstance(b, Polygon):
        return _rings_intersect(ring_of(a), ring_of(b))
    return _intersects_by_boundary(a, b)


def bounding_cap(shape: Shape) -> tuple[Vector, float]:
    """Give a circle around a shape: the unit vector of its centre and its radius in degrees.

    The radius is never too small; for polygons it is near, not always at, the smallest.
    """
    match shape:
        case Point(ra, dec):
            return vector(ra, dec), 0.0
        case Circle(ra, dec, radius):
            return vector(ra, dec), radius
        case Polygon():
            return _polygon_cap(shape)
        case Range():
            return _farthest(shape)


@lru_cache(maxsize=256)
def _polygon_cap(polygon: Polygon) -> tuple[Vector, float]:
    corners = [vector(ra, dec) for ra, dec in polygon.vertices]
    centre = mean(corners)
    if all(dot(centre, corner) > 0.1 for corner in corners):
        # Within a hemisphere about the centre no side is farther than its ends.
        reach = angle(centre, max(corners, key=partial(_separation2, centre)))
        return centre, math.degrees(reach + TOLERANCE)
    return _farthest(polygon)


def _separation2(a: Vector, b: Vector) -> float:
    """Give the square of the distance of two vectors, which grows with their angle."""
    x, y, z = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return x * x + y * y + z * z


def _farthest(region: Polygon | Range) -> tuple[Vector, float]:
    """Give a circle around a region that may be more than half the sky."""
    if isinstance(region, Polygon):
        centres = [mean(ring_of(region).vertices)]
    else:
        centres = [_sample(region), (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]
    best = (centres[0], 180.0)
    for centre in centres:
        farthest = math.pi - _distance_to(region, negative(centre))
        radius_deg = min(180.0, math.degrees(farthest + TOLERANCE))
        if radius_deg < best[1]:
            best = (centre, radius_deg)
    return best


def cap_box(xyz: Vector, radius_deg: float) -> tuple[float, float, float, float, float, float]:
    """Give the axis-aligned box of a spherical cap: ``xmin, xmax, ymin, ymax, zmin, zmax``.

    The box is 1e-7 wider than the cap on all sides.
    """
    radius = math.radians(radius_deg)
    if radius == 0.0:
        # acos loses digits near the axes, up to 2e-8, and so does cos of it.
        x, y, z = unit(xyz)
        return (x - 1e-7, x + 1e-7, y - 1e-7, y + 1e-7, z - 1e-7, z + 1e-7)
    bounds = []
    for component in unit(xyz):
        angle = math.acos(max(-1.0, min(1.0, component)))
        low = -1.0 if angle + radius >= math.pi else math.cos(angle + radius)
        high = 1.0 if angle <= radius else math.cos(angle - radius)
        # acos loses digits near the axes, up to 2e-8.
        bounds += [low - 1e-7, high + 1e-7]
    return (bounds[0], bounds[1], bounds[2], bounds[3], bounds[4], bounds[5])


def area_deg2(region: Region) -> float:
    """Give the area of a region in square degrees."""
    match region:
        case Circle(_, _, radius):
            half = math.sin(math.radians(radius) / 2)
            area = 4.0 * math.pi * (half * half)
        case Polygon():
            area = ring_of(region).area_sr()
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
            ring = ring_of(region)
            total = [0.0, 0.0, 0.0]
            for normal, length in zip(ring.normals, ring.lengths(), strict=True):
                for axis in range(3):
                    total[axis] += normal[axis] * length
            if ring.area_sr() > 1e-20:
                return point_of(unit((total[0], total[1], total[2])))
            return point_of(mean(ring.vertices))
        case Range():
            return point_of(_range_centroid(region))


def _range_centroid(region: Range) -> Vector:
    width = math.radians(region.ra_width_deg)
    south, north = math.radians(region.dec_min_deg), math.radians(region.dec_max_deg)
    plane = math.sin(width / 2) * (north - south + (math.sin(2 * north) - math.sin(2 * south)) / 2)
    height = width * (math.cos(2 * south) - math.cos(2 * north)) / 4
    if math.sqrt(plane * plane + height * height) < 1e-15:
        return _sample(region)
    ra = math.radians(region.ra_min_deg) + width / 2
    return unit((plane * math.cos(ra), plane * math.sin(ra), height))


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
    forward = vector(centre.ra_deg, centre.dec_deg)
    ra = math.radians(centre.ra_deg)
    east = (-math.sin(ra), math.cos(ra), 0.0)
    north = cross(forward, east)
    half_width = math.tan(math.radians(width_deg) / 2)
    half_height = math.tan(math.radians(height_deg) / 2)
    corners = []
    for x, y in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        a, b = x * half_width, y * half_height
        corner = unit(
            (
                forward[0] + a * east[0] + b * north[0],
                forward[1] + a * east[1] + b * north[1],
                forward[2] + a * east[2] + b * north[2],
            )
        )
        point = point_of(corner)
        corners.append((point.ra_deg, point.dec_deg))
    return Polygon(tuple(corners))
