"""Coverage maps in PostgreSQL: the same answers as in Python."""

from __future__ import annotations

import random

import psycopg
import pytest

from obscore.adql.moc import cells, cover
from obscore.adql.moc.ranges import parse_moc
from obscore.adql.postgres.install import functions_sql
from obscore.adql.postgres.shapes import shape_array
from obscore.adql.userdefined import healpix
from vodal.regions import Circle, Point, Range
from vodal.sphere import box_polygon


@pytest.fixture(scope="module")
def postgres(fresh_postgres):
    with psycopg.connect(fresh_postgres(), autocommit=True) as connection:
        connection.execute(functions_sql())
        yield connection


def flat(moc):
    return [bound for pair in moc.ranges() for bound in pair]


def random_moc(rng):
    listed = []
    for _ in range(rng.randint(1, 6)):
        order = rng.choice([3, 4, 5, 8])
        listed.append(f"{order}/{rng.randrange(12 * 4**order)}")
    return parse_moc(" ".join(listed))


def random_shape(rng, moc):
    order, cell = rng.choice(list(moc.cells()))
    ra, dec = cells.corner(order, cell)
    match rng.randrange(3):
        case 0:
            inner = healpix.center(order, cell)
            return Circle(*inner, cells.cap(order, cell)[1] * rng.choice([0.1, 1.1]))
        case 1:
            ra, dec = (
                (ra + rng.uniform(-20, 20)) % 360,
                max(-90, min(90, dec + rng.uniform(-20, 20))),
            )
    size = rng.choice([0.1, 1.0, 5.0, 40.0])
    return rng.choice([
        Point(ra, dec), Circle(ra, dec, size), box_polygon(ra, dec, size, size / 2),
        Range(ra, (ra + size) % 360, max(-90, dec - size), min(90, dec + size)),
    ])  # fmt: skip


def test_predicates_agree(postgres):
    rng = random.Random(12)
    seen = set()
    for _ in range(40):
        moc = random_moc(rng)
        shape = random_shape(rng, moc)
        given = (flat(moc), shape_array(shape))
        found = postgres.execute(
            "SELECT adql.moc_meets(m, s), adql.moc_contains(m, s), adql.moc_within(m, s) "
            "FROM (SELECT %s::bigint[] AS m, %s::float8[] AS s) AS q",
            given,
        ).fetchone()
        wanted = (cover.meets(moc, shape), cover.lies_in(moc, shape), cover.map_lies_in(moc, shape))
        assert found == tuple(map(int, wanted)), (moc, shape)
        seen.add(found)
    assert {row[:2] for row in seen} == {(0, 0), (1, 0), (1, 1)}


def test_points_and_complements_agree(postgres):
    rng = random.Random(13)
    for text in ("0/0-11", "0/", "0/0", "0/11", "1/0 1/47", "3/33-45"):
        moc = parse_moc(text)
        (rest,) = postgres.execute("SELECT adql.moc_rest(%s::bigint[])", (flat(moc),)).fetchone()
        assert rest == flat(moc.rest()), text
    for _ in range(200):
        moc = random_moc(rng)
        ra, dec = rng.uniform(0, 360), rng.uniform(-90, 90)
        found = postgres.execute(
            "SELECT adql.moc_holds(%s::bigint[], %s, %s)", (flat(moc), ra, dec)
        ).fetchone()
        assert found == (int(cover.holds_point(moc, ra, dec)),)
