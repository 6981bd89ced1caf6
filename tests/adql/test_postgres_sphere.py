"""The sphere in PostgreSQL: its functions give what `vodal.sphere` gives, case by case."""

from __future__ import annotations

import math
import random

import psycopg
import pytest

from obscore.adql.postgres.install import functions_digest, functions_sql
from obscore.adql.postgres.shapes import caps_around, shape_array
from vodal.errors import UsageError
from vodal.regions import Circle, Point, Polygon, Range, parse_numbers, shape_text
from vodal.sphere import area_deg2, box_polygon, centroid, contains, distance_deg, intersects
from vodal.testing.shapes import hard_pairs, hard_shape


@pytest.fixture(scope="module")
def sphere(fresh_postgres):
    with psycopg.connect(fresh_postgres(), autocommit=True) as connection:
        connection.execute(functions_sql())
        yield connection


def shapes(seed, count):
    rng = random.Random(seed)
    return [hard_shape(rng) for _ in range(count)]


def computed(connection, expression, rows):
    """Compute an expression of a, b, c ... for each row of values."""
    columns = "abcdef"[: len(rows[0])]
    kinds = {float: "float8", int: "bigint", str: "text", list: "float8[]"}
    types = [
        kinds[next(type(row[i]) for row in rows if row[i] is not None)] for i in range(len(columns))
    ]
    with connection.transaction():
        declared = ", ".join(f"{name} {kind}" for name, kind in zip(columns, types, strict=True))
        connection.execute(f"CREATE TEMP TABLE cases (i int, {declared}) ON COMMIT DROP")
        with connection.cursor().copy("COPY cases FROM STDIN") as copy:
            for number, row in enumerate(rows):
                copy.write_row((number, *row))
        return [
            row[0]
            for row in connection.execute(f"SELECT {expression} FROM cases ORDER BY i").fetchall()
        ]


def test_the_functions_are_put_into_a_database_again(sphere):
    comment = "SELECT obj_description('adql'::regnamespace)"
    sphere.execute(functions_sql())
    assert sphere.execute(comment).fetchone() == (functions_digest(),)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_predicates_agree(sphere, seed):
    pairs = list(hard_pairs(seed, 2500))
    arrays = [(shape_array(a), shape_array(b)) for a, b in pairs]
    held = computed(sphere, "adql.sky_contains(a, b)", arrays)
    met = computed(sphere, "adql.sky_intersects(a, b)", arrays)
    for pair, one, two in zip(pairs, held, met, strict=True):
        assert one == contains(*pair), pair
        assert two == intersects(*pair), pair
    assert sum(held) > 700
    assert sum(met) > 1500


def test_shapes_made_of_numbers_agree(sphere):
    made = shapes(4, 1500)
    points = [shape for shape in made if isinstance(shape, Point)]
    polygons = [shape for shape in made if isinstance(shape, Polygon)]
    ranges = [shape for shape in made if isinstance(shape, Range)]
    circles = [shape for shape in made if isinstance(shape, Circle)]

    def check(wanted, given):
        for shape, numbers in zip(wanted, given, strict=True):
            assert numbers == pytest.approx(shape_array(shape), abs=1e-15, rel=1e-15), shape

    far = [(p.ra_deg - 720, p.dec_deg) for p in points]
    check([Point(*place) for place in far], computed(sphere, "adql.sky_point(a, b)", far))
    check(circles, computed(
        sphere, "adql.sky_circle(adql.sky_point(a, b), c)",
        [(c.ra_deg, c.dec_deg, c.radius_deg) for c in circles],
    ))  # fmt: skip
    check(polygons, computed(
        sphere, "adql.sky_polygon(VARIADIC a)",
        [([number for vertex in p.vertices for number in vertex],) for p in polygons],
    ))  # fmt: skip
    check(ranges, computed(
        sphere, "adql.sky_range(a, b, c, d)",
        [(r.ra_min_deg, r.ra_max_deg, r.dec_min_deg, r.dec_max_deg) for r in ranges],
    ))  # fmt: skip
    rng = random.Random(5)
    sizes = [(p.ra_deg, p.dec_deg, rng.uniform(0, 180), rng.uniform(1e-6, 2)) for p in points]
    check(
        [box_polygon(*size) for size in sizes],
        computed(sphere, "adql.sky_box(adql.sky_point(a, b), c, d)", sizes),
    )


def test_points_of_polygons_make_polygons(sphere):
    polygon = Polygon(((10, 0), (12, 0), (11, 2)))
    arrays = [shape_array(Point(*vertex)) for vertex in polygon.vertices]
    (made,) = computed(sphere, "adql.sky_polygon_of(VARIADIC a || b || c)", [tuple(arrays)])
    assert made == shape_array(polygon)


@pytest.mark.parametrize("expression", [
    "adql.sky_point(1, 90.5)",
    "adql.sky_point('Infinity', 1)",
    "adql.sky_point('NaN', 1)",
    "adql.sky_point(1, 'NaN')",
    "adql.sky_circle(adql.sky_point(1, 1), -1)",
    "adql.sky_circle(adql.sky_point(1, 1), 181)",
    "adql.sky_circle(adql.sky_point(1, 1), 'NaN')",
    "adql.sky_circle(adql.sky_range(1, 1, 1, 1), 1)",
    "adql.sky_box(adql.sky_point(1, 1), 0, 1)",
    "adql.sky_box(adql.sky_point(1, 1), 1, 180)",
    "adql.sky_polygon(1, 1, 2, 2, 1, 1)",
    "adql.sky_polygon(1, 1, 2, 2, 1, 91)",
    "adql.sky_polygon(1, 1, 2, 2, 1, NULL)",
    "adql.sky_range(1, 2, 5, 4)",
    "adql.sky_holds(adql.sky_point(1, 1), 1, 100)",
    "adql.sky_distance(1, 1, 1, -91)",
    "adql.sky_distance(1, 1, 'Infinity', 1)",
    "adql.sky_separation(adql.sky_point(1, 1), adql.sky_circle(adql.sky_point(1, 1), 1))",
    "adql.sky_coord1(adql.sky_circle(adql.sky_point(1, 1), 1))",
])  # fmt: skip
def test_what_has_no_meaning_is_null(sphere, expression):
    assert sphere.execute(f"SELECT {expression}").fetchone() == (None,)


def test_numbers_near_nothing_do_no_harm(sphere):
    for tiny in ("1e-320", "-1e-200", "1e-90", "0"):
        row = sphere.execute(
            f"SELECT adql.sky_distance({tiny}, {tiny}, 0, 0), adql.sky_distance(0, 1, {tiny}, 1),"
            f" adql.sky_holds(adql.sky_circle(adql.sky_point({tiny}, {tiny}), {tiny}), 0, 0),"
            f" adql.sky_contains(adql.sky_polygon({tiny}, {tiny}, 1, {tiny}, {tiny}, 1),"
            f"  adql.sky_polygon(0, 0, 1, 0, 0, 1))"
        ).fetchone()
        assert row[:2] == (pytest.approx(0, abs=1e-80), pytest.approx(0, abs=1e-80))
        assert row[3] == 1


def test_measures_agree(sphere):
    made = shapes(6, 1500)
    arrays = [(shape_array(shape),) for shape in made]
    areas = computed(sphere, "adql.sky_area(a)", arrays)
    centres = computed(sphere, "adql.sky_centroid(a)", arrays)
    texts = computed(sphere, "adql.sky_text(a)", arrays)
    for shape, area, centre, text in zip(made, areas, centres, texts, strict=True):
        wanted = 0.0 if isinstance(shape, Point) else area_deg2(shape)
        assert area == pytest.approx(wanted, rel=1e-12, abs=1e-22), shape
        middle = centroid(shape)
        assert distance_deg(*centre[5:], middle.ra_deg, middle.dec_deg) < 1e-9, shape
        assert text == shape_text(shape)


def test_distances_agree_to_the_last_bit(sphere):
    rng = random.Random(7)
    rows = []
    for _ in range(3000):
        ra, dec = rng.uniform(-10, 370), rng.uniform(-90, 90)
        step = 10 ** rng.uniform(-12, 0)
        other = rng.choice([
            (rng.uniform(0, 360), rng.uniform(-90, 90)),
            (ra + step, min(90, max(-90, dec + step))),
            (ra + 180 + step, -dec),
        ])  # fmt: skip
        rows.append((ra, dec, *other))
    given = computed(sphere, "adql.sky_distance(a, b, c, d)", rows)
    assert given == [distance_deg(*row) for row in rows]


@pytest.mark.parametrize("value", [
    0.0, -0.0, 1 / 2048, 3 / 2048, -5 / 2048, 359.99999999999994, 12.3456789012345, 0.1, 1e-9,
    1e-11, -1e-11, 5e-11, 15e-11, 89.99999999995, 1e-300, 123.45678901235, 99.9999999999999,
])  # fmt: skip
def test_coordinates_are_rounded_as_in_python(sphere, value):
    (given,) = computed(sphere, "adql.coordinate_text(a)", [(value,)])
    assert given == f"{value:.10f}".rstrip("0").rstrip(".")


TEXTS = [
    "POSITION ICRS 10 20", "point 10 20", "10 20", " 10\t20 ", "1 2 3", "1 2 3 4 5 6",
    "CIRCLE 1 2 3", "Circle fk5 Geocenter 1 2 3", "CIRCLE GALACTIC 1 2 3", "CIRCLE 1 2", "",
    "POLYGON ICRS 0 0 1 0 0 1", "POLYGON 0 0 1 0 0", "RANGE 350 10 -1 1", "RANGE -Inf +inf -inf 5",
    "RANGE Inf 1 2 3", "RANGE 1 2 3 2", "RANGE 10 1e999 -5 5", "POSITION 1 2 3", "POSITION 1 x",
    "POSITION 1 91", "POSITION 1_0 2", "POSITION 1e1 +2.", "POSITION .5 -0.5E1", "POSITION 1 nan",
    "POSITION 1 inf", "POSITION 1e999 2", "POSITION 1e-999 2", "BOX ICRS 1 2 3 4", "POLYGON",
    "POLYGON ICRS 10 10 10 10 11 10 11 11", "POLYGON 1 2 1 2 1 2", "1.2345678901234567890123 2",
]  # fmt: skip


@pytest.mark.parametrize("xtype", ["point", "circle", "polygon", "region", "shape"])
def test_texts_are_read_alike(sphere, xtype):
    from obscore.adql.sqlite.functions import _parse
    from vodal.regions import shape_from_bytes

    given = computed(sphere, "adql.sky_parse(a, b)", [(text, xtype) for text in TEXTS])
    for text, numbers in zip(TEXTS, given, strict=True):
        try:
            wanted = shape_array(shape_from_bytes(_parse(text, xtype)))
        except (UsageError, TypeError, ValueError):
            assert numbers is None, text
        else:
            assert numbers == pytest.approx(wanted, abs=1e-15), text


def test_every_word_that_is_a_number_here_is_one_there(sphere):
    words = [
        "1", "-1", "+1", "1.", ".5", "1e5", "1E-5", "1e+05", "0x10", "1_0", "1e", ".", "e5", "--1",
        "", " 1", "1e309", "1e-330", "4.9e-324", "2e-324", "0e999999999999", "00000.0e9", "1d5",
        "1.7976931348623157e308", "1.7976931348623159e308", "9" * 400, "0." + "0" * 400 + "1",
        "123456789012345678901234567890", "0.1234567890123456789", "1e0000000000000000005",
        "\u0661",
        "-1e999", "00000000000000000000000000012",
    ]  # fmt: skip
    given = computed(sphere, "adql.number(a)", [(word,) for word in words])
    for word, number in zip(words, given, strict=True):
        try:
            (wanted,) = parse_numbers(word, "x", infinite=True) or [None]
        except UsageError:
            wanted = None
        assert number == wanted, word


def test_caps_of_shapes_in_columns_find_what_caps_of_constants_find(sphere):
    made = shapes(8, 400)
    rng = random.Random(9)
    margins = [rng.choice([0.0, -5.0, 0.1, 50.0, 200.0]) for _ in made]
    rows = [(shape_array(shape), margin) for shape, margin in zip(made, margins, strict=True)]
    given = computed(sphere, "adql.sky_caps(a, b)::text[]", rows)
    for shape, margin, caps in zip(made, margins, given, strict=True):
        wanted = caps_around(shape, max(0.0, margin))
        radius = float(caps[0].rpartition(",")[2].rstrip(" >"))
        if wanted is None:
            assert radius == pytest.approx(math.pi / 2)
            assert len(caps) == 2
            continue
        same = "SELECT %s::scircle && %s::scircle, radius(%s::scircle)"
        near, own = sphere.execute(same, (caps[0], wanted[0], wanted[0])).fetchone()
        assert near
        assert radius == pytest.approx(own, abs=1e-13)
