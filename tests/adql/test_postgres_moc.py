"""Coverage maps in PostgreSQL: the same answers as in Python."""

from __future__ import annotations

import math
import random

import numpy as np
import psycopg
import pytest

from obscore.adql.moc import cells, cover
from obscore.adql.moc.ranges import parse_moc
from obscore.adql.postgres.install import functions_sql
from obscore.adql.postgres.shapes import shape_array
from obscore.adql.userdefined import healpix
from vodal.regions import Circle, Point, Polygon, Range
from vodal.sphere import box_polygon
from vodal.vectors import vector


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


def near_shape(rng, order, cell):
    """Give a region at about the border of a cell, from a tenth of its size to twice it."""
    face, x, y = healpix.split(order, cell)
    place = [rng.uniform(-0.8, 1.8), rng.uniform(-0.8, 1.8)]
    low, high = -min(x, y), (1 << order) - max(x, y)
    ra, dec = healpix.base_position(
        face, *((at + min(max(part, low), high)) / (1 << order) for at, part in
                zip((x, y), place, strict=True)))  # fmt: skip
    size = cells.cap(order, cell)[1] * rng.choice([0.1, 0.5, 2.0])
    if rng.random() < 0.3:
        return Circle(ra, dec, size / 2)
    if rng.random() < 0.3 and abs(dec) + size < 80:
        notched = (ra, dec), (ra + size, dec), (ra + size / 4, dec + size / 4), (ra, dec + size)
        return Polygon(notched)
    return box_polygon(ra, dec, size, size * rng.uniform(0.1, 1))


def test_a_glance_at_a_cell_says_what_its_outline_does(postgres):
    rng = random.Random(14)
    poles = [0, 1, 2, 3]
    told = []
    for number in range(150):
        order = rng.choice([2, 4, 6, 9, 11])
        count = 4**order
        cell = rng.choice(poles) * count + count - 1 if number % 5 == 0 else (
            rng.randrange(12 * count))  # fmt: skip
        shape = near_shape(rng, order, cell)
        (found,) = postgres.execute(
            "SELECT adql.cell_glance(%s::float8[], %s, %s::bigint)",
            (shape_array(shape), order, cell),
        ).fetchone()
        if found is not None:
            assert found == cover._touches(shape, order, cell), (order, cell, shape)
        told.append(found)
    assert told.count(True) > 30
    assert told.count(False) > 30
    assert told.count(None) < 50


def test_sides_of_cells_stay_near_the_great_circles_between_their_corners():
    rng = random.Random(15)
    for order in (2, 3, 6, 12, 20):
        count = 4**order
        polar = [face * count + count - 1 - i for face in range(4) for i in range(16)]
        for cell in [*range(min(12 * count, 800)), *polar, *(rng.randrange(12 * count)
                     for _ in range(100))]:  # fmt: skip
            face, x, y = healpix.split(order, cell)

            def at(a, b, face=face, x=x, y=y, nside=1 << order):
                return np.array(
                    vector(*healpix.base_position(face, (x + a) / nside, (y + b) / nside))
                )

            ring = [(0, 0), (1, 0), (1, 1), (0, 1)]
            corners = [at(*place) for place in ring]
            for side in range(4):
                following = (side + 1) % 4
                normal = np.cross(corners[side], corners[following])
                normal /= np.linalg.norm(normal)
                assert min(normal @ corners[side - 1], normal @ corners[side - 2]) > 0
                (a, b), (c, d) = ring[side], ring[following]
                off = max(
                    abs(normal @ at(a + (c - a) * part, b + (d - b) * part))
                    for part in (0.25, 0.4, 0.5, 0.6, 0.75)
                )
                assert math.degrees(math.asin(off)) < 0.065 * cells.cap(order, cell)[1]
