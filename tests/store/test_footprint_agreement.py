"""One footprint: its text, both databases' geometries, box, cap and cells agree on places.

The oracle is numpy's: polygons by the plain sum of the angles at a place, circles by distance,
ranges by coordinates. Places nearer to a boundary than its width are left out.
"""

from __future__ import annotations

import random

import apsw
import cdshealpix.nested as healpix
import numpy as np
import psycopg
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude

from obscore.adql.postgres.shapes import EVERYWHERE
from obscore.adql.userdefined.healpix import MAX_ORDER
from obscore.coverage.touched import fitting_order, touched
from obscore.testing import make_file, make_observation
from vodal.canonical import RegionFaultError, canonical
from vodal.regions import Circle, Polygon, parse_shape, shape_text
from vodal.sphere import bounding_cap
from vodal.testing.shapes import hard_shape

COUNT = 90
PLACES = 120


def xyz(ra_deg, dec_deg):
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def angles(a, b):
    return 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))


class Oracle:
    """A region of the text that a client sees, by numpy alone."""

    def __init__(self, text):
        words = text.split()
        self.kind = words[0]
        self.numbers = np.array([float(word) for word in words if not word[0].isalpha()])

    def look(self, ra, dec):
        """Tell which places are inside, and how far each is from the boundary in radians."""
        points = xyz(ra, dec)
        match self.kind:
            case "CIRCLE":
                lon, lat, radius = self.numbers
                away = angles(points, xyz(lon, lat)) - np.radians(radius)
                return away <= 0, np.abs(away)
            case "RANGE":
                west, east, south, north = self.numbers
                width = 360.0 if east - west >= 360.0 else (east - west) % 360.0
                along = (ra - west) % 360.0
                inside = (along <= width) & (south <= dec) & (dec <= north)
                sides = [np.abs(dec - south), np.abs(dec - north)]
                turn = np.minimum(np.abs(along - width), np.minimum(along, 360 - along))
                sides.append(turn * np.cos(np.radians(dec)) if width < 360 else np.full(len(ra), 9))
                return inside, np.radians(np.min(sides, axis=0))
        corners = xyz(*self.numbers.reshape(-1, 2).T)
        total = np.zeros(len(points))
        nearest = np.full(len(points), np.inf)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            one, two = np.cross(points, a), np.cross(points, b)
            sine = np.sum(np.cross(one, two) * points, axis=-1)
            total += np.arctan2(sine, np.sum(one * two, axis=-1))
            part = np.linspace(0, 1, 400)[:, None]
            side = a * (1 - part) + b * part
            side /= np.linalg.norm(side, axis=1, keepdims=True)
            step = np.linalg.norm(side[1] - side[0])
            away = np.linalg.norm(points[:, None] - side[None], axis=-1).min(axis=1)
            normal = np.cross(a, b - a)
            normal /= np.linalg.norm(normal)
            # Within a step of a side's places the distance from its great circle counts.
            away = np.where(away <= step, np.minimum(away, np.abs(points @ normal)), away)
            nearest = np.minimum(nearest, away)
        # Anticlockwise for who looks from inside.
        return np.rint(total / (2 * np.pi)) == -1, nearest


def sampled(region, rng):
    """Give places in and around a region."""
    middle, radius_deg = bounding_cap(region)
    forward = np.array(middle)
    side = np.cross(forward, [0, 0, 1.0] if abs(forward[2]) < 0.9 else [1.0, 0, 0])
    side /= np.linalg.norm(side)
    away = np.minimum(np.pi, np.radians(radius_deg) * 1.2 * np.sqrt(rng.uniform(0, 1, 6)))[:, None]
    turn = rng.uniform(0, 2 * np.pi, 6)[:, None]
    ring = np.cos(turn) * side + np.sin(turn) * np.cross(forward, side)
    points = np.cos(away) * forward + np.sin(away) * ring
    return np.degrees([np.arctan2(points[:, 1], points[:, 0]) % (2 * np.pi),
                       np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))])  # fmt: skip


@pytest.fixture(scope="module")
def regions():
    rng = random.Random(21)
    found = [
        Circle(0, 90, 3), Circle(359.999, -89.99, 0.01), Circle(180, 0, 179),
        Polygon(((359, -1), (359, 1), (1, 1), (1, -1))),
        Polygon(((0, 88), (120, 89), (240, 88.5))),
        Polygon(((0, 10), (120, 5), (240, 8))),
    ]  # fmt: skip
    while len(found) < COUNT:
        found.append(hard_shape(rng))
    kept = []
    for shape in found:
        try:
            kept.append(canonical(shape).region)
        except RegionFaultError:
            continue
    return kept


@pytest.fixture(scope="module")
def files(regions):
    return [
        make_file(f"file:///{n}", make_observation(f"ivo://x/y?{n}", region, obs_id=str(n)))
        for n, region in enumerate(regions)
    ]


@pytest.fixture(scope="module")
def places(regions):
    rng = np.random.default_rng(3)
    ra, dec = np.concatenate([sampled(region, rng) for region in regions], axis=1)
    chosen = rng.permutation(len(ra))[: PLACES - 2]
    return np.append(ra[chosen], [0.0, 77.0]), np.append(dec[chosen], [89.9, -89.99])


@pytest.fixture(scope="module")
def truth(regions, places):
    """Give what the oracle knows for certain: who holds a place, and of whom it is too near."""
    looks = [Oracle(shape_text(region)).look(*places) for region in regions]
    inside, away = (np.array(part) for part in zip(*looks, strict=True))
    assert inside.sum() > 300
    return inside, away > 2e-11


def test_text_and_value_are_the_same(regions, files):
    for region, file in zip(regions, files, strict=True):
        assert parse_shape(str(file.observations[0].row["s_region"])) == region


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_queries_and_index_find_what_the_oracle_finds(kind, files, places, truth, make_backend):
    backend = make_backend(kind, files)
    engine = backend.engine(connections=1, wait_s=60.0, batch_rows=1000)
    schema = engine.published().schema
    inside, certain = truth
    for number, (ra, dec) in enumerate(zip(*places, strict=True)):
        place = f"POINT({float(ra)!r}, {float(dec)!r})"
        query = f"SELECT obs_id FROM ivoa.obscore WHERE CONTAINS({place}, s_region) = 1"
        translated = engine.translate(query, schema)
        found = {
            int(row["obs_id"])
            for batch in engine.batches(translated, translated.columns, base_url="")
            for row in batch.to_pylist()
        }
        wrong = [n for n in np.flatnonzero(certain[:, number])
                 if (n in found) != inside[n, number]]  # fmt: skip
        assert not wrong, (query, wrong)
    engine.close()
    catalogue = backend.catalogue()
    stored = {one.did: one.region for one in catalogue.products()}
    catalogue.close()
    assert stored == {file.observations[0].did: file.observations[0].region for file in files}


def test_boxes_hold_what_the_oracle_holds(files, places, truth, make_backend):
    backend = make_backend("sqlite", files)
    connection = apsw.Connection(str(backend.path))
    boxes = {
        int(obs_id): bounds
        for obs_id, *bounds in connection.execute(
            "SELECT obs_id, xmin, xmax, ymin, ymax, zmin, zmax FROM obscore JOIN obscore_rtree"
            " USING (id)"
        )
    }
    connection.close()
    points = xyz(*places)
    for number, at in np.argwhere(truth[0]):
        low, high = np.array(boxes[number][::2]), np.array(boxes[number][1::2])
        assert (low <= points[at]).all(), number
        assert (points[at] <= high).all(), number


def test_caps_of_pg_sphere_hold_what_the_oracle_holds(files, places, truth, fresh_postgres,
                                                      make_backend):  # fmt: skip
    backend = make_backend("postgres", files)
    with psycopg.connect(backend._owner.url) as connection:
        connection.execute(f"SET search_path TO {backend._owner.schema}, public")
        for number, at in np.argwhere(truth[0])[::3]:
            ra, dec = np.radians([places[0][at], places[1][at]])
            held = connection.execute(
                "SELECT s_cap = %s::scircle OR spoint(%s, %s) <@ s_cap FROM obscore"
                " WHERE obs_id = %s",
                (EVERYWHERE, float(ra), float(dec), str(number)),
            ).fetchone()
            assert held == (True,), number


def test_cells_hold_what_the_oracle_holds_and_little_more(regions, places, truth):
    cells = healpix.lonlat_to_healpix(
        Longitude(places[0], u.deg), Latitude(places[1], u.deg), MAX_ORDER
    )
    for number, region in enumerate(regions):
        order = fitting_order(region, 14)
        ranges = touched(region, order)
        at = np.searchsorted(ranges[:, 0], cells, side="right") - 1
        covered = (at >= 0) & (cells < ranges[np.maximum(at, 0), 1])
        assert not (truth[0][number] & ~covered).any(), region
        # What is covered beside lies within two cells of the boundary.
        beside = covered & ~truth[0][number]
        away = Oracle(shape_text(region)).look(*places)[1]
        assert (away[beside] < np.radians(2 * 83.0 / (1 << order))).all(), region
