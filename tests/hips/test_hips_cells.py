"""Names of tiles and the sky inside them, against cdshealpix and the published tiles."""

from __future__ import annotations

import cdshealpix.nested as healpix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hips.allsky import allsky_cell
from hips.cells import sky_of
from hips.encode import read_fits
from hips.names import (
    TILE_WIDTH,
    child_slices,
    children,
    interleave,
    parent,
    pixel_size_arcsec,
    tile_path,
    xy_of,
)
from hips.tiles.tree import TileTree


def separation_arcsec(ra1, dec1, ra2, dec2):
    a1, d1, a2, d2 = (np.deg2rad(v) for v in (ra1, dec1, ra2, dec2))
    half = np.sin((d1 - d2) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin((a1 - a2) / 2) ** 2
    return np.rad2deg(2 * np.arcsin(np.sqrt(half))) * 3600


@pytest.mark.parametrize(
    ("order", "npix", "path"),
    [
        (3, 300, "Norder3/Dir0/Npix300.fits"),
        (6, 10000, "Norder6/Dir10000/Npix10000.fits"),
        (6, 9999, "Norder6/Dir0/Npix9999.fits"),
        (11, 6977725, "Norder11/Dir6970000/Npix6977725.fits"),
    ],
)
def test_a_tile_has_the_path_of_the_standard(order, npix, path):
    assert tile_path(order, npix, "fits") == path


@settings(deadline=None)
@given(order=st.integers(0, 20), data=st.data(), u=st.floats(0, 0.999), v=st.floats(0, 0.999))
def test_the_sky_in_a_cell_is_that_of_cdshealpix(order, data, u, v):
    npix = data.draw(st.integers(0, 12 * 4**order - 1))
    ra, dec = sky_of(order, npix, np.array([u]), np.array([v]))
    lon, lat = healpix.healpix_to_lonlat(np.array([npix], np.uint64), order, u, v)
    assert separation_arcsec(ra, dec, lon.deg, lat.deg)[0] < 1e-6


@pytest.mark.parametrize("npix", range(12))
def test_the_corners_of_base_cells_are_where_they_should_be(npix):
    u, v = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
    _, dec = sky_of(0, npix, u, v)
    middle = np.rad2deg(np.arcsin(2 / 3))
    south, east, north, west = (
        (0, middle, 90, middle), (-middle, 0, middle, 0), (-90, -middle, 0, -middle)
    )[npix // 4]  # fmt: skip
    assert dec == pytest.approx([south, east, north, west], abs=1e-12)


@settings(deadline=None)
@given(x=st.integers(0, 2**20 - 1), y=st.integers(0, 2**20 - 1))
def test_nested_numbers_interleave_x_and_y(x, y):
    number = int(interleave(np.array([x]), np.array([y]))[0])
    assert number == sum((x >> k & 1) << 2 * k | (y >> k & 1) << (2 * k + 1) for k in range(20))
    assert xy_of(20, 5 * 4**20 + number) == (5, x, y)


def test_children_fill_the_quadrants_of_their_parent():
    rows, columns = np.indices((TILE_WIDTH, TILE_WIDTH))
    inside = interleave(TILE_WIDTH - 1 - rows, columns)
    for number, child in enumerate(children(77)):
        assert parent(child) == 77
        assert np.unique(inside[child_slices(number)] >> 16).tolist() == [number]


def test_pixel_sizes_are_those_of_healpix():
    assert pixel_size_arcsec(3) == pytest.approx(51.53, abs=0.01)
    assert pixel_size_arcsec(12) == pytest.approx(0.10064, abs=1e-5)


@pytest.fixture
def published(real_images):
    folder = real_images / "hips_reference" / "IRAC4"
    if not folder.is_dir():
        pytest.skip("no published HiPS among the real files")
    return folder


def _grey(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("L")).astype(float)


@pytest.mark.realdata
def test_published_tiles_lie_where_ours_would(published):
    assert set(TileTree(published).tiles(3, "fits")) == {300, 301}
    assert (published / tile_path(3, 300, "fits")).is_file()


@pytest.mark.realdata
def test_published_fits_and_jpeg_are_the_same_way_up_as_ours(published):
    tile = np.isfinite(read_fits((published / tile_path(3, 300, "fits")).read_bytes()))
    picture = _grey(published / tile_path(3, 300, "jpg")) > 8
    agreement = {
        (k, flip): (tile == np.rot90(picture[::-1] if flip else picture, k)).mean()
        for k in range(4)
        for flip in (True, False)
    }
    assert max(agreement, key=agreement.get) == (0, True)
    assert agreement[0, True] > 0.99


@pytest.mark.realdata
def test_published_tiles_lie_on_the_sky_as_ours_would(published):
    # Of this tile the survey saw the Milky Way's plane, and little above it: only the right way
    # up do the pixels with a value lie there.
    tile = np.isfinite(read_fits((published / tile_path(3, 300, "fits")).read_bytes()))
    near_plane = {}
    for k in range(4):
        for mirrored in (False, True):
            turned = np.rot90(tile.T if mirrored else tile, k)
            row, column = np.nonzero(turned)
            _, latitude = sky_of(3, 300, (511 - row + 0.5) / 512, (column + 0.5) / 512)
            near_plane[k, mirrored] = (np.abs(latitude) < 1.2).mean()
    assert max(near_plane, key=near_plane.get) == (0, False)


@pytest.mark.realdata
def test_published_allsky_has_tiles_where_ours_would(published):
    picture = _grey(published / "Norder3" / "Allsky.jpg")[::-1]
    tile = _grey(published / tile_path(3, 300, "jpg"))[::-1]
    small = tile.reshape(64, 8, 64, 8).mean(axis=(1, 3))
    assert picture.shape == (29 * 64, 27 * 64)
    assert np.corrcoef(picture[allsky_cell(300)].ravel(), small.ravel())[0, 1] > 0.8
