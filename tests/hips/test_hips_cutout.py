"""Cutouts of a HiPS, against a sky that is a formula."""

from __future__ import annotations

import asyncio
import functools
import io
import json

import cdshealpix.nested as healpix
import httpx
import numpy as np
import pytest
from astropy.coordinates import Angle, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner
from PIL import Image

from hips.cutout.answer import cut_hips
from hips.cutout.request import parse_cutout
from hips.cutout.routes import cutout_routes
from hips.encode import fits_tile, png_rgba
from hips.names import interleave, pixel_size_arcsec
from hips.properties import format_properties
from hips.settings import HipsSettings
from hips.shelf import Shelf
from hips.tiles.tree import TileTree
from skylane.cli import main
from vodal.errors import DataError, TooLargeError, UsageError
from vodal.params import Params
from vodal.pool import WarmPool
from vodal.storage import LOCAL
from vodal.web.app import service_app

ORDER = 4
KINK = float(np.rad2deg(np.arcsin(2 / 3)))
PLACES = {
    "equator": (83.2, 0.3),
    "ra 0": (0.0, -12.0),
    "base-cell corner": (0.0, KINK),
    "three cells meet": (90.0, KINK),
    "pole": (120.0, 89.9),
    "south pole": (10.0, -89.95),
}


def sky(lon_deg, lat_deg):
    """Give a smooth value of each place; no turn or mirror image is the same."""
    lon, lat = np.deg2rad(lon_deg), np.deg2rad(lat_deg)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    return 10 + 3 * x + 5 * y + 7 * z + 2 * np.sin(9 * x + 4 * y) * np.cos(8 * z)


def places_of(order, npix):
    """Give longitude and latitude of a FITS tile's pixels, by the library."""
    row, column = np.mgrid[0:512, 0:512]
    cells = (npix << 18) + interleave(511 - row, column).astype(np.int64)
    lon, lat = healpix.healpix_to_lonlat(cells.astype(np.uint64).ravel(), order + 9)
    return lon.deg.reshape(512, 512), lat.deg.reshape(512, 512)


def write(folder, ra, dec, *, frame="equatorial", order=ORDER, formats=("png", "fits")):
    """Write the tiles around a place."""
    tree = TileTree(folder)
    at = SkyCoord(ra, dec, unit="deg")
    at = at.galactic if frame == "galactic" else at
    lon, lat = at.spherical.lon, at.spherical.lat
    for k in range(order, -1, -1):
        near = healpix.cone_search(lon, lat, Angle(6.0, "deg"), k, flat=True)[0]
        for npix in near.tolist():
            lon_deg, lat_deg = places_of(k, npix)
            values = sky(lon_deg, lat_deg).astype(np.float32)
            if "fits" in formats:
                cards = {"PIXSIZE": 7.0, "MAGZERO": 25.0}
                tree.write(k, npix, "fits", fits_tile(k, npix, values, cards))
            levels = np.clip(8 * values, 0, 255).astype(np.uint8)
            rgba = np.stack([levels, 255 - levels, levels // 2, np.full_like(levels, 255)], -1)
            tree.write(k, npix, "png", png_rgba(rgba))
    about = {
        "creator_did": "ivo://test.example/hips/sky", "hips_order": order,
        "hips_tile_format": " ".join(formats), "hips_frame": frame, "hips_tile_width": 512,
        "hips_initial_ra": ra, "hips_initial_dec": dec, "hips_initial_fov": 5.0,
        "hips_release_date": "2026-01-02T03:04Z",
    }  # fmt: skip
    (folder / "properties").write_text(format_properties(about))
    return folder


@pytest.fixture(scope="module")
def hips_at(tmp_path_factory):
    """Give a function that gives the HiPS around a place, written once and read only."""

    @functools.cache
    def at(ra, dec):
        return write(tmp_path_factory.mktemp("hips"), ra, dec)

    return at


def ask(**values):
    return parse_cutout(Params((key, str(value)) for key, value in values.items()), 4_000_000)


def cut(folder, **values):
    answer = cut_hips(folder, ask(**values))
    assert answer.media_type == "image/fits"
    with fits.open(io.BytesIO(answer.data)) as file:
        return file[0].data, file[0].header


def icrs_of(header, shape):
    y, x = np.indices(shape)
    world = WCS(header, naxis=2).pixel_to_world(x, y)
    return world.icrs.ra.deg, world.icrs.dec.deg


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "grid",
    [
        {"fov": 6, "projection": "TAN"},
        {"fov": 2, "projection": "SIN", "rotation_angle": 35, "height": 90},
        {"fov": 5, "projection": "AIT", "coordsys": "galactic"},
        {"fov": 6, "projection": "CAR", "width": 21, "height": 21},
    ],
)
def test_values_are_those_of_the_sky_there(hips_at, place, grid):
    ra, dec = PLACES[place]
    data, header = cut(
        hips_at(ra, dec), **{"ra": ra, "dec": dec, "width": 120, "height": 100} | grid
    )
    assert data.shape == (int(header["NAXIS2"]), int(header["NAXIS1"]))
    at_ra, at_dec = icrs_of(header, data.shape)
    np.testing.assert_allclose(data, sky(at_ra, at_dec), atol=0.01)
    middle = SkyCoord(
        *(v[data.shape[0] // 2, data.shape[1] // 2] for v in (at_ra, at_dec)), unit="deg"
    )
    pixel = grid["fov"] / max(data.shape)
    assert middle.separation(SkyCoord(ra, dec, unit="deg")).deg < 1.1 * pixel
    assert header["CUTID"] == "ivo://test.example/hips/sky"
    assert (header["PIXSIZE"], header["MAGZERO"]) == (7.0, 25.0)


def test_up_is_at_the_position_angle_that_is_asked_for(hips_at):
    folder = hips_at(40.0, 30.0)
    _, header = cut(folder, ra=40, dec=30, fov=2, width=101, height=101, rotation_angle=30)
    wcs = WCS(header)
    below, above = wcs.pixel_to_world(50, 49), wcs.pixel_to_world(50, 51)
    assert below.position_angle(above).deg == pytest.approx(30.0, abs=0.1)


def test_a_galactic_hips_is_read_in_its_frame(tmp_path):
    write(tmp_path, 266.0, -29.0, frame="galactic")
    data, header = cut(tmp_path, ra=266, dec=-29, fov=3, width=80, height=80)
    ra, dec = icrs_of(header, data.shape)
    galactic = SkyCoord(ra, dec, unit="deg").galactic
    np.testing.assert_allclose(data, sky(galactic.l.deg, galactic.b.deg), atol=0.01)


def test_the_order_is_the_first_with_pixels_no_larger(hips_at):
    folder = hips_at(40.0, 30.0)
    for scale, order in ((pixel_size_arcsec(3) * 1.1, 3), (pixel_size_arcsec(3) * 0.9, 4), (1, 4)):
        header = cut(folder, ra=40, dec=30, fov=scale * 30 / 3600, width=30, height=30)[1]
        assert header["CUTORDER"] == order


def test_where_there_is_no_tile_pixels_are_blank(hips_at):
    folder = hips_at(40.0, 30.0)
    answer = cut_hips(folder, ask(ra=220, dec=-30, fov=1, width=20, height=20))
    assert answer.blank
    data, _ = cut(folder, ra=40, dec=30, fov=60, width=100, height=100, projection="ZEA")
    assert np.isnan(data).any()
    assert np.isfinite(data).any()


def test_the_wcs_of_a_header_is_taken(hips_at):
    folder = hips_at(40.0, 30.0)
    header = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 40.5, "CRVAL2": 30.2, "CRPIX1": 10,
        "CRPIX2": 20, "CD1_1": -0.01, "CD1_2": 0.002, "CD2_1": 0.002, "CD2_2": 0.01,
        "NAXIS1": 50, "NAXIS2": 30,
    }  # fmt: skip
    data, _ = cut(folder, wcs=json.dumps(header))
    wcs = WCS(fits.Header(header.items()))
    y, x = np.indices((30, 50))
    world = wcs.pixel_to_world(x, y)
    np.testing.assert_allclose(data, sky(world.ra.deg, world.dec.deg), atol=0.01)


def test_pictures_are_upright_and_cut_as_asked(hips_at):
    folder = hips_at(40.0, 30.0)
    grid = {"ra": 40, "dec": 30, "fov": 4, "width": 60, "height": 40}
    data, _ = cut(folder, **grid)
    answer = cut_hips(folder, ask(format="png", min_cut=5, max_cut=20, **grid))
    picture = np.asarray(Image.open(io.BytesIO(answer.data)).convert("LA")).astype(float)
    expected = np.clip((data[::-1] - 5) / 15, 0, 1) * 255
    np.testing.assert_allclose(picture[..., 0], expected, atol=0.6)
    for kind, name in (("jpeg", "JPEG"), ("webp", "WEBP")):
        answer = cut_hips(folder, ask(format=kind, cmap="viridis", stretch="asinh", **grid))
        assert Image.open(io.BytesIO(answer.data)).format == name


def test_a_hips_of_pictures_gives_pictures(tmp_path):
    write(tmp_path, 40.0, 30.0, formats=("png",))
    grid = {"ra": 40, "dec": 30, "fov": 4, "width": 60, "height": 40}
    answer = cut_hips(tmp_path, ask(format="png", **grid))
    picture = np.asarray(Image.open(io.BytesIO(answer.data)))
    data, header = cut(tmp_path, **grid)
    assert data.shape == (3, 40, 60)
    ra, dec = icrs_of(header, (40, 60))
    expected = np.clip(8 * sky(ra, dec), 0, 255)
    np.testing.assert_allclose(data[0], expected, atol=1.6)
    np.testing.assert_allclose(data[1], 255 - expected, atol=1.6)
    np.testing.assert_array_equal(picture[::-1, :, 0], data[0])
    with pytest.raises(UsageError, match="min_cut"):
        cut_hips(tmp_path, ask(format="png", min_cut=3, **grid))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"ra": 10}, "ra and dec go together"),
        ({"ra": "x", "dec": 1}, "ra takes degrees from -360 to 360"),
        ({"ra": 1, "dec": 91}, "dec takes degrees from -90 to 90"),
        ({"fov": 0}, "fov takes degrees above 0"),
        ({"fov": "nan"}, "fov takes degrees"),
        ({"fov": 200}, "TAN may be up to 179"),
        ({"projection": "XYZ"}, "projection may be TAN, "),
        ({"format": "gif"}, "format may be fits, png"),
        ({"stretch": "cubic"}, "stretch may be linear"),
        ({"cmap": "jet"}, "cmap may be gray"),
        ({"min_cut": "101%"}, "min_cut takes a value or a percentile"),
        ({"width": 0}, "WIDTH must be 1 or more"),
        ({"width": 1.5}, "WIDTH takes a whole number"),
        ({"wcs": "{"}, "wcs takes a JSON object"),
        ({"wcs": "[1]"}, "wcs takes a JSON object"),
        ({"wcs": '{"CRVAL1": NaN}'}, "wcs takes a JSON object"),
        ({"wcs": '{"NAXIS1": "a"}'}, "NAXIS1"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(values, said):
    with pytest.raises(UsageError, match=said):
        ask(**values)


def test_too_many_pixels_are_refused():
    with pytest.raises(TooLargeError, match="width or height"):
        ask(width=100_000, height=100_000)


def test_coordinates_of_no_sky_are_refused(hips_at, tmp_path):
    folder = hips_at(40.0, 30.0)
    for header in ({"CTYPE1": "FREQ"}, {"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"}, {}):
        with pytest.raises(UsageError, match=r"cannot be put on the sky|no size of a pixel"):
            cut_hips(folder, ask(wcs=json.dumps(header), width=10, height=10))
    with pytest.raises(DataError, match="holds no HiPS"):
        cut_hips(tmp_path / "none", ask(width=10, height=10))


async def ask_the_server(tmp_path):
    async with WarmPool(1) as pool:
        settings = HipsSettings(max_cutout_pixels=10_000)
        app = service_app(cutout_routes(Shelf(tmp_path, settings, LOCAL), settings, pool))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            grid = {"RA": 40, "dec": 30, "fov": 1, "width": 30, "height": 20}
            answer = await client.get("/sky/cutout", params=grid)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/fits"
            with fits.open(io.BytesIO(answer.content)) as file:
                assert file[0].data.shape == (20, 30)
                assert np.isfinite(file[0].data).all()
            posted = await client.post("/sky/cutout", data={**grid, "format": "png"})
            assert Image.open(io.BytesIO(posted.content)).size == (30, 20)
            assert posted.headers["content-type"] == "image/png"
            for params, status, said in (
                ({"fov": "wide"}, 400, "fov takes degrees"),
                ({"width": 200, "height": 200}, 413, "width or height"),
                ({"wcs": "{}", "width": 9, "height": 9}, 400, "wcs cannot be put on the sky"),
            ):
                answer = await client.get("/sky/cutout", params=params)
                assert (answer.status_code, said in answer.text) == (status, True)
            assert (await client.get("/none/cutout")).status_code == 404


def test_the_server_gives_cutouts_and_tells_what_is_wrong(tmp_path):
    write(tmp_path / "sky", 40.0, 30.0)
    asyncio.run(ask_the_server(tmp_path))


def test_the_command_writes_a_cutout(tmp_path):
    write(tmp_path / "hips" / "sky", 40.0, 30.0)
    output = tmp_path / "out.png"
    arguments = [
        "hips",
        "cutout",
        "sky",
        str(output),
        "--fov",
        "1",
        "--width",
        "40",
        "--height",
        "30",
    ]
    done = CliRunner().invoke(main, [*arguments, "--site", str(tmp_path)])
    assert done.exit_code == 0, done.output
    with Image.open(output) as picture:
        assert picture.size == (40, 30)
    done = CliRunner().invoke(
        main, ["hips", "cutout", "none", str(output), "--site", str(tmp_path)]
    )
    assert done.exit_code != 0
    assert "neither a HiPS of the site nor a folder" in done.output
