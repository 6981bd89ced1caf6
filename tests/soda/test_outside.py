"""Pixels outside of a stencil, told one by one with astropy's coordinates."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import all_sky_header, section, verify, write

from soda.box import Box
from soda.cut import cutout_file
from soda.distance import signed_distance
from soda.output import Output
from soda.outside import outside_pixels
from soda.selection import Selection
from soda.skyimage import SkyImage
from vodal.errors import UsageError
from vodal.regions import Circle, Polygon, Range
from vodal.testing.skies import make_wcs

NAN, MASK = Output(outside="nan"), Output(outside="mask")
CIRCLE = Circle(40.0, 5.0, 0.004)


def outside_circle(header, shape, circle, file=None):
    """Ask astropy about each pixel's centre."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(header, file).celestial
        y, x = np.indices(shape[-2:])
        ra, dec = wcs.all_pix2world(x, y, 0)
    places = SkyCoord(ra * u.deg, dec * u.deg)
    centre = SkyCoord(circle.ra_deg * u.deg, circle.dec_deg * u.deg)
    return places.separation(centre).deg > circle.radius_deg


@settings(max_examples=60, deadline=None)
@given(
    ra=st.sampled_from([0.001, 40.0, 359.99]),
    dec=st.sampled_from([-89.99, -30.0, 5.0, 90.0]),
    scale=st.sampled_from([0.5, 60.0, 600.0]),
    radius=st.floats(0.5, 90.0),
    shift=st.floats(-40.0, 40.0),
    width=st.integers(1, 130),
    height=st.integers(1, 130),
    kind=st.sampled_from(["circle", "polygon", "range"]),
)
def test_blocks_tell_what_single_pixels_tell(ra, dec, scale, radius, shift, width, height, kind):
    wcs = make_wcs(ra, dec, 130, scale)
    image = SkyImage(wcs, 130, 130)
    step = scale / 3600.0
    lat = min(90.0, max(-90.0, dec + shift * step))
    size = min(radius * step, 60.0)
    match kind:
        case "circle":
            stencil = Circle(ra, lat, size)
        case "polygon":
            lat = max(-85.0, min(85.0, lat))
            size = min(size, 4.0)
            stencil = Polygon(((ra, lat - size), (ra + size, lat), (ra - size, lat + size)))
        case _:
            stencil = Range(ra, ra + min(size, 300.0), max(-90.0, lat - size), lat)
    box = Box(0, width, 130 - height, 130)
    distance = signed_distance(stencil)
    x, y = np.meshgrid(np.arange(0, width), np.arange(130 - height, 130))
    vectors = image.vectors(x + 0.5, y + 0.5)
    apart = distance(vectors.reshape(-1, 3)).reshape(x.shape)
    found = outside_pixels(image, box, distance)
    # The same number comes out differently in another array in its last digits.
    sure = np.abs(apart) > 1e-13
    np.testing.assert_array_equal(found[sure], (apart > 0)[sure])


@pytest.fixture
def planes(tmp_path):
    wcs = make_wcs(40.0, 5.0, 120, 0.5).to_header(relax=True)
    rng = np.random.default_rng(3)
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(rng.normal(10.0, 2.0, (120, 120)).astype(np.float32), wcs, name="IMAGE"),
        fits.ImageHDU(rng.integers(0, 9, (120, 120)).astype(np.int32), wcs, name="MASK"),
        fits.ImageHDU(rng.integers(0, 9, (120, 120)).astype(np.int16), wcs, name="COUNTS"),
        fits.ImageHDU(rng.normal(10.0, 2.0, (120, 120)), name="VARIANCE"),
    ]
    return write(tmp_path / "planes.fits", *hdus)


def opened(path, output, stencil=CIRCLE):
    body = cutout_file(path, Selection(stencil), output=output).body
    out = path.with_name("cut.fits")
    out.write_bytes(body)
    assert not verify(out)
    return fits.open(io.BytesIO(bytes(body)), do_not_scale_image_data=True)


def test_blanked_pixels_are_those_whose_centres_are_outside(planes):
    with opened(planes, NAN) as cut, opened(planes, Output()) as plain:
        outside = outside_circle(cut["IMAGE"].header, cut["IMAGE"].shape, CIRCLE)
        assert 0.1 < outside.mean() < 0.4
        for name in ("IMAGE", "VARIANCE"):
            np.testing.assert_array_equal(np.isnan(cut[name].data), outside)
            np.testing.assert_array_equal(cut[name].data[~outside], plain[name].data[~outside])
        counts = cut["COUNTS"]
        assert counts.header["BLANK"] == -32768
        np.testing.assert_array_equal(counts.data == -32768, outside)
        np.testing.assert_array_equal(counts.data[~outside], plain["COUNTS"].data[~outside])
        # Flags stay flags.
        np.testing.assert_array_equal(cut["MASK"].data, plain["MASK"].data)
        assert "BLANK" not in cut["MASK"].header


def test_a_mask_plane_tells_them_and_leaves_the_others_alone(planes):
    with opened(planes, MASK) as cut, opened(planes, Output()) as plain:
        assert [hdu.name for hdu in cut] == [*(hdu.name for hdu in plain), "OUTSIDE"]
        for one, other in zip(cut, plain, strict=False):
            np.testing.assert_array_equal(one.data, other.data)
        mask = cut["OUTSIDE"]
        assert mask.data.dtype == np.uint8
        outside = outside_circle(plain["IMAGE"].header, plain["IMAGE"].shape, CIRCLE)
        np.testing.assert_array_equal(mask.data, outside)
        np.testing.assert_array_equal(mask.data, outside_circle(mask.header, mask.shape, CIRCLE))


def test_without_a_stencil_nothing_is_outside(planes):
    for output in (NAN, MASK):
        with opened(planes, output, None) as cut:
            assert [hdu.name for hdu in cut] == ["PRIMARY", "IMAGE", "MASK", "COUNTS", "VARIANCE"]
            assert not np.isnan(cut["IMAGE"].data).any()


@pytest.mark.parametrize("order", ["sky first", "sky last", "latitude first"])
def test_the_axes_of_cubes_are_told_by_the_coordinates(tmp_path, order):
    wcs = WCS(naxis=3)
    axes = {"sky first": (0, 1, 2), "sky last": (1, 2, 0), "latitude first": (1, 0, 2)}[order]
    for axis, values in zip(
        axes,
        (("RA---TAN", 40.0, 30.0, -2e-4), ("DEC--TAN", 5.0, 20.0, 2e-4), ("FREQ", 1e9, 1.0, 1e6)),
        strict=True,
    ):
        ctype, crval, crpix, cdelt = values
        for name, value in (("ctype", ctype), ("crval", crval), ("crpix", crpix), ("cdelt", cdelt)):
            whole = list(getattr(wcs.wcs, name))
            whole[axis] = value
            setattr(wcs.wcs, name, whole)
    sizes = [0, 0, 0]
    for axis, size in zip(axes, (60, 40, 3), strict=True):
        sizes[axis] = size
    data = np.ones(sizes[::-1], np.float32)
    path = write(tmp_path / "cube.fits", fits.PrimaryHDU(data, wcs.to_header()))
    stencil = Circle(40.0, 5.0, 0.003)
    with opened(path, NAN, stencil) as cut, opened(path, MASK, stencil) as masked:
        header, found = cut[0].header, np.isnan(cut[0].data)
        whole = WCS(header)
        places = np.indices(found.shape).reshape(3, -1)[::-1].T
        world = whole.all_pix2world(places, 0)
        ra, dec = world[:, axes[0]], world[:, axes[1]]
        apart = SkyCoord(ra * u.deg, dec * u.deg).separation(SkyCoord(40 * u.deg, 5 * u.deg))
        np.testing.assert_array_equal(found.ravel(), apart.deg > 0.003)
        assert found.any()
        assert not found.all()
        mask = np.broadcast_to(masked["OUTSIDE"].data, found.shape)
        np.testing.assert_array_equal(mask, found)


@pytest.mark.parametrize(
    ("dtype", "values", "blank"),
    [
        ("i2", (0, 9), -32768),
        ("i2", (-32768, 9), 32767),
        ("u1", (1, 255), 0),
        ("u1", (0, 200), 255),
        ("i8", (-5, 5), -(1 << 63)),
    ],
)
def test_the_blank_of_integers_is_a_value_that_no_pixel_has(tmp_path, dtype, values, blank):
    wcs = make_wcs(40.0, 5.0, 60, 0.5).to_header(relax=True)
    data = np.full((60, 60), values[0], dtype)
    data[::2] = values[1]
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(data, wcs))
    with opened(path, NAN) as cut:
        assert cut[0].header["BLANK"] == blank
        outside = outside_circle(cut[0].header, cut[0].shape, CIRCLE)
        np.testing.assert_array_equal(cut[0].data == blank, outside)


def test_a_blank_that_is_declared_is_used(tmp_path):
    wcs = make_wcs(40.0, 5.0, 60, 0.5).to_header(relax=True)
    data = np.full((60, 60), 4, np.int16)
    data[30, 30] = -99
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(data, wcs))
    with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
        file[0].header["BLANK"] = -99
    with opened(path, NAN) as cut:
        assert [card.keyword for card in cut[0].header.cards].count("BLANK") == 1
        assert cut[0].header["BLANK"] == -99
        assert (cut[0].data == -99).sum() > 100


def test_a_gap_between_values_serves_and_without_one_it_is_refused(tmp_path):
    wcs = make_wcs(40.0, 5.0, 60, 0.5).to_header(relax=True)
    data = (np.arange(3600) % 256).astype(np.uint8).reshape(60, 60)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(data, wcs))
    with pytest.raises(UsageError, match=r"OUTSIDE=nan.*OUTSIDE=mask"):
        cutout_file(path, Selection(Circle(40.0, 5.0, 0.0041)), output=NAN)
    data[data == 77] = 76
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(data, wcs))
    with opened(path, NAN, Circle(40.0, 5.0, 0.0041)) as cut:
        assert cut[0].header["BLANK"] == 77


def test_pixels_off_the_sky_are_outside(tmp_path):
    header = all_sky_header()
    path = write(tmp_path / "sky.fits", fits.PrimaryHDU(np.ones((90, 180), np.float32), header))
    with opened(path, NAN, Range(0.0, 360.0, -90.0, 90.0)) as cut:
        cut_section = section(cut[0].header)
        y, x = np.mgrid[cut_section]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ra, _ = WCS(header).all_pix2world(x, y, 0)
        np.testing.assert_array_equal(np.isnan(cut[0].data), ~np.isfinite(ra))


@pytest.mark.realdata
def test_real_images(real_images):
    checked = 0
    for path in sorted(real_images.rglob("*.fits"))[::9]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with fits.open(path) as file:
                    number = next(k for k, hdu in enumerate(file) if hdu.is_image and hdu.size)
                    hdu = file[number]
                    wcs = WCS(hdu.header, file)
                    if wcs.naxis != 2 or not wcs.has_celestial or wcs.wcs.radesys != "ICRS":
                        continue
                    height, width = hdu.shape
                    ra, dec = (float(v) for v in wcs.all_pix2world(width / 2, height / 2, 0))
                    scale = float(np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix))))
                circle = Circle(ra, dec, 0.2 * min(width, height) * scale)
                made = cutout_file(path, Selection(circle), output=MASK)
            except Exception:  # noqa: BLE001 - what astropy cannot open is not the question
                continue
            with fits.open(io.BytesIO(bytes(made.body))) as cut:
                first = next(hdu for hdu in cut if hdu.header.get("CUTHDU") == number)
                expected = outside_circle(first.header, first.shape, circle, cut)
                differ = (cut["OUTSIDE"].data != expected).mean()
        assert differ < 1e-4, path
        checked += 1
    assert checked > 3
