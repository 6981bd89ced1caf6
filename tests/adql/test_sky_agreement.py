"""Both databases and brute force agree on shapes that are hard to compare, index and all.

The brute force is numpy's: shapes become many points, and a predicate is told where these leave no
doubt. Where they do, at a shared side or a tangent, the databases must still agree with each other
and with `vodal.sphere`, which has tests of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import apsw
import numpy as np
import psycopg
import pytest

from obscore import adql
from obscore.adql import ColumnDef, Schema, SpatialIndex, TableDef
from obscore.adql.postgres.install import functions_sql
from obscore.adql.postgres.printer import PostgresPrinter
from obscore.adql.postgres.shapes import row_cap, shape_array
from vodal import sphere
from vodal.regions import Circle, Point, Polygon, Range, shape_text, shape_to_bytes
from vodal.sphere import bounding_cap, cap_box
from vodal.tables.columns import Column
from vodal.testing.shapes import hard_pairs

ROWS = 1000
ASKED = 16
POINTS = 160
"""On the boundary of a shape."""

COLUMNS = (
    ColumnDef(Column("id", "long")),
    ColumnDef(Column("s_ra", "double")),
    ColumnDef(Column("s_dec", "double")),
    ColumnDef(Column("s_region", "char", "*", xtype="adql:REGION")),
)


@pytest.fixture(scope="module")
def pairs():
    """Give pairs of shapes: the first of each is a row, the second is asked for."""
    return list(hard_pairs(11, ROWS))


@pytest.fixture(scope="module")
def places():
    """Give the position of each row, some of them none."""
    rng = random.Random(12)
    return [
        None if number % 9 == 0 else (rng.uniform(0, 360), rng.uniform(-90, 90))
        for number in range(ROWS)
    ]


def schema_of(spatial):
    return Schema((TableDef("ivoa", "obscore", "shapes", COLUMNS, spatial=spatial),))


@pytest.fixture(scope="module")
def sqlite(pairs, places):
    connection = apsw.Connection(":memory:")
    adql.register(connection)
    connection.execute(
        "CREATE TABLE shapes (id INTEGER PRIMARY KEY, s_ra REAL, s_dec REAL, s_region TEXT,"
        " s BLOB);"
        "CREATE VIRTUAL TABLE boxes USING rtree(id, xmin, xmax, ymin, ymax, zmin, zmax)"
    )
    with connection:
        for number, ((shape, _), place) in enumerate(zip(pairs, places, strict=True)):
            row = (number, *(place or (None, None)), shape_text(shape), shape_to_bytes(shape))
            connection.execute("INSERT INTO shapes VALUES (?, ?, ?, ?, ?)", row)
            boxes = [cap_box(*bounding_cap(shape))]
            boxes += [cap_box(*bounding_cap(Point(*place)))] if place else []
            united = [(min, max)[k % 2](box[k] for box in boxes) for k in range(6)]
            connection.execute("INSERT INTO boxes VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *united))
    schema = schema_of(SpatialIndex(region_sql="s", rtree="boxes", key="id"))

    def ids(where):
        translated = adql.translate(f"SELECT id FROM ivoa.obscore WHERE {where}", schema)
        return {row[0] for row in connection.execute(translated.sql, translated.params)}

    return ids


@pytest.fixture(scope="module")
def postgres(pairs, places, fresh_postgres):
    with psycopg.connect(fresh_postgres(), autocommit=True) as connection:
        connection.execute(functions_sql())
        connection.execute(
            "CREATE TABLE shapes (id bigint, s_ra float8, s_dec float8, s_region text, s float8[],"
            " cap scircle)"
        )
        with connection.cursor().copy("COPY shapes FROM STDIN") as copy:
            for number, ((shape, _), place) in enumerate(zip(pairs, places, strict=True)):
                numbers = f"{{{','.join(map(repr, shape_array(shape)))}}}"
                cap = row_cap(shape, place)
                copy.write_row((number, *(place or (None, None)), shape_text(shape), numbers, cap))
        connection.execute("CREATE INDEX ON shapes USING gist (cap); ANALYZE shapes")
        schema = schema_of(SpatialIndex(region_sql="s", rtree="", key="cap"))

        def ids(where):
            translated = adql.translate(
                f"SELECT id FROM ivoa.obscore WHERE {where}", schema, printer=PostgresPrinter
            )
            return {row[0] for row in connection.execute(translated.sql, translated.params)}

        yield ids


# Shapes as points ----------------------------------------------------------------------------


def xyz(ra_deg, dec_deg):
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def angles(a, b):
    """Angles between unit vectors, exact for small ones."""
    return 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))


@dataclass(frozen=True)
class Cloud:
    """A shape as the points of its boundary."""

    shape: object
    boundary: np.ndarray
    gap: float
    """Greatest angle between neighbours, which bounds what lies between them."""
    middle: np.ndarray
    reach: float
    """Radius of a cap around the middle that has the boundary."""

    def inside(self, points):
        """Tell which points the shape has, rounding aside."""
        match self.shape:
            case Point():
                return np.zeros(len(points), bool)
            case Circle(ra, dec, radius):
                return angles(points, xyz(ra, dec)) < np.radians(radius)
            case Range(west, east, south, north):
                dec = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
                ra = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
                width = east - west if east - west >= 0 else east - west + 360
                # A pole is no boundary.
                low, high = (dec > south) | (south == -90), (dec < north) | (north == 90)
                return low & high & ((round(width, 9) >= 360) | ((ra - west) % 360 < width))
            case Polygon(vertices):
                return self._winds(xyz(*np.array(vertices).T), points)

    @staticmethod
    def _winds(corners, points):
        following = np.roll(corners, -1, axis=0)
        normals = np.cross(corners, following)
        if np.sum(normals, axis=0) @ np.sum(corners, axis=0) < 0:
            normals, corners, following = -normals, following, corners
        along = np.sum(corners * following, axis=1)
        turns = np.arctan2(
            points @ normals.T, along - (points @ corners.T) * (points @ following.T)
        )
        # Once round what lies to the left; round its antipode the other way.
        return np.sum(turns, axis=1) > np.pi

    def away(self, other):
        """Least distance of the boundaries, as far as it is certain."""
        apart = angles(self.middle, other.middle) - self.reach - other.reach
        if apart > SURE:
            return apart
        cosine = (self.boundary @ other.boundary.T).max()
        return np.arccos(min(1.0, cosine)) - (self.gap + other.gap) / 2

    def depth(self, points):
        """Greatest distance of points from the boundary, as far as it is certain."""
        cosine = (self.boundary @ points.T).max(axis=0).min()
        return np.arccos(min(1.0, cosine)) - self.gap / 2


def cloud(shape):
    """Make the points of a shape."""
    t = np.linspace(0, 1, POINTS)
    match shape:
        case Point(ra, dec):
            points = xyz(np.array([ra]), np.array([dec]))
        case Circle(ra, dec, radius):
            centre = xyz(ra, dec)
            east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0])
            north = np.cross(centre, east)
            turn = 2 * np.pi * t[:, None]
            side = np.cos(turn) * east + np.sin(turn) * north
            points = np.cos(np.radians(radius)) * centre + np.sin(np.radians(radius)) * side
        case Range(west, east, south, north):
            width = east - west if east - west >= 0 else east - west + 360
            ra, dec = west + width * t, south + (north - south) * t
            sides = [xyz(ra, np.full_like(t, d)) for d in (south, north) if abs(d) < 90]
            if round(width, 9) < 360 or not sides:
                sides += [xyz(np.full_like(t, r), dec) for r in (west, west + width)]
            points = np.concatenate(sides)
            return cloud_of(shape, points, max(angles(s[1:], s[:-1]).max() for s in sides))
        case Polygon(vertices):
            corners = xyz(*np.array(vertices).T)
            parts = []
            for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                step = max(2, POINTS // len(corners))
                part = a + (b - a) * np.linspace(0, 1, step)[:, None]
                parts.append(part / np.linalg.norm(part, axis=1)[:, None])
            points = np.concatenate(parts)
    return cloud_of(shape, points, angles(points[1:], points[:-1]).max(initial=0.0))


def cloud_of(shape, points, gap):
    middle = points.mean(axis=0)
    middle /= np.linalg.norm(middle) or 1.0
    if not middle.any():
        middle = points[0]
    return Cloud(shape, points, gap, middle, angles(points, middle).max() + gap / 2)


SURE = 1e-7
"""Radians from a boundary beyond which the rounding of cosines does not matter."""


def meets(a, b):
    """Tell whether two shapes meet; None where points cannot tell."""
    if _everything(a) or _everything(b):
        return True
    if a.away(b) > SURE:
        return bool(a.inside(b.boundary).any() or b.inside(a.boundary).any())
    for one, other in ((a, b), (b, a)):
        deep = other.boundary[one.inside(other.boundary)]
        if len(deep) and one.depth(deep) > SURE:
            return True
    return None


def holds(a, b):
    """Tell whether the second shape lies in the first; None where points cannot tell."""
    if _everything(a) or _everything(b):
        return True if _everything(a) else None
    inside = a.inside(b.boundary)
    if a.away(b) > SURE:
        # The boundaries are apart: b is inside unless it holds a's boundary, or all but it.
        return bool(inside.all()) and not bool(b.inside(a.boundary).any())
    out = b.boundary[~inside]
    return False if len(out) and a.depth(out) > SURE else None


def _everything(shape):
    match shape.shape:
        case Circle(_, _, radius):
            return radius == 180.0
        case Range(west, east, south, north):
            return (round(east - west, 9), south, north) == (360.0, -90.0, 90.0)
        case _:
            return False


# Agreement -----------------------------------------------------------------------------------


def in_adql(shape):
    return f"REGION('{shape_text(shape)}')"


PREDICATES = {
    "INTERSECTS({}, s_region) = 1": (sphere.intersects, meets),
    "CONTAINS({}, s_region) = 1": (sphere.contains, holds),
    "CONTAINS(s_region, {}) = 1": (
        lambda row, asked: sphere.contains(asked, row), lambda row, asked: holds(asked, row),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", PREDICATES)
def test_databases_and_brute_force_agree(form, pairs, sqlite, postgres):
    _, brute = PREDICATES[form]
    rows = [cloud(shape) for shape, _ in pairs]
    told = wanted = 0
    for number in range(1, ROWS, ROWS // ASKED):
        asked = pairs[number][1]
        found = sqlite(form.format(in_adql(asked)))
        assert found == postgres(form.format(in_adql(asked))), asked
        points = cloud(asked)
        for place, row in enumerate(rows):
            answer = brute(row, points)
            if answer is not None:
                told += 1
                wanted += answer
                assert (place in found) == answer, (form, asked, row.shape)
    assert told > 0.85 * ROWS * ASKED
    assert wanted > ROWS / 2


@pytest.mark.parametrize("form", PREDICATES)
def test_what_touches_is_told_alike(form, pairs, sqlite, postgres):
    """Each shape against the one that was made to share something with it."""
    exact, _ = PREDICATES[form]
    wanted = 0
    for number in range(1, ROWS, 4):
        row, asked = pairs[number]
        # Made of numbers, so that no digit is lost on the way.
        text = exactly(asked)
        if text is None:
            continue
        where = f"id = {number} AND {form.format(text)}"
        answer = {number} if exact(row, asked) else set()
        assert sqlite(where) == answer, (row, asked)
        assert postgres(where) == answer, (row, asked)
        wanted += len(answer)
    assert wanted > 20


def exactly(shape):
    match shape:
        case Point(ra, dec):
            return f"POINT({ra!r}, {dec!r})"
        case Circle(ra, dec, radius):
            return f"CIRCLE({ra!r}, {dec!r}, {radius!r})"
        case Polygon(vertices):
            return f"POLYGON({', '.join(f'{ra!r}, {dec!r}' for ra, dec in vertices)})"
        case _:
            return None


def test_positions_and_distances_agree(places, pairs, sqlite, postgres):
    known = {number: place for number, place in enumerate(places) if place is not None}
    points = xyz(*np.array(list(known.values())).T)
    for number in range(0, ROWS, 10):
        shape = pairs[number][1]
        if not isinstance(shape, Circle | Polygon):
            continue
        where = f"CONTAINS(POINT('ICRS', s_ra, s_dec), {in_adql(shape)}) = 1"
        found = sqlite(where)
        assert found == postgres(where), shape
        edge = cloud(shape)
        clear = np.arccos(np.clip((points @ edge.boundary.T).max(axis=1), -1, 1))
        for key, answer, distance in zip(known, edge.inside(points), clear, strict=True):
            if distance > edge.gap + SURE:
                assert (key in found) == answer, (shape, places[key])
        ra, dec = known[min(known, key=lambda key: abs(key - number))]
        radius = abs(shape.radius_deg if isinstance(shape, Circle) else 10.0) + 0.001
        where = f"DISTANCE(POINT(s_ra, s_dec), POINT({ra!r}, {dec!r})) < {radius!r}"
        near = {
            key
            for key, angle in zip(known, np.degrees(angles(points, xyz(ra, dec))), strict=True)
            if angle < radius
        }
        assert sqlite(where) == postgres(where) == near
