"""Cutouts as pictures, with pixels computed by astropy."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy import visualization as vis
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import all_sky_header, write

from soda.cut import cutout_file
from soda.grid import Grid, north_grid, regridded
from soda.output import parse_output
from soda.selection import PixelRange, Selection
from vodal.errors import SkylaneError, TooLargeError, UsageError
from vodal.fits.pixels import read_sections
from vodal.params import Params
from vodal.pictures.colormaps import colormap
from vodal.regions import Circle
from vodal.testing.skies import make_wcs


def drawn(path, stencil=None, limit_bytes=None, **params):
    """Make a PNG (if nothing else is asked) and read it with Pillow."""
    given = {"FORMAT": "png", **params}
    output = parse_output(Params([(name, str(value)) for name, value in given.items()]))
    made = cutout_file(path, Selection(stencil), output=output, limit_bytes=limit_bytes)
    return None if made is None else Image.open(io.BytesIO(bytes(made.body)))


def header_of(picture):
    text = picture.text["Comment"] if picture.format == "PNG" else picture.info["comment"].decode()
    return fits.Header.fromstring(text, sep="\n")


@pytest.fixture
def field(tmp_path):
    """A field of 200 x 150 pixels with a few stars and blank pixels."""
    rng = np.random.default_rng(2)
    data = rng.normal(100.0, 5.0, (150, 200)).astype(np.float32)
    for x, y in ((40, 30), (160, 120), (100, 75)):
        data[y - 1 : y + 2, x - 1 : x + 2] += 5000.0
    data[:10, :7] = np.nan
    header = make_wcs(40.0, 5.0, 200, 0.5).to_header(relax=True)
    return write(tmp_path / "field.fits", fits.PrimaryHDU(data, header))


@pytest.mark.parametrize("stretch", ["linear", "sqrt", "log", "asinh"])
@pytest.mark.parametrize(
    ("cuts", "interval"),
    [
        ("minmax", vis.MinMaxInterval()),
        ("99%", vis.PercentileInterval(99.0)),
        ("2% 97.5%", vis.AsymmetricPercentileInterval(2.0, 97.5)),
        ("95 500", vis.ManualInterval(95.0, 500.0)),
        ("ZScale", vis.ZScaleInterval()),
    ],
)
def test_levels_are_astropys_to_a_rounding(field, stretch, cuts, interval):
    picture = drawn(field, STRETCH=stretch, CUTS=cuts)
    pixels = np.asarray(picture).astype(int)[::-1]
    data = fits.getdata(field).astype(np.float64)
    known = np.isfinite(data)
    which = {"linear": vis.LinearStretch, "sqrt": vis.SqrtStretch, "log": vis.LogStretch,
             "asinh": vis.AsinhStretch}[stretch]()  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = 255.0 * (which + interval)(data, clip=True)
    np.testing.assert_array_equal(pixels[..., 1] == 255, known)
    assert np.abs(pixels[..., 0] - expected)[known].max() <= 0.501
    assert header_of(picture)["PICSTRCH"] == stretch


def test_a_cutout_is_shown_as_ds9_shows_it(field):
    whole = np.asarray(drawn(field, CUTS="90 1000"))
    stencil = Circle(40.0, 5.0, 0.004)
    part = drawn(field, stencil, CUTS="90 1000")
    with fits.open(io.BytesIO(bytes(cutout_file(field, Selection(stencil)).body))) as cut:
        assert part.size == (cut[0].header["NAXIS1"], cut[0].header["NAXIS2"])
        x0, y0 = (round(-cut[0].header[f"LTV{axis}"]) for axis in (1, 2))
    top = whole.shape[0] - (y0 + part.height)
    expected = whole[top : top + part.height, x0 : x0 + part.width]
    np.testing.assert_array_equal(np.asarray(part), expected)
    # The first row of the file is the lowest: there the blank corner is, and it is transparent.
    assert (whole[-10:, :7, 1] == 0).all()
    assert (whole[:-10, :, 1] == 255).all()


@pytest.mark.parametrize("name", ["viridis", "HEAT"])
@pytest.mark.parametrize("invert", ["true", "0"])
def test_colour_maps_and_inversion(field, name, invert):
    grey = np.asarray(drawn(field, CUTS="90 1000"))
    pixels = np.asarray(drawn(field, CUTS="90 1000", COLORMAP=name, INVERT=invert))
    level = 255 - grey[..., 0] if invert == "true" else grey[..., 0]
    shown = grey[..., 1] == 255
    np.testing.assert_array_equal(pixels[shown, :3], colormap(name.lower())[level[shown]])
    np.testing.assert_array_equal(pixels[..., 3], grey[..., 1])


@pytest.mark.parametrize(("form", "kind"), [("jpeg", "JPEG"), ("webp", "WEBP"), ("jpg", "JPEG")])
def test_other_formats_show_the_same(field, form, kind):
    picture = drawn(field, FORMAT=form, CUTS="90 5000")
    assert picture.format == kind
    exact = np.asarray(drawn(field, CUTS="90 5000"))
    found = np.asarray(picture.convert("L")).astype(int)
    shown = exact[..., 1] == 255
    assert np.abs(found - exact[..., 0])[shown].mean() < 4


def test_smaller_pictures_are_means_and_larger_ones_repeat_pixels(field):
    data = fits.getdata(field).astype(np.float64)
    small = np.asarray(drawn(field, SIZE=20, CUTS="90 200", STRETCH="linear")).astype(int)
    assert small.shape == (15, 20, 2)
    mean = np.nanmean(data.reshape(15, 10, 20, 10), axis=(1, 3))
    expected = 255.0 * np.clip((mean - 90.0) / 110.0, 0.0, 1.0)
    shown = np.isfinite(mean)
    assert np.abs(small[::-1, :, 0] - expected)[shown].max() <= 0.51
    same = np.asarray(drawn(field, SIZE=200, CUTS="90 200"))
    large = np.asarray(drawn(field, SIZE=600, CUTS="90 200"))
    np.testing.assert_array_equal(large, same.repeat(3, axis=0).repeat(3, axis=1))


def test_a_large_image_is_shown_no_larger_than_the_site_allows(field):
    output = parse_output(Params([("FORMAT", "png")]), max_side=64)
    made = cutout_file(field, Selection(), output=output)
    assert Image.open(io.BytesIO(bytes(made.body))).size == (64, 48)
    with pytest.raises(UsageError, match="SIZE may be up to 64"):
        parse_output(Params([("SIZE", "65")]), max_side=64)


def test_what_is_outside_of_the_stencil_is_transparent(field):
    stencil = Circle(40.0, 5.0, 0.005)
    kept = np.asarray(drawn(field, stencil, CUTS="90 200"))
    picture = drawn(field, stencil, CUTS="90 200", OUTSIDE="nan")
    pixels = np.asarray(picture)
    with fits.open(io.BytesIO(bytes(cutout_file(field, Selection(stencil)).body))) as cut:
        y, x = np.indices(cut[0].shape)
        ra, dec = WCS(cut[0].header).all_pix2world(x, y, 0)
    apart = SkyCoord(ra * u.deg, dec * u.deg).separation(SkyCoord(40 * u.deg, 5 * u.deg)).deg
    inside = (apart <= 0.005)[::-1]
    np.testing.assert_array_equal(pixels[..., 1] == 255, inside)
    np.testing.assert_array_equal(pixels[inside], kept[inside])
    jpeg = np.asarray(drawn(field, stencil, FORMAT="jpeg", INVERT=1, OUTSIDE="nan"))
    assert jpeg[0, 0].min() > 200


@pytest.mark.parametrize(
    "data",
    [
        np.full((5, 8), 3.0, np.float32),
        np.full((5, 8), np.nan, np.float32),
        np.array([[7.0]], np.float32),
        np.array([[5]], np.int16),
        np.array([[np.inf, 1.0, -np.inf, 2.0]]),
        np.zeros((3, 1), np.uint8),
    ],
    ids=["constant", "blank", "one", "integer", "infinite", "column"],
)
@pytest.mark.parametrize("cuts", ["auto", "zscale", "99%", "minmax"])
def test_dull_images_are_pictures_all_the_same(tmp_path, data, cuts):
    header = make_wcs(40.0, 5.0, 8, 0.5).to_header(relax=True)
    path = write(tmp_path / "dull.fits", fits.PrimaryHDU(data, header))
    for more in ({}, {"SIZE": 16}, {"ORIENT": "north"}, {"COLORMAP": "viridis"}):
        picture = drawn(path, CUTS=cuts, **more)
        pixels = np.asarray(picture)
        assert min(picture.size) >= 1
        if not more:
            np.testing.assert_array_equal(pixels[::-1, :, 1] == 255, np.isfinite(data))


def test_scaled_and_blank_integers_are_physical_values(tmp_path):
    header = make_wcs(40.0, 5.0, 30, 0.5).to_header(relax=True)
    stored = np.arange(900, dtype=np.int16).reshape(30, 30)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(stored, header))
    with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
        file[0].header.update(BSCALE=0.5, BZERO=10.0, BLANK=35)
    pixels = np.asarray(drawn(path, CUTS="10 459.5", STRETCH="linear")).astype(int)[::-1]
    assert (pixels[..., 1] == 0).sum() == 1
    assert pixels[1, 5, 1] == 0
    known = pixels[..., 1] == 255
    expected = 255.0 * (0.5 * stored) / 449.5
    assert np.abs(pixels[..., 0] - expected)[known].max() <= 0.51


def test_the_middle_plane_of_a_cube_and_the_first_of_few(tmp_path):
    header = make_wcs(40.0, 5.0, 20, 0.5).to_header(relax=True)
    for count, shown in ((9, 4), (3, 0)):
        data = np.zeros((count, 20, 20), np.float32)
        data[shown, 5:, :] = 1.0
        path = write(tmp_path / "cube.fits", fits.PrimaryHDU(data, header))
        pixels = np.asarray(drawn(path, CUTS="0 1"))[::-1]
        np.testing.assert_array_equal(pixels[..., 0], 255 * data[shown])


def test_a_picture_of_an_image_without_coordinates(tmp_path):
    data = np.arange(600, dtype=np.float32).reshape(20, 30)
    path = write(tmp_path / "plain.fits", fits.PrimaryHDU(data))
    picture = drawn(path, CUTS="0 599", STRETCH="linear")
    found = np.asarray(picture)[::-1, :, 0]
    assert np.abs(found - 255.0 * data / 599.0).max() <= 0.51
    assert "CTYPE1" not in header_of(picture)
    with pytest.raises(UsageError, match="ORIENT=north"):
        drawn(path, ORIENT="north")


def test_no_overlap_makes_no_picture_and_a_large_one_is_refused(field):
    assert drawn(field, Circle(0.0, 0.0, 0.1)) is None
    with pytest.raises(TooLargeError, match=r"0\.12 MB of pixels, over the limit of 0\.08 MB"):
        drawn(field, limit_bytes=10_000)


@pytest.mark.parametrize("kind", [None, "RICE_1"])
@pytest.mark.parametrize("first", [1, 38])
def test_a_picture_of_more_than_the_limit_is_made_strip_by_strip(
    tmp_path, kind, first, monkeypatch
):
    rng = np.random.default_rng(6)
    data = rng.integers(0, 4000, (3, 150, 200)).astype(np.int16)
    if kind is None:
        hdus = [fits.PrimaryHDU(data)]
    else:
        packed = fits.CompImageHDU(data, compression_type=kind, tile_shape=(1, 32, 70))
        hdus = [fits.PrimaryHDU(), packed]
    path = write(tmp_path / "cube.fits", *hdus)
    output = parse_output(Params([("FORMAT", "png"), ("SIZE", "50"), ("CUTS", "0 4000")]))
    wanted = Selection(pixels=(None, PixelRange(first, 140), PixelRange(2, 2)))
    whole = bytes(cutout_file(path, wanted, output=output).body)
    sizes = []

    def read(reader, requests, **given):
        sizes.append(sum(part[1].stop - part[1].start for _, part in requests))
        return read_sections(reader, requests, **given)

    monkeypatch.setattr("soda.picture.read_sections", read)
    monkeypatch.setattr("soda.picture._STRIP_PIXELS", 200 * 40)
    # Each strip has fewer bytes than the limit, all of them more.
    strips = bytes(cutout_file(path, wanted, output=output, limit_bytes=200 * 40 * 2).body)
    assert strips == whole
    assert len(sizes) > 2
    assert max(sizes) <= 40
    assert sum(sizes) == 141 - first


def test_a_huge_value_shows_where_it_is_alone(tmp_path):
    data = np.full((40, 60), 50.0)
    data[10, 20], data[30, 5] = 1e30, -1e300
    path = write(tmp_path / "hot.fits", fits.PrimaryHDU(data))
    pixels = np.asarray(drawn(path, SIZE=30, CUTS="0 100", STRETCH="linear"))[::-1, :, 0]
    expected = np.full((20, 30), 128)
    expected[5, 10], expected[15, 2] = 255, 0
    np.testing.assert_array_equal(pixels, expected)


# North up


def turned(tmp_path, angle, parity, ra=40.0, dec=5.0, scale=0.5):
    """A field turned by an angle, with a star at the middle, one north and one east of it."""
    wcs = make_wcs(ra, dec, 101, scale, distorted=False)
    wcs.wcs.crpix = [61.0, 51.0]
    t = np.deg2rad(angle)
    wcs.wcs.cd = (
        scale / 3600 * np.array([[-parity * np.cos(t), np.sin(t)], [parity * np.sin(t), np.cos(t)]])
    )
    wcs.wcs.set()
    step = 20 * scale / 3600
    stars = [(ra, dec), (ra, dec + step), (ra + step / np.cos(np.deg2rad(dec)), dec)]
    data = np.zeros((101, 121), np.float32)
    y, x = np.indices(data.shape)
    for k, (star_ra, star_dec) in enumerate(stars):
        at_x, at_y = wcs.all_world2pix(star_ra, star_dec, 0)
        data += (3 - k) * 100.0 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 4.5)
    return write(tmp_path / "turned.fits", fits.PrimaryHDU(data, wcs.to_header(relax=True)))


def centroid(pixels, x, y):
    """Find the middle of a star near a place; rows from the bottom."""
    part = pixels[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6].astype(float)
    v, h = np.indices(part.shape)
    return (h * part).sum() / part.sum() + round(x) - 5, (v * part).sum() / part.sum() + round(
        y
    ) - 5


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 200.0])
@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("size", [None, 300])
def test_north_is_up_and_east_to_the_left(tmp_path, angle, parity, size):
    path = turned(tmp_path, angle, parity)
    picture = drawn(
        path, ORIENT="north", CUTS="0 300", STRETCH="linear", **({"SIZE": size} if size else {})
    )
    header = header_of(picture)
    wcs = WCS(header)
    assert (header["NAXIS1"], header["NAXIS2"]) == picture.size
    matrix = wcs.pixel_scale_matrix
    factor = 1.0 if size is None else size / max(drawn(path, ORIENT="north").size)
    np.testing.assert_allclose(
        matrix, np.diag([-0.5, 0.5]) / 3600 / factor, atol=2e-6 / factor, rtol=0.02
    )
    pixels = np.asarray(picture)[::-1, :, 0]
    step = 20 * 0.5 / 3600
    for star in ((40.0, 5.0), (40.0, 5.0 + step), (40.0 + step / np.cos(np.deg2rad(5.0)), 5.0)):
        x, y = (float(v) for v in wcs.all_world2pix(*star, 0))
        if size is None:
            found = centroid(pixels, x, y)
            assert np.hypot(found[0] - x, found[1] - y) < 0.15
        assert pixels[round(y), round(x)] > 60


@pytest.mark.parametrize(("distorted", "off"), [(False, 1e-9), (True, 0.3 * 0.5 / 3600)])
def test_the_coordinates_of_a_picture_are_those_of_its_pixels(tmp_path, distorted, off):
    header = make_wcs(40.0, 5.0, 200, 0.5, 20.0, distorted=distorted).to_header(relax=True)
    data = np.arange(30_000, dtype=np.float32).reshape(150, 200)
    field = write(tmp_path / "field.fits", fits.PrimaryHDU(data, header))
    for more in ({}, {"SIZE": 60}, {"SIZE": 500}):
        picture = drawn(field, Circle(40.0, 5.0, 0.006), **more)
        wcs = WCS(header_of(picture))
        ra, dec = wcs.all_pix2world([-0.5, picture.width - 0.5], [-0.5, picture.height - 0.5], 0)
        with fits.open(
            io.BytesIO(bytes(cutout_file(field, Selection(Circle(40.0, 5.0, 0.006))).body))
        ) as cut:
            theirs = WCS(cut[0].header)
            ny, nx = cut[0].shape
        expected = theirs.all_pix2world([-0.5, nx - 0.5], [-0.5, ny - 0.5], 0)
        np.testing.assert_allclose([ra, dec], expected, atol=off, rtol=0)
    png, jpeg = (drawn(field, Circle(40.0, 5.0, 0.006), FORMAT=form) for form in ("png", "jpeg"))
    assert header_of(jpeg) == header_of(png)


def test_a_map_of_the_sky_has_no_tangent_plane(tmp_path):
    header = all_sky_header()
    path = write(tmp_path / "sky.fits", fits.PrimaryHDU(np.ones((90, 180), np.float32), header))
    assert "CTYPE1" not in header_of(drawn(path))
    with pytest.raises(UsageError, match="up to 60 degrees"):
        drawn(path, ORIENT="north")


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(0.0, 360.0),
    scale=st.floats(0.4, 2.5),
    dec=st.sampled_from([-89.99, 5.0, 90.0]),
    nx=st.integers(1, 40),
    ny=st.integers(1, 40),
    off=st.floats(-20.0, 20.0),
)
def test_interpolated_places_are_those_that_are_computed(angle, scale, dec, nx, ny, off):
    rng = np.random.default_rng(0)
    values = rng.normal(0.0, 1.0, (30, 35))
    values[rng.random(values.shape) < 0.1] = np.nan
    own = Grid(make_wcs(40.0, dec, 30, 1.0), 0.0, 0.0, 1.0, 1.0, 35, 30)
    sky = make_wcs(40.0, dec, 40, scale, rotation_deg=angle)
    target = Grid(sky, off, off, 1.0, 1.0, nx, ny)
    found = regridded(values, own, target)
    x, y = np.meshgrid(np.arange(nx, dtype=float), np.arange(ny, dtype=float))
    exact_x, exact_y = own.to_pixel(*target.to_icrs(x, y))
    for row in range(ny):
        for column in range(nx):
            expected = four_pixels(values, exact_x[row, column], exact_y[row, column])
            if expected is not None:
                np.testing.assert_allclose(found[row, column], expected, atol=0.04, rtol=0)


def four_pixels(values, x, y):
    """Interpolate one place; None where a rounding decides."""
    height, width = values.shape
    if min(abs(x + 0.5), abs(y + 0.5), abs(x - width + 0.5), abs(y - height + 0.5)) < 0.1:
        return None
    if not (-0.5 < x < width - 0.5 and -0.5 < y < height - 0.5):
        return np.nan
    total = weight = 0.0
    left, low = int(np.floor(x)), int(np.floor(y))
    for row, part_y in ((low, low + 1 - y), (low + 1, y - low)):
        for column, part_x in ((left, left + 1 - x), (left + 1, x - left)):
            if not (0 <= row < height and 0 <= column < width):
                continue
            one = values[row, column]
            if np.isfinite(one):
                total += part_x * part_y * one
                weight += part_x * part_y
    if abs(weight - 0.5) < 0.1:
        return None
    return total / weight if weight > 0.5 else np.nan


@pytest.mark.parametrize("place", [(179.0, 40.0), (0.0, 90.0), (0.0, 0.0)])
def test_seams_of_a_map_of_the_sky_are_not_interpolated_over(place):
    header = all_sky_header()
    sky = Grid(WCS(header), 0.0, 0.0, 1.0, 1.0, 180, 90)
    y, x = np.indices((90, 180))
    values = np.sin(x / 9.0) + np.cos(y / 7.0)
    target = Grid(make_wcs(*place, 60, 3600.0), 0.0, 0.0, 1.0, 1.0, 60, 60)
    found = regridded(values, sky, target)
    v, u = np.meshgrid(np.arange(60.0), np.arange(60.0), indexing="ij")
    at_x, at_y = sky.to_pixel(*target.to_icrs(u, v))
    assert np.isfinite(found).mean() > 0.9
    for row, column in np.ndindex(60, 60):
        expected = four_pixels(values, at_x[row, column], at_y[row, column])
        if expected is not None:
            np.testing.assert_allclose(found[row, column], expected, atol=2e-3, rtol=0)


def test_a_picture_is_turned_by_either_sampling(tmp_path):
    """A star as narrow as pixels allow keeps more of its height under Lanczos."""
    wcs = make_wcs(40.0, 5.0, 64, 0.5, rotation_deg=33.0, distorted=False)
    y, x = np.indices((64, 64))
    data = 100.0 * np.exp(-((x - 31.4) ** 2 + (y - 30.7) ** 2) / 2.0).astype(np.float32)
    path = write(tmp_path / "star.fits", fits.PrimaryHDU(data, wcs.to_header(relax=True)))
    given = {"ORIENT": "north", "CUTS": "0 120", "STRETCH": "linear"}
    highest = [
        int(np.asarray(drawn(path, **given, SAMPLING=how))[..., 0].max())
        for how in ("bilinear", "lanczos3")
    ]
    assert highest[1] > highest[0] + 5
    assert highest[1] <= round(255 * 105 / 120)


def test_the_area_of_a_turned_grid_is_held():
    own = Grid(make_wcs(40.0, 60.0, 100, 1.0, rotation_deg=33.0), 10.0, 20.0, 1.0, 1.0, 50, 80)
    north = north_grid(own)
    x, y = north.to_pixel(*own.outline())
    assert (np.nanmin(x), np.nanmin(y)) == pytest.approx((-0.5, -0.5), abs=1e-3)
    assert -0.5 <= np.nanmax(x) - (north.nx - 1) <= 0.51
    assert -0.5 <= np.nanmax(y) - (north.ny - 1) <= 0.51


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("STRETCH", "square", "asinh, linear, sqrt, log"),
        ("CUTS", "5 1", "low before high"),
        ("CUTS", "1%", None),
        ("CUTS", "0%", "CUTS"),
        ("CUTS", "101%", "CUTS"),
        ("CUTS", "90% 10%", "CUTS"),
        ("CUTS", "10 20%", "number"),
        ("CUTS", "best", "zscale"),
        ("COLORMAP", "jet", "viridis"),
        ("INVERT", "perhaps", "0, 1"),
        ("ORIENT", "south", "north"),
        ("SAMPLING", "cubic", "bilinear, lanczos3"),
        ("SIZE", "0", "SIZE"),
        ("SIZE", "4097", "4096"),
        ("Q", "-1", "above 0"),
        ("COMBINE", "hsv", "rgb"),
        ("COMBINE", "Stitch", "/stitched, or by jobs (/async) with COMBINE=stitch"),
    ],
)
def test_a_wrong_value_is_told_by_the_parameters_name(name, value, word):
    params = Params([("FORMAT", "png"), (name, value)])
    if word is None:
        assert parse_output(params).look.cuts.low == pytest.approx(49.5)
        return
    with pytest.raises(UsageError) as caught:
        parse_output(params)
    assert name in caught.value.message
    assert word in caught.value.message


@pytest.mark.realdata
def test_real_images_are_pictures(real_images):
    checked = 0
    for path in sorted(real_images.rglob("*.fits*"))[::4]:
        if path.stat().st_size > 20e6:
            continue
        try:
            plain = cutout_file(path, Selection())
        except SkylaneError:
            continue
        if plain is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                picture = drawn(path, SIZE=100)
            except SkylaneError as error:
                assert "axis" in error.message, path  # noqa: PT017
                continue
        assert max(picture.size) == 100, path
        pixels = np.asarray(picture)
        shown = pixels[..., -1] == 255
        if shown.any() and np.ptp(pixels[shown, 0].astype(int)) > 0:
            assert pixels[shown, 0].max() == 255, path
        checked += 1
    assert checked > 30
