"""How far short arcs are at least from a stencil: whether they meet it is told exactly.

The slower twin of `soda.boundary.clearances`, in the same order. An arc's row: start, end, normal,
from_start, to_end.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["clearances", "turns"]

Floats = NDArray[np.float64]
_POINT = 1e-15
"""An arc that is shorter, radians, has no direction."""
_TOGETHER = 1 << 16
"""Pairs of an arc and a side that are looked at in one go, which bounds the memory."""


def clearances(stencil: tuple[int, Floats, Floats, Floats], start: Floats, end: Floats) -> Floats:
    """Tell how far arcs between points (n, 3) are at least from a stencil, radians.

    Of polygons it is the boundary that counts. Zero or less where they meet, and only there.

    Parameters
    ----------
    stencil
        `soda.distance.StencilDistance.numbers`.
    start, end
        Unit vectors, less than a radian apart.
    """
    kind, numbers, sides, _ = stencil
    normal = np.cross(start, end - start)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.where(length > _POINT, normal / np.where(length > 0.0, length, 1.0), 0.0)
    arcs = (start, end, normal, np.cross(normal, start), np.cross(end, normal))
    if kind == 0:
        return _from_circle(numbers, *arcs)
    if kind == 2:
        return _from_range(numbers, sides, *arcs)
    step = max(1, _TOGETHER // len(sides))
    parts = [
        _from_sides(sides, *(part[k : k + step] for part in arcs))
        for k in range(0, len(start), step)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def turns(place: Floats, start: Floats, end: Floats) -> Floats:
    """Give the angles that arcs subtend seen from a place, as `soda.distance` sums them."""
    one, other = start - place, end - place
    across = np.cross(one, other) @ place
    return np.asarray(np.arctan2(across, np.einsum("nk,nk->n", one, other)), np.float64)


def _angle(points: Floats, place: Floats) -> Floats:
    apart, together = np.linalg.norm(points - place, axis=1), np.linalg.norm(points + place, axis=1)
    return np.asarray(2.0 * np.arctan2(apart, together), np.float64)


def _from_circle(
    numbers: Floats, start: Floats, end: Floats, normal: Floats, after: Floats, before: Floats
) -> Floats:
    centre = numbers[:3]
    first, last = after @ centre, before @ centre
    beside = (first >= 0.0) & (last >= 0.0) & (first + last > 0.0)
    to_line = np.arcsin(np.minimum(np.abs(normal @ centre), 1.0))
    to_ends = np.minimum(_angle(start, centre), _angle(end, centre))
    return np.asarray(np.where(beside, to_line, to_ends) - numbers[3], np.float64)


def _from_range(
    numbers: Floats, sides: Floats, start: Floats, end: Floats, normal: Floats, after: Floats,
    before: Floats,
) -> Floats:  # fmt: skip
    south, north, _, width = numbers
    ends = [np.arctan2(part[:, 2], np.hypot(part[:, 0], part[:, 1])) for part in (start, end)]
    low, high = np.minimum(*ends), np.maximum(*ends)
    top = np.arccos(np.minimum(np.abs(normal[:, 2]), 1.0))
    high = np.where((after[:, 2] > 0.0) & (before[:, 2] > 0.0), np.maximum(high, top), high)
    low = np.where((after[:, 2] < 0.0) & (before[:, 2] < 0.0), np.minimum(low, -top), low)
    gap = np.full(len(start), -math.inf)
    if north < math.pi / 2.0:
        gap = np.maximum(gap, low - north)
    if south > -math.pi / 2.0:
        gap = np.maximum(gap, south - high)
    if width >= 2.0 * math.pi:
        return gap
    west = np.minimum(-(start @ sides[0, 6:9]), -(end @ sides[0, 6:9]))
    east = np.minimum(start @ sides[1, 6:9], end @ sides[1, 6:9])
    wedge = np.maximum(west, east) if width <= math.pi else np.minimum(west, east)
    return np.asarray(np.maximum(gap, wedge), np.float64)


def _apart(one: Floats, other: Floats) -> Floats:
    return np.where(one * other > 0.0, np.minimum(np.abs(one), np.abs(other)), 0.0)


def _from_sides(
    sides: Floats, start: Floats, end: Floats, normal: Floats, after: Floats, before: Floats
) -> Floats:
    first, last = sides[:, 0:3], np.roll(sides[:, 0:3], -1, axis=0)
    gap = _apart(start @ sides[:, 3:6].T, end @ sides[:, 3:6].T)
    gap = np.maximum(gap, _apart(normal @ first.T, normal @ last.T))
    for way in (sides[:, 6:9].T, sides[:, 9:12].T):
        gap = np.maximum(gap, np.minimum(-(start @ way), -(end @ way)))
    for along in (after, before):
        gap = np.maximum(gap, np.minimum(-(along @ first.T), -(along @ last.T)))
    return np.asarray(gap.min(axis=1), np.float64)
