"""Rotations between frames of the sky, named as in the IVOA's vocabulary ``refframe``.

Each is one matrix, as the catalogue of functions asks: no aberration, no motion in time. The values
are those of the frames' definitions: the galactic pole of B1950 (Blaauw et al. 1960), and where it
is in FK5; the bias of FK5 (IERS Conventions 2010, 5.4.4); the mean ecliptic of J2000 (IAU 2006);
the supergalactic pole (de Vaucouleurs et al. 1976).
"""

from __future__ import annotations

import math

from vodal.errors import UsageError
from vodal.regions import Circle, Point, Polygon, Shape

__all__ = ["FRAMES", "transformed"]

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


def _pole_and_node(pole_lon: float, pole_lat: float, node_lon: float) -> Matrix:
    """Give the rotation to a frame whose pole is here, where the old pole has a longitude."""
    a, d, n = map(math.radians, (pole_lon, pole_lat, node_lon))
    ca, sa, cd, sd, cn, sn = (
        math.cos(a), math.sin(a), math.cos(d), math.sin(d), math.cos(n), math.sin(n),
    )  # fmt: skip
    return (
        (-sa * sn - ca * sd * cn, ca * sn - sa * sd * cn, cd * cn),
        (sa * cn - ca * sd * sn, -ca * cn - sa * sd * sn, cd * sn),
        (ca * cd, sa * cd, sd),
    )


def _times(one: Matrix, two: Matrix) -> Matrix:
    columns = list(zip(*two, strict=True))
    rows = [
        tuple(math.fsum(x * y for x, y in zip(row, column, strict=True)) for column in columns)
        for row in one
    ]
    return (
        (rows[0][0], rows[0][1], rows[0][2]),
        (rows[1][0], rows[1][1], rows[1][2]),
        (rows[2][0], rows[2][1], rows[2][2]),
    )


def _turned_back(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return ((a, d, g), (b, e, h), (c, f, i))


_ONE: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_TO_FK5: Matrix = (
    (0.9999999999999928, -1.110223329740834e-07, -4.411804498096776e-08),
    (1.110223372305003e-07, 0.9999999999999891, 9.64779225407974e-08),
    (4.411803426976324e-08, -9.647792743888517e-08, 0.9999999999999943),
)
_TO_GALACTIC = _times(
    _pole_and_node(192.8594812065348, 27.12825118085622, 122.9319185680026), _TO_FK5
)
_B1950_TO_GALACTIC = _pole_and_node(192.25, 27.4, 123.0)

_FROM_ICRS: dict[str, Matrix] = {
    "ICRS": _ONE,
    "GALACTIC": _TO_GALACTIC,
    "FK5": _TO_FK5,
    "FK4": _times(_turned_back(_B1950_TO_GALACTIC), _TO_GALACTIC),
    "ECLIPTIC": (
        (0.9999999999999941, -7.078368960971556e-08, 8.056213977613186e-08),
        (3.2897004077419646e-08, 0.9174821299149584, 0.39777699944404793),
        (-1.0207044725484355e-07, -0.39777699944404304, 0.9174821299149556),
    ),
    "SUPER_GALACTIC": _times(_pole_and_node(47.37, 6.32, 90.0), _TO_GALACTIC),
}

FRAMES = tuple(_FROM_ICRS)
"""Names, in the case in which they are written."""


def _rotation(source: str, target: str) -> Matrix:
    for name in (source, target):
        if name not in _FROM_ICRS:
            raise UsageError(f"'{name[:40]}' is no frame here; there are {', '.join(FRAMES)}")
    if source == target:
        return _ONE
    return _times(_FROM_ICRS[target], _turned_back(_FROM_ICRS[source]))


_ROTATIONS = {(one, two): _rotation(one, two) for one in FRAMES for two in FRAMES}


def _turn(matrix: Matrix, lon_deg: float, lat_deg: float) -> tuple[float, float]:
    lon, lat = math.radians(lon_deg), math.radians(lat_deg)
    vector = (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def transformed(source: str, target: str, shape: Shape) -> Shape:
    """Give a shape as another frame sees it.

    Parameters
    ----------
    source, target
        Two of `FRAMES`.
    shape
        A point, circle or polygon; a range of coordinates has no form in another frame.

    Raises
    ------
    UsageError
        If a frame is not known, or the shape is a range.
    """
    matrix = _ROTATIONS.get((source, target)) or _rotation(source, target)
    if matrix is _ONE:
        return shape
    match shape:
        case Point(lon_deg, lat_deg):
            return Point(*_turn(matrix, lon_deg, lat_deg))
        case Circle(lon_deg, lat_deg, radius_deg):
            return Circle(*_turn(matrix, lon_deg, lat_deg), radius_deg)
        case Polygon(vertices):
            return Polygon(tuple(_turn(matrix, *vertex) for vertex in vertices))
        case _:
            pass
    raise UsageError("a RANGE is bounded by coordinates, and is none in another frame")
