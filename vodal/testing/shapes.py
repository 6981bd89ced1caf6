"""Shapes that are hard to compare: at poles, across RA 0, touching, thin, opposite."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from vodal.regions import Circle, Point, Polygon, Range, Shape
from vodal.sphere import box_polygon, distance_deg
from vodal.vectors import Vector, cross, point_of, unit, vector

__all__ = ["hard_pairs", "hard_shape"]

_SIZES = (1e-7, 1e-4, 0.01, 0.5, 5.0, 30.0, 89.0)


def _one(rng: random.Random, shapes: Sequence[Shape]) -> Shape:
    return rng.choice(shapes)


def _place(rng: random.Random) -> tuple[float, float]:
    ra = rng.choice(
        [rng.uniform(0, 360), rng.uniform(-1, 1) % 360, rng.choice([0.0, 90, 180, 270])]
    )
    dec = rng.choice(
        [math.degrees(math.asin(rng.uniform(-1, 1))), rng.choice([-90.0, -89.9, 0, 89.9, 90])]
    )
    return ra, dec


def _around(ra_deg: float, dec_deg: float, turn: float, distance: float) -> tuple[float, float]:
    """Go from a place so many radians in a direction."""
    forward = vector(ra_deg, dec_deg)
    ra = math.radians(ra_deg)
    east: Vector = (-math.sin(ra), math.cos(ra), 0.0)
    north = cross(forward, east)
    cos, sin = math.cos(distance), math.sin(distance)
    a, b = sin * math.sin(turn), sin * math.cos(turn)
    x, y, z = (cos * f + a * e + b * n for f, e, n in zip(forward, east, north, strict=True))
    point = point_of(unit((x, y, z)))
    return point.ra_deg, point.dec_deg


def _star(rng: random.Random, ra_deg: float, dec_deg: float, size_deg: float) -> Polygon:
    """Give a polygon that is star-shaped seen from a place, convex or not."""
    count = rng.choice([3, 4, 4, 5, 7, 13])
    even = rng.random() < 0.5
    turns = [2 * math.pi * (i + (0 if even else rng.uniform(0, 0.9))) / count for i in range(count)]
    if rng.random() < 0.5:
        turns.reverse()
    radii = [1.0 if even else rng.uniform(0.3, 1.0) for _ in turns]
    return Polygon(
        tuple(
            _around(ra_deg, dec_deg, turn, radius * math.radians(size_deg))
            for turn, radius in zip(turns, radii, strict=True)
        )
    )


def hard_shape(rng: random.Random) -> Shape:
    """Give a point, circle, polygon, box or range of any size anywhere."""
    ra, dec = _place(rng)
    size = rng.choice(_SIZES) * rng.uniform(0.5, 1.0)
    match rng.randrange(6):
        case 0:
            return Point(ra, dec)
        case 1:
            return Circle(ra, dec, rng.choice([size, 2 * size, 90.0, 180.0 - size, 0.0, 180.0]))
        case 2 | 3:
            return _star(rng, ra, dec, size)
        case 4:
            return box_polygon(ra, dec, 2 * size, 2 * size * rng.choice([1.0, 0.3, 1e-3]))
        case _:
            width = rng.choice([size, 2 * size, 359.0, 360.0])
            east = ra + width if width == 360.0 else (ra + width) % 360.0
            south, north = max(-90.0, dec - size), min(90.0, dec + size)
            return rng.choice(
                [
                    Range(ra, east, south, north),
                    Range(ra, east, -90.0, north),
                    Range(ra, east, dec, dec),
                ]
            )


def _middle(polygon: Polygon, side: int) -> tuple[float, float]:
    a = vector(*polygon.vertices[side])
    b = vector(*polygon.vertices[(side + 1) % len(polygon.vertices)])
    point = point_of(unit((a[0] + b[0], a[1] + b[1], a[2] + b[2])))
    return point.ra_deg, point.dec_deg


def _relative_of_polygon(rng: random.Random, polygon: Polygon) -> Shape:
    vertices = polygon.vertices
    side = rng.randrange(len(vertices))
    a, b = vertices[side], vertices[(side + 1) % len(vertices)]
    middle = _middle(polygon, side)
    match rng.randrange(9):
        case 0:
            return Polygon(vertices[side:] + vertices[:side])
        case 1:
            return Polygon(vertices[::-1])
        case 2:
            return Point(*vertices[side])
        case 3:
            return Point(*middle)
        case 4:
            return Polygon((a, middle, b, *vertices[side + 2 :], *vertices[:side]))
        case 5:  # shares an edge, or is a sliver along it
            away = _around(*middle, rng.uniform(0, 6.3), math.radians(rng.choice(_SIZES[:6])))
            return Polygon((a, b, away))
        case 6:
            return Circle(*middle, distance_deg(*middle, *a))
        case 7:  # holds or meets in the vertices alone
            return Polygon(tuple(_middle(polygon, i) for i in range(len(vertices))))
        case _:
            return Circle(*_around(*middle, rng.uniform(0, 6.3), 1e-6), rng.choice(_SIZES))


def _relative(rng: random.Random, shape: Shape) -> Shape:
    """Give a shape that touches another one, shares a part of its boundary, or lies opposite."""
    match shape:
        case Point(ra, dec):
            away = rng.choice(_SIZES)
            there = _around(ra, dec, rng.uniform(0, 6.3), math.radians(away))
            return _one(
                rng,
                [
                    Point(ra, dec),
                    Point(*there),
                    Circle(*there, distance_deg(ra, dec, *there)),
                    Circle((ra + 180) % 360, -dec, 180.0 - rng.choice([0.0, away])),
                ],
            )
        case Circle(ra, dec, radius):
            other = rng.choice(_SIZES)
            turn = rng.uniform(0, 6.3)
            outside = _around(ra, dec, turn, math.radians(min(180.0, radius + other)))
            inside = _around(ra, dec, turn, math.radians(abs(radius - other)))
            rim = _around(ra, dec, turn, math.radians(radius))
            return _one(
                rng,
                [
                    Circle(*outside, other),
                    Circle(*inside, min(radius, other)),
                    Circle((ra + 180) % 360, -dec, 180.0 - radius),
                    Point(*rim),
                    box_polygon(*rim, min(other, 50.0), min(other, 50.0)),
                ],
            )
        case Polygon():
            return _relative_of_polygon(rng, shape)
        case Range(west, east, south, north):
            middle = (west + shape.ra_width_deg / 2) % 360.0
            return _one(
                rng,
                [
                    shape,
                    Range(east % 360.0, middle, south, north),
                    Range(west, middle, south, north),
                    Range(0.0, 360.0, -90.0, south),
                    Point(west % 360.0, south),
                    Circle(middle, north, rng.choice(_SIZES)),
                    box_polygon(east % 360.0, (south + north) / 2, 10.0, 10.0),
                ],
            )


def hard_pairs(seed: int, count: int) -> Iterator[tuple[Shape, Shape]]:
    """Give pairs of shapes; the same arguments give the same pairs."""
    rng = random.Random(seed)  # noqa: S311 - cases of a test
    for number in range(count):
        first = hard_shape(rng)
        second = _relative(rng, first) if number % 3 else hard_shape(rng)
        yield (first, second) if rng.random() < 0.5 else (second, first)
