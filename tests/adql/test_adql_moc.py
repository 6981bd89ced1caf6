"""Coverage maps: read as mocpy reads them, and compared with shapes as samples of the sky say."""

from __future__ import annotations

import math
import random

import astropy.units as u
import cdshealpix.nested as cdshealpix
import pytest
from astropy.coordinates import Latitude, Longitude
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mocpy import MOC

from obscore import adql
from obscore.adql.moc import cells, cover
from obscore.adql.moc.ranges import MAX_CELLS, Moc, parse_moc
from obscore.adql.userdefined import healpix
from vodal.errors import QueryError, UsageError
from vodal.regions import Circle, Point
from vodal.sphere import box_polygon, contains, distance_deg, intersects
from vodal.vectors import cross, dot, unit

QUIET = [HealthCheck.function_scoped_fixture]

cell_lists = st.lists(
    st.integers(0, 6).flatmap(
        lambda order: st.tuples(st.just(order), st.integers(0, 12 * 4**order - 1))
    ),
    min_size=1,
    max_size=8,
)


def text_of(listed):
    return " ".join(f"{order}/{cell}" for order, cell in listed)


# Texts and ranges ----------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(one=cell_lists, two=cell_lists)
def test_maps_agree_with_mocpy(one, two):
    mine, other = parse_moc(text_of(one)), parse_moc(text_of(two))
    # They refuse cells within others, and tell maps of two orders apart.
    theirs, others = (
        MOC.from_string("0/").union(*(MOC.from_string(text_of([item])) for item in listed))
        for listed in (one, two)
    )
    assert [list(pair) for pair in mine.ranges()] == theirs.to_depth29_ranges.tolist()
    assert mine.fraction == pytest.approx(theirs.sky_fraction, rel=1e-12)
    both = theirs.intersection(others)
    assert mine.touches(other) == (not both.empty())
    same = both.to_depth29_ranges.tolist() == theirs.to_depth29_ranges.tolist()
    assert mine.within(other) == same
    rest = theirs.complement()
    assert [list(pair) for pair in mine.rest().ranges()] == rest.to_depth29_ranges.tolist()
    assert parse_moc(text_of(mine.cells())).starts == mine.starts
    assert Moc.unpack(mine.pack()) == mine
    coarse = mine.coarse(20)
    assert len(coarse) <= 20
    assert mine.within(parse_moc(text_of(coarse)))


@pytest.mark.parametrize(("text", "cells_in"), [
    ("0/0-11", 12 << 58),
    ("s4/33-45", 13 << 50),
    ("4/33 34,35, 36", 4 << 50),
    ("4/33\n5/0\n 29/", (1 << 50) + (1 << 48)),
    ("1/", 0),
    ("29/3458764513820540927", 1),
])  # fmt: skip
def test_forms_of_maps(text, cells_in):
    moc = parse_moc(text)
    assert sum(end - start for start, end in moc.ranges()) == cells_in


@pytest.mark.parametrize(("text", "words"), [
    ("", "begins with an order"),
    ("33", "begins with an order"),
    ("4/33x", "goes on with '33x'"),
    ("4/33;34", "goes on with"),
    ("4/45-33", "has no cells 45-33"),
    ("0/12", "has no cells 12-12"),
    ("30/1", "go from 0 to 29"),
    ('{"4":[33]}', "not as JSON"),
    ("t4/33", "time or frequency"),
    ("s4/33 t5/1", "time or frequency"),
    ("4/" + " ".join(["1"] * (MAX_CELLS + 1)), "at most"),
    ("4/" + "9" * 400, "goes on with"),
])  # fmt: skip
def test_what_is_no_map_is_refused(text, words):
    with pytest.raises(UsageError) as caught:
        parse_moc(text)
    assert words in caught.value.message


# Cells and shapes ----------------------------------------------------------------------------


def samples(order, cell, more=5):
    """Give the centres of the parts of a cell."""
    first = cell << 2 * more
    return [
        Point(*healpix.center(order + more, first + part)) for part in range(0, 1 << 2 * more, 3)
    ]


shapes = st.builds(
    lambda ra, dec, size, kind: (
        Circle(ra, dec, size) if kind else box_polygon(ra, dec, size, size / 3)
    ),
    st.one_of(st.floats(0, 360), st.sampled_from([0.0, 45.0, 90.0, 359.9999])),
    st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 41.81, -41.81, 0.0])),
    st.one_of(st.floats(0.5, 20), st.floats(0.001, 1)),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, order=st.integers(0, 5), data=st.data())
def test_a_region_meets_a_cell_as_samples_of_the_cell_say(shape, order, data):
    centre = data.draw(st.one_of(st.just(None), st.integers(0, 12 * 4**order - 1)))
    if centre is None:
        inside = Point(*cells.corner(8, healpix.index(8, *at(shape))))
        centre = healpix.index(order, inside.ra_deg, inside.dec_deg)
    moc = parse_moc(f"{order}/{centre}")
    points = samples(order, centre)
    spacing = 4 * cells.cap(order + 5, 0)[1]
    met = cover.meets(moc, shape)
    if any(contains(shape, point) for point in points):
        assert met
    if met:
        assert any(
            intersects(Circle(point.ra_deg, point.dec_deg, spacing), shape) for point in points
        )
    assert cover.lies_in(moc, shape) == (not cover.meets(moc.rest(), shape))
    if cover.lies_in(moc, shape):
        assert met
    if cover.map_lies_in(moc, shape):
        assert all(contains(shape, point) for point in points)


def at(shape):
    return (shape.ra_deg, shape.dec_deg) if isinstance(shape, Circle) else shape.vertices[0]


@pytest.mark.parametrize("order", [3, 5, 7])
def test_covers_of_circles_agree_with_cdshealpix(order):
    rng = random.Random(order)
    for _ in range(12):
        lon, lat = rng.uniform(0, 360), math.degrees(math.asin(rng.uniform(-1, 1)))
        radius = rng.uniform(0.1, 400 / 2**order / 10)
        mine = set()
        for depth, cell in cover.cover(order, Circle(lon, lat, radius)).cells():
            shift = 2 * (order - depth)
            mine.update(range(cell << shift, (cell + 1) << shift))
        theirs, _, _ = cdshealpix.cone_search(
            Longitude(lon * u.deg), Latitude(lat * u.deg), radius * u.deg, order, flat=True
        )
        # Theirs may have cells too many, never too few; a cell whose centre is inside is in both.
        assert mine <= set(theirs.tolist())
        for cell in theirs.tolist():
            centre = healpix.center(order, cell)
            if distance_deg(lon, lat, *centre) <= radius:
                assert cell in mine
            elif cell not in mine:
                nearest = min(
                    distance_deg(lon, lat, *v) for v in cells.outline(order, cell).vertices
                )
                assert nearest > radius - 1e-4


def test_sides_of_outlines_stay_within_what_is_said_of_them():
    rng = random.Random(9)
    side = 1 << cells._FINE_ORDER
    for _ in range(3000):
        face, x, y = rng.randrange(12), rng.randrange(side), rng.randrange(side)
        # Near the poles sides are bent most.
        if rng.random() < 0.5:
            x = abs(rng.choice([0, side - 1]) - rng.randrange(40))
            y = abs(rng.choice([0, side - 1]) - rng.randrange(40))
        ends = [healpix.base_position(face, (x + part) / side, y / side) for part in (0, 0.5, 1)]
        start, middle, end = (cells.vector(*place) for place in ends)
        normal = unit(cross(start, end))
        bound = 13.0 if 90.0 - abs(ends[1][1]) < 2.0 else 1.2
        assert math.degrees(abs(dot(normal, middle))) * 3600 < bound


def test_outlines_stay_near_their_cells():
    rng = random.Random(4)
    for order in range(9):
        for _ in range(8):
            cell = rng.randrange(12 << 2 * order)
            outline = cells.outline(order, cell)
            middle, radius = cells.cap(order, cell)
            for vertex in outline.vertices[::5]:
                assert math.degrees(math.dist(middle, cells.vector(*vertex))) <= radius + 1e-9
            assert all(contains(outline, point) for point in samples(order, cell, 3))
    assert cover.area_deg2(parse_moc("0/0-11")) == pytest.approx(41252.96124941927)


def test_too_many_cells_are_refused():
    with pytest.raises(UsageError, match="too many cells of order 14"):
        cover.cover(14, Circle(10, 10, 20))
    with pytest.raises(UsageError, match="go from 0 to 29"):
        cover.cover(30, Point(1, 1))


# Queries -------------------------------------------------------------------------------------


@settings(max_examples=5, deadline=None, suppress_health_check=QUIET)
@given(listed=cell_lists)
def test_queries_agree_with_brute_force(listed, case, sky):
    text = text_of(listed)
    moc = parse_moc(text)
    # Regions take PostgreSQL's functions some 50 ms each.
    asked = [row for row in sky if case.name == "sqlite" or row[0] % 25 == 0]
    few = ", ".join(f"'{row[4]}'" for row in asked)

    def ids(where):
        query = f"SELECT obs_id FROM ivoa.obscore WHERE {where} AND obs_id IN ({few})"
        return sorted(row[0] for row in case.run(query))

    def expected(test):
        return sorted(row[4] for row in asked if test(row))

    placed = expected(
        lambda row: row[7] is not None and moc.holds(healpix.index(29, row[7], row[8]))
    )
    assert ids(f"CONTAINS(POINT(s_ra, s_dec), MOC('{text}')) = 1") == placed
    assert ids(f"1 = INTERSECTS(MOC('{text}'), POINT('ICRS', s_ra, s_dec))") == placed
    met = expected(lambda row: row[10] is not None and cover.meets(moc, row[10]))
    assert ids(f"INTERSECTS(s_region, MOC('{text}')) = 1") == met
    assert ids(f"INTERSECTS(MOC('{text}'), s_region) > 0") == met
    apart = expected(lambda row: row[10] is not None and not cover.meets(moc, row[10]))
    assert ids(f"INTERSECTS(s_region, MOC('{text}')) = 0") == apart
    assert ids(f"NOT INTERSECTS(s_region, MOC('{text}')) = 1") == apart
    inside = expected(lambda row: row[10] is not None and cover.lies_in(moc, row[10]))
    assert ids(f"CONTAINS(s_region, MOC('{text}')) = 1") == inside
    assert set(inside) <= set(met)
    around = expected(lambda row: row[10] is not None and cover.map_lies_in(moc, row[10]))
    assert ids(f"CONTAINS(MOC('{text}'), s_region) = 1") == around


def test_a_map_made_of_a_shape(run, sky):
    moc = cover.cover(6, Circle(10, 0, 6))
    wanted = sorted(row[4] for row in sky if row[10] is not None and cover.lies_in(moc, row[10]))
    assert wanted
    query = "SELECT obs_id FROM ivoa.obscore WHERE CONTAINS(s_region, MOC(6, CIRCLE(10, 0, 6))) = 1"
    assert sorted(row[0] for row in run(query)) == wanted


def test_constants_are_computed_at_once(run, schema):
    query = (
        "SELECT AREA(MOC('0/0-11')), CONTAINS(MOC('3/33'), MOC('2/8')), "
        "INTERSECTS(MOC('3/33'), MOC('3/34')), CONTAINS(POINT(0, 0), MOC('0/4')), "
        "CONTAINS(MOC('9/1'), CIRCLE(45, 0, 10)), INTERSECTS(MOC('1/0'), CIRCLE(200, 50, 1)) "
        "FROM test.numbers WHERE id = 1"
    )
    assert run(query) == [(pytest.approx(41252.96), 1, 0, 1, 1, 0)]
    assert "moc_" not in adql.translate(query, schema).sql


def test_a_map_uses_the_spatial_index(plan):
    for where in (
        "CONTAINS(POINT(s_ra, s_dec), MOC('5/100 5/3000')) = 1",
        "INTERSECTS(s_region, MOC('5/100 5/3000')) = 1 AND s_fov < 3",
        "CONTAINS(s_region, MOC('3/33-45')) = 1",
        "1 = CONTAINS(s_region, MOC(6, CIRCLE(10, 0, 3)))",
    ):
        steps = plan(f"SELECT obs_id FROM ivoa.obscore WHERE {where}")
        assert "SCAN obscore_rtree VIRTUAL TABLE INDEX" in steps, where
        assert "SCAN t1" not in steps, where
    # Most of the sky is quicker read through.
    steps = plan("SELECT obs_id FROM ivoa.obscore WHERE CONTAINS(s_region, MOC('0/0-9')) = 1")
    assert "rtree" not in steps


@pytest.mark.parametrize(("query", "words"), [
    ("SELECT MOC('0/1') FROM ivoa.obscore", "CONTAINS, INTERSECTS and AREA alone"),
    ("SELECT CENTROID(MOC('0/1')) FROM ivoa.obscore", "CONTAINS, INTERSECTS and AREA alone"),
    ("SELECT obs_id FROM ivoa.obscore ORDER BY MOC('0/1')", "AREA alone"),
    ("SELECT AREA(MOC('0/12')) FROM ivoa.obscore", "has no cells 12-12"),
    ("SELECT AREA(MOC(5)) FROM ivoa.obscore", "MOC is written"),
    ("SELECT AREA(MOC(obs_id)) FROM ivoa.obscore", "MOC is written"),
    ("SELECT AREA(MOC(5, s_region)) FROM ivoa.obscore", "made of numbers alone"),
])  # fmt: skip
def test_maps_in_wrong_places_are_refused(query, words, schema):
    with pytest.raises(QueryError) as caught:
        adql.translate(query, schema)
    assert words in str(caught.value)
    assert caught.value.column > 1
