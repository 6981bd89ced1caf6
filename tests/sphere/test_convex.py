"""The quick answers of convex polygons are those of the general code."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from vodal.canonical import RegionFaultError, canonical
from vodal.convex import clearly_holds, convex, convex_many, farthest_deg
from vodal.errors import UsageError
from vodal.regions import Point, Polygon
from vodal.sphere import contains, distance_deg


def around(ra, dec, corners):
    """Give a polygon of places given by angle and distance (degrees) around a position."""
    a, d = math.radians(ra), math.radians(dec)
    centre = (math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d))
    east = (-math.sin(a), math.cos(a), 0.0)
    north = (-math.sin(d) * math.cos(a), -math.sin(d) * math.sin(a), math.cos(d))
    vertices = []
    for angle, distance in corners:
        r, t = math.radians(distance), math.radians(angle)
        x, y, z = (
            math.cos(r) * c + math.sin(r) * (math.cos(t) * n + math.sin(t) * e)
            for c, n, e in zip(centre, north, east, strict=True)
        )
        vertices.append((math.degrees(math.atan2(y, x)) % 360, math.degrees(math.asin(z))))
    return Polygon(tuple(vertices))


def drawn(place, corners):
    """Give such a polygon, if its places differ: near a pole, two may be one by rounding."""
    try:
        return around(*place, corners)
    except UsageError:
        reject()


angles = st.integers(0, 3599).map(lambda tenths: tenths / 10)
corner = st.tuples(angles, st.sampled_from([1e-6, 1e-3, 0.1, 0.5, 5.0, 20.0]))
positions = st.tuples(angles, st.sampled_from([-90.0, -89.9, -30.0, 0.0, 45.0, 89.99, 90.0]))


@settings(max_examples=400, deadline=None)
@given(positions, st.lists(corner, min_size=3, max_size=8, unique=True), st.booleans(), corner)
def test_where_it_answers_it_answers_as_the_general_code(place, corners, in_order, inner):
    if in_order:
        corners = sorted(corners)
    polygon = drawn(place, corners)
    try:
        wanted = canonical(polygon)
    except RegionFaultError:
        wanted = None
    found = convex(polygon)
    if found is None:
        return
    assert wanted is not None
    assert found.polygon == wanted.region
    assert found.was_reversed == bool(wanted.notes)
    point = around(*place, [inner, (0, 1), (90, 1)]).vertices[0]
    if found.holds(*point):
        assert contains(found.polygon, Point(*point))


@settings(max_examples=200, deadline=None)
@given(
    st.integers(3, 6).flatmap(
        lambda count: st.lists(
            st.tuples(
                positions, st.lists(corner, min_size=count, max_size=count, unique=True),
                st.booleans(), st.tuples(angles, st.floats(-90, 90)),
            ),
            min_size=1, max_size=5,
        )
    )
)  # fmt: skip
def test_of_many_it_tells_to_the_last_bit_what_it_tells_of_each(some):
    polygons = [drawn(at, sorted(ends) if turn else ends) for at, ends, turn, _ in some]
    assume(len({len(one.vertices) for one in polygons}) == 1)
    many = convex_many(np.array([one.vertices for one in polygons]))
    ra, dec = np.array([place for *_, place in some]).T
    farthest = farthest_deg(ra, dec, many.places)
    for at, one in enumerate(map(convex, polygons)):
        places = [tuple(place) for place in many.places[at].tolist()]
        far = max(distance_deg(ra[at], dec[at], *place) for place in places)
        assert farthest[at] == far if far < 89.9 else not farthest[at] < far
        assert many.is_convex[at] == (one is not None)
        if one is not None:
            assert many.is_reversed[at] == one.was_reversed
            assert tuple(places[::-1] if one.was_reversed else places) == one.polygon.vertices
            assert many.hold(ra, dec)[at] == one.holds(ra[at], dec[at])


def test_it_answers_for_squares_anywhere_and_not_for_stars():
    for place in ((0.0, 0.0), (359.999, 60.0), (10.0, 90.0), (200.0, -89.9)):
        square = around(*place, [(45 + 90 * k, 0.2) for k in range(4)])
        for polygon in (square, Polygon(square.vertices[::-1])):
            found = convex(polygon)
            assert found is not None
            assert found.holds(*place)
            assert not found.holds(place[0], place[1] - math.copysign(0.3, place[1]))
        star = around(*place, [(144 * k, 0.2) for k in range(5)])
        assert convex(star) is None
    assert convex(around(10, 10, [(0, 0.2), (90, 0.2), (45, 0.01), (270, 0.2)])) is None


@settings(max_examples=400, deadline=None)
@given(positions, st.lists(corner, min_size=3, max_size=8, unique=True), st.booleans(), corner)
def test_what_it_clearly_holds_is_held(place, corners, in_order, inner):
    if in_order:
        corners = sorted(corners)
    polygon = drawn(place, corners)
    try:
        ra, dec = around(*place, [inner] * 3).vertices[0]
    except UsageError:
        ra, dec = place
    for at in ((ra, dec), place, polygon.vertices[0]):
        if clearly_holds(polygon, *at):
            assert contains(polygon, Point(*at))


def test_it_knows_what_lies_within_squares_and_notches():
    square = around(150.0, 2.0, [(45.0, 1.0), (135.0, 1.0), (225.0, 1.0), (315.0, 1.0)])
    for polygon in (square, Polygon(square.vertices[::-1])):
        assert clearly_holds(polygon, 150.3, 2.3)
        assert not clearly_holds(polygon, 151.5, 2.0)
        assert not clearly_holds(polygon, *polygon.vertices[1])
        assert not clearly_holds(polygon, 330.0, -2.0)
    notched = around(0.0, 90.0, [(0.0, 1.0), (90.0, 1.0), (180.0, 1.0), (270.0, 0.1)])
    assert clearly_holds(notched, 100.0, 89.9)
