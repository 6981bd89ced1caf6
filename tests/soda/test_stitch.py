"""Stitched images against catalogues of stars, skies of formulae, and wcslib pixel by pixel."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, Sip

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import verify

import soda.stitch.make as making
from soda.cut import cutout_file
from soda.output import Output
from soda.selection import Selection
from soda.stitch.files import inputs_of_file
from soda.stitch.make import stitch
from soda.stitch.request import StitchInput, StitchRequest
from soda.stitch.target import Target
from vodal.errors import DataError, TooLargeError, UsageError
from vodal.regions import Circle, Polygon, Range
from vodal.testing.skies import Sources, draw, make_wcs

RA, DEC = 150.1, 2.2


def camera(ra, dec, size, scale, rotation=0.0):
    """Make coordinates of a distortion that moves the corners by half a pixel, as real ones do."""
    wcs = make_wcs(ra, dec, size, scale, rotation)
    wcs.sip = Sip(wcs.sip.a / 5, wcs.sip.b / 5, None, None, wcs.wcs.crpix)
    return wcs


def save(path, data, wcs, **cards):
    header = wcs.to_header(relax=True)
    header.update(cards)
    fits.PrimaryHDU(np.asarray(data), header).writeto(path, overwrite=True)
    return path


def request(stencil=None, **options):
    outside = options.pop("outside", "nan")
    return StitchRequest(Selection(stencil), output=Output(outside=outside), **options)


def made_of(*paths, stencil=None, target=None, **options):
    inputs = [one for path in paths for one in inputs_of_file(path)]
    made = stitch(inputs, request(stencil, **options), target=target)
    return None if made is None else fits.open(io.BytesIO(made.body))


def sky_of(header, x, y):
    """Give ICRS positions by astropy alone."""
    wcs = WCS(header)
    lon, lat = wcs.all_pix2world(x, y, 0)
    if header["CTYPE1"].startswith("GLON"):
        icrs = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
        return icrs.ra.deg, icrs.dec.deg
    return lon, lat


def interpolated(image, x, y):
    """Interpolate bilinearly between four pixels; NaN where one is missing."""
    inside = (x >= 0) & (y >= 0) & (x < image.shape[1] - 1) & (y < image.shape[0] - 1)
    i, j = (np.where(inside, np.floor(k), 0).astype(int) for k in (x, y))
    f, g = x - i, y - j
    value = (image[j, i] * (1 - f) + image[j, i + 1] * f) * (1 - g)
    value += (image[j + 1, i] * (1 - f) + image[j + 1, i + 1] * f) * g
    return np.where(inside, value, np.nan)


# Stars


def detectors(tmp_path, flux_of, *, size=200, unit="adu"):
    """Write four detectors of a camera, turned, distorted, with pixels of two sizes."""
    step = 0.4 * size * 0.9 / 3600.0
    paths = []
    for k, (a, b) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
        ra = RA + a * step / 2 / np.cos(np.deg2rad(DEC))
        scale = 0.4 if k % 2 else 0.45
        wcs = camera(ra, DEC + b * step / 2, size, scale, (7.0, 190.0, -11.0, 95.0)[k])
        paths.append(save(tmp_path / f"chip{k}.fits", flux_of(wcs, scale), wcs, BUNIT=unit))
    return paths, step


@pytest.mark.parametrize("sampling", ["bilinear", "lanczos3"])
@pytest.mark.parametrize(
    ("scale", "rotation", "at_edges", "shift_arcsec"),
    [(None, 0.0, 0.01, 0.01), (0.3, 33.0, 0.01, 0.01), (0.9, 200.0, 0.04, 0.06)],
)
def test_stars_keep_their_places_and_fluxes(
    tmp_path, sampling, scale, rotation, at_edges, shift_arcsec
):
    steps = np.linspace(-0.014, 0.014, 9)
    x, y = (k.ravel() for k in np.meshgrid(steps, steps + 0.0007))
    ra, dec = RA + x / np.cos(np.deg2rad(DEC)), DEC + y
    flux = np.random.default_rng(1).uniform(2e3, 5e4, ra.size)
    none = np.zeros(ra.size)
    stars = Sources(ra, dec, {}, none, none + 1.0, none)

    def image(wcs, pixel):
        return draw(stars, wcs, (200, 200), flux, pixel, seeing_arcsec=1.6)

    paths, _ = detectors(tmp_path, image)
    hdus = made_of(*paths, stencil=Circle(RA, DEC, 0.02), scale_arcsec=scale, coverage=True,
                   rotation_deg=rotation, sampling=sampling)  # fmt: skip
    data, header = hdus[0].data, hdus[0].header
    assert header["STCONS"] == "flux"
    pixel = scale or 0.4
    assert np.sqrt(header["PIXAR_A2"]) == pytest.approx(pixel, rel=1e-3)
    found_x, found_y = WCS(header).all_world2pix(ra, dec, 0)
    yy, xx = np.indices(data.shape)
    ratios, across = [], []
    for k in range(ra.size):
        near = np.hypot(xx - found_x[k], yy - found_y[k]) <= 4.0 / pixel
        values = data[near]
        if not np.isfinite(values).all():
            continue
        total = values.sum()
        ratios.append(total / flux[k])
        across.append(np.ptp(hdus["COVERAGE"].data[near]) > 0.3)
        off = (values * (xx[near] - found_x[k])).sum() / total
        up = (values * (yy[near] - found_y[k])).sum() / total
        assert np.hypot(off, up) * pixel < shift_arcsec
    assert len(ratios) > 60
    # One star is off by what sampling at points gives or takes: of a star of 1.6 arcsec on pixels
    # of 0.8 that are interpolated at steps of 0.9, by 2 * 0.84 * sinc(0.89)^2 = 2.5 % along each
    # axis, by Lanczos less. Over the edge of a detector it is off by what its widths in the pixels
    # of both differ. The sky as a whole is right.
    off, over = np.abs(np.array(ratios) - 1.0), np.array(across)
    assert over.sum() > 10
    assert off[~over].max() < (0.05 if scale == 0.9 and sampling == "bilinear" else 0.01)
    assert off[over].max() < at_edges
    assert np.mean(ratios) == pytest.approx(1.0, abs=at_edges / 10)


# Skies


def area_of(wcs, x, y):
    """Give the solid angle of pixels in square arcseconds, from the places of their corners."""
    ra, dec = wcs.all_pix2world(
        x + np.array([-0.5, 0.5, 0.5, -0.5]), y + np.array([-0.5, -0.5, 0.5, 0.5]), 0
    )
    v = SkyCoord(ra, dec, unit="deg").cartesian.xyz.value.T
    area = np.linalg.norm(np.cross(v[2] - v[0], v[3] - v[1])) / 2.0
    return area * np.rad2deg(1.0) ** 2 * 3600.0**2


def brightness(ra, dec):
    return 50.0 + 700.0 * (ra - RA) + 400.0 * (dec - DEC) + 9e3 * (ra - RA) * (dec - DEC)


@pytest.mark.parametrize("unit", ["adu", "MJy/sr"])
def test_there_is_no_step_between_detectors(tmp_path, unit):
    def image(wcs, _scale):
        yy, xx = np.indices((200, 200))
        values = brightness(*wcs.all_pix2world(xx, yy, 0))
        if unit == "adu":
            area = [[area_of(wcs, x, y) for x in range(0, 208, 8)] for y in range(0, 208, 8)]
            rows = np.array([np.interp(np.arange(200), np.arange(0, 208, 8), k) for k in area])
            both = [np.interp(np.arange(200), np.arange(0, 208, 8), k) for k in rows.T]
            values = values * np.array(both).T
        return values.astype(np.float32)

    paths, step = detectors(tmp_path, image, unit=unit)
    hdus = made_of(*paths, stencil=Circle(RA, DEC, 0.9 * step), coverage=True)
    data, header = hdus[0].data, hdus[0].header
    assert header["BUNIT"] == unit
    assert header["STCONS"] == ("flux" if unit == "adu" else "brightness")
    known = np.isfinite(data)
    assert known.mean() > 0.7
    assert {0.0, 1.0} < set(np.unique(np.round(hdus["COVERAGE"].data)))  # there are overlaps
    assert hdus["COVERAGE"].data.max() == pytest.approx(4.0, abs=1.0)
    y, x = np.nonzero(known)
    expected = brightness(*WCS(header).all_pix2world(x, y, 0))
    if unit == "adu":
        expected *= header["PIXAR_A2"]
    # The outermost half pixel of an image repeats its last value.
    edge = hdus["COVERAGE"].data % 1.0 > 0
    off = np.abs(data[known] / expected - 1.0)
    assert off[~edge[known]].max() < 2e-4
    assert off.max() < 2e-3


def test_conserving_the_other_is_off_by_the_area_of_the_pixel(tmp_path):
    wcs = make_wcs(RA, DEC, 100, 0.5, distorted=False)
    path = save(tmp_path / "flat.fits", np.full((100, 100), 8.0, np.float32), wcs, BUNIT="adu")
    stencil = Circle(RA, DEC, 0.003)
    flux = made_of(path, stencil=stencil, scale_arcsec=0.25, conserved="flux")[0]
    kept = made_of(path, stencil=stencil, scale_arcsec=0.25, conserved="brightness")[0]
    assert np.nanmedian(flux.data) == pytest.approx(2.0, rel=1e-5)
    assert np.nanmedian(kept.data) == pytest.approx(8.0, rel=1e-5)
    np.testing.assert_allclose(kept.data * flux.header["PIXAR_A2"] / 0.25, flux.data, rtol=1e-5)


# Against wcslib and numpy


@pytest.mark.parametrize("projection", ["TAN", "SIN", "ZEA", "ARC", "STG", "CAR", "CEA", "MER",
                                        "SFL", "AIT", "MOL"])  # fmt: skip
@pytest.mark.parametrize(
    ("frame", "rotation", "place"),
    [
        ("icrs", 0.0, (RA, DEC)),
        ("icrs", 57.0, (359.9995, -41.0)),
        ("galactic", 300.0, (80.0, 66.0)),
    ],
)
def test_each_pixel_is_what_the_formulae_give(tmp_path, projection, frame, rotation, place):
    rng = np.random.default_rng(2)
    wcs = make_wcs(*place, 160, 0.7, 20.0)
    image = rng.normal(0.0, 1.0, (150, 160)).astype(np.float32)
    path = save(tmp_path / "noise.fits", image, wcs, BUNIT="MJy/sr")
    hdu = made_of(path, stencil=Circle(*place, 0.014), projection=projection, frame=frame,
                  rotation_deg=rotation, scale_arcsec=0.66)[0]  # fmt: skip
    check_pixels(hdu, image, wcs, Circle(*place, 0.014))


@pytest.mark.parametrize("place", [(0.0, 90.0), (77.0, -90.0), (123.0, 89.995), (10.0, -89.99)])
@pytest.mark.parametrize("projection", ["TAN", "ZEA"])
def test_poles(tmp_path, place, projection):
    wcs = make_wcs(*place, 160, 0.7, 20.0)
    image = np.random.default_rng(3).normal(0.0, 1.0, (160, 160)).astype(np.float32)
    path = save(tmp_path / "pole.fits", image, wcs, BUNIT="K")
    for stencil in (
        Circle(*place, 0.014),
        Range(0.0, 360.0, *sorted((place[1], place[1] * 0.9999))),
    ):
        hdu = made_of(path, stencil=stencil, projection=projection, scale_arcsec=0.66)[0]
        check_pixels(hdu, image, wcs, stencil)


def check_pixels(hdu, image, wcs, stencil):
    yy, xx = np.indices(hdu.data.shape)
    ra, dec = sky_of(hdu.header, xx.ravel(), yy.ravel())
    x, y = wcs.all_world2pix(ra, dec, 0, quiet=True)
    expected = interpolated(image, x, y).reshape(hdu.data.shape)
    inner = np.isfinite(expected)
    if isinstance(stencil, Circle):
        middle = SkyCoord(stencil.ra_deg, stencil.dec_deg, unit="deg")
        away = SkyCoord(ra, dec, unit="deg").separation(middle).deg.reshape(hdu.data.shape)
        outside = away > stencil.radius_deg
        assert np.isnan(hdu.data[outside & (np.abs(away - stencil.radius_deg) > 1e-9)]).all()
        # The image's box touches the circle on all sides, to less than a pixel.
        held = np.nonzero(~outside)
        assert all(k.min() <= 1 and k.max() >= size - 2
                   for k, size in zip(held, hdu.data.shape, strict=True))  # fmt: skip
        inner &= ~outside
    else:
        dec = dec.reshape(hdu.data.shape)
        inner &= (dec > stencil.dec_min_deg) & (dec < stencil.dec_max_deg)
    assert inner.sum() > 2000
    off = np.abs(hdu.data - expected)[inner]
    # Places are right to 0.005 pixel, and the noise has slopes of a few units a pixel.
    assert off.max() < 0.03
    assert np.sqrt(np.mean(off**2)) < 0.003


@pytest.mark.parametrize("sampling", ["bilinear", "lanczos3"])
@pytest.mark.parametrize("distorted", [True, False])
@pytest.mark.parametrize("place", [(RA, DEC), (0.0, 0.0), (200.0, 90.0)])
def test_an_image_on_its_own_grid_is_its_cutout(tmp_path, sampling, distorted, place):
    wcs = camera(*place, 180, 0.4, 12.0)
    if not distorted:
        wcs = make_wcs(*place, 180, 0.4, 12.0, distorted=False)
    image = np.random.default_rng(4).normal(100.0, 10.0, (170, 180)).astype(np.float32)
    image[40:43, 60:70] = np.nan
    path = save(tmp_path / "one.fits", image, wcs, BUNIT="adu", EXPTIME=30.0)
    stencil = Circle(*place, 0.006)
    cut = fits.open(io.BytesIO(cutout_file(path, Selection(stencil)).body))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = Target(WCS(cut.header), cut.data.shape[1], cut.data.shape[0])
    hdu = made_of(path, stencil=stencil, target=target, outside="keep", sampling=sampling)[0]
    assert hdu.data.shape == cut.data.shape
    np.testing.assert_array_equal(np.isnan(hdu.data), np.isnan(cut.data))
    np.testing.assert_allclose(hdu.data, cut.data, rtol=3e-5, atol=1e-3)
    whole = made_of(path, target=Target(wcs, 180, 170), sampling=sampling)[0]
    np.testing.assert_allclose(whole.data, image, rtol=3e-5, atol=1e-3)


# Several images


def constant(tmp_path, *values, **cards):
    wcs = make_wcs(RA, DEC, 60, 0.5, distorted=False)
    paths = []
    for k, value in enumerate(values):
        data = np.full((60, 60), value, np.float32)
        own = {name: given[k] for name, given in cards.items()}
        paths.append(save(tmp_path / f"image{k}.fits", data, wcs, BUNIT="adu", **own))
    return paths


@pytest.mark.parametrize(
    ("how", "values", "expected", "weight"),
    [
        ("mean", (1.0, 2.0, 6.0), 3.0, 3.0),
        ("weighted", (1.0, 2.0, 6.0), (1 * 10 + 2 * 30 + 6 * 60) / 100, 100.0),
        ("median", (1.0, 2.0, 60.0), 2.0, 3.0),
        ("median", (1.0, 2.0, 60.0, 4.0), 3.0, 4.0),
        ("median", (5.0,), 5.0, 1.0),
        ("first", (7.0, 2.0, 6.0), 7.0, 1.0),
    ],
)
def test_overlaps(tmp_path, how, values, expected, weight):
    times = (10.0, 30.0, 60.0, 5.0)[: len(values)]
    paths = constant(tmp_path, *values, EXPTIME=times)
    hdus = made_of(*paths, stencil=Circle(RA, DEC, 0.003), combination=how, coverage=True)
    inside = np.isfinite(hdus[0].data)
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.05)
    np.testing.assert_allclose(hdus[0].data[inside], expected, rtol=1e-6)
    np.testing.assert_allclose(hdus["COVERAGE"].data[inside], weight, rtol=1e-6)
    assert (hdus["COVERAGE"].data[~inside] == 0).all()
    assert hdus[0].header["STSTACK"] == how


@pytest.mark.parametrize("how", ["mean", "median", "first"])
def test_what_one_image_lacks_another_gives(tmp_path, how):
    wcs = make_wcs(RA, DEC, 60, 0.5, distorted=False)
    first, second = np.full((2, 60, 60), 4.0, np.float32)
    first[:, :25], second[:, 40:] = np.nan, np.nan
    paths = [save(tmp_path / f"{k}.fits", d, wcs, BUNIT="K") for k, d in enumerate((first, second))]
    data = made_of(*paths, target=Target(wcs, 60, 60), combination=how)[0].data
    np.testing.assert_allclose(data, 4.0, rtol=1e-6)


def test_images_come_to_the_zero_point_of_the_first(tmp_path):
    paths = constant(tmp_path, 100.0, 200.0, MAGZERO=(27.0, 27.0 + 2.5 * np.log10(2.0)))
    hdus = made_of(*paths)
    np.testing.assert_allclose(hdus[0].data[5:-5, 5:-5], 100.0, rtol=1e-5)
    assert hdus[0].header["MAGZERO"] == 27.0
    assert hdus["INPUTS"].data["factor"].tolist() == pytest.approx([1.0, 0.5])
    kept = made_of(*paths, photometry="none")
    np.testing.assert_allclose(kept[0].data[5:-5, 5:-5], 150.0, rtol=1e-5)
    assert "MAGZERO" not in kept[0].header
    bare = constant(tmp_path, 300.0)
    mixed = made_of(paths[1], *bare)
    np.testing.assert_allclose(mixed[0].data[5:-5, 5:-5], 250.0, rtol=1e-5)
    assert "have no zero point" in str(mixed[0].header["HISTORY"])


def test_masked_and_blank_pixels_are_left_out(tmp_path):
    wcs = make_wcs(RA, DEC, 60, 0.5, distorted=False)
    header = wcs.to_header(relax=True)
    pixels = np.full((60, 60), 50, np.int16)
    pixels[20:24, 30] = -99
    flags = np.zeros((60, 60), np.int32)
    flags[10, :], flags[40, :] = 4, 1
    image = fits.ImageHDU(pixels, header, name="IMAGE")
    image.header["BLANK"], image.header["BUNIT"] = -99, "K"
    mask = fits.ImageHDU(flags, header, name="MASK")
    mask.header["MP_SAT"], mask.header["MP_NODAT"] = 0, 2
    path = tmp_path / "masked.fits"
    fits.HDUList([fits.PrimaryHDU(), image, mask]).writeto(path)
    data = made_of(path, target=Target(wcs, 60, 60))[0].data
    expected = np.full((60, 60), 50.0)
    expected[20:24, 30] = expected[10, :] = np.nan
    np.testing.assert_allclose(data, expected, rtol=1e-6)


def test_much_finer_pixels_are_averaged(tmp_path):
    wcs = make_wcs(RA, DEC, 400, 0.2, distorted=False)
    noise = np.random.default_rng(5).normal(10.0, 1.0, (400, 400)).astype(np.float32)
    path = save(tmp_path / "fine.fits", noise, wcs, BUNIT="adu")
    hdus = made_of(path, stencil=Circle(RA, DEC, 0.009), scale_arcsec=2.0)
    assert hdus["INPUTS"].data["binning"].tolist() == [10]
    known = hdus[0].data[np.isfinite(hdus[0].data)]
    assert known.mean() == pytest.approx(1000.0, rel=2e-3)
    assert known.std() / known.mean() < 0.1 / 10.0 * 1.1  # as the mean of 100 pixels
    assert hdus[0].data.shape == (33, 33)


@pytest.mark.parametrize("how", ["mean", "median"])
@pytest.mark.parametrize("scale", [0.4, 1.7])
def test_blocks_leave_no_trace_and_little_is_read(tmp_path, monkeypatch, how, scale):
    wcs = make_wcs(RA, DEC, 300, 0.4, 30.0)
    image = np.random.default_rng(6).normal(0.0, 1.0, (300, 300)).astype(np.float32)
    paths = [save(tmp_path / f"{k}.fits", image + k, wcs, BUNIT="adu") for k in range(2)]
    stencil = Polygon(((RA - 0.006, DEC), (RA, DEC - 0.01), (RA + 0.004, DEC + 0.004)))
    options = {"stencil": stencil, "combination": how, "scale_arcsec": scale, "coverage": True}
    boxes = []
    reading = making.good_pixels
    monkeypatch.setattr(making, "good_pixels",
                        lambda *given: boxes.append(given) or reading(*given))  # fmt: skip
    whole = made_of(*paths, **options)
    # A block is mapped in cells of 32 pixels.
    height, width = (-(-size // 32) * 32 * scale / 0.4 for size in whole[0].data.shape)
    c, s = np.cos(np.deg2rad(30.0)), np.sin(np.deg2rad(30.0))
    for _, _, _, binning, (x0, x1, y0, y1) in boxes:
        # The box of the turned box, and some pixels around.
        assert (x1 - x0) * binning < width * c + height * s + 12 * binning
        assert (y1 - y0) * binning < width * s + height * c + 12 * binning
    monkeypatch.setattr(making, "_SIDE", 29)
    parts = made_of(*paths, **options)
    assert np.isfinite(whole[0].data).sum() > 150
    np.testing.assert_allclose(parts[0].data, whole[0].data, atol=0.02 * (scale / 0.4) ** 2)
    np.testing.assert_allclose(parts["COVERAGE"].data, whole["COVERAGE"].data, atol=0.01)


# The grid


def test_the_size_that_is_asked_for(tmp_path):
    (path,) = constant(tmp_path, 3.0)
    hdu = made_of(path, stencil=Circle(RA, DEC, 0.001), npix=(70, 31), outside="keep")[0]
    assert hdu.data.shape == (31, 70)
    middle = WCS(hdu.header).all_pix2world(34.5, 15.0, 0)
    np.testing.assert_allclose([float(k) for k in middle], (RA, DEC), atol=1e-9)
    plain = made_of(path, stencil=Circle(RA, DEC, 0.003))[0]
    assert plain.data.shape == (44, 44)  # 0.006 degrees of 0.5 arcsec
    assert plain.header["CDELT2"] == pytest.approx(0.5 / 3600, rel=1e-7)


def test_without_a_stencil_all_images_fit_in(tmp_path):
    ones = np.ones((60, 60), np.float32)
    skies = [make_wcs((359.995, 0.005)[k], 5.0, 60, 0.5, 40.0 * k, distorted=False) for k in (0, 1)]
    paths = [
        save(tmp_path / f"{k}.fits", ones, skies[k],
             BUNIT="K")
        for k in range(2)
    ]  # fmt: skip
    hdu = made_of(*paths)[0]
    for path in paths:
        corners = np.array([[-0.4, -0.4], [59.4, -0.4], [59.4, 59.4], [-0.4, 59.4]])
        places = WCS(fits.getheader(path)).all_pix2world(corners, 0)
        x, y = WCS(hdu.header).all_world2pix(places, 0).T
        assert (x > -0.6).all()
        assert (y > -0.6).all()
        assert (x < hdu.data.shape[1] - 0.4).all()
        assert (y < hdu.data.shape[0] - 0.4).all()
    assert np.isfinite(hdu.data).sum() == pytest.approx(7200, rel=0.03)


def test_all_of_the_sky(tmp_path):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---CAR", "DEC--CAR"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [0, 0], [180.5, 90.5], [-1, 1]
    yy = np.indices((180, 360))[0]
    path = save(tmp_path / "sky.fits", (yy - 89.5).astype(np.float32), wcs, BUNIT="K")
    for projection in ("CAR", "AIT", "MOL"):
        hdu = made_of(path, stencil=Range(0.0, 360.0, -90.0, 90.0), projection=projection,
                      scale_arcsec=3600.0)[0]  # fmt: skip
        y, x = np.nonzero(np.isfinite(hdu.data))
        _, dec = WCS(hdu.header).all_pix2world(x, y, 0)
        near = np.abs(dec) < 88.0
        assert near.sum() > 38_000  # of 41253 square degrees, in pixels of at most one
        np.testing.assert_allclose(hdu.data[y, x][near], dec[near], atol=0.02)
    hdu = made_of(path, stencil=Circle(30.0, 90.0, 180.0), projection="ZEA", scale_arcsec=3600.0)[0]
    assert hdu.data.shape[0] == pytest.approx(2 * 2 * np.rad2deg(1.0), abs=2)
    with pytest.raises(UsageError, match="PROJ=SIN does not reach all of the region"):
        made_of(path, stencil=Circle(30.0, 20.0, 100.0), projection="SIN")


# Refusals


def test_nothing_is_read_for_what_would_be_too_large(tmp_path, monkeypatch):
    (path,) = constant(tmp_path, 3.0)
    monkeypatch.setattr(making, "good_pixels", None)
    inputs = inputs_of_file(path)
    with pytest.raises(TooLargeError, match=r"2400 x 2400 pixels would take 23 MB.* PIXSCALE"):
        stitch(inputs, request(Circle(RA, DEC, 0.01), scale_arcsec=0.03), limit_bytes=10**7)
    with pytest.raises(TooLargeError, match="PIXSCALE"):
        stitch(inputs, request(Circle(RA, DEC, 80.0), scale_arcsec=1e-6), limit_bytes=10**7)


def test_what_no_image_reaches_is_none(tmp_path):
    (path,) = constant(tmp_path, 3.0)
    assert made_of(path, stencil=Circle(RA, -60.0, 0.01)) is None
    assert made_of(path, stencil=Circle(RA, DEC + 0.02, 0.01)) is None
    # The corner of the box is on the image, the circle is not.
    assert made_of(path, stencil=Circle(RA - 0.0092, DEC + 0.0092, 0.007)) is None
    assert stitch([], request(Circle(RA, DEC, 1.0))) is None


def test_bad_inputs_are_named(tmp_path):
    wcs = make_wcs(RA, DEC, 20, 0.5, distorted=False)
    cube = save(tmp_path / "cube.fits", np.zeros((3, 20, 20), np.float32), wcs)
    with pytest.raises(DataError, match=r"cube\.fits: it is a cube"):
        made_of(cube)
    (path,) = constant(tmp_path, 3.0)
    with pytest.raises(UsageError, match=r"STACK=weighted needs exposure times.*image0\.fits"):
        made_of(path, combination="weighted")
    inputs = inputs_of_file(path)
    path.unlink()
    with pytest.raises(DataError, match=r"image0\.fits is not there any more"):
        stitch(inputs, request())
    one = save(tmp_path / "one.fits", np.zeros((20, 20), np.float32), wcs, BUNIT="Jy/beam")
    two = save(tmp_path / "two.fits", np.zeros((20, 20), np.float32), wcs, BUNIT="adu")
    with pytest.raises(UsageError, match=r"Jy/beam, adu.*CONSERVE=flux"):
        made_of(one, two)
    assert "BUNIT" not in made_of(one, two, conserved="flux")[0].header


# Files


@pytest.mark.parametrize("kind", ["fits", "fits-rice", "fits-gzip"])
def test_the_file_is_sound(tmp_path, kind, survey):
    from soda.formats import FORMATS

    paths = [one.path for one in survey.exposures if one.band == "r"][:3]
    inputs = [
        StitchInput(one.source, 30.0 * k)
        for k, path in enumerate(paths, 1)
        for one in inputs_of_file(path)
    ]
    form = next(one for one in FORMATS if one.name == kind)
    asked = StitchRequest(Selection(Circle(*survey.centre, 0.008)), combination="weighted",
                          coverage=True, output=Output(form, "nan"))  # fmt: skip
    body = stitch(inputs, asked).body
    path = tmp_path / "stitched.fits"
    path.write_bytes(body)
    assert not verify(path)
    with fits.open(path) as hdus:
        image = hdus[0] if kind == "fits" else hdus[1]
        assert image.header["BUNIT"] == "adu"
        assert image.header["FILTER"] == "r"
        assert image.header["CUTSTEN"].startswith("CIRCLE ICRS")
        assert image.header["NCOMBINE"] == len(hdus["INPUTS"].data) > 1
        assert set(hdus["INPUTS"].data["obs_publisher_did"]) <= {p.name for p in paths}
        assert hdus["COVERAGE"].header["BUNIT"] == "s"
        assert np.isfinite(image.data).mean() > 0.5
