"""The gate of footprints: what is canonical is kept, what can be mended is, the rest is named."""

from __future__ import annotations

import math
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.canonical import FAULTS, RegionFaultError, canonical, canonical_text
from vodal.regions import Circle, Point, Polygon, Range, parse_shape, shape_text
from vodal.sphere import area_deg2, contains
from vodal.testing.shapes import hard_shape

SQUARE = ((9.0, 1.0), (9.0, -1.0), (11.0, -1.0), (11.0, 1.0))
"""Clockwise as seen from inside: east is left."""
ANTICLOCKWISE = SQUARE[::-1]


def vectors(positions):
    ra, dec = np.radians(np.array(positions, float)).T
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def turns_left(vertices):
    """Tell whether most of a small polygon's area is left of its sides, as seen from inside."""
    corners = vectors(vertices)
    # The vector area of a plane polygon points outward if it runs anticlockwise seen from outside.
    middle = corners.mean(axis=0)
    apart = corners - middle
    area = sum(np.cross(a, b) for a, b in zip(apart, np.roll(apart, -1, 0), strict=True))
    return float(area @ middle) < 0.0


def test_the_page_names_every_fault():
    page = (Path(__file__).parents[2] / "docs" / "footprints.md").read_text("utf-8")
    assert not [fault for fault in FAULTS if f"| `{fault}` |" not in page]


def test_what_is_canonical_stays_as_it_is():
    for region in (Polygon(ANTICLOCKWISE), Circle(1, 2, 3), Range(350, 10, -5, 5)):
        assert canonical(region).region == region
        assert canonical(region).notes == ()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.integers(0, 10**9))
def test_the_text_of_a_canonical_region_says_the_same_and_it_is_canonical(seed):
    shape = hard_shape(random.Random(seed))
    try:
        first = canonical(shape)
    except RegionFaultError:
        # Such shapes are empty, thinner than the digits of the text, or half of the sky.
        assert isinstance(shape, Point) or not 1e-9 < area_deg2(shape) < 20_000
        return
    assert parse_shape(shape_text(first.region)) == first.region
    again = canonical_text(shape_text(first.region))
    assert again.region == first.region
    assert again.notes == ()
    if isinstance(first.region, Polygon):
        assert turns_left(first.region.vertices)


@pytest.mark.parametrize(("vertices", "note"), [
    (SQUARE, "clockwise"),
    (((11, 1), (11, -1), (9, -1), (9, -1), (9, 1), (11, 1)), "1 vertex that repeats"),
    (((11, 1), (11, -1), (9, -1), (9, -5), (9, -1), (9, 1)), "turn back"),
    (((11, 1), (11, -1), (9, -1), (9, 1), (11, 1), (9.5, 1.0)), "turn back"),
    (((9, 1), (11, -1), (9, -1), (11, 1)), "crossed"),
    (((11, 1), (11, -1), (10, 0), (9, -1), (9, 1), (10, 0)), "touched"),
])  # fmt: skip
def test_a_square_that_was_written_badly_is_mended(vertices, note):
    found = canonical(Polygon(vertices))
    assert note in found.notes[0]
    assert len(found.notes) == 1
    assert turns_left(found.region.vertices)
    assert area_deg2(found.region) == pytest.approx(area_deg2(Polygon(SQUARE)), rel=2e-4)
    assert contains(found.region, Point(10, 0))


def test_vertices_at_a_pole_are_one_whatever_their_right_ascension():
    found = canonical(Polygon(((0, 89), (10, 90), (200, 90), (90, 89))))
    assert len(found.region.vertices) == 3
    assert "repeats" in found.notes[0]


@pytest.mark.parametrize("seed", range(6))
def test_polygons_that_cross_get_the_hull_of_their_vertices(seed):
    rng = random.Random(seed)
    ra, dec = rng.uniform(0, 360), rng.choice([-90, -60, 0, 89.9])
    center = vectors([(ra, dec)])[0]
    around = [np.array([rng.gauss(0, 0.1) for _ in range(3)]) + center for _ in range(9)]
    vertices = [
        (math.degrees(math.atan2(y, x)) % 360, math.degrees(math.atan2(z, math.hypot(x, y))))
        for x, y, z in around
    ]
    found = canonical(Polygon(tuple(vertices)))
    assert "hull" in found.notes[0]
    corners = vectors(found.region.vertices)
    # Brute force: each vertex lies on the inner side of each side of the hull.
    inner = -np.cross(corners, np.roll(corners, -1, 0)) @ vectors(vertices).T
    assert inner.min() > -1e-11
    assert set(found.region.vertices) <= {(round(a, 10), round(d, 10)) for a, d in vertices}


def test_polygons_wider_than_a_hemisphere_become_circles():
    ring = tuple((ra, 4.0 if i % 2 else -6.0) for i, ra in enumerate(range(0, 360, 15)))
    found = canonical(Polygon(ring))
    assert "wider than a hemisphere" in found.notes[-1]
    assert isinstance(found.region, Circle)
    # The smaller part of the sky is that around the southern pole.
    assert all(contains(found.region, Point(*vertex)) for vertex in ring)
    assert contains(found.region, Point(0, -90))
    assert found.region.radius_deg == pytest.approx(94.0, abs=0.01)


@pytest.mark.parametrize(("region", "fault"), [
    (Point(1, 2), "no-area"),
    (Circle(1, 2, 0), "no-area"),
    (Circle(1, 2, 1e-12), "no-area"),
    (Range(10, 20, 5, 5), "no-area"),
    (Range(10, 10, 4, 5), "no-area"),
    (Polygon(((1, 1), (2, 2), (1, 1), (2, 2))), "no-area"),
    (Polygon(((0, 0), (1, 0), (2, 0))), "no-area"),
    (Polygon(((30, 0), (30, 40), (30, 80), (210, 85))), "no-area"),
    (Polygon(((0, 0), (1e-12, 0), (0, 1e-12))), "no-area"),
    (Polygon(((0, 10), (180, -10), (90, 5))), "opposite"),
    (Polygon(((0, 0), (90, 0), (180, 0), (270, 0))), "half-sky"),
    (Polygon(((0, 0), (120, 0), (240, 0))), "half-sky"),
    (Polygon(tuple((ra, 10.0 if i % 2 else -10.0) for i, ra in enumerate(range(0, 360, 15)))),
     "half-sky"),
    (Polygon(((0, 30), (200, -30), (100, 30), (300, -30), (50, 0))), "crossing"),
    (Polygon(tuple((i / 100, (i * i) / 1e6) for i in range(2049))), "vertices"),
])  # fmt: skip
def test_what_cannot_be_a_footprint_is_refused_by_name(region, fault):
    with pytest.raises(RegionFaultError) as caught:
        canonical(region)
    assert caught.value.fault == fault
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.fault, copy.message) == (fault, caught.value.message)


@pytest.mark.parametrize(("text", "region"), [
    ("POLYGON 9 1 9 -1 11 -1 11 1", Polygon(ANTICLOCKWISE)),
    ("Polygon ICRS 9 1 9 -1 11 -1 11 1", Polygon(ANTICLOCKWISE)),
    ("POLYGON ICRS GEOCENTER 369 1 9 -1 11 -1 -349 1", Polygon(ANTICLOCKWISE)),
    ("circle J2000 361 -2 0.5", Circle(1, -2, 0.5)),
    ("RANGE 350 10 -5 +Inf", Range(350, 10, -5, 90)),
])  # fmt: skip
def test_texts_of_dali_and_stc_are_read(text, region):
    found = canonical_text(text)
    assert found.notes == () or "Polygon" in repr(region)
    assert set(getattr(found.region, "vertices", ())) == set(getattr(region, "vertices", ()))
    if not isinstance(region, Polygon):
        assert found.region == region


def test_a_box_is_a_cross_of_great_circles():
    found = canonical_text("BOX ICRS 10 60 4 2").region
    assert isinstance(found, Polygon)
    for place, inside in [((10, 60.999), True), ((10, 61.001), False), ((10, 59.001), True)]:
        assert contains(found, Point(*place)) is inside
    # Along the great circle that leaves the centre to the east.
    for step, inside in [(1.999, True), (2.001, False)]:
        dec = math.degrees(math.asin(math.sin(math.radians(60)) * math.cos(math.radians(step))))
        east = math.degrees(math.atan(math.tan(math.radians(step)) / math.cos(math.radians(60))))
        assert contains(found, Point(10 + east, dec)) is inside


@pytest.mark.parametrize("text", [
    "POLYGON ICRS 1 0 1 1 0 1 0 0 POLYGON ICRS 3 0 3 1 2 1 2 0",
    "UNION ICRS ( POLYGON 1 0 1 1 0 1 0 0 POLYGON 3 0 3 1 2 1 2 0 )",
    "Union ICRS TOPOCENTER (Polygon 0 0 0 1 1 1 1 0 Polygon 3 0 3 1 2 1 2 0)",
])  # fmt: skip
def test_several_polygons_become_their_hull(text):
    found = canonical_text(text)
    assert "2 parts" in found.notes[0]
    assert set(found.region.vertices) == {(0, 0), (3, 0), (3, 1), (0, 1)}


@pytest.mark.parametrize(("text", "fault"), [
    ("", "text"),
    ("POLYGON ICRS 1 2 3", "no-area"),
    ("POLYGON ICRS 1 2 3 4 5 NaN", "not-finite"),
    ("POLYGON ICRS 1 2 3 4 5 inf", "not-finite"),
    ("POLYGON ICRS 1 2 3 4 5 95", "text"),
    ("CIRCLE ICRS 1 2 NaN", "not-finite"),
    ("CIRCLE ICRS 1 2 181", "text"),
    ("CIRCLE ICRS 1 2", "text"),
    ("CIRCLE GALACTIC 1 2 3", "text"),
    ("POSITION ICRS 1 2", "no-area"),
    ("BOX ICRS 1 2 3", "text"),
    ("BOX ICRS 1 2 3 190", "text"),
    ("BOX 1 2 3 4 5 6", "text"),
    ("MOC 3/1-4", "text"),
    ("4/1-9", "text"),
    ("ELLIPSE ICRS 1 2 3 4 5", "text"),
    ("UNION ICRS (CIRCLE 1 2 3 CIRCLE 2 3 4)", "text"),
    ("INTERSECTION ICRS (CIRCLE 1 2 3 CIRCLE 2 3 4)", "text"),
    ("NOT (CIRCLE ICRS 1 2 3)", "text"),
    ("UNION ICRS (POLYGON 0 0 1 0 1 1 POLYGON 180 0 181 0 181 1)", "half-sky"),
])  # fmt: skip
def test_texts_that_say_no_footprint_are_refused_by_name(text, fault):
    with pytest.raises(RegionFaultError) as caught:
        canonical_text(text)
    assert caught.value.fault == fault
    assert "s_region" in caught.value.message or fault in {"no-area", "half-sky", "text"}


def test_a_line_of_many_vertices_and_a_fine_outline_take_no_time():
    turns = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    fine = Polygon(tuple((10 - math.cos(t), math.sin(t)) for t in turns))
    assert canonical(fine).notes == ()
