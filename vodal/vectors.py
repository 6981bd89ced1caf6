"""Unit vectors of the sky: the little algebra that spherical geometry needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vodal.regions import Point

__all__ = [
    "Vector",
    "angle",
    "cross",
    "dot",
    "mean",
    "minus",
    "negative",
    "normal_of",
    "point_of",
    "unit",
    "vector",
]

Vector = tuple[float, float, float]


def vector(ra_deg: float, dec_deg: float) -> Vector:
    """Give the unit vector of a position."""
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    cos_dec = math.cos(dec)
    return (cos_dec * math.cos(ra), cos_dec * math.sin(ra), math.sin(dec))


def point_of(x: Vector) -> Point:
    """Give the position of a unit vector."""
    dec = math.degrees(math.atan2(x[2], math.sqrt(x[0] * x[0] + x[1] * x[1])))
    return Point(math.degrees(math.atan2(x[1], x[0])), dec)


def dot(a: Vector, b: Vector) -> float:
    """Give the scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    """Give the vector product."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def minus(a: Vector, b: Vector) -> Vector:
    """Give the difference."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def normal_of(a: Vector, b: Vector) -> Vector:
    """Give the vector product of near vectors without the loss of digits of the plain formula."""
    return cross(a, minus(b, a))


def unit(a: Vector) -> Vector:
    """Bring a vector to length 1; one without a direction becomes the pole."""
    norm = math.sqrt(dot(a, a))
    if norm == 0.0:
        return (0.0, 0.0, 1.0)
    return (a[0] / norm, a[1] / norm, a[2] / norm)


def negative(a: Vector) -> Vector:
    """Give the opposite vector."""
    return (-a[0], -a[1], -a[2])


def angle(a: Vector, b: Vector) -> float:
    """Give the angle of two unit vectors in radians, exact at 0 and at pi."""
    difference = minus(a, b)
    total = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
    return 2.0 * math.atan2(math.sqrt(dot(difference, difference)), math.sqrt(dot(total, total)))


def mean(vertices: Sequence[Vector]) -> Vector:
    """Give the direction of the sum of vectors."""
    x, y, z = (sum(axis) for axis in zip(*vertices, strict=True))
    return unit((x, y, z))
