"""Cells of HEALPix as outlines on the sphere.

The sides of a cell are no great circles; they are taken as chains of short ones that stay within
1.2 arcsec of them, and within 13 arcsec nearer than 2 degrees to a pole.
"""

from __future__ import annotations

import math
from functools import lru_cache

from obscore.adql.userdefined.healpix import base_position, split
from vodal.regions import Polygon
from vodal.vectors import Vector, vector

__all__ = ["cap", "cap_radius_deg", "corner", "outline"]

_FINE_ORDER = 10
"""Order whose cells have sides as good as straight."""


def corner(order: int, cell: int) -> tuple[float, float]:
    """Give the southern corner of a cell in degrees."""
    face, x, y = split(order, cell)
    return base_position(face, x / (1 << order), y / (1 << order))


@lru_cache(maxsize=4096)
def outline(order: int, cell: int) -> Polygon:
    """Give a cell as a polygon."""
    face, x, y = split(order, cell)
    nside = 1 << order
    steps = 1 << max(0, _FINE_ORDER - order)
    parts = [step / steps for step in range(steps)]
    ring = [(part, 0.0) for part in parts] + [(1.0, part) for part in parts]
    ring += [(1.0 - part, 1.0) for part in parts] + [(0.0, 1.0 - part) for part in parts]
    vertices = [base_position(face, (x + a) / nside, (y + b) / nside) for a, b in ring]
    return Polygon(tuple(vertices))


@lru_cache(maxsize=65536)
def cap(order: int, cell: int) -> tuple[Vector, float]:
    """Give a circle that holds a cell: the vector of its centre and the radius in degrees."""
    face, x, y = split(order, cell)
    nside = 1 << order
    lon, lat = base_position(face, (x + 0.5) / nside, (y + 0.5) / nside)
    return vector(lon, lat), cap_radius_deg(order)


@lru_cache(maxsize=32)
def cap_radius_deg(order: int) -> float:
    """Give the greatest distance of a corner from the centre of its cell, in any cell."""
    nside = 1 << order
    z = 1.0 - (1.0 - 1.0 / nside) ** 2 / 3.0
    one = (2.0 / 3.0, math.pi / (4 * nside))
    first = (
        math.sqrt(1.0 - one[0] ** 2) * math.cos(one[1]),
        math.sqrt(1.0 - one[0] ** 2) * math.sin(one[1]),
        one[0],
    )
    second = (math.sqrt(1.0 - z * z), 0.0, z)
    chord = math.dist(first, second)
    return math.degrees(2.0 * math.asin(min(1.0, chord / 2.0))) * (1.0 + 1e-9) + 1e-9
