"""How far points of the sky are from the boundary of a stencil, for many points at once.

Points are unit vectors in ICRS; distances are radians, negative inside. They are exact where they
are small; far from the stencil they may be smaller than the true distance, never larger, so that
"farther than r" is always right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from soda.caps import caps_around
from vodal.later import LaterModule
from vodal.regions import Circle, Polygon, Range, Region

__all__ = ["Distance", "StencilDistance", "compiled", "signed_distance", "unit_vectors"]

Floats = NDArray[np.float64]
Distance = Callable[[Floats], Floats]
"""From vectors of shape (n, 3) to n signed distances."""

compiled = LaterModule("soda.skysearch", pays_at=500)
"""Measures and searches many times faster, when it is loaded; worth it for so many searches."""

_BLOCK = 1 << 18
"""Pairs of a point and a side that are looked at in one go, which bounds the memory."""


def unit_vectors(ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Give unit vectors along a new last axis."""
    ra, dec = np.deg2rad(ra_deg), np.deg2rad(dec_deg)
    cos_dec = np.cos(dec)
    return np.stack([cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec)], axis=-1)


class StencilDistance:
    """Measures distances from the boundary of a stencil.

    Parameters
    ----------
    region
        The stencil.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        match region:
            case Circle(ra, dec, radius):
                centre = unit_vectors(np.array([ra]), np.array([dec]))[0]
                self._measure: Distance = partial(_from_circle, centre, math.radians(radius))
            case Polygon():
                self._sides = _Sides(region)
                self._measure = partial(_from_polygon, self._sides)
            case Range():
                self._measure = partial(_from_range, region)

    def __call__(self, points: Floats) -> Floats:
        """Give the distances of points (n, 3), radians."""
        module = compiled.loaded
        if module is None:
            return self.by_arrays(points)
        distances: Floats = module.distances(self.numbers, np.ascontiguousarray(points, np.float64))
        return distances

    def by_arrays(self, points: Floats) -> Floats:
        """Do the same without compiled code."""
        return self._measure(points)

    @property
    def anchor(self) -> Floats:
        """The unit vector of a place in the stencil."""
        kind, numbers, sides, _ = self.numbers
        return numbers[:3] if kind == 0 else sides[0, :3]

    @cached_property
    def numbers(self) -> tuple[int, Floats, Floats, Floats]:
        """The stencil for compiled code (`soda.boundary`).

        Its kind (0 circle, 1 polygon, 2 range), numbers, sides and caps (`soda.caps`). Of a circle
        the numbers are the centre's unit vector and the radius; of a range south, north, start and
        width in right ascension, radians. Of the sides one row each, of unit vectors: of a polygon
        start, normal, from_start and to_end; of a range's two meridians start, end, east,
        from_start, from_end.
        """
        none = np.empty((0, 8))
        match self._region:
            case Circle(ra, dec, radius):
                centre = unit_vectors(np.array([ra]), np.array([dec]))[0]
                return 0, np.append(centre, math.radians(radius)), np.empty((0, 12)), none
            case Polygon():
                sides = self._sides
                rows = [sides.start, sides.normal, sides.from_start, sides.to_end]
                table = np.ascontiguousarray(np.concatenate(rows, axis=1))
                return 1, np.empty(0), table, np.ascontiguousarray(caps_around(sides.start))
            case Range() as region:
                south, north = math.radians(region.dec_min_deg), math.radians(region.dec_max_deg)
                start, width = math.radians(region.ra_min_deg), math.radians(region.ra_width_deg)
                if region.ra_width_deg >= 360.0:
                    width = 2.0 * math.pi
                edges = [_meridian(ra, south, north) for ra in (start, start + width)]
                numbers = np.array([south, north, start, width])
                return 2, numbers, np.array([np.concatenate(edge) for edge in edges]), none


def signed_distance(region: Region) -> StencilDistance:
    """Make what measures distances from the boundary of a region."""
    return StencilDistance(region)


def _angle(points: Floats, other: Floats) -> Floats:
    """Angle between vectors, exact for small and for large ones."""
    apart, together = points - other, points + other
    angle: Floats = 2.0 * np.arctan2(
        np.sqrt(np.einsum("nk,nk->n", apart, apart)),
        np.sqrt(np.einsum("nk,nk->n", together, together)),
    )
    return angle


def _from_circle(centre: Floats, radius: float, points: Floats) -> Floats:
    return _angle(points, centre) - radius


class _Sides:
    """The sides of a polygon, turned so that the interior lies to their left."""

    def __init__(self, polygon: Polygon) -> None:
        corners = unit_vectors(*np.array(polygon.vertices, np.float64).T)
        # A side of no length has no direction.
        step = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1) > 1e-13
        corners = corners[step] if step.sum() >= 3 else corners
        self.start = corners
        if _left_area(corners) > 2.0 * math.pi:
            self.start = corners[::-1]
        self.end = np.roll(self.start, -1, axis=0)
        normal = np.cross(self.start, self.end)
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        self.normal = normal / np.where(length > 0.0, length, 1.0)
        self.from_start = np.cross(self.normal, self.start)
        self.to_end = np.cross(self.end, self.normal)


def _turns(corners: Floats, points: Floats) -> Floats:
    """Sum the angles that the sides subtend, seen from each point.

    The sphere is projected stereographically from each point's antipode, in which the sum is
    2 pi less half of the area to the left inside that area, and minus half of it outside.
    """
    difference = corners[None] - points[:, None]
    last = np.roll(difference, 1, axis=1)
    across = np.einsum("nk,nsk->ns", points, np.cross(last, difference))
    along = np.einsum("nsk,nsk->ns", last, difference)
    return np.asarray(np.arctan2(across, along).sum(axis=1), np.float64)


def _left_area(corners: Floats) -> float:
    """Give the area to the left of a closed line, in [0, 4 pi)."""
    outside = np.array([[0.36, -0.48, 0.8]])
    if np.abs(corners - outside).sum(axis=1).min() < 1e-6:
        outside = np.array([[0.48, 0.6, -0.64]])
    area = -2.0 * float(_turns(corners, outside)[0])
    return area % (4.0 * math.pi)


def _from_polygon(sides: _Sides, points: Floats) -> Floats:
    step = max(1, _BLOCK // len(sides.start))
    parts = [
        _from_sides(sides, points[start : start + step]) for start in range(0, len(points), step)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _from_sides(sides: _Sides, points: Floats) -> Floats:
    across = np.abs(points @ sides.normal.T)
    beside = (points @ sides.from_start.T >= 0.0) & (points @ sides.to_end.T >= 0.0)
    to_line = np.arcsin(np.minimum(across, 1.0))
    difference = points[:, None] - sides.start[None]
    chord = np.sqrt(np.einsum("nsk,nsk->ns", difference, difference))
    to_corner = 2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))
    distance = np.where(beside, to_line, to_corner).min(axis=1)
    inside = _turns(sides.start, points) > math.pi / 2.0
    signed: Floats = np.where(inside, -distance, distance)
    return signed


def _from_range(region: Range, points: Floats) -> Floats:
    south, north = math.radians(region.dec_min_deg), math.radians(region.dec_max_deg)
    width = math.radians(region.ra_width_deg)
    dec = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    ra = np.arctan2(points[:, 1], points[:, 0])
    east = np.mod(ra - math.radians(region.ra_min_deg), 2.0 * math.pi)
    above = dec - north if region.dec_max_deg < 90.0 else np.full(dec.shape, -math.inf)
    below = south - dec if region.dec_min_deg > -90.0 else np.full(dec.shape, -math.inf)
    beyond = np.maximum(above, below)
    if region.ra_width_deg >= 360.0:
        # A cap or band; on the whole sphere nothing is near a boundary.
        return np.maximum(beyond, -math.pi)
    to_meridian = np.minimum(
        _from_meridian(region.ra_min_deg, south, north, points),
        _from_meridian(region.ra_max_deg, south, north, points),
    )
    between = east <= width
    outside = np.where(between, beyond, to_meridian)
    return np.where(between & (beyond <= 0.0), -np.minimum(-beyond, to_meridian), outside)


def _meridian(ra: float, south: float, north: float) -> tuple[Floats, ...]:
    """Give vectors of a piece of a meridian, radians: ends, east, and what tells who is beside."""
    cos_ra, sin_ra = math.cos(ra), math.sin(ra)
    start = np.array([math.cos(south) * cos_ra, math.cos(south) * sin_ra, math.sin(south)])
    end = np.array([math.cos(north) * cos_ra, math.cos(north) * sin_ra, math.sin(north)])
    east = np.array([-sin_ra, cos_ra, 0.0])
    return start, end, east, np.cross(start, east), np.cross(end, east)


def _from_meridian(ra_deg: float, south: float, north: float, points: Floats) -> Floats:
    """Distance from the piece of a meridian between two declinations in radians."""
    start, end, east, from_start, from_end = _meridian(math.radians(ra_deg), south, north)
    beside = (points @ from_start >= 0.0) & (points @ from_end <= 0.0)
    to_line = np.arcsin(np.minimum(np.abs(points @ east), 1.0))
    to_ends = np.minimum(_angle(points, start), _angle(points, end))
    return np.where(beside, to_line, to_ends)
