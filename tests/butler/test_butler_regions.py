"""Regions of sphgeom as ours: the same points lie in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lsst.sphgeom import (
    Angle,
    AngleInterval,
    Box,
    Circle,
    ConvexPolygon,
    Ellipse,
    IntersectionRegion,
    LonLat,
    NormalizedAngleInterval,
    UnionRegion,
    UnitVector3d,
)

from obscore.sources.butler.regions import region_of
from vodal.errors import DataError
from vodal.regions import Point, Polygon
from vodal.sphere import contains


def polygon(*places):
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*place)) for place in places])


def box(west, east, south, north):
    return Box(
        NormalizedAngleInterval.fromDegrees(west, east), AngleInterval.fromDegrees(south, north)
    )


WRAPPED = polygon((359, -1), (2, -1.5), (1.5, 2), (359.2, 1))
POLAR = polygon((10, 88), (100, 87), (190, 88.5), (290, 89))


@pytest.mark.parametrize(
    "region",
    [
        WRAPPED,
        POLAR,
        polygon((120, -89), (0, -89), (240, -89.5)),
        Circle(UnitVector3d(LonLat.fromDegrees(359.9, 1)), Angle.fromDegrees(1.5)),
        box(359, 1.5, -1, 1),
        Box(NormalizedAngleInterval.full(), AngleInterval.fromDegrees(86, 90)),
        IntersectionRegion(WRAPPED, polygon((0, -3), (3, -3), (3, 1), (0, 1))),
        IntersectionRegion(POLAR, polygon((0, 85), (120, 85), (240, 85))),
        # One within the other, and one that shares a side.
        IntersectionRegion(WRAPPED, polygon((0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5))),
        IntersectionRegion(polygon((0, 0), (1, 0), (1, 1), (0, 1)),
                           polygon((1, 1), (0, 1), (0, 0), (1, 0))),
    ],
)  # fmt: skip
def test_the_same_points_are_inside(region):
    ours = region_of(region)
    random = np.random.default_rng(3)
    centre = LonLat(region.getBoundingCircle().getCenter())
    reach = 1.6 * region.getBoundingCircle().getOpeningAngle().asDegrees()
    ra = centre.getLon().asDegrees() + random.uniform(-reach, reach, 600)
    dec = np.clip(centre.getLat().asDegrees() + random.uniform(-reach, reach, 600), -90, 90)
    if abs(centre.getLat().asDegrees()) > 80:
        ra = random.uniform(0, 360, 600)
        dec = np.copysign(random.uniform(84, 90, 600), centre.getLat().asDegrees())
    told = [
        region.contains(UnitVector3d(LonLat.fromDegrees(*at))) for at in zip(ra, dec, strict=True)
    ]
    found = [contains(ours, Point(*at)) for at in zip(ra, dec, strict=True)]
    assert sum(told) > 5
    assert not all(told)
    assert told == found


@pytest.mark.parametrize("region", [WRAPPED, POLAR, IntersectionRegion(WRAPPED, POLAR.clone())])
def test_polygons_run_counter_clockwise_as_seen_from_inside(region):
    if isinstance(region, IntersectionRegion):
        with pytest.raises(DataError, match="do not meet"):
            region_of(region)
        return
    ours = region_of(region)
    assert isinstance(ours, Polygon)
    corners = [UnitVector3d(LonLat.fromDegrees(*vertex)) for vertex in ours.vertices]
    xyz = np.array([[corner.x(), corner.y(), corner.z()] for corner in corners])
    middle = xyz.mean(axis=0)
    for one, following in zip(xyz, np.roll(xyz, -1, axis=0), strict=True):
        # Seen from the centre the inside is on the left, which is where the cross product is not.
        assert np.dot(np.cross(one, following), middle) < 0
    given = {(round(math.degrees(math.atan2(v.y(), v.x())) % 360, 9)) for v in region.getVertices()}
    assert {round(ra % 360, 9) for ra, _ in ours.vertices} == given


@pytest.mark.parametrize(
    ("region", "told"),
    [
        (Ellipse(UnitVector3d(LonLat.fromDegrees(1, 1)), UnitVector3d(LonLat.fromDegrees(2, 1)),
                 Angle.fromDegrees(3)), "kind Ellipse"),
        (UnionRegion(WRAPPED, POLAR), "kind UnionRegion"),
        (IntersectionRegion(WRAPPED, box(0, 1, 0, 1)), "intersection of ConvexPolygon, Box"),
        (Box(), "empty box"),
        (Circle(), "empty circle"),
    ],
)  # fmt: skip
def test_other_kinds_are_refused_by_name(region, told):
    with pytest.raises(DataError, match=told):
        region_of(region)
