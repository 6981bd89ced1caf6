"""The control grid against the exact mapping, all over the sky."""

from __future__ import annotations

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from hypothesis import given, settings
from hypothesis import strategies as st

from hips.tile import TileBlock
from vodal.fits.wcs import icrs_to_pixel, pixel_to_icrs
from vodal.resample.grid import TOLERANCE_PIXELS, exact_pixels, pixel_grid
from vodal.testing.skies import make_wcs

SIZE = 400
KINK = float(np.rad2deg(np.arcsin(2 / 3)))


class Mapping:
    def __init__(self, wcs):
        self.wcs = wcs

    def to_icrs(self, x, y):
        return pixel_to_icrs(self.wcs, x, y)

    def to_pixel(self, ra, dec):
        return icrs_to_pixel(self.wcs, ra, dec)


def tile_at(ra, dec, order):
    cells = healpix.lonlat_to_healpix(Longitude([ra], "deg"), Latitude([dec], "deg"), order)
    return int(cells[0])


def worst_error(ra, dec, rotation=20.0, *, distorted=True, order=11, count=3000, seed=0):
    """Compare grid and truth at random pixels of the tile at a place, on the image there."""
    mapping = Mapping(make_wcs(ra, dec, SIZE, 0.25, rotation, distorted=distorted))
    npix = tile_at(ra, dec, order)
    grid = pixel_grid(mapping, TileBlock(order, npix), (SIZE, SIZE))
    assert grid is not None
    return compare(mapping, order, npix, grid, (SIZE, SIZE), count, seed)


def compare(mapping, order, npix, grid, shape, count, seed):
    rng = np.random.default_rng(seed)
    u, v = rng.integers(0, 512, (2, count))
    x, y = exact_pixels(mapping, TileBlock(order, npix), u + 0.5, v + 0.5)
    inside = (x > -0.5) & (y > -0.5) & (x < shape[1] - 0.5) & (y < shape[0] - 0.5)
    exact = {
        (int(p), int(q)): k for k, (p, q) in enumerate(zip(grid.exact_u, grid.exact_v, strict=True))
    }
    worst = 0.0
    for k in np.flatnonzero(inside):
        a, b = int(u[k]) // grid.step, int(v[k]) // grid.step
        if grid.interpolate[a, b]:
            f = (u[k] + 0.5) / grid.step - a
            g = (v[k] + 0.5) / grid.step - b
            got = [
                (n[a, b] * (1 - f) + n[a + 1, b] * f) * (1 - g)
                + (n[a, b + 1] * (1 - f) + n[a + 1, b + 1] * f) * g
                for n in (grid.x, grid.y)
            ]
        else:
            place = exact[int(u[k]), int(v[k])]
            got = [grid.exact_x[place], grid.exact_y[place]]
        worst = max(worst, float(np.hypot(got[0] - x[k], got[1] - y[k])))
    return worst


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        (10.0, 0.0),
        (0.0, 0.0),
        (359.9999, 12.0),
        (180.0, -30.0),
        (0.0, KINK),
        (45.0, KINK),
        (20.0, KINK),
        (200.0, -KINK),
        (270.0, -KINK),
        (90.0, 60.0),
        (33.0, 80.0),
        (123.0, 89.5),
        (0.0, 90.0),
        (250.0, 89.999),
        (77.0, -90.0),
        (315.0, -89.98),
    ],
)
@pytest.mark.parametrize("distorted", [True, False])
def test_the_grid_is_right_at_the_hard_places(ra, dec, distorted):
    assert worst_error(ra, dec, distorted=distorted) < TOLERANCE_PIXELS


@settings(max_examples=40, deadline=None)
@given(
    ra=st.floats(0, 359.99),
    dec=st.one_of(
        st.floats(-90, 90),
        st.floats(KINK - 0.03, KINK + 0.03),
        st.floats(89.8, 90),
        st.floats(-90, -89.8),
    ),
    rotation=st.floats(0, 360),
    order=st.integers(9, 13),
)
def test_the_grid_is_right_everywhere(ra, dec, rotation, order):
    assert worst_error(ra, dec, rotation, order=order, count=800) < TOLERANCE_PIXELS


def test_a_tile_away_from_the_image_has_no_grid():
    mapping = Mapping(make_wcs(10.0, 20.0, SIZE, 0.25, distorted=False))
    assert pixel_grid(mapping, TileBlock(11, tile_at(11.0, 20.0, 11)), (SIZE, SIZE)) is None


def test_where_a_distortion_has_no_inverse_there_are_no_pixels():
    mapping = Mapping(make_wcs(10.0, 20.0, SIZE, 0.25))
    for place in ((11.0, 20.0), (190.0, -20.0)):
        grid = pixel_grid(mapping, TileBlock(11, tile_at(*place, 11)), (SIZE, SIZE))
        assert grid is None or not (grid.interpolate.any() or np.isfinite(grid.exact_x).any())


def test_only_the_touched_parts_are_mapped():
    mapping = Mapping(make_wcs(10.0, 20.0, SIZE, 0.25))
    npix = tile_at(10.0, 20.0, 11)
    touched = np.zeros((4, 4), bool)
    touched[2, 1] = True
    grid = pixel_grid(mapping, TileBlock(11, npix), (SIZE, SIZE), touched)
    a, b = np.nonzero(grid.interpolate)
    part = 128 // grid.step
    assert set(zip((a // part).tolist(), (b // part).tolist(), strict=True)) == {(2, 1)}


def test_a_seam_of_an_all_sky_image_is_mapped_exactly():
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---CAR", "DEC--CAR"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [0, 0], [180.5, 90.5], [-1, 1]
    wcs.wcs.set()
    mapping = Mapping(wcs)
    for ra, dec in ((180.0, 0.0), (180.0, 50.0), (0.0, 0.0), (90.0, 89.0)):
        npix = tile_at(ra, dec, 3)
        grid = pixel_grid(mapping, TileBlock(3, npix), (180, 360))
        assert compare(mapping, 3, npix, grid, (180, 360), 2000, 1) < TOLERANCE_PIXELS
