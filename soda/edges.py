"""Whether pixels meet a stencil, decided by their edges' own coordinates.

A stencil is connected. So it meets a rectangle of pixels if it meets its edge, or lies inside of it
as a whole. The edge is a curve on the sky: it is cut into pieces, and a piece is divided until a
place on it lies in the stencil or the arc between its ends is farther from the stencil than the
piece bends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from soda.box import KnownBox
from soda.clearance import clearances, turns
from soda.distance import StencilDistance, compiled

__all__ = ["TOUCH_PIXELS", "meets", "settle", "walk_by_arrays"]

Floats = NDArray[np.float64]
Vectors = Callable[[Floats, Floats], Floats]

TOUCH_PIXELS = 1e-6
"""What comes nearer than this touches. A stencil whose side lies on the edge of pixels, as that of
a footprint, is so not decided by the rounding of numbers."""
_TOUCH_RAD = 1e-14
"""Rounding of places on the sky."""
_PIECE_PIXELS = 32
_PARTS = 8
_SHORTEST_PIXELS = 1e-7
_MOST_PIECES = 4096
"""Where there are more, the pixels are taken in."""
_BEND = 2.0
"""Between its middle and its ends a piece may be farther from its arc than in its middle."""


def settle(known: KnownBox, vectors: Vectors, distance: StencilDistance) -> None:
    """Widen a box by those of its unsure pixels that are met.

    Parameters
    ----------
    known
        The box, and the pixels that were left unsure.
    vectors
        Gives unit vectors of places counted from the image's edge (`soda.skyimage.SkyImage`).
    distance
        Of the stencil.
    """
    u, v = known.unsure()
    if not len(u):
        return
    columns = rows = (math.inf, -math.inf)
    for column, low, high in _lines(u, v, u < known.u0, outward=True):
        if meets((column, low, column + 1.0, high), vectors, distance):
            known.u0, rows = column, (low, high)
            break
    for column, low, high in _lines(u, v, u + 1 > known.u1, outward=False):
        if meets((column, low, column + 1.0, high), vectors, distance):
            known.u1 = column + 1.0
            break
    for row, low, high in _lines(v, u, v < known.v0, outward=True):
        if meets((low, row, high, row + 1.0), vectors, distance):
            known.v0, columns = row, (low, high)
            break
    for row, low, high in _lines(v, u, v + 1 > known.v1, outward=False):
        if meets((low, row, high, row + 1.0), vectors, distance):
            known.v1 = row + 1.0
            break
    known.close(columns, rows)


def _lines(
    across: Floats, along: Floats, chosen: NDArray[np.bool_], *, outward: bool
) -> Iterator[tuple[float, float, float]]:
    """Give lines of pixels with the ends of what is unsure there, the outermost first."""
    lines = np.unique(across[chosen])
    for line in lines if outward else lines[::-1]:
        places = along[across == line]
        yield float(line), float(places.min()), float(places.max()) + 1.0


def meets(
    rectangle: tuple[float, float, float, float], vectors: Vectors, distance: StencilDistance
) -> bool:
    """Tell whether a rectangle of pixels has a point in common with a stencil.

    Parameters
    ----------
    rectangle
        Lower edges along x and y and upper ones, counted from the image's edge.
    vectors, distance
        As of `settle`.
    """
    ends = _pieces(*rectangle)
    turned, touch = 0.0, math.inf
    length = float(np.abs(ends[0, 2:] - ends[0, :2]).max())
    while len(ends):
        steps = np.linspace(0.0, 1.0, 2 * _PARTS + 1)
        places = ends[:, None, :2] + steps[:, None] * (ends[:, 2:] - ends[:, :2])[:, None]
        points = vectors(places[..., 0], places[..., 1])
        if math.isinf(touch):
            touch = _touch(places, points)
        met, clear, turn = _walk(distance, points, touch)
        if met:
            return True
        turned += turn
        some = np.isfinite(points[..., 0])
        left = ~clear & (some[:, :-1:2] | some[:, 1::2] | some[:, 2::2])
        begin, finish = places[:, :-1:2].reshape(-1, 2), places[:, 2::2].reshape(-1, 2)
        ends = np.concatenate([begin, finish], axis=1)[left.ravel()]
        length /= _PARTS
        if length < _SHORTEST_PIXELS:
            break
        if len(ends) > _MOST_PIECES:
            return True
    return abs(turned) > math.pi


def _pieces(u0: float, v0: float, u1: float, v1: float) -> Floats:
    """Cut the edge of a rectangle into pieces (n, 4): both ends, in one sense of turning."""
    corners = [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
    sides = []
    for number, start in enumerate(corners):
        end = corners[(number + 1) % 4]
        size = abs(end[0] - start[0]) + abs(end[1] - start[1])
        steps = np.linspace(0.0, 1.0, math.ceil(size / _PIECE_PIXELS) + 1)[:, None]
        places = np.array(start) + steps * (np.array(end) - start)
        sides.append(np.concatenate([places[:-1], places[1:]], axis=1))
    return np.concatenate(sides)


def _touch(places: Floats, points: Floats) -> float:
    """Tell how near is a touch, radians: a part of a pixel along its shorter side."""
    steps = np.linalg.norm(np.diff(places, axis=1), axis=-1)
    sizes = np.linalg.norm(np.diff(points, axis=1), axis=-1) / steps
    sizes = sizes[np.isfinite(sizes)]
    pixel = float(sizes.min()) if len(sizes) else 0.0
    return max(_TOUCH_RAD, TOUCH_PIXELS * pixel)


def _walk(
    distance: StencilDistance, points: Floats, touch: float
) -> tuple[bool, NDArray[np.bool_], float]:
    module = compiled.loaded
    if module is None:
        return walk_by_arrays(distance, points, touch)
    met, clear, turned = module.walk(distance.numbers, points, touch)
    return bool(met), clear, float(turned)


def walk_by_arrays(
    distance: StencilDistance, points: Floats, touch: float
) -> tuple[bool, NDArray[np.bool_], float]:
    """Walk along pieces of a line.

    Parameters
    ----------
    distance
        Of the stencil.
    points
        Unit vectors (n, 2 m + 1, 3) along n pieces of m parts, with the middle of each part; NaN
        off the sky.
    touch
        What comes nearer than this touches, radians.

    Returns
    -------
    tuple
        Whether one of the points touches the stencil; then which parts (n, m) are clear of it, and
        the sum of the angles that these subtend, seen from a place in the stencil.
    """
    if (distance.by_arrays(points[np.isfinite(points[..., 0])]) <= touch).any():
        return True, np.zeros(0, np.bool_), 0.0
    first, middle, last = (points[:, k : points.shape[1] - 2 + k : 2] for k in range(3))
    clear = np.asarray(np.isfinite(first + middle + last).all(axis=2), np.bool_)
    first, middle, last = first[clear], middle[clear], last[clear]
    arc = first + last
    bend = np.linalg.norm(arc / np.linalg.norm(arc, axis=1, keepdims=True) - middle, axis=1)
    far = clearances(distance.numbers, first, last) > _BEND * bend + 0.5 * touch
    clear[clear] = far
    place, middle = distance.anchor, middle[far]
    turned = turns(place, first[far], middle).sum() + turns(place, middle, last[far]).sum()
    return False, clear, float(turned)
