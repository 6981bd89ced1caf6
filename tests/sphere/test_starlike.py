"""The quick way of polygons that run around their middle is the general code's."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.canonical import RegionFaultError, _general, canonical
from vodal.regions import Polygon, shape_text
from vodal.starlike import turn_around_middle
from vodal.testing.shapes import hard_shape


def around(ra, dec, corners):
    """Give the vertices, given by angle and distance (degrees) around a position."""
    a, d = math.radians(ra), math.radians(dec)
    centre = np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])
    east = np.array([-math.sin(a), math.cos(a), 0.0])
    north = np.cross(centre, east)
    found = []
    for angle, distance in corners:
        t, r = math.radians(angle), math.radians(distance)
        x, y, z = math.cos(r) * centre + math.sin(r) * (math.cos(t) * north + math.sin(t) * east)
        found.append((math.degrees(math.atan2(y, x)) % 360, math.degrees(math.asin(z))))
    return found


def assert_same(vertices):
    """Compare the gate with and without the quick way; tell whether that was taken."""
    polygon = Polygon(tuple(vertices))
    digits = np.round(np.array(polygon.vertices), 10)
    digits[digits[:, 0] >= 360.0, 0] = 0.0
    if not turn_around_middle(digits.tolist()):
        return False
    quick, slow = canonical(polygon), _general(digits)
    assert quick == slow
    assert shape_text(quick.region) == shape_text(slow.region)
    return True


angles = st.floats(0, 360)
distances = st.sampled_from([1e-9, 1e-7, 1e-6, 1e-3, 0.1, 0.5, 5.0, 20.0, 80.0])
positions = st.tuples(angles, st.sampled_from([-90.0, -89.9, -30.0, 0.0, 45.0, 89.99, 90.0]))


@settings(max_examples=600, deadline=None)
@given(positions, st.lists(st.tuples(angles, distances), min_size=3, max_size=12, unique=True),
       st.booleans(), st.floats(0.0, 1e-6))  # fmt: skip
def test_stars_and_tangles_of_any_size_come_out_alike(place, corners, in_order, nudge):
    if in_order:
        corners = sorted(corners)
    vertices = around(*place, corners)
    if len(set(vertices)) < 3:
        return
    # A vertex that nearly falls on another.
    for some in (vertices, [*vertices, (vertices[1][0], max(vertices[1][1] - nudge, -90.0))]):
        assert_same(some)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9))
def test_hard_shapes_come_out_alike(seed):
    shape = hard_shape(random.Random(seed))
    if isinstance(shape, Polygon):
        assert_same(shape.vertices)


@pytest.mark.parametrize("place", [(0.0, 0.0), (359.9999, 60.0), (10.0, 90.0), (200.0, -89.9)])
def test_footprints_bent_inwards_or_outwards_take_the_quick_way(place):
    for bend in (0.8, 1.0, 1.2):
        sides = [(45 * k, 0.2 * (bend if k % 2 else math.sqrt(2))) for k in range(8)]
        for vertices in (around(*place, sides), around(*place, sides[::-1])):
            assert assert_same(vertices)


def test_what_meets_itself_does_not_take_it():
    star = around(10.0, 20.0, [(144 * k, 0.2) for k in range(5)])
    double = around(10.0, 20.0, [(80 * k, 0.2 + 0.01 * k) for k in range(9)])
    spike = around(10.0, 20.0, [(0, 0.2), (120, 0.2), (180, 5.0), (180 + 1e-9, 0.2), (240, 0.2)])
    line = around(10.0, 20.0, [(0, 0.2), (0, 0.1), (180, 0.2)])
    for vertices in (star, double, spike, line):
        assert turn_around_middle(vertices) == 0
    with pytest.raises(RegionFaultError, match="line"):
        canonical(Polygon(tuple(line)))
