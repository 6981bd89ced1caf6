"""Spatial conditions: right against brute force, and answered from the spatial index."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vodal.regions import Circle, Point, Polygon, shape_text
from vodal.sphere import box_polygon, contains, distance_deg, intersects

QUIET = [HealthCheck.function_scoped_fixture]

near_ra = st.one_of(st.floats(8, 12), st.floats(-3, 3), st.floats(0, 360))
near_dec = st.one_of(st.floats(-12, 12), st.floats(86, 90), st.floats(-90, 90))
frames = st.sampled_from(["", "'ICRS', ", "'', ", "'icrs', ", "'ICRS GEOCENTER', "])


@st.composite
def shapes(draw):
    """Draw a geometry as ADQL and as a value."""
    ra, dec, frame = draw(near_ra), draw(near_dec), draw(frames)
    match draw(st.integers(0, 6)):
        case 0:
            return f"POINT({frame}{ra!r}, {dec!r})", Point(ra, dec)
        case 1:
            radius = draw(st.floats(0, 20))
            return f"CIRCLE({frame}{ra!r}, {dec!r}, {radius!r})", Circle(ra, dec, radius)
        case 2:
            radius = draw(st.floats(20, 180))
            return f"CIRCLE({frame}POINT({ra!r}, {dec!r}), {radius!r})", Circle(ra, dec, radius)
        case 3:
            width, height = draw(st.floats(0.1, 20)), draw(st.floats(0.1, 20))
            box = box_polygon(ra, dec, width, height)
            return f"BOX({frame}{ra!r}, {dec!r}, {width!r}, {height!r})", box
        case 4:
            width = draw(st.floats(0.1, 20))
            box = box_polygon(ra, dec, width, width)
            numbers = ", ".join(f"{ra!r}, {dec!r}" for ra, dec in box.vertices)
            return f"POLYGON({frame}{numbers})", box
        case 5:
            box = box_polygon(ra, dec, 5, 3)
            points = ", ".join(f"POINT({ra!r}, {dec!r})" for ra, dec in box.vertices)
            return f"POLYGON({points})", box
        case _:
            shape = Circle(round(ra % 360, 5), round(dec, 5), 3)
            return f"REGION('{shape_text(shape)}')", shape


def position(row):
    return None if row[7] is None else Point(row[7], row[8])


def ids(rows):
    return sorted(row[0] for row in rows)


def expected(sky, test):
    """Give the ids for which a test is true; None stands for unknown."""
    return sorted(row[4] for row in sky if test(row) is True)


def holds(outer, inner):
    return None if outer is None or inner is None else contains(outer, inner)


def meets(a, b):
    return None if a is None or b is None else intersects(a, b)


def negated(truth):
    return None if truth is None else not truth


FORMS = {
    "CONTAINS({shape}, s_region) = 1": lambda row, shape: holds(row[10], shape),
    "1 = CONTAINS({shape}, s_region)": lambda row, shape: holds(row[10], shape),
    "CONTAINS(s_region, {shape}) = 1": lambda row, shape: holds(shape, row[10]),
    "INTERSECTS(s_region, {shape}) = 1": lambda row, shape: meets(shape, row[10]),
    "INTERSECTS({shape}, s_region) > 0": lambda row, shape: meets(shape, row[10]),
    "CONTAINS(POINT('ICRS', s_ra, s_dec), {shape}) = 1": lambda row, shape: holds(
        shape, position(row)
    ),
    "INTERSECTS({shape}, POINT(s_ra, s_dec)) <> 0": lambda row, shape: meets(shape, position(row)),
    "CONTAINS({shape}, s_region) = 0": lambda row, shape: negated(holds(row[10], shape)),
    "INTERSECTS({shape}, s_region) <> 1": lambda row, shape: negated(meets(row[10], shape)),
    "NOT CONTAINS(s_region, {shape}) = 1": lambda row, shape: negated(holds(shape, row[10])),
    "NOT CONTAINS({shape}, s_region) = 0": lambda row, shape: holds(row[10], shape),
    "NOT (INTERSECTS({shape}, s_region) <> 1 OR s_fov > 2)": lambda row, shape: (
        row[9] <= 2 and meets(row[10], shape)
    ),
    "0 = CONTAINS(POINT(s_ra, s_dec), {shape})": lambda row, shape: negated(
        holds(shape, position(row))
    ),
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(drawn=shapes())
def test_predicates_agree_with_brute_force(form, drawn, run, sky):
    text, shape = drawn
    query = f"SELECT obs_id FROM ivoa.obscore WHERE {form.format(shape=text)}"
    assert ids(run(query)) == expected(sky, lambda row: FORMS[form](row, shape))


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(a=shapes(), b=shapes(), limit=st.floats(-10, 10))
def test_predicates_in_conditions_agree_with_brute_force(a, b, limit, run, sky):
    def in_a(row):
        return meets(a[1], row[10])

    def in_b(row):
        return holds(b[1], position(row))

    def either(row):
        truths = [in_a(row), in_b(row)]
        return True if True in truths else (None if None in truths else False)

    where = f"INTERSECTS({a[0]}, s_region) = 1 OR CONTAINS(POINT(s_ra, s_dec), {b[0]}) = 1"
    query = f"SELECT obs_id FROM ivoa.obscore WHERE {where}"
    assert ids(run(query)) == expected(sky, either)
    query = f"SELECT obs_id FROM ivoa.obscore WHERE NOT ({where})"
    assert ids(run(query)) == expected(sky, lambda row: negated(either(row)))
    query = f"SELECT obs_id FROM ivoa.obscore WHERE ({where}) AND s_fov > {limit!r}"
    found = expected(sky, lambda row: either(row) and row[9] > limit)
    assert ids(run(query)) == found


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(ra=near_ra, dec=near_dec, radius=st.floats(0, 30))
def test_distance_agrees_with_brute_force(ra, dec, radius, run, sky):
    def near(row):
        return row[7] is not None and distance_deg(ra, dec, row[7], row[8]) < radius

    found = expected(sky, near)
    for where in (
        f"DISTANCE(POINT(s_ra, s_dec), POINT('ICRS', {ra!r}, {dec!r})) < {radius!r}",
        f"DISTANCE(POINT({ra!r}, {dec!r}), POINT(s_ra, s_dec)) < {radius!r}",
        f"{radius!r} > DISTANCE({ra!r}, {dec!r}, s_ra, s_dec)",
    ):
        assert ids(run(f"SELECT obs_id FROM ivoa.obscore WHERE {where}")) == found


def test_a_cone_around_each_row(run, sky):
    query = (
        "SELECT obs_id FROM ivoa.obscore WHERE "
        "CONTAINS(POINT('ICRS', 10, 0.5), CIRCLE('ICRS', s_ra, s_dec, 3)) = 1"
    )
    assert ids(run(query)) == expected(
        sky, lambda row: row[7] is not None and distance_deg(10, 0.5, row[7], row[8]) <= 3
    )


def test_a_search_around_uploaded_positions(run, sky):
    targets = {"near": (10, 0.5), "zero": (0.1, 0), "pole": (10, 88)}
    query = (
        "SELECT t.name, o.obs_id FROM TAP_UPLOAD.targets AS t JOIN ivoa.obscore AS o "
        "ON INTERSECTS(CIRCLE('ICRS', t.ra, t.dec, 1.5), o.s_region) = 1"
    )
    wanted = sorted(
        (name, row[4])
        for name, (ra, dec) in targets.items()
        for row in sky
        if meets(row[10], Circle(ra, dec, 1.5))
    )
    assert wanted
    assert sorted(run(query)) == wanted


def test_a_left_join_keeps_what_has_no_match(run):
    query = (
        "SELECT t.name, COUNT(o.obs_id) FROM TAP_UPLOAD.targets AS t LEFT JOIN ivoa.obscore AS o "
        "ON CONTAINS(POINT('ICRS', t.ra, t.dec), o.s_region) = 1 GROUP BY t.name"
    )
    counts = dict(run(query))
    assert counts["none"] == 0
    assert set(counts) == {"near", "zero", "pole", "none"}


def test_a_pair_of_rows_of_one_table(run, sky):
    query = (
        "SELECT a.obs_id, b.obs_id FROM ivoa.obscore AS a JOIN ivoa.obscore AS b "
        "ON DISTANCE(POINT(a.s_ra, a.s_dec), POINT(b.s_ra, b.s_dec)) < 0.3 "
        "WHERE a.obs_id < b.obs_id"
    )
    placed = [row for row in sky if row[7] is not None]
    pairs = sorted(
        (a[4], b[4])
        for a in placed
        for b in placed
        if a[4] < b[4] and distance_deg(a[7], a[8], b[7], b[8]) < 0.3
    )
    assert pairs
    assert sorted(run(query)) == pairs


INDEXED = [
    "CONTAINS(POINT('ICRS', 10, 0.5), s_region) = 1",
    "CONTAINS(CIRCLE('ICRS', 10, 0.5, 0.1), s_region) = 1",
    "CONTAINS(s_region, CIRCLE('ICRS', 10, 0.5, 10)) = 1",
    "CONTAINS(s_region, POLYGON('ICRS', 10, 0, 11, 0, 10, 1)) = 1",
    "INTERSECTS(s_region, CIRCLE('ICRS', 10, 0.5, 10./3600)) = 1",
    "1 = INTERSECTS(CIRCLE('ICRS', 10, 0.5, 1), s_region)",
    "CONTAINS(POINT('ICRS', s_ra, s_dec), CIRCLE('ICRS', 10, 0.5, 1)) = 1",
    "CONTAINS(POINT('ICRS', 10, 0.5), CIRCLE('ICRS', s_ra, s_dec, 1)) = 1",
    "DISTANCE(POINT(s_ra, s_dec), POINT(10, 0.5)) < 1",
    "DISTANCE(10, 0.5, s_ra, s_dec) <= 1",
    "1 > DISTANCE(POINT(s_ra, s_dec), POINT(10, 0.5))",
    "DISTANCE(POINT(s_ra, s_dec), POINT(10, 0.5)) BETWEEN 0 AND 1",
    "calib_level > 0 AND CONTAINS(POINT('ICRS', 10, 0.5), s_region) = 1 AND s_fov < 5",
    "CONTAINS(POINT(1, 1), s_region) = 1 OR CONTAINS(POINT(10, 0.5), s_region) = 1",
]


@pytest.mark.parametrize("where", INDEXED)
def test_the_spatial_index_finds_the_rows(where, plan):
    steps = plan(f"SELECT obs_id FROM ivoa.obscore WHERE {where}")
    assert "SCAN obscore_rtree VIRTUAL TABLE INDEX" in steps
    assert "SCAN t1" not in steps
    assert "SEARCH t1 USING INTEGER PRIMARY KEY" in steps


def test_the_spatial_index_serves_joins(plan):
    for rest in (
        "TAP_UPLOAD.targets t JOIN obscore o ON CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1",
        "obscore o, TAP_UPLOAD.targets t WHERE DISTANCE(o.s_ra, o.s_dec, t.ra, t.dec) < 0.1",
    ):
        query = f"SELECT o.obs_id FROM {rest}"
        steps = plan(query)
        assert "SEARCH" in steps
        assert "USING INTEGER PRIMARY KEY" in steps
        assert "CORRELATED LIST SUBQUERY" in steps


@pytest.mark.parametrize("query", [
    "SELECT q.obs_id FROM (SELECT * FROM ivoa.obscore) AS q WHERE {}",
    "SELECT q.x FROM (SELECT s_dec, s_ra, s_region, obs_id AS x FROM ivoa.obscore) AS q WHERE {}",
    "WITH q AS (SELECT * FROM obscore WHERE s_fov < 100) SELECT q.obs_id FROM q WHERE {}",
    "SELECT q.obs_id FROM (SELECT p.* FROM (SELECT * FROM ivoa.obscore) AS p) AS q WHERE {}",
])  # fmt: skip
@pytest.mark.parametrize("where", [
    "CONTAINS(POINT(10, 0.5), q.s_region) = 1",
    "CONTAINS(POINT(q.s_ra, q.s_dec), CIRCLE(10, 0.5, 5)) = 1",
])  # fmt: skip
def test_a_sub_query_passes_the_spatial_index_on(query, where, plan, run):
    steps = plan(query.format(where))
    assert "SCAN obscore_rtree VIRTUAL TABLE INDEX" in steps
    assert "SCAN t1" not in steps
    direct = f"SELECT q.obs_id FROM ivoa.obscore AS q WHERE {where}"
    assert sorted(run(query.format(where))) == sorted(run(direct))


def test_a_sub_query_that_changes_its_rows_gives_right_answers(run):
    where = "CONTAINS(POINT(10, 0.5), q.s_region) = 1"
    direct = run(f"SELECT DISTINCT q.s_region FROM ivoa.obscore AS q WHERE {where}")
    assert direct
    for query in (
        "SELECT DISTINCT s_region FROM ivoa.obscore",
        "SELECT s_region, COUNT(*) AS n FROM ivoa.obscore GROUP BY s_region",
        "SELECT s_region FROM ivoa.obscore UNION SELECT s_region FROM ivoa.obscore",
        "SELECT s_region, s_region AS again FROM ivoa.obscore",
        "SELECT s_region || '' AS text, s_region FROM ivoa.obscore",
    ):
        rows = run(f"SELECT DISTINCT q.s_region FROM ({query}) AS q WHERE {where}")
        assert sorted(rows) == sorted(direct), query


def test_a_prefix_of_like_uses_the_index(plan):
    assert "USING INDEX ix_id (obs_id>? AND obs_id<?)" in plan(
        "SELECT s_ra FROM ivoa.obscore WHERE obs_id LIKE 'obs1%'"
    )


def test_geometries_leave_as_text(run):
    query = (
        "SELECT POINT(10, 20) AS p, CIRCLE('ICRS', POINT(10, 20), 1), POLYGON(0, 0, 1, 0, 0, 1), "
        "CENTROID(CIRCLE(5, 6, 7)), AREA(POINT(1, 2)), COORDSYS(POINT(1, 2)), "
        "COORD1(POINT(370, 2)) FROM ivoa.obscore WHERE obs_id = 'obs0'"
    )
    (row,) = run(query)
    assert row[:7] == (
        "POSITION ICRS 10 20", "CIRCLE ICRS 10 20 1", "POLYGON ICRS 0 0 1 0 0 1",
        "POSITION ICRS 5 6", 0.0, "ICRS", 10.0,
    )  # fmt: skip


def test_s_region_is_given_as_it_is_kept_through_sub_queries(run, sky):
    wanted = sorted(shape_text(row[10]) for row in sky if isinstance(row[10], Polygon))
    query = (
        "SELECT q.s_region FROM (SELECT s_region FROM ivoa.obscore) AS q "
        "WHERE q.s_region LIKE 'POLYGON%' AND AREA(q.s_region) > 0"
    )
    assert sorted(row[0] for row in run(query)) == wanted


def test_values_without_meaning_give_no_row(run):
    for where in (
        "CONTAINS(POINT(s_ra, s_dec + 200), s_region) = 1",
        "CONTAINS(POINT(s_ra, s_dec + 200), s_region) = 0",
        "INTERSECTS(CIRCLE(s_ra, s_dec, -s_fov), s_region) = 1",
        "DISTANCE(s_ra, s_dec + 500, 1, 1) > 0",
        "DISTANCE(POINT(s_ra, s_dec), POINT(10, 1)) < -1",
        "DISTANCE(POINT(s_ra, s_dec), POINT(10, 1)) < NULL",
        "INTERSECTS(POLYGON(s_ra, s_dec, s_ra, s_dec, s_ra, s_dec), s_region) = 1",
    ):
        assert run(f"SELECT obs_id FROM ivoa.obscore WHERE {where}") == [], where


def test_not_of_a_query_is_left_where_it_is(run):
    inner = "SELECT * FROM TAP_UPLOAD.targets WHERE ra < 0"
    for where in (f"NOT EXISTS ({inner})", f"NOT (obs_id = 'x' OR EXISTS ({inner}))"):
        assert run(f"SELECT COUNT(*) FROM ivoa.obscore WHERE {where}") == [(300,)]
