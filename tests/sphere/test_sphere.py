"""Spherical predicates against dense sampling, by algebra of another kind."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vodal import sphere
from vodal.errors import UsageError
from vodal.outlines import arcs_of, ring_of
from vodal.regions import Circle, Point, Polygon, Range
from vodal.sphere import (
    area_deg2,
    bounding_cap,
    box_polygon,
    cap_box,
    centroid,
    contains,
    distance_deg,
    intersects,
)
from vodal.vectors import negative, vector

SPACING = math.radians(2.5)


def vectors(ra, dec):
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def positions(xyz):
    ra = np.degrees(np.arctan2(xyz[..., 1], xyz[..., 0])) % 360
    return ra, np.degrees(np.arcsin(np.clip(xyz[..., 2], -1, 1)))


def fibonacci(n):
    i = np.arange(n) + 0.5
    z = 1 - 2 * i / n
    phi = np.pi * (1 + 5**0.5) * i
    return np.stack([np.sqrt(1 - z * z) * np.cos(phi), np.sqrt(1 - z * z) * np.sin(phi), z], -1)


SKY = fibonacci(8000)


def frame(ra, dec):
    forward = vectors(ra, dec)
    east = np.array([-math.sin(math.radians(ra)), math.cos(math.radians(ra)), 0.0])
    return forward, east, np.cross(forward, east)


@given(
    st.lists(
        st.tuples(
            st.floats(-1000, 1000) | st.sampled_from([-0.0, 0.0, 360.0, -1e-17, 359.5, 20]),
            st.floats(-90, 90) | st.sampled_from([-90, 90, -0.0]),
        ),
        min_size=3,
        max_size=6,
        unique=True,
    )
)
@settings(max_examples=100, deadline=None)
def test_the_vertices_of_a_polygon_are_kept_as_points_are(places):
    wanted = [(one.ra_deg, float(one.dec_deg)) for one in (Point(*place) for place in places)]
    if wanted[0] == wanted[-1]:
        wanted.pop()
    assume(len(wanted) >= 3)
    vertices = Polygon(tuple(places)).vertices
    assert vertices == tuple(wanted)
    assert {type(value) for vertex in vertices for value in vertex} == {float}


class Star:
    """A polygon made in a tangent plane, where the slow twin stays."""

    def __init__(self, ra, dec, radii):
        self.frame = frame(ra, dec)
        turns = np.arange(len(radii)) * 2 * np.pi / len(radii) + 0.1
        r = np.tan(np.radians(radii))
        self.flat = np.stack([r * np.cos(turns), r * np.sin(turns)], -1)
        forward, east, north = self.frame
        xyz = forward + self.flat[:, :1] * east + self.flat[:, 1:] * north
        xyz /= np.linalg.norm(xyz, axis=1, keepdims=True)
        self.xyz = xyz
        self.shape = Polygon(tuple(zip(*map(np.ndarray.tolist, positions(xyz)), strict=True)))

    def holds(self, points):
        forward, east, north = self.frame
        depth = points @ forward
        with np.errstate(all="ignore"):
            x, y = points @ east / depth, points @ north / depth
            inside = np.zeros(len(points), bool)
            for (x1, y1), (x2, y2) in zip(self.flat, np.roll(self.flat, -1, 0), strict=True):
                crosses = (y1 > y) != (y2 > y)
                inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        return inside & (depth > 0)

    def boundary(self):
        t = np.linspace(0, 1, 80, endpoint=False)[:, None]
        xyz = np.concatenate(
            [a * (1 - t) + b * t for a, b in zip(self.xyz, np.roll(self.xyz, -1, 0), strict=True)]
        )
        return xyz / np.linalg.norm(xyz, axis=1, keepdims=True)


class Disc:
    def __init__(self, ra, dec, radius):
        self.shape = Circle(ra, dec, radius)
        self.frame = frame(ra, dec)

    def holds(self, points):
        return points @ self.frame[0] >= math.cos(math.radians(self.shape.radius_deg))

    def boundary(self):
        turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)[:, None]
        r = math.radians(self.shape.radius_deg)
        forward, east, north = self.frame
        ring = np.cos(turn) * east + np.sin(turn) * north
        return math.cos(r) * forward + math.sin(r) * ring


class Patch:
    def __init__(self, ra, width, south, north):
        self.shape = Range(ra, (ra + width) if width == 360 else (ra + width) % 360, south, north)
        self.ra, self.width = ra, width

    def holds(self, points):
        ra, dec = positions(points)
        east = (ra - self.ra) % 360
        return (
            (east <= self.width) & (dec >= self.shape.dec_min_deg) & (dec <= self.shape.dec_max_deg)
        )

    def boundary(self):
        south, north = self.shape.dec_min_deg, self.shape.dec_max_deg
        ra = self.ra + np.linspace(0, self.width, 300)
        dec = np.linspace(south, north, 150)
        parts = [vectors(ra, np.full_like(ra, edge)) for edge in (south, north) if abs(edge) < 90]
        if self.width < 360:
            parts += [
                vectors(np.full_like(dec, edge), dec) for edge in (self.ra, self.ra + self.width)
            ]
        return np.concatenate(parts) if parts else SKY[:1]


ras = st.floats(0, 359.99)
decs = st.floats(-90, 90)
stars = st.builds(
    Star,
    st.one_of(ras, st.just(0.0)),
    st.one_of(decs, st.sampled_from([-90.0, 90.0, 0.0])),
    st.lists(st.floats(4, 70), min_size=3, max_size=9).map(
        lambda radii: [*radii, radii[0]] if len(radii) == 3 else radii
    ),
)
discs = st.builds(Disc, ras, decs, st.floats(3, 177))
patches = st.builds(
    lambda ra, width, a, b: Patch(ra, width, min(a, b), max(a, b) if abs(a - b) > 3 else 90.0),
    ras,
    st.one_of(st.floats(5, 355), st.just(360)),
    st.one_of(st.floats(-87, 87), st.just(-90.0)),
    st.one_of(st.floats(-87, 87), st.just(86.0)),
)
twins = st.one_of(stars, discs, patches)


def body(twin):
    return np.concatenate([twin.boundary(), SKY[twin.holds(SKY)]])


def near(points, others):
    """Which points lie within the spacing of the samples of any of the others."""
    hits = np.zeros(len(points), bool)
    for start in range(0, len(points), 500):
        hits[start : start + 500] = (points[start : start + 500] @ others.T).max(axis=1) > math.cos(
            SPACING
        )
    return hits


@settings(max_examples=150, deadline=None)
@given(twins, st.lists(st.tuples(ras, decs), min_size=20, max_size=20))
def test_a_point_is_in_a_region_where_the_twin_says_so(twin, where):
    points = np.concatenate([vectors(*np.array(where).T), SKY[::200]])
    ra, dec = positions(points)
    expected = twin.holds(points)
    for i, inside in enumerate(expected):
        if sphere._distance_to_boundary(twin.shape, tuple(points[i].tolist())) < 1e-9:
            continue
        assert contains(twin.shape, Point(ra[i], dec[i])) == inside


def test_a_band_whose_ends_meet_after_rounding_has_no_seam():
    band = Range(152.4551494652913, 152.4551494652913 + 360.0, -90.0, 0.0)
    assert band.ra_max_deg - band.ra_min_deg < band.ra_width_deg == 360.0
    around_the_pole = Polygon(((47.0, -75.0), (358.0, -77.0), (150.0, -87.0)))
    across_the_seam = Polygon(((150.0, -20.0), (155.0, -20.0), (152.0, -10.0)))
    assert contains(band, around_the_pole)
    assert contains(band, across_the_seam)


@settings(max_examples=120, deadline=None)
@given(twins, twins)
def test_contains_agrees_with_dense_samples(outer, inner):
    samples = body(inner)
    held = outer.holds(samples)
    if contains(outer.shape, inner.shape):
        assert (held | near(samples, outer.boundary())).all()
    else:
        assert (~held | near(samples, outer.boundary())).any()


@settings(max_examples=120, deadline=None)
@given(twins, twins)
def test_intersects_agrees_with_dense_samples(a, b):
    answer = intersects(a.shape, b.shape)
    assert answer == intersects(b.shape, a.shape)
    held = b.holds(body(a)).any() or a.holds(body(b)).any()
    if answer:
        assert held or near(a.boundary(), b.boundary()).any()
    else:
        assert not held


@settings(max_examples=100, deadline=None)
@given(twins, twins)
def test_short_cuts_agree_with_the_general_way(a, b):
    # Away from tangency, where the two tolerances differ.
    if isinstance(a, Disc) or isinstance(b, Disc):
        arcs = arcs_of(a.shape), arcs_of(b.shape)
        disc, other = (a, arcs[1]) if isinstance(a, Disc) else (b, arcs[0])
        x = vector(disc.shape.ra_deg, disc.shape.dec_deg)
        rim = math.radians(disc.shape.radius_deg)
        if any(
            abs(distance - rim) < 1e-6
            for arc in other
            for distance in (arc.distance(x), math.pi - arc.distance(negative(x)))
        ):
            return
    assert intersects(a.shape, b.shape) == sphere._intersects_by_boundary(a.shape, b.shape)
    assert contains(a.shape, b.shape) == sphere._contains_by_boundary(a.shape, b.shape)


@settings(max_examples=150, deadline=None)
@given(twins)
def test_every_region_contains_and_meets_itself(twin):
    assert contains(twin.shape, twin.shape)
    assert intersects(twin.shape, twin.shape)
    if isinstance(twin.shape, Polygon):
        assert contains(twin.shape, Polygon(twin.shape.vertices[::-1]))
        for ra, dec in twin.shape.vertices:
            assert contains(twin.shape, Point(ra, dec))


@settings(max_examples=150, deadline=None)
@given(twins)
def test_caps_and_boxes_hold_the_region(twin):
    centre, radius = bounding_cap(twin.shape)
    samples = body(twin)
    assert (samples @ np.array(centre) >= math.cos(math.radians(min(180, radius + 1e-6)))).all()
    box = np.array(cap_box(centre, radius))
    assert (samples >= box[::2]).all()
    assert (samples <= box[1::2]).all()
    if isinstance(twin.shape, Polygon):
        # The quick way to a polygon's cap and the general one.
        slow, slow_radius = sphere._farthest(twin.shape)
        assert np.allclose(slow, centre, atol=1e-12)
        assert slow_radius == pytest.approx(radius, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(ras, decs, st.floats(0, 180))
def test_a_cap_box_is_tight(ra, dec, radius):
    box = np.array(cap_box(vector(ra, dec), radius))
    disc = Disc(ra, dec, radius)
    inside = np.concatenate([disc.boundary(), SKY[disc.holds(SKY)], np.eye(3), -np.eye(3)])
    inside = inside[inside @ disc.frame[0] >= math.cos(math.radians(radius)) - 1e-12]
    assert np.allclose(box[::2], inside.min(axis=0), atol=2e-4)
    assert np.allclose(box[1::2], inside.max(axis=0), atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(twins)
def test_area_and_centroid_agree_with_counting(twin):
    inside = SKY[twin.holds(SKY)]
    whole = 4 * math.pi * math.degrees(1) ** 2
    assert area_deg2(twin.shape) == pytest.approx(whole * len(inside) / len(SKY), abs=90)
    mean = inside.sum(axis=0)
    if len(inside) > 300 and np.linalg.norm(mean) > 0.4 * len(inside):
        x = vectors(centroid(twin.shape).ra_deg, centroid(twin.shape).dec_deg)
        assert x @ mean / np.linalg.norm(mean) > math.cos(math.radians(2))


@settings(max_examples=200, deadline=None)
@given(ras, decs, ras, decs)
def test_distance_agrees_with_astropy(ra1, dec1, ra2, dec2):
    a, b = SkyCoord(ra1, dec1, unit="deg"), SkyCoord(ra2, dec2, unit="deg")
    assert distance_deg(ra1, dec1, ra2, dec2) == pytest.approx(a.separation(b).deg, abs=1e-12)


@pytest.mark.parametrize("offset", [1e-12, 1e-9, 1e-5])
@pytest.mark.parametrize("dec", [-89.9, 0.0, 45.0])
def test_distance_is_accurate_near_zero_and_near_the_antipode(dec, offset):
    # The steps of the coordinates themselves are the limit.
    assert distance_deg(10, dec, 10, dec + offset) == pytest.approx(offset, abs=2e-14)
    assert distance_deg(10, dec, 190, -dec + offset) == pytest.approx(180 - offset, abs=6e-14)
    assert distance_deg(10, dec, 10, dec) == 0.0
    assert distance_deg(10, dec, 190, -dec) == 180.0


def test_area_of_known_figures():
    whole = 4 * math.pi * math.degrees(1) ** 2
    assert area_deg2(Circle(0, 0, 180)) == pytest.approx(whole)
    assert area_deg2(Range(0, 360, -90, 90)) == pytest.approx(whole)
    assert area_deg2(Polygon(((0, 0), (90, 0), (0, 90)))) == pytest.approx(whole / 8)
    small = 1 / 3600
    square = Polygon(
        ((10, 60), (10 + 2 * small, 60), (10 + 2 * small, 60 + small), (10, 60 + small))
    )
    assert area_deg2(square) == pytest.approx(small**2, rel=1e-4)


def test_polygon_around_the_pole():
    cap = Polygon(((0, 80), (90, 80), (180, 80), (270, 80)))
    assert contains(cap, Point(123, 90))
    assert contains(cap, Point(45, 84))
    assert not contains(cap, Point(45, 80.5))  # the chord passes north of it
    assert contains(Range(0, 360, 70, 90), cap)
    assert not contains(Range(0, 360, 80.5, 90), cap)
    assert contains(cap, Range(0, 360, 85, 90))
    assert centroid(cap).dec_deg == pytest.approx(90)
    centre, radius = bounding_cap(cap)
    assert centre[2] == pytest.approx(1)
    assert radius == pytest.approx(10, abs=1e-9)


def test_circles_of_a_hemisphere_and_more():
    half, large = Circle(0, 0, 90), Circle(0, 0, 170)
    assert contains(half, Point(90, 0))
    assert contains(large, half)
    assert not contains(half, large)
    assert not contains(half, Circle(180, 0, 90))
    assert intersects(half, Circle(180, 0, 90))
    assert not intersects(large, Circle(180, 0, 9.9))
    assert intersects(large, Circle(180, 0, 10))
    assert contains(Circle(7, 8, 180), Range(0, 360, -90, 90))


def test_a_band_and_the_circle_in_its_hole():
    band = Range(0, 360, -10, 10)
    assert not intersects(band, Circle(0, 90, 79.9))
    assert intersects(band, Circle(0, 90, 80))
    assert contains(band, Polygon(((350, -5), (20, -5), (5, 5))))
    # A circle larger than a hemisphere may hold the boundary's circles but not what is between.
    assert not contains(Range(0, 360, 20, 90), band)
    assert contains(Circle(0, 90, 100), band)


def test_neighbours_share_their_side_but_do_not_contain_each_other():
    left = Polygon(((10, 0), (11, 0), (11, 1), (10, 1)))
    right = Polygon(((11, 0), (12, 0), (12, 1), (11, 1)))
    assert intersects(left, right)
    assert not contains(left, right)
    assert not intersects(left, Polygon(((11.001, 0), (12, 0), (12, 1), (11.001, 1))))
    both = Polygon(((10, 0), (11, 0), (12, 0), (12, 1), (11, 1), (10, 1)))
    # The chord passes north of the parallel.
    assert contains(both, Range(10, 12, 0, 1))
    assert not contains(Range(10, 12, 0, 1), both)
    assert contains(Range(10, 12, 0, 1.1), left)


def test_a_notch_is_not_inside():
    horseshoe = Polygon(((0, 0), (9, 0), (9, 9), (6, 9), (6, 3), (3, 3), (3, 9), (0, 9)))
    assert not contains(horseshoe, Point(4.5, 6))
    assert contains(horseshoe, Point(4.5, 1.5))
    bridge = Polygon(((1, 6), (8, 6), (8, 7), (1, 7)))
    assert intersects(horseshoe, bridge)
    assert not contains(horseshoe, bridge)
    assert not intersects(horseshoe, Circle(4.5, 6, 1.2))
    assert contains(horseshoe, Polygon(((1, 1), (8, 1), (8, 2), (1, 2))))
    assert not contains(Polygon(((3, 3), (6, 3), (6, 9), (3, 9))), horseshoe)


def test_points_are_regions_of_one_point():
    assert contains(Point(359.9999999999999, 0), Point(0, 0))
    assert not contains(Point(1, 1), Point(1, 1.0001))
    assert contains(Point(1, 1), Circle(1, 1, 0))
    assert not contains(Point(1, 1), Circle(1, 1, 1))
    assert intersects(Point(5, 5), Circle(5, 6, 1))


@pytest.mark.parametrize("flat", [
    Polygon(((0, 0), (1, 0), (2, 0))),
    Polygon(((0, 0), (1, 0), (0, 0), (1, 0))),
    Polygon(((5, 90), (6, 90), (7, 90))),
    Polygon(((0, 0), (180, 0), (90, 10))),
    Polygon(((0, 0), (120, 0), (240, 0))),
    Polygon(((0, 0), (0, 1e-11), (1e-11, 0))),
    Range(10, 10, 0, 1),
    Range(10, 20, 5, 5),
    Range(0, 360, 90, 90),
    Range(3, 3, -90, -90),
    Circle(0, 0, 0),
    Polygon(((0, 0), (10, 10), (10, 0), (0, 10))),
])  # fmt: skip
def test_degenerate_shapes_are_computed_without_a_crash(flat):
    others = [flat, Circle(0, 0, 5), Range(0, 30, -10, 10), Polygon(((0, -1), (5, -1), (3, 8)))]
    for other in others:
        for shape in (Point(1, 0), other):
            assert contains(flat, shape) in {True, False}
            assert contains(other, flat) in {True, False}
            assert intersects(flat, shape) in {True, False}
    cap_box(*bounding_cap(flat))
    assert area_deg2(flat) >= 0
    centroid(flat)
    if not isinstance(flat, Polygon) or flat.vertices[1][0] < 100:
        assert not contains(flat, Point(100, 0))


def test_a_box_is_a_cross_of_great_circles():
    for dec in (-90, -20, 0, 89.9):
        box = box_polygon(25.4, dec, 10, 6)
        centre = SkyCoord(25.4, dec, unit="deg")
        for angle, arm in ((0, 3), (90, 5), (180, 3), (270, 5)):
            end = centre.directional_offset_by(angle * u.deg, arm * u.deg)
            inner = centre.directional_offset_by(angle * u.deg, (arm - 1e-6) * u.deg)
            outer = centre.directional_offset_by(angle * u.deg, (arm + 1e-6) * u.deg)
            assert ring_of(box).distance_to_boundary(tuple(end.cartesian.xyz.value)) < 1e-10
            assert contains(box, Point(inner.ra.deg, inner.dec.deg))
            assert not contains(box, Point(outer.ra.deg, outer.dec.deg))
    with pytest.raises(UsageError, match="BOX"):
        box_polygon(0, 0, 180, 1)


@settings(max_examples=60, deadline=None)
@given(ras, st.floats(-89, 89), st.floats(1e-4, 1), st.floats(0, 360))
def test_small_footprints_keep_their_precision(ra, dec, size, angle):
    centre = SkyCoord(ra, dec, unit="deg")
    corners = [
        centre.directional_offset_by((angle + quarter) * u.deg, size * u.deg)
        for quarter in (0, 90, 180, 270)
    ]
    polygon = Polygon(tuple((c.ra.deg, c.dec.deg) for c in corners))
    assert area_deg2(polygon) == pytest.approx(2 * size**2, rel=1e-3)
    middle = centroid(polygon)
    assert distance_deg(ra, dec, middle.ra_deg, middle.dec_deg) < 1e-8
    side = size / math.sqrt(2)
    for factor, expected in ((0.9999, True), (1.0001, False)):
        x = centre.directional_offset_by((angle + 45) * u.deg, factor * side * u.deg)
        assert contains(polygon, Point(x.ra.deg, x.dec.deg)) == expected
