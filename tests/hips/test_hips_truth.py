"""HiPS against the truth: stars by their catalogue, an asymmetric pattern at every order."""

from __future__ import annotations

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from hips.color.build import build_color
from hips.encode import read_fits
from hips.names import TILE_WIDTH, interleave, pixel_size_arcsec, tile_path
from hips.settings import HipsSettings
from hips.tiles.tree import TileTree
from vodal.fits.wcs import pixel_scale_arcsec
from vodal.testing.skies import make_wcs

KINK = float(np.rad2deg(np.arcsin(2 / 3)))
SIZE, SCALE, SIGMA = 128, 0.4, 1.7
PLACES = [
    # Right ascension, declination, turn of the image.
    (83.2, 0.3, 90.0),
    (0.0, -12.0, -147.0),
    (0.0, KINK, 45.0),
    (45.0, KINK, 200.0),
    (120.0, 90.0, 10.0),
]


def tpv(ra, dec, turn) -> WCS:
    """Give TPV coordinates: the polynomial of PV cards that SCAMP writes, cubic terms and all."""
    plain = make_wcs(ra, dec, SIZE, SCALE, turn, distorted=False)
    header = plain.to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    half = SIZE * SCALE / 7200.0
    terms = {"0": 2e-6, "1": 1.003, "2": -0.002, "4": 0.01 / half, "5": -0.006 / half,
             "6": 0.004 / half, "7": 0.008 / half**2, "9": -0.005 / half**2}  # fmt: skip
    for axis in (1, 2):
        for term, value in terms.items():
            header[f"PV{axis}_{term}"] = value if term == "1" else value * (3 - 2 * axis)
    return WCS(header)


def sky_of_pixels(order, npix, row, column):
    """Give the sky of pixels of a FITS tile, by the library of HEALPix."""
    inside = interleave(TILE_WIDTH - 1 - row, column).astype(np.uint64)
    lon, lat = healpix.healpix_to_lonlat((np.uint64(npix) << np.uint64(18)) + inside, order + 9)
    return lon.deg, lat.deg


def offsets_arcsec(ra, dec, ra0, dec0):
    a, d, a0, d0 = (np.deg2rad(v) for v in (ra, dec, ra0, dec0))
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a - a0)
    east = np.cos(d) * np.sin(a - a0) / depth
    north = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a - a0)) / depth
    return np.rad2deg(east) * 3600, np.rad2deg(north) * 3600


def all_pixels(folder, order):
    parts = []
    for npix in TileTree(folder).tiles(order, "fits"):
        tile = read_fits((folder / tile_path(order, npix, "fits")).read_bytes())
        row, column = np.nonzero(np.isfinite(tile))
        parts.append((*sky_of_pixels(order, npix, row, column), tile[row, column]))
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def stars_of(rng):
    """Give places and fluxes of stars, far from each other and from the edge."""
    return [
        (gx + rng.uniform(-3, 3), gy + rng.uniform(-3, 3), rng.uniform(1e4, 1e6))
        for gy in (28, 64, 100)
        for gx in (28, 64, 100)
    ]


@pytest.mark.parametrize("distortion", ["tpv", "sip"])
@pytest.mark.parametrize(("kernel", "wider"), [("lanczos3", 0.0), ("bilinear", 0.0286)])
@pytest.mark.parametrize(("ra", "dec", "turn"), PLACES)
def test_stars_are_as_the_catalogue_has_them(
    build_files, tmp_path, ra, dec, turn, kernel, wider, distortion
):
    """Places to 0.02 pixel, fluxes to 0.5 per cent, widths to 0.3 (bilinear widens by 2.9)."""
    wcs = tpv(ra, dec, turn) if distortion == "tpv" else make_wcs(ra, dec, SIZE, SCALE, turn)
    stars = stars_of(np.random.default_rng(4))
    y, x = np.indices((SIZE, SIZE))
    image = np.zeros((SIZE, SIZE))
    for sx, sy, flux in stars:
        image += flux / (2 * np.pi * SIGMA**2) * np.exp(
            -((x - sx) ** 2 + (y - sy) ** 2) / (2 * SIGMA**2)
        )  # fmt: skip
    header = wcs.to_header(relax=True)
    fits.PrimaryHDU(image.astype(np.float32), header).writeto(tmp_path / "stars.fits")
    folder, summary = build_files(tmp_path / "stars.fits", kernel=kernel)
    pixel_ra, pixel_dec, value = all_pixels(folder, summary.order)
    area = pixel_size_arcsec(summary.order) ** 2
    widths, centre = [], pixel_scale_arcsec(wcs, (SIZE - 1) / 2, (SIZE - 1) / 2)
    for sx, sy, flux in stars:
        star_ra, star_dec = (float(v) for v in wcs.all_pix2world(sx, sy, 0))
        east, north = offsets_arcsec(pixel_ra, pixel_dec, star_ra, star_dec)
        near = np.hypot(east, north) < 6 * SIGMA * SCALE
        light, e, n = value[near].astype(float), east[near], north[near]
        total = light.sum()
        shift = (e * light).sum() / total, (n * light).sum() / total
        assert np.hypot(*shift) < 0.02 * SCALE
        local = pixel_scale_arcsec(wcs, sx, sy)
        assert total * area / local**2 == pytest.approx(flux, rel=0.005)
        spread = (light * ((e - shift[0]) ** 2 + (n - shift[1]) ** 2)).sum() / total / 2
        widths.append(np.sqrt(spread) / (SIGMA * local))
    assert centre == pytest.approx(SCALE, rel=0.05)
    assert np.mean(widths) == pytest.approx(1.0 + wider, abs=0.003)


def corner_of(picture):
    """Give where the light is brightest and where its tail ends, as (row, column) each."""
    row, column = np.unravel_index(np.nanargmax(picture), picture.shape)
    return np.array([row]), np.array([column])


@pytest.mark.parametrize("centre", [(83.2, 4.3), (211.0, -52.0), (300.0, 71.0)])
def test_colours_are_the_right_way_up_at_every_order(
    build_files, save_image, tmp_path, shelf, centre
):
    """Three bands hold a spot each, at three places without symmetry: red, green and blue lie
    where they should in each tile, and in the cell of the Allsky picture."""
    wcs = make_wcs(*centre, 160, 20.0, distorted=False)
    spots = {"r": (36, 120), "g": (124, 118), "b": (70, 30)}
    folders, places = {}, {}
    for band, (x, y) in spots.items():
        image = np.random.default_rng(1).normal(0, 0.01, (160, 160)).astype(np.float32)
        image[y - 3 : y + 4, x - 3 : x + 4] = 1000.0
        shelf.items.clear()
        path = save_image(tmp_path / f"{band}.fits", image, wcs)
        folders[band], summary = build_files(path, name=band)
        places[band] = [float(v) for v in wcs.all_pix2world(x, y, 0)]
    made = build_color(
        folders, tmp_path, HipsSettings(), name="rgb", title="t", creator_did="ivo://x.example/c"
    )
    assert made.order == summary.order == 5
    tree = TileTree(made.path)
    for band, (ra, dec) in places.items():
        channel = "rgb".index(band)
        for order in range(made.order + 1):
            cell = healpix.lonlat_to_healpix(*_angles(ra, dec), order)
            npix = int(cell[0])
            with Image.open(tree.path(order, npix, "png")) as file:
                pixels = np.asarray(file.convert("RGBA"))[::-1].astype(float)
            at = sky_of_pixels(order, npix, *corner_of(_alone(pixels, channel)))
            off = np.hypot(*offsets_arcsec(*at, ra, dec))[0]
            assert off < 1.5 * pixel_size_arcsec(order) + 100.0, (band, order)
        npix = int(healpix.lonlat_to_healpix(*_angles(ra, dec), 3)[0])
        with Image.open(made.path / "Norder3" / "Allsky.png") as file:
            picture = np.asarray(file.convert("RGBA")).astype(float)
        down, across = divmod(npix, 27)
        cell = picture[64 * down : 64 * down + 64, 64 * across : 64 * across + 64][::-1]
        row, column = corner_of(_alone(cell, channel))
        at = sky_of_pixels(3, npix, row * 8 + 4, column * 8 + 4)
        assert np.hypot(*offsets_arcsec(*at, ra, dec))[0] < 10 * pixel_size_arcsec(3)


def _angles(ra, dec):
    from astropy.coordinates import Latitude, Longitude

    return Longitude([ra], "deg"), Latitude([dec], "deg")


def _alone(pixels, channel):
    """Give how much a channel stands out of the two others."""
    others = [k for k in range(3) if k != channel]
    out = pixels[..., channel] - pixels[..., others].max(axis=2)
    return np.where(pixels[..., 3] > 0, out, -np.inf)
