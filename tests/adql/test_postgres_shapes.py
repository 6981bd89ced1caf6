"""Shapes as PostgreSQL keeps them: the spatial index loses no row."""

from __future__ import annotations

import math
import random

import psycopg
import pytest

from obscore.adql.postgres.shapes import EVERYWHERE, caps_around, row_cap, shape_array
from vodal.regions import Circle, Point, Polygon, Range
from vodal.sphere import box_polygon, intersects


def some_shape(rng):
    """Give shapes of all sizes, many at the poles, on the axes and across RA 0."""
    ra = rng.choice([rng.uniform(0, 360), rng.choice([0, 90, 180, 270]), rng.uniform(-1, 1) % 360])
    dec = rng.choice([rng.uniform(-90, 90), rng.choice([-90, 0, 90]), rng.uniform(89, 90)])
    size = rng.choice([1e-9, 1e-4, 0.1, 3.0, 40.0, 100.0, 170.0])
    match rng.randrange(4):
        case 0:
            return Circle(ra, dec, size)
        case 1:
            return box_polygon(ra, dec, size, size * rng.uniform(0.1, 1))
        case 2:
            return Range(ra, (ra + size) % 360, max(-90, dec - size), min(90, dec + size))
        case _:
            return Point(ra, dec)


def test_the_index_finds_every_row_that_meets_a_shape(postgres_url):
    rng = random.Random(5)
    rows = [
        (None if isinstance(shape, Point) else shape, rng.choice([None, (ra, dec)]))
        for shape, ra, dec in (
            (some_shape(rng), rng.uniform(0, 360), rng.uniform(-90, 90)) for _ in range(600)
        )
    ]
    rows += [(None, (ra, dec)) for ra in range(0, 360, 45) for dec in range(-90, 91, 45)]
    asked = [some_shape(rng) for _ in range(70)] + [Point(ra, 0) for ra in range(0, 360, 45)]
    found = 0
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE kept (id int, cap scircle)")
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO kept VALUES (%s, %s::scircle)",
                [(number, row_cap(*row)) for number, row in enumerate(rows)],
            )
        connection.execute("CREATE INDEX ON kept USING gist (cap)")
        connection.execute("SET enable_seqscan = off")
        for shape in asked:
            caps = caps_around(shape)
            if caps is None:
                continue
            query = "SELECT id FROM kept WHERE cap && ANY (%s::text[]::scircle[])"
            plan = connection.execute(f"EXPLAIN {query}", [caps]).fetchall()
            assert "kept_cap_idx" in str(plan)
            given = {row[0] for row in connection.execute(query, [caps])}
            wanted = {
                number
                for number, (region, position) in enumerate(rows)
                if (region is not None and intersects(region, shape))
                or (position is not None and intersects(Point(*position), shape))
            }
            assert wanted <= given, shape
            found += len(wanted)
    assert found > 1000


def test_a_cap_leaves_out_what_is_far():
    assert caps_around(Circle(10, 20, 89), margin_deg=2) is None
    assert caps_around(Range(0, 360, -90, 90)) is None
    cap, everywhere = caps_around(Point(10, 20), margin_deg=1)
    assert everywhere == EVERYWHERE
    assert float(cap.rpartition(",")[2].rstrip(">")) == pytest.approx(math.radians(1), rel=1e-5)
    assert row_cap(None, None) is None
    assert row_cap(Circle(0, 0, 100), None) == EVERYWHERE
    assert row_cap(Circle(0, 0, 1), (180, 0)) == EVERYWHERE


@pytest.mark.parametrize(("shape", "kind", "length"), [
    (Point(370, 2), 0, 7),
    (Circle(10, 2, 3), 1, 8),
    (Polygon(((0, 0), (1, 0), (1, 1), (0, 1))), 2, 6 + 24 + 8),
    (Polygon(((0, 0), (2, 0), (2, 2), (1, 0.5))), 3, 6 + 24 + 8),
    (Polygon(((0, 0), (0, 0), (1, 0), (1, 1))), 2, 6 + 18 + 8),
    (Range(350, 10, -1, 1), 4, 9),
])  # fmt: skip
def test_numbers_of_a_shape(shape, kind, length):
    numbers = shape_array(shape)
    assert numbers[0] == kind
    assert len(numbers) == length
    assert all(isinstance(number, float) for number in numbers)
    assert sum(x * x for x in numbers[1:4]) == pytest.approx(1)
