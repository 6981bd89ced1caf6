"""Regions of dimension records (`lsst.sphgeom`) as ours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from lsst import sphgeom
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.regions import Circle, Polygon, Range, Region

__all__ = ["region_of"]

_NARROWEST = 1e-13
"""Length between unit vectors below which two vertices are one: 20 nano-arcseconds."""


def region_of(region: sphgeom.Region) -> Region:
    """Give a region in ICRS degrees.

    Vertices of a polygon run counter-clockwise as seen from inside the sphere (DALI 1.1 section
    3.3.7); sphgeom has them so as seen from outside. Of several regions whose intersection is asked
    for, as that of a visit and a patch, convex polygons are cut to one.

    Raises
    ------
    DataError
        If it is of a kind that has no such form, or is empty.
    """
    if isinstance(region, sphgeom.ConvexPolygon):
        return _polygon([_xyz(vertex) for vertex in region.getVertices()])
    if isinstance(region, sphgeom.Circle):
        centre = sphgeom.LonLat(region.getCenter())
        radius_deg = region.getOpeningAngle().asDegrees()
        if radius_deg < 0.0:
            raise DataError("the region is an empty circle")
        return Circle(
            centre.getLon().asDegrees(), centre.getLat().asDegrees(), min(radius_deg, 180.0)
        )
    if isinstance(region, sphgeom.Box):
        return _range(region)
    if isinstance(region, sphgeom.IntersectionRegion):
        return _intersection(list(region))
    raise DataError(f"a region of the kind {type(region).__name__} cannot be published")


def _range(box: sphgeom.Box) -> Range:
    if box.isEmpty():
        raise DataError("the region is an empty box")
    lon, lat = box.getLon(), box.getLat()
    dec = (lat.getA().asDegrees(), lat.getB().asDegrees())
    if lon.isFull():
        return Range(0.0, 360.0, *dec)
    return Range(lon.getA().asDegrees(), lon.getB().asDegrees(), *dec)


def _xyz(vertex: sphgeom.UnitVector3d) -> tuple[float, float, float]:
    return vertex.x(), vertex.y(), vertex.z()


def _polygon(vertices: Sequence[Sequence[float]]) -> Polygon:
    """Make a polygon of unit vectors that run counter-clockwise as seen from outside."""
    return Polygon(
        tuple(
            (math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y))))
            for x, y, z in reversed(vertices)
        )
    )


def _intersection(operands: Sequence[sphgeom.Region]) -> Polygon:
    polygons = [one for one in operands if isinstance(one, sphgeom.ConvexPolygon)]
    if len(polygons) < len(operands) or not polygons:
        kinds = ", ".join(type(one).__name__ for one in operands)
        raise DataError(f"an intersection of {kinds} cannot be published")
    corners = np.array([_xyz(vertex) for vertex in polygons[0].getVertices()])
    for other in polygons[1:]:
        ring = np.array([_xyz(vertex) for vertex in other.getVertices()])
        for normal in np.cross(ring, np.roll(ring, -1, axis=0)):
            corners = _cut(corners, normal)
    if len(corners) < 3:
        raise DataError("the regions of its dimensions do not meet")
    return _polygon(corners.tolist())


def _cut(corners: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep what of a convex polygon lies on the side of a great circle to which a normal points."""
    kept: list[NDArray[np.float64]] = []
    heights = corners @ normal
    for number, (corner, height) in enumerate(zip(corners, heights, strict=True)):
        following = (number + 1) % len(corners)
        if height >= 0.0:
            kept.append(corner)
        if (height > 0.0) != (heights[following] > 0.0) and height != 0.0:
            # Where the side between the two meets the great circle.
            meeting = corner * heights[following] - corners[following] * height
            meeting *= np.sign(heights[following] - height)
            kept.append(meeting / np.linalg.norm(meeting))
    distinct = [
        one
        for number, one in enumerate(kept)
        if np.linalg.norm(one - kept[number - 1]) > _NARROWEST
    ]
    return np.array(distinct).reshape(-1, 3)
