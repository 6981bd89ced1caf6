"""Distances and circles in plain SQL: the same answers as the exact functions."""

from __future__ import annotations

import math

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.adql.sqlite.functions import register
from obscore.adql.sqlite.haversine import circle_bounds, circle_test, distance_value
from vodal.regions import Circle, shape_to_bytes
from vodal.sphere import TOLERANCE_DEG, distance_deg

HOLDS = "sky_holds(:circle, ra, dec)"
TEST = circle_test(("ra", "dec"), (":ra0", ":dec0"), (":low", ":high"), HOLDS)
APART = "sky_distance(:ra0, :dec0, ra, dec)"
DISTANCE = distance_value((":ra0", ":dec0"), ("ra", "dec"), APART)

ras = st.one_of(st.floats(0, 360), st.sampled_from([0.0, 1e-12, 180.0, 360.0 - 1e-12]))
decs = st.one_of(st.floats(-90, 90), st.sampled_from([90.0, -90.0, 90.0 - 1e-9, 0.0]))
radii = st.one_of(
    st.floats(0, 180),
    st.floats(0, 1e-3),
    st.sampled_from([0.0, TOLERANCE_DEG, 1e-9, 90.0, 180.0 - 1e-9, 180.0]),
)
odd = st.one_of(
    st.none(),
    st.floats(),
    st.floats(-1000, 1000),
    st.integers(-800, 800),
)


@pytest.fixture(scope="module")
def database():
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute("CREATE TABLE places (ra REAL, dec REAL)")
    yield connection
    connection.close()


def answers(database, fast, exact, circle, places):
    low, high = circle_bounds(circle.radius_deg)
    values = {
        "circle": shape_to_bytes(circle),
        "ra0": circle.ra_deg,
        "dec0": circle.dec_deg,
        "low": low,
        "high": high,
    }
    database.execute("DELETE FROM places")
    database.executemany("INSERT INTO places VALUES (?, ?)", places)
    used = {name: value for name, value in values.items() if f":{name}" in fast + exact}
    return database.execute(f"SELECT {fast}, {exact} FROM places", used).fetchall()


def around(circle, turn, factor):
    """Give a place at a distance from a circle's centre in some direction."""
    far = math.radians(min(180.0, circle.radius_deg * factor))
    dec0, ra0 = math.radians(circle.dec_deg), math.radians(circle.ra_deg)
    sine = math.sin(dec0) * math.cos(far) + math.cos(dec0) * math.sin(far) * math.cos(turn)
    dec = math.asin(max(-1.0, min(1.0, sine)))
    ra = ra0 + math.atan2(
        math.sin(turn) * math.sin(far) * math.cos(dec0),
        math.cos(far) - math.sin(dec0) * math.sin(dec),
    )
    return math.degrees(ra), math.degrees(dec)


@settings(max_examples=300, deadline=None)
@given(
    ras,
    decs,
    radii,
    st.lists(
        st.tuples(
            st.floats(0, 6.3),
            st.sampled_from([0.0, 0.5, 1 - 1e-9, 1 - 1e-12, 1.0, 1 + 1e-12, 1 + 1e-9, 1.01, 3.0]),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_a_circle_in_sql_holds_what_the_exact_function_says(database, ra, dec, radius, turns):
    circle = Circle(ra, dec, radius)
    places = [around(circle, turn, factor) for turn, factor in turns]
    places += [(ra, dec), (ra + 360.0, dec), (ra - 360.0, dec), ((ra + 180.0) % 360.0, -dec)]
    for fast, exact in answers(database, TEST, HOLDS, circle, places):
        assert fast == exact


@settings(max_examples=200, deadline=None)
@given(ras, decs, radii, st.lists(st.tuples(odd, odd), min_size=1, max_size=10))
def test_places_without_meaning_have_no_answer_and_no_distance(database, ra, dec, radius, places):
    circle = Circle(ra, dec, radius)
    for fast, exact in answers(database, TEST, HOLDS, circle, places):
        assert fast == exact
    for fast, exact in answers(database, DISTANCE, APART, circle, places):
        assert (fast is None) == (exact is None)
        if exact is not None:
            assert fast == pytest.approx(exact, rel=1e-12, abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(ras, decs, st.lists(st.tuples(ras, decs), min_size=1, max_size=20))
def test_distances_in_sql_are_those_of_the_sphere(database, ra, dec, places):
    circle = Circle(ra, dec, 1.0)
    found = answers(database, DISTANCE, APART, circle, places)
    for (fast, exact), place in zip(found, places, strict=True):
        assert exact == distance_deg(circle.ra_deg, circle.dec_deg, *place)
        # The exact one goes by vectors, whose components are rounded by up to 1e-16.
        assert fast == pytest.approx(exact, rel=1e-14, abs=4e-14)


def test_the_exact_function_is_asked_near_the_edge_alone(database):
    asked = []
    database.create_scalar_function("asked", lambda ra, dec: asked.append((ra, dec)) or 1, 2)
    test = circle_test(("ra", "dec"), (":ra0", ":dec0"), (":low", ":high"), "asked(ra, dec)")
    circle = Circle(10.0, 20.0, 1.0)
    places = [(10.0, 20.0 + step / 100) for step in range(-300, 301) if abs(step) != 100]
    places.append((10.0, 21.0))
    found = answers(database, test, "0", circle, places)
    assert asked == [(10.0, 21.0)]
    assert sum(fast for fast, _ in found) == 200
