"""Shapes as PostgreSQL keeps them: numbers for the exact tests, a cap for the spatial index.

The SQL functions of `obscore.adql.postgres` read a shape as an array of doubles, so that what
costs time for each row, sines and normals, is computed once. Its places, from 1:

====  ==========================================================================================
1     kind: 0 point, 1 circle, 2 polygon within all its sides (convex), 3 other polygon, 4 range
2-4   unit vector of the centre of a cap around the shape (a circle's or a point's own centre)
5     radius of that cap in radians
6-    point: ra, dec; circle: ra, dec, radius; range: ra_min, ra_max, dec_min, dec_max, in degrees
6     polygon: number n of sides
7-    polygon: n times the start of a side (3) and its unit normal (3), interior to the left
6n+7- polygon: its vertices as given, ra and dec in degrees
====  ==========================================================================================

The spatial index holds for each row an ``scircle``, a cap around its footprint and its position.
That type ends at 90 degrees: a row that needs more has `EVERYWHERE`, which every search asks for
beside the cap that it looks for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vodal.outlines import ring_of
from vodal.regions import Circle, Point, Polygon, Range, Region, Shape
from vodal.sphere import bounding_cap
from vodal.vectors import Vector, angle, point_of, vector

__all__ = [
    "EVERYWHERE",
    "LIMIT",
    "PAD",
    "cap_text",
    "caps_around",
    "caps_at",
    "clean",
    "row_cap",
    "shape_array",
]

PAD = 1e-7
"""Radians by which every cap is widened (0.02 arcseconds).

pg_sphere computes with ``acos``, which near 180 degrees is true to 1e-8 only, and cuts the bounds
of its index to 1e-9. A cap of 1e-7 is also the first whose height, 5e-15, is clear of rounding.
"""

LIMIT = math.pi / 2 - 1e-9
"""Radius up to which a cap is kept as such."""

_NEGLIGIBLE = 1e-30
"""Smaller components of vectors become 0: PostgreSQL refuses products that underflow."""


def _scircle(centre: Vector, radius: float) -> str:
    """Write pg_sphere's input form, in radians."""
    point = point_of(centre)
    return f"<({math.radians(point.ra_deg)!r},{math.radians(point.dec_deg)!r}),{radius!r}>"


EVERYWHERE = "<(3.7938553563158623,-0.7301986351446236),1e-07>"
"""Stands for a cap of more than 90 degrees.

Any small cap would do; every search also finds the rows that hold this place, so it is none of
those, such as a pole, at which the footprints of a survey may pile up.
"""


def _clean(numbers: Vector) -> list[float]:
    return [0.0 if abs(number) < _NEGLIGIBLE else number for number in numbers]


def shape_array(shape: Shape) -> list[float]:
    """Give a shape as the numbers that the SQL functions read; see above."""
    centre, radius_deg = bounding_cap(shape)
    numbers = [0.0, *_clean(centre), math.radians(radius_deg)]
    match shape:
        case Point(ra_deg, dec_deg):
            numbers += [ra_deg, dec_deg]
        case Circle(ra_deg, dec_deg, own_radius_deg):
            numbers[0] = 1.0
            numbers += [ra_deg, dec_deg, own_radius_deg]
        case Polygon(vertices):
            ring = ring_of(shape)
            numbers[0] = 2.0 if ring.convex else 3.0
            numbers.append(float(len(ring.vertices)))
            for start, normal in zip(ring.vertices, ring.normals, strict=True):
                numbers += [*_clean(start), *_clean(normal)]
            numbers += [number for vertex in vertices for number in vertex]
        case Range(ra_min_deg, ra_max_deg, dec_min_deg, dec_max_deg):
            numbers[0] = 4.0
            numbers += [ra_min_deg, ra_max_deg, dec_min_deg, dec_max_deg]
    return [float(number) for number in numbers]


def row_cap(region: Region | None, position: tuple[float, float] | None) -> str | None:
    """Give the cap under which the spatial index keeps a row, as text for ``scircle``.

    Parameters
    ----------
    region
        Footprint of the row.
    position
        Its right ascension and declination in degrees.

    Returns
    -------
    str or None
        None if the row has neither, so that no spatial condition finds it.
    """
    if region is None:
        if position is None:
            return None
        return _scircle(vector(*position), PAD)
    centre, radius_deg = bounding_cap(region)
    radius = math.radians(radius_deg)
    if position is not None:
        radius = max(radius, angle(centre, vector(*position)))
    return cap_text(centre, radius)


def cap_text(centre: Vector, radius: float) -> str:
    """Write a cap of some radius (in radians), as the spatial index keeps it."""
    radius += PAD
    return EVERYWHERE if radius > LIMIT else _scircle(centre, radius)


def clean(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give components of vectors as they are kept."""
    return np.where(np.abs(numbers) < _NEGLIGIBLE, 0.0, numbers)


def caps_around(shape: Shape, margin_deg: float = 0.0) -> list[str] | None:
    """Give the caps, as texts for ``scircle``, of which one meets each row near a shape.

    Parameters
    ----------
    shape
        What is looked for.
    margin_deg
        Largest distance from it, in degrees.

    Returns
    -------
    list of str or None
        None if the index would leave nothing out.
    """
    centre, radius_deg = bounding_cap(shape)
    radius = math.radians(radius_deg + max(0.0, margin_deg)) + PAD
    return None if radius > LIMIT else [_scircle(centre, radius), EVERYWHERE]


def caps_at(places: Sequence[Point]) -> list[str]:
    """Give a cap for each place, as `caps_around`, and at the end the one that is for all."""
    caps = [_scircle(vector(place.ra_deg, place.dec_deg), PAD) for place in places]
    return [*caps, EVERYWHERE]
