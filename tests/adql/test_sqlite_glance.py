"""A glance at two shapes: where it decides, the exact comparison says the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.adql.sqlite import functions
from vodal import sphere
from vodal.errors import UsageError
from vodal.regions import Circle, Point, Polygon, Range, shape_to_bytes
from vodal.sphere import box_polygon

functions.glance.wait()
glance = functions.glance.loaded

PLACES = st.one_of(
    st.tuples(st.floats(0, 360), st.floats(-90, 90)),
    # Near a pole, near RA 0, and few enough to meet each other.
    st.tuples(st.floats(-1, 361), st.sampled_from([-90.0, -89.99, 89.99, 90.0])),
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 359.5, 360.0]), st.sampled_from([-0.5, 0, 0.5, 1])),
)
NEAR = st.tuples(st.floats(9, 11), st.floats(19, 21))
SIZES = st.one_of(st.floats(1e-6, 3), st.floats(3, 170), st.sampled_from([0.5, 1.0, 90.0, 180.0]))


@st.composite
def shapes(draw, places=PLACES):
    ra, dec = draw(places)
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return Circle(ra % 360, dec, draw(SIZES))
    if kind == 1:
        return box_polygon(ra % 360, dec, draw(st.floats(0.01, 20)), draw(st.floats(0.01, 20)))
    if kind == 2:
        west, south = ra % 360, max(-90.0, dec - 1)
        return Range(west, west + 1.0, south, min(90.0, south + 1))
    corners = draw(st.lists(places, min_size=3, max_size=13, unique=True))
    return Polygon(tuple((a % 360, b) for a, b in corners))


def agree(seen, exact):
    assert seen in {glance.UNDECIDED, int(exact())}


def compare(a, b, place):
    one, other = shape_to_bytes(a), shape_to_bytes(b)
    agree(glance.intersects(one, other), lambda: sphere.intersects(a, b))
    agree(glance.contains(one, other), lambda: sphere.contains(a, b))
    ra, dec = place
    agree(glance.holds(one, ra, dec), lambda: sphere.contains(a, Point(ra, dec)))


@st.composite
def pairs(draw):
    places = draw(st.sampled_from([PLACES, NEAR]))
    try:
        return draw(shapes(places)), draw(shapes(places)), draw(places)
    except UsageError:
        return Circle(10, 20, 1), Circle(10, 20, 2), (10, 20)


@settings(max_examples=500, deadline=None)
@given(pairs())
def test_what_is_decided_is_right(pair):
    compare(*pair)


def square(ra, dec, side, turn):
    """Give a square like a detector's, turned."""
    angles = turn + np.arange(4) * math.pi / 2
    across = side / math.cos(math.radians(dec))
    corners = ((ra + across * math.cos(a), dec + side * math.sin(a)) for a in angles)
    return Polygon(tuple((float(x), float(y)) for x, y in corners))


def test_thousands_of_footprints_are_decided_and_right():
    rng = np.random.default_rng(3)
    undecided = 0
    for _ in range(2_000):
        ra, dec = rng.uniform(10, 14), rng.uniform(-42, -38)
        a = square(ra, dec, rng.uniform(0.05, 1), rng.uniform(0, 7))
        b = square(rng.uniform(10, 14), rng.uniform(-42, -38), rng.uniform(0.05, 1), 0.3)
        circle = Circle(12, -40, rng.uniform(0.1, 2))
        for one, other in ((a, b), (a, circle), (circle, a)):
            compare(one, other, (12.0, -40.0))
            packed = shape_to_bytes(one), shape_to_bytes(other)
            undecided += glance.intersects(*packed) < 0
            undecided += glance.contains(*packed) < 0
    assert undecided < 0.05 * 12_000


@pytest.mark.parametrize("turn", [0.0, 1e-13, -1e-13, 1e-9, -1e-9])
def test_shapes_that_touch_are_left_to_the_exact_comparison(turn):
    a = Polygon(((10, 20), (11, 20), (11, 21), (10, 21)))
    b = Polygon(((11 + turn, 20), (12, 20), (12, 21), (11 + turn, 21)))
    compare(a, b, (11.0, 20.5))
    compare(a, a, (10.0, 20.0))
    assert glance.contains(shape_to_bytes(a), shape_to_bytes(a)) == glance.UNDECIDED


@pytest.mark.parametrize(
    "packed", [b"", b"y", b"y12", b"c" + bytes(7), b"q" + bytes(24), b"y" + b"\xff" * 48]
)
def test_what_is_no_shape_is_not_decided(packed):
    good = shape_to_bytes(Circle(10, 20, 1))
    assert glance.holds(packed, 1.0, 2.0) == glance.UNDECIDED
    assert glance.intersects(packed, good) == glance.UNDECIDED
    assert glance.contains(good, packed) == glance.UNDECIDED
    assert glance.holds(good, math.nan, 2.0) == glance.UNDECIDED
    assert glance.holds(good, 1.0, 91.0) == glance.UNDECIDED
