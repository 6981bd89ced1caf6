"""The outline of an image in a tangent plane, where great circles are straight lines.

What `vodal.fits.footprint` finds by asking wcslib for places in several rounds follows here from
the header: the sides of an image without distortion are straight, and one whose distortion changes
slowly enough is not folded. It gives the same outline, or none where that is not sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vodal.fits.footprint import TOLERANCE_PIXELS, Footprint
from vodal.fits.tangent import TangentPlane
from vodal.regions import Polygon
from vodal.starlike import turn_around

__all__ = ["plain_footprint"]

Floats = NDArray[np.float64]
_Place = tuple[float, float]

_WIDEST = 0.8
"""Radians in the plane from the reference position within which the whole image lies."""
_STEEPEST = 0.4
"""Bound of the distortion's change from pixel to pixel under which nothing is folded."""
_SMALLEST = 1e-8
"""Radians that a pixel's side is at least (2 milli-arcseconds)."""
_FARTHEST_PIXELS = 1e7
_FINENESS = (16, 128, 1024)
"""Parts of a side at which edges are looked at, until they suffice."""
_MOST_VERTICES = 64
_UNDECIDED = 1e-6
"""Part of the tolerance within which a side may be split or not."""


def plain_footprint(tangent: TangentPlane, nx: int, ny: int) -> Footprint | None:
    """Outline the pixel array of an image as `vodal.fits.footprint.footprint` does.

    Parameters
    ----------
    tangent
        Its coordinates.
    nx, ny
        Pixels along x and y.

    Returns
    -------
    Footprint or None
        None where the general way has to decide: wide images, tiny pixels, strong distortions,
        outlines that are not clearly simple.
    """
    if nx < 1 or ny < 1 or not _is_gentle(tangent, nx, ny):
        return None
    places = _projected(tangent, *_probes(nx, ny))
    centre, left, right, below, above = places[:5]
    vertices: list[_Place] | None = places[5:9]
    if not tangent.is_straight:
        vertices = _follow(tangent, nx, ny, TOLERANCE_PIXELS * _shortest_side(places[9:]))
    if vertices is None:
        return None
    turn = turn_around([(east - centre[0], north - centre[1]) for east, north in vertices])
    if not turn:
        return None
    # East is left as seen from inside: what turns left in the plane runs clockwise.
    polygon = Polygon(tuple(tangent.position(*vertex) for vertex in vertices[::-turn]))
    ra_deg, dec_deg = tangent.position(*centre)
    fov_deg = 2.0 * math.degrees(max(_angle(vertex, centre) for vertex in vertices))
    return Footprint(polygon, ra_deg, dec_deg, fov_deg, _scale(left, right, below, above))


def _is_gentle(tangent: TangentPlane, nx: int, ny: int) -> bool:
    """Tell whether an image is small, its pixels are not, and no part of it is folded."""
    (a, b), (c, d) = tangent.matrix
    if max(nx, ny, abs(tangent.x), abs(tangent.y)) > _FARTHEST_PIXELS:
        return False
    if abs(a * d - b * c) < _SMALLEST**2:
        return False
    reach, steepness = tangent.bounds(nx, ny)
    return steepness < _STEEPEST and reach < _WIDEST


@lru_cache(maxsize=256)
def _probes(nx: int, ny: int) -> tuple[Floats, Floats]:
    """Give pixels to look at: the centre, places half a pixel around it, the corners.

    Then places half a pixel to the right of the corners' pixels and of the centre, to the left,
    above and below.
    """
    x, y = (nx - 1) / 2.0, (ny - 1) / 2.0
    xs = [x, x - 0.5, x + 0.5, x, x, -0.5, nx - 0.5, nx - 0.5, -0.5]
    ys = [y, y, y, y - 0.5, y + 0.5, -0.5, -0.5, ny - 0.5, ny - 0.5]
    for dx, dy in ((0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)):
        xs += [dx, nx - 1 + dx, nx - 1 + dx, dx, x + dx]
        ys += [dy, dy, ny - 1 + dy, ny - 1 + dy, y + dy]
    return np.array(xs), np.array(ys)


@lru_cache(maxsize=64)
def _edges(nx: int, ny: int, parts: int) -> tuple[Floats, Floats]:
    """Give the pixels at which each side of the array is looked at, from its first corner on."""
    along = np.arange(parts) / parts
    right, top = nx - 0.5, ny - 0.5
    x = [nx * along - 0.5, np.full(parts, right), right - nx * along, np.full(parts, -0.5)]
    y = [np.full(parts, -0.5), ny * along - 0.5, np.full(parts, top), top - ny * along]
    return np.concatenate(x), np.concatenate(y)


def _projected(tangent: TangentPlane, x: Floats, y: Floats) -> list[_Place]:
    east, north = tangent.plane(x, y)
    return list(zip(east.tolist(), north.tolist(), strict=True))


def _follow(tangent: TangentPlane, nx: int, ny: int, tolerance: float) -> list[_Place] | None:
    """Give the vertices whose sides keep to the edges; None if they are many, or it is a tie."""
    for parts in _FINENESS:
        edge = _projected(tangent, *_edges(nx, ny, parts))
        edge.append(edge[0])
        vertices: list[_Place] = []
        open_sides = [(side * parts, (side + 1) * parts) for side in (3, 2, 1, 0)]
        while open_sides:
            start, end = open_sides.pop()
            quarter = (end - start) // 4
            if quarter == 0:
                break
            between = (edge[start + quarter * k] for k in (1, 2, 3))
            off = _off_side(edge[start], edge[end], between) - tolerance
            if abs(off) <= _UNDECIDED * tolerance or len(vertices) >= _MOST_VERTICES:
                return None
            if off > 0.0:
                middle = start + 2 * quarter
                open_sides += [(middle, end), (start, middle)]
            else:
                vertices.append(edge[start])
        else:
            return vertices
    return None


def _off_side(start: _Place, end: _Place, between: Iterable[_Place]) -> float:
    """Give how far places are from the great circle of their side, as a chord; the largest."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = x1 - x0, y1 - y0
    turn = x0 * dy - y0 * dx
    length = math.sqrt(dx * dx + dy * dy + turn * turn)
    return (
        max(abs(dx * (y - y0) - dy * (x - x0)) / math.sqrt(1.0 + x * x + y * y) for x, y in between)
        / length
    )


def _angle(one: _Place, two: _Place) -> float:
    """Give the angle between the directions of two places in radians."""
    (x0, y0), (x1, y1) = one, two
    dx, dy = x1 - x0, y1 - y0
    turn = x0 * dy - y0 * dx
    return math.atan2(math.sqrt(dx * dx + dy * dy + turn * turn), x0 * x1 + y0 * y1 + 1.0)


def _shortest_side(places: list[_Place]) -> float:
    """Give the shortest side of some pixels, as a chord."""
    right, left, above, below = (places[k : k + 5] for k in (0, 5, 10, 15))
    pairs = [*zip(right, left, strict=True), *zip(above, below, strict=True)]
    return 2.0 * math.sin(min(_angle(one, two) for one, two in pairs) / 2.0)


def _scale(left: _Place, right: _Place, below: _Place, above: _Place) -> float:
    """Give the side of the square that has the area of a pixel, in arcseconds."""
    ax, ay, az = _chord(left, right)
    bx, by, bz = _chord(below, above)
    area = math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    return math.degrees(math.sqrt(area)) * 3600.0


def _chord(start: _Place, end: _Place) -> tuple[float, float, float]:
    """Give the difference of the unit vectors of two places, to the digits of its own."""
    (x0, y0), (x1, y1) = start, end
    w0, w1 = math.sqrt(1.0 + x0 * x0 + y0 * y0), math.sqrt(1.0 + x1 * x1 + y1 * y1)
    dx, dy = x1 - x0, y1 - y0
    shrink = -(dx * (x0 + x1) + dy * (y0 + y1)) / ((w0 + w1) * w0 * w1)
    return dx / w1 + x0 * shrink, dy / w1 + y0 * shrink, shrink
