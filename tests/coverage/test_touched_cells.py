"""Cells that footprints touch: none is missed, and none is far away."""

from __future__ import annotations

import math
import random

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude

from obscore.adql.moc.cells import outline
from obscore.adql.userdefined.healpix import MAX_ORDER, center
from obscore.coverage.touched import fitting_order, touched, touched_slowly
from vodal.canonical import RegionFaultError, canonical
from vodal.regions import Circle, Polygon, Range
from vodal.sphere import bounding_cap, contains, intersects
from vodal.testing.shapes import hard_shape


def regions(seed, count):
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        try:
            found.append(canonical(hard_shape(rng)).region)
        except RegionFaultError:
            continue
    return found


def numbers(ranges, order):
    shift = 2 * (MAX_ORDER - order)
    return {n for a, b in ranges.tolist() for n in range(a >> shift, b >> shift)}


@pytest.mark.parametrize("region", regions(3, 24))
def test_no_cell_is_missed_and_none_is_beyond_its_circle(region):
    # Of large regions the cells of low orders.
    order = 3 if bounding_cap(region)[1] < 30 else 2
    circle_deg = 64 / (1 << order)
    found = numbers(touched(region, order), order)
    for cell in range(12 << 2 * order):
        outer = Circle(*center(order, cell), circle_deg)  # holds the cell
        if cell in found:
            assert intersects(region, outer)
        elif intersects(region, outer):
            inner = outline(order, cell)
            assert not intersects(region, inner), cell
            assert not contains(inner, region), cell


def sampled(region, rng, count):
    """Give places inside, by brute force, and those of the vertices."""
    middle, radius_deg = bounding_cap(region)
    forward = np.array(middle)
    side = np.cross(forward, [0, 0, 1.0] if abs(forward[2]) < 0.9 else [1.0, 0, 0])
    side /= np.linalg.norm(side)
    up = np.cross(forward, side)
    away = np.radians(radius_deg) * np.sqrt(rng.uniform(0, 1, count))
    turn = rng.uniform(0, 2 * np.pi, count)
    xyz = (
        np.cos(away)[:, None] * forward
        + (np.sin(away) * np.cos(turn))[:, None] * side
        + (np.sin(away) * np.sin(turn))[:, None] * up
    )
    ra, dec = np.degrees(np.arctan2(xyz[:, 1], xyz[:, 0])) % 360, np.degrees(np.arcsin(xyz[:, 2]))
    from vodal.regions import Point

    inside = [at for at in range(count) if contains(region, Point(ra[at], dec[at]))]
    places = np.stack([ra[inside], dec[inside]], axis=1)
    return np.concatenate([places, np.array(getattr(region, "vertices", ())).reshape(-1, 2)])


@pytest.mark.parametrize("seed", range(3))
def test_places_of_a_footprint_are_in_its_cells(seed):
    rng = np.random.default_rng(seed)
    for region in regions(100 + seed, 40):
        order = fitting_order(region, 14)
        ranges = touched(region, order)
        assert (ranges[:, 0] < ranges[:, 1]).all()
        assert (ranges[1:, 0] > ranges[:-1, 1]).all()
        places = sampled(region, rng, 40)
        cells = healpix.lonlat_to_healpix(
            Longitude(places[:, 0], u.deg), Latitude(places[:, 1], u.deg), MAX_ORDER
        )
        at = np.searchsorted(ranges[:, 0], cells, side="right") - 1
        assert (at >= 0).all()
        assert (cells < ranges[at, 1]).all(), region
        # A fitting order makes few cells, whatever the size.
        assert len(ranges) < 400


def test_compiled_and_plain_agree():
    for region in regions(7, 30):
        if isinstance(region, Range):
            continue
        order = min(7, fitting_order(region, 7))
        quick, slow = touched(region, order), touched_slowly(region, order)
        assert numbers(quick, order) == numbers(slow, order), region


def test_a_fine_order_of_a_wide_circle_needs_room():
    ranges = touched(Circle(10, 20, 30), 10)
    area = float((ranges[:, 1] - ranges[:, 0]).sum()) / (12 << 58)
    assert area == pytest.approx((1 - math.cos(math.radians(30))) / 2, rel=0.02)
    assert len(ranges) > 1024
    assert touched(Circle(0, 0, 180), 5).tolist() == [[0, 12 << 58]]
    assert len(touched(Polygon(((10, 0), (10.001, 0), (10, 0.001))), 12)) < 4
