"""A HiPS of galactic cells: every star where astropy says it is, at every order."""

from __future__ import annotations

import io

import cdshealpix.nested as healpix
import numpy as np
import pytest
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from hips.build import build
from hips.check import check_hips
from hips.color.build import build_color
from hips.encode import read_fits, tile_cards
from hips.frames import from_icrs, to_icrs
from hips.names import interleave, tile_path
from hips.properties import parse_properties
from hips.settings import HipsSettings
from hips.tiles.opening import open_tiles
from vodal.errors import UsageError

PLACES = {"centre": (0.0, 0.0), "pole": (0.0, 90.0), "field": (123.4, -35.0), "kink": (45.0, 41.81)}
ORDER = 7


def star_image(l_deg, b_deg, size=100, step_arcsec=40.0):
    """Draw one star off the middle of an ICRS image; gives the HDU and the star's place."""
    middle = SkyCoord(l_deg, b_deg, unit="deg", frame=Galactic()).transform_to(ICRS())
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [size / 2, size / 2]
    wcs.wcs.crval = [middle.ra.deg, middle.dec.deg]
    wcs.wcs.cd = np.array([[-0.8, 0.6], [0.6, 0.8]]) * step_arcsec / 3600.0
    y, x = np.indices((size, size))
    star = np.exp(-((x - 71.0) ** 2 + (y - 22.0) ** 2) / (2 * 1.5**2))
    data = (10.0 + 1000.0 * star).astype(np.float32)
    place = wcs.pixel_to_world(71.0, 22.0).transform_to(Galactic())
    return fits.PrimaryHDU(data, wcs.to_header()), place


def make(shelf, output, name="one", **settings):
    how = HipsSettings(order=ORDER, order_shard=2, frame="galactic", **settings)
    build(
        shelf.items, shelf.index, output, how, name=name, title="A test",
        creator_did=f"ivo://test.example/hips/{name}",
    )  # fmt: skip
    return output / name


def brightest(folder, order):
    """Give tile, row and column of the brightest FITS pixel of an order."""
    found = []
    for npix in open_tiles(folder).tiles(order, "fits"):
        tile = read_fits(open_tiles(folder).read(order, npix, "fits"))
        row, column = np.unravel_index(np.nanargmax(tile), tile.shape)
        found.append((tile[row, column], npix, row, column))
    return max(found)[1:]


@pytest.mark.parametrize("place", PLACES)
def test_a_star_lies_at_its_galactic_place_at_every_order(shelf, tmp_path, place):
    hdu, star = star_image(*PLACES[place])
    hdu.writeto(tmp_path / "star.fits")
    shelf.put(tmp_path / "star.fits")
    folder = make(shelf, tmp_path / "hips")
    assert check_hips(folder) == []
    for order in range(ORDER + 1):
        npix, row, column = brightest(folder, order)
        inside = interleave(np.array([511 - row]), np.array([column]))
        cell = (np.uint64(npix) << np.uint64(18)) + inside.astype(np.uint64)
        lon, lat = healpix.healpix_to_lonlat(cell, order + 9)
        pixel = 58.6323 * 3600 / 512 / 2**order  # arcsec, the side of a cell
        found = SkyCoord(lon, lat, frame=Galactic())[0]
        assert star.separation(found).arcsec < max(pixel, 40.0)
        header = fits.Header.fromstring(
            (folder / tile_path(order, npix, "fits")).read_bytes()[:2880].decode()
        )
        assert (header["CTYPE1"], header["CTYPE2"]) == ("GLON-HPX", "GLAT-HPX")
        assert "RADESYS" not in header
        by_header = WCS(header).pixel_to_world(column, row)
        assert isinstance(by_header.frame, Galactic)
        assert by_header.separation(found).arcsec < 1e-3
        png = Image.open(io.BytesIO((folder / tile_path(order, npix, "png")).read_bytes()))
        levels = np.asarray(png.convert("RGBA"))[::-1]
        assert levels[row, column, 0] == levels[..., 0].max()


def test_properties_coverage_and_preview_are_of_the_frame(shelf, tmp_path):
    hdu, star = star_image(123.4, -35.0)
    hdu.writeto(tmp_path / "star.fits")
    shelf.put(tmp_path / "star.fits")
    folder = make(shelf, tmp_path / "hips")
    values = parse_properties((folder / "properties").read_text())
    assert values["hips_frame"] == "galactic"
    first = SkyCoord(
        float(values["hips_initial_ra"]), float(values["hips_initial_dec"]), unit="deg"
    )
    assert first.separation(star.transform_to(ICRS())).deg < 1.0
    with fits.open(folder / "Moc.fits") as hdus:
        assert hdus[1].header["COORDSYS"] == "G"
        ranges = hdus[1].data.field(0)
    numbers = {int(n) for n in open_tiles(folder).tiles(ORDER, "fits")}
    covered = set()
    for low, high in np.asarray(ranges, np.uint64).reshape(-1, 2).tolist():
        covered.update(range(low >> 2 * (29 - ORDER), high >> 2 * (29 - ORDER)))
    assert covered == numbers
    preview = np.asarray(Image.open(folder / "preview.jpg").convert("L")).astype(int)
    row, column = np.unravel_index(preview.argmax(), preview.shape)
    fov = float(values["hips_initial_fov"])
    east, north = first.spherical_offsets_to(star.transform_to(ICRS()))
    assert column == pytest.approx(128 - east.deg / fov * 256, abs=4)
    assert row == pytest.approx(128 - north.deg / fov * 256, abs=4)


def test_the_rotation_is_astropy_s():
    rng = np.random.default_rng(2)
    lon, lat = rng.uniform(0, 360, 2000), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 2000)))
    ra, dec = to_icrs("galactic", lon, lat)
    truth = SkyCoord(lon, lat, unit="deg", frame=Galactic())
    assert truth.separation(SkyCoord(ra, dec, unit="deg")).arcsec.max() < 1e-8
    back = SkyCoord(*from_icrs("galactic", ra, dec), unit="deg", frame=Galactic())
    assert truth.separation(back).arcsec.max() < 1e-8


def test_tile_coordinates_are_those_of_hipsgen():
    """Hipsgen 12.001 wrote these for tile 397 of order 3 of a galactic HiPS."""
    cards = tile_cards(3, 397, "galactic")
    assert (cards["CRPIX1"], cards["CRPIX2"]) == (-7167.5, -8191.5)
    assert cards["CD1_1"] == cards["CD1_2"] == cards["CD2_2"] == -1.0986328125e-2
    assert cards["CD2_1"] == 1.0986328125e-2
    assert (cards["CTYPE1"], cards["CTYPE2"]) == ("GLON-HPX", "GLAT-HPX")


def test_colours_are_of_the_frame_of_their_bands(shelf, tmp_path, build_files, save_image):
    hdu, _ = star_image(10.0, 20.0)
    hdu.writeto(tmp_path / "star.fits")
    shelf.put(tmp_path / "star.fits")
    bands = {band: make(shelf, tmp_path / "hips", band) for band in "irg"}
    about = {"title": "t", "creator_did": "ivo://test.example/hips/c"}
    build_color(bands, tmp_path / "hips", HipsSettings(), name="c", **about)
    folder = tmp_path / "hips" / "c"
    assert parse_properties((folder / "properties").read_text())["hips_frame"] == "galactic"
    assert fits.getheader(folder / "Moc.fits", 1)["COORDSYS"] == "G"
    assert check_hips(folder) == []
    bands["g"], _ = build_files(order=ORDER)
    with pytest.raises(UsageError, match="one frame"):
        build_color(bands, tmp_path / "hips", HipsSettings(), name="d", **about)


@pytest.mark.aladin
def test_aladin_finds_no_error_in_galactic_cells(shelf, tmp_path, lint):
    hdu, _ = star_image(10.0, 20.0)
    hdu.writeto(tmp_path / "star.fits")
    shelf.put(tmp_path / "star.fits", t_min=60000.0, t_max=60001.0, em_min=4e-7, em_max=5e-7)
    text = lint(make(shelf, tmp_path / "hips"))
    assert "IVOA HiPS 1.0 compatible" in text, text
    assert "ERROR" not in text, text
