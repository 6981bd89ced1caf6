"""What the values of tiles keep: the flux of stars, whatever the pixels of images and tiles."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from hips.cutout.answer import cut_hips
from hips.cutout.request import parse_cutout
from hips.names import pixel_size_arcsec, tile_path
from hips.properties import parse_properties
from hips.testing import tile_pixels
from hips.tiles.tree import TileTree
from vodal.params import Params
from vodal.testing.skies import make_wcs

SIZE, SEEING = 128, 0.75
PLACES = {
    "equator": (83.2, 0.3),
    "seam": (0.0, -12.0),
    "kink": (0.0, float(np.rad2deg(np.arcsin(2 / 3)))),
    "middle of a face": (45.0, float(np.rad2deg(np.arcsin(2 / 3)))),
    "pole": (120.0, 89.999),
}


def vectors(ra, dec):
    return SkyCoord(ra, dec, unit="deg").cartesian.xyz.value


def areas_arcsec2(wcs, shape):
    """Give the solid angles of pixels, of the triangles between their corners."""
    y, x = np.indices((shape[0] + 1, shape[1] + 1)) - 0.5
    a = np.moveaxis(vectors(*wcs.all_pix2world(x, y, 0)), 0, -1)
    low, right, left, high = a[:-1, :-1], a[:-1, 1:], a[1:, :-1], a[1:, 1:]
    triangles = [np.cross(right - low, high - low), np.cross(high - low, left - low)]
    steradians = sum(np.linalg.norm(triangle, axis=-1) for triangle in triangles) / 2
    return steradians * u.sr.to(u.arcsec**2)


def stars_of(wcs):
    """Give stars of an image, far from each other and from its edges: place and flux."""
    rng = np.random.default_rng(4)
    grid = np.linspace(0.2, 0.8, 3) * SIZE
    x, y = (v.ravel() + rng.uniform(-3, 3, 9) for v in np.meshgrid(grid, grid))
    return SkyCoord(*wcs.all_pix2world(x, y, 0), unit="deg"), rng.uniform(1e4, 1e6, 9)


def counts(wcs, stars, flux):
    """Draw stars on the sky; a pixel has the light that falls on it."""
    y, x = np.indices((SIZE, SIZE))
    sky = SkyCoord(*wcs.all_pix2world(x, y, 0), unit="deg")
    image = np.zeros((SIZE, SIZE))
    for star, light in zip(stars, flux, strict=True):
        off = sky.separation(star).arcsec
        image += light * np.exp(-(off**2) / (2 * SEEING**2)) / (2 * np.pi * SEEING**2)
    return image * areas_arcsec2(wcs, image.shape)


def sky_pixels(folder, order):
    """Give place and value of the pixels of an order."""
    ra, dec, value = tile_pixels(folder, order)
    return SkyCoord(ra, dec, unit="deg"), value


def light_of(star, sky, value):
    return value[sky.separation(star).arcsec < 7 * SEEING].sum()


@pytest.mark.parametrize("place", PLACES)
def test_the_flux_of_stars_is_kept(build_files, save_image, tmp_path, place):
    """By two images of other pixels and distortions, together: at the deepest order the plain sum,
    at coarser ones and on a cutout's grid by the card PIXSIZE."""
    ra, dec = PLACES[place]
    fine, wide = make_wcs(ra, dec, SIZE, 0.3, 20.0), make_wcs(ra, dec, SIZE, 0.43, -75.0)
    areas = areas_arcsec2(wide, (SIZE, SIZE))
    assert areas.max() / areas.min() > 1.2
    stars, flux = stars_of(fine)
    paths = [
        save_image(tmp_path / f"{n}.fits", counts(wcs, stars, flux).astype(np.float32), wcs)
        for n, wcs in enumerate((fine, wide))
    ]
    folder, summary = build_files(*paths, conserve="flux", weights="uniform")
    assert summary.notes == ()
    for order in (summary.order, summary.order - 1):
        sky, value = sky_pixels(folder, order)
        npix = TileTree(folder).tiles(order, "fits")[0]
        side = fits.getheader(folder / tile_path(order, npix, "fits"))["PIXSIZE"]
        assert side == pytest.approx(pixel_size_arcsec(summary.order), rel=1e-8)
        factor = 4.0 ** (summary.order - order)
        for star, light in zip(stars, flux, strict=True):
            assert light_of(star, sky, value) * factor == pytest.approx(light, rel=0.005)
    about = parse_properties((folder / "properties").read_text())
    assert float(about["s_pixel_scale"]) * 3600 == pytest.approx((0.3 + 0.43) / 2, rel=0.01)
    for pixel in (0.25, 0.5):
        size = 160 if pixel < 0.4 else 80
        asked = {"ra": ra, "dec": dec, "fov": size * pixel / 3600, "width": size, "height": size}
        params = Params((key, str(value)) for key, value in asked.items())
        with fits.open(io.BytesIO(cut_hips(folder, parse_cutout(params, 1 << 20)).data)) as file:
            data, header = file[0].data, file[0].header
        y, x = np.nonzero(np.isfinite(data))
        sky = WCS(header).pixel_to_world(x, y)
        values = data[y, x].astype(float) * (pixel / header["PIXSIZE"]) ** 2
        for star, light in zip(stars, flux, strict=True):
            assert light_of(star, sky, values) == pytest.approx(light, rel=0.01)


def test_values_of_an_area_are_kept_as_they_are_and_named(build_files, save_image, tmp_path):
    wcs = make_wcs(83.2, 0.3, SIZE, 0.4)
    one = save_image(tmp_path / "a.fits", np.full((SIZE, SIZE), 7.0), wcs, BUNIT="MJy/sr")
    folder, summary = build_files(one, conserve="flux")
    _, value = sky_pixels(folder, summary.order)
    np.testing.assert_allclose(value, 7.0, rtol=1e-6)
    assert len(summary.notes) == 1
    assert "the unit of 1 of 1 images (MJy/sr) does not depend on the pixel" in summary.notes[0]
