from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from soda import boundary
from soda.distance import signed_distance, unit_vectors
from vodal.regions import Circle, Point, Polygon, Range
from vodal.sphere import contains, intersects

ra = st.floats(0, 360, exclude_max=True)
dec = st.floats(-90, 90)
circles = st.builds(Circle, ra, dec, st.floats(0, 180))


@st.composite
def stars(draw):
    """Draw simple polygons around a place: corners in order of direction, any distance."""
    count = draw(st.integers(3, 9))
    size = draw(st.sampled_from([0.01, 1.0, 20.0]))
    vector = unit_vectors(np.array([draw(ra)]), np.array([draw(dec)]))[0]
    east = np.cross([0.1, 0.2, 0.97], vector)
    east /= np.linalg.norm(east)
    north = np.cross(vector, east)
    turns = np.sort(draw(st.lists(st.floats(0.02, 0.98), min_size=count, max_size=count)))
    angles = (np.arange(count) + turns) * 2 * np.pi / count
    assume(np.diff(np.append(angles, angles[0] + 2 * np.pi)).max() < 3.0)
    reach = np.tan(np.deg2rad(size * np.array(draw(
        st.lists(st.floats(0.3, 1.0), min_size=count, max_size=count)))))  # fmt: skip
    corners = [vector + r * (np.cos(a) * east + np.sin(a) * north)
               for r, a in zip(reach, angles, strict=True)]  # fmt: skip
    if draw(st.booleans()):
        corners.reverse()
    x, y, z = np.array(corners).T
    places = np.rad2deg([np.arctan2(y, x) % (2 * np.pi), np.arctan2(z, np.hypot(x, y))])
    return Polygon(tuple((float(a), float(d)) for a, d in places.T))


@st.composite
def ranges(draw):
    low, high = sorted((draw(dec), draw(dec)))
    low = -90.0 if draw(st.booleans()) else low
    high = 90.0 if draw(st.booleans()) else high
    if draw(st.booleans()):
        return Range(0.0, 360.0, low, high)
    return Range(draw(ra), draw(ra), low, high)


@st.composite
def nearby(draw, region):
    """Draw a place, at times near the region's own."""
    if draw(st.booleans()):
        return draw(ra), draw(dec)
    match region:
        case Circle(a, d, _):
            pass
        case Polygon(vertices):
            a, d = vertices[0]
        case Range(a, _, d, _):
            pass
    return (a + draw(st.floats(-2, 2))) % 360, float(np.clip(d + draw(st.floats(-2, 2)), -90, 90))


@given(st.data())
@settings(deadline=None, max_examples=400)
def test_distances_agree_with_the_predicates(data):
    region = data.draw(st.one_of(circles, stars(), ranges()))
    place = data.draw(nearby(region))
    vectors = unit_vectors(np.array([place[0]]), np.array([place[1]]))
    distance = float(np.rad2deg(signed_distance(region)(vectors)[0]))
    assume(abs(distance) > 1e-7)
    assert (distance < 0) == contains(region, Point(*place))
    # What is said to be clear of the boundary is.
    around = Circle(*place, min(abs(distance) * 0.999, 180.0))
    if distance > 0:
        assert not intersects(region, around)
    else:
        assert contains(region, around)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_distances_are_exact_where_they_are_small(data):
    region = data.draw(st.one_of(circles, stars(), ranges()))
    place = data.draw(nearby(region))
    vectors = unit_vectors(np.array([place[0]]), np.array([place[1]]))
    distance = float(np.rad2deg(signed_distance(region)(vectors)[0]))
    if 1e-6 < distance < 5.0:
        assert intersects(region, Circle(*place, distance * 1.001 + 1e-7))


@st.composite
def many_sided(draw):
    """Draw polygons of up to 3,000 sides, smooth and jagged, of any size and sense."""
    count = draw(st.integers(17, 3000))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    size = np.deg2rad(draw(st.sampled_from([1e-4, 0.01, 1.0, 30.0, 80.0])))
    rough = draw(st.sampled_from([0.0, 0.001, 0.3]))
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    reach = size * (1 + 0.3 * np.sin(7 * angle)) / 1.3 * (1 - rough * rng.random(count))
    vector = unit_vectors(np.array([draw(ra)]), np.array([draw(dec)]))[0]
    east = np.cross([0.1, 0.2, 0.97], vector)
    east /= np.linalg.norm(east)
    north = np.cross(vector, east)
    aside = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
    corners = np.cos(reach)[:, None] * vector + np.sin(reach)[:, None] * aside
    if draw(st.booleans()):
        corners = corners[::-1]
    x, y, z = corners.T
    places = np.rad2deg([np.arctan2(y, x) % (2 * np.pi), np.arctan2(z, np.hypot(x, y))])
    return Polygon(tuple((float(a), float(d)) for a, d in places.T)), corners, size


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_distances_from_many_sides_are_those_of_each_side(data):
    polygon, corners, size = data.draw(many_sided())
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    near = corners[rng.integers(0, len(corners), 60)] + size * rng.normal(0, 0.2, (60, 3))
    close = corners[rng.integers(0, len(corners), 20)] + 1e-3 * size * rng.normal(0, 1, (20, 3))
    anywhere = rng.normal(0, 1, (40, 3))
    points = np.concatenate([near, close, anywhere, -corners[:5]])
    points /= np.linalg.norm(points, axis=1)[:, None]
    measure = signed_distance(polygon)
    assert len(measure.numbers[3]) > 1
    found, truth = boundary.distances(measure.numbers, points), measure.by_arrays(points)
    far = np.abs(truth) > 1e-12
    assert found[far] == pytest.approx(truth[far], abs=1e-12, rel=1e-9)
