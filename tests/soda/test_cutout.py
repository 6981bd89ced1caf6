from __future__ import annotations

import dataclasses
import gzip
import io
import os
import re
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products, assert_same_pixels, assert_same_sky, section, verify, write

from soda import cut as cut_module
from soda.cut import cutout, cutout_file
from soda.selection import Selection
from soda.source import source_of
from vodal.errors import DataError, TooLargeError
from vodal.regions import Circle, Polygon, Range
from vodal.storage import stat_local
from vodal.testing.skies import make_wcs


def opened(made):
    return fits.open(io.BytesIO(bytes(made.body)), do_not_scale_image_data=False)


def check(path, stencil, tmp_path, planes=None):
    """Cut, and compare all planes with what astropy reads; gives the cutout's headers."""
    made = cutout_file(path, Selection(stencil))
    assert made is not None
    out = tmp_path / "cut.fits"
    out.write_bytes(made.body)
    assert verify(out) == ""
    with fits.open(out) as cut, fits.open(path) as original:
        images = [hdu for hdu in cut if hdu.data is not None and "CUTHDU" in hdu.header]
        assert images
        if planes is not None:
            assert len(images) == planes
        for hdu in images:
            source = original[hdu.header["CUTHDU"]]
            assert_same_pixels(hdu, source)
            assert_same_sky(hdu, source, cut, original)
        return [hdu.header.copy() for hdu in cut]


def place(wcs, x, y):
    ra, dec = wcs.all_pix2world(x, y, 0)
    return float(ra), float(dec)


def circle(wcs, x, y, radius_pixels, scale_arcsec):
    return Circle(*place(wcs, x, y), radius_pixels * scale_arcsec / 3600)


def test_every_exposure_of_the_survey(survey, tmp_path):
    for exposure in survey.exposures:
        stencil = circle(exposure.wcs, 130, 40, 25, 0.4)
        headers = check(exposure.path, stencil, tmp_path, planes=3)
        assert [header.get("EXTNAME") for header in headers] == [None, "IMAGE", "MASK", "VARIANCE"]
        assert headers[0]["FILTER"] == exposure.band
        assert headers[2]["MP_BAD"] == 1
        # As large as is needed, to a pixel.
        assert 49 <= headers[1]["NAXIS1"] <= 54
        assert 49 <= headers[1]["NAXIS2"] <= 54


def test_the_same_as_astropys_cutout(survey):
    exposure = survey.exposures[0]
    made = cutout_file(exposure.path, Selection(circle(exposure.wcs, 100, 90, 20, 0.4)))
    with opened(made) as cut, fits.open(exposure.path) as original:
        ours = cut["IMAGE"]
        ny, nx = ours.shape
        y, x = (part.start for part in section(ours.header))
        wcs = WCS(original["IMAGE"].header)
        theirs = Cutout2D(
            original["IMAGE"].data, (x + (nx - 1) / 2, y + (ny - 1) / 2), (ny, nx), wcs=wcs
        )
        np.testing.assert_array_equal(theirs.data, ours.data)
        sky = theirs.wcs.all_pix2world([[3.0, 4.0]], 0)
        ours_wcs = WCS(ours.header)
        assert ours_wcs.all_world2pix(sky, 0) == pytest.approx(np.array([[3.0, 4.0]]), abs=1e-6)


@pytest.mark.parametrize("dec", [-90.0, -89.99, 0.0, 30.0, 89.995, 90.0])
@pytest.mark.parametrize("ra", [0.0, 0.004, 359.999, 123.4])
def test_poles_and_ra_0(tmp_path, ra, dec):
    wcs = make_wcs(ra, dec, 200, 0.5, 33.0)
    pixels = np.arange(40000, dtype=np.float32).reshape(200, 200)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(pixels, wcs.to_header(relax=True)))
    stencil = circle(wcs, 99.5, 99.5, 30, 0.5)
    headers = check(path, stencil, tmp_path, planes=1)
    assert 60 <= headers[0]["NAXIS1"] <= 63
    assert 60 <= headers[0]["NAXIS2"] <= 63


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("order", [(1, 2, 3, 4), (3, 1, 4, 2), (4, 3, 2, 1), (2, 4, 1, 3)])
def test_cubes_with_axes_in_any_order(tmp_path, order, swap):
    sizes = {1: 40, 2: 30, 3: 5, 4: 1}
    names = {1: ("RA---SIN", 10.0, 1e-3), 2: ("DEC--SIN", 45.0, 1e-3),
             3: ("FREQ", 1.4e9, 1e6), 4: ("STOKES", 1.0, 1.0)}  # fmt: skip
    header = fits.Header()
    for axis, kind in enumerate(order, 1):
        ctype, value, step = names[kind]
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"] = ctype, value
        header[f"CDELT{axis}"], header[f"CRPIX{axis}"] = (
            -step if kind == 1 else step,
            sizes[kind] / 2,
        )
    shape = tuple(sizes[kind] for kind in reversed(order))
    rng = np.random.default_rng(3)
    data = rng.standard_normal(shape).astype(np.float64 if swap else np.float32)
    path = write(tmp_path / "cube.fits", fits.PrimaryHDU(data, header))
    headers = check(path, Circle(10.0, 45.0, 0.006), tmp_path, planes=1)
    made = {kind: headers[0][f"NAXIS{axis}"] for axis, kind in enumerate(order, 1)}
    assert (made[3], made[4]) == (5, 1)
    assert 12 <= made[1] <= 14
    assert 12 <= made[2] <= 14


@pytest.mark.parametrize(
    ("dtype", "scaling"),
    [
        ("u1", {}),
        ("i1", {}),
        ("i2", {}),
        ("u2", {}),
        ("i4", {"BLANK": -7}),
        ("u4", {}),
        ("i8", {}),
        ("f4", {}),
        ("f8", {}),
    ],
)
@pytest.mark.parametrize("compression", [None, "RICE_1", "GZIP_2"])
def test_stored_types_are_kept(tmp_path, dtype, scaling, compression):
    if compression and dtype in {"i8", "f8"}:
        compression = "GZIP_1"
    wcs = make_wcs(80.0, -60.0, 64, 1.0, distorted=False)
    rng = np.random.default_rng(5)
    if dtype.startswith("f"):
        data = rng.standard_normal((64, 64)).astype(dtype)
        data[20, 20:40] = np.nan
    else:
        info = np.iinfo(dtype)
        low, high = max(info.min, -(1 << 24)), min(info.max, 1 << 24)
        data = rng.integers(low, high, (64, 64)).astype(dtype)
    header = wcs.to_header()
    header.update(scaling)
    if compression:
        options = {"quantize_level": 0.0} if dtype.startswith("f") else {}
        if dtype.startswith("f") and compression == "RICE_1":
            options = {"quantize_level": 64.0, "dither_seed": 3}
        hdu = fits.CompImageHDU(data, header, name="X", compression_type=compression, **options)
    else:
        hdu = fits.ImageHDU(data, header, name="X")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        headers = check(path, circle(wcs, 30, 25, 9, 1.0), tmp_path, planes=1)
    assert headers[1]["XTENSION"] == "IMAGE"
    stored = {"u1": 8, "i1": 8, "i2": 16, "u2": 16, "i4": 32, "u4": 32, "i8": 64, "f4": -32}
    assert headers[1]["BITPIX"] == stored.get(dtype, -64)


def test_scaled_integers_keep_their_scaling(tmp_path):
    wcs = make_wcs(80.0, -60.0, 64, 1.0, distorted=False)
    raw = np.arange(4096, dtype=np.int16).reshape(64, 64)
    hdu = fits.PrimaryHDU(raw, wcs.to_header())
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.25, 100.0, 1234
    path = write(tmp_path / "a.fits", hdu)
    made = cutout_file(path, Selection(circle(wcs, 18, 18, 9, 1.0)))
    with fits.open(io.BytesIO(bytes(made.body)), do_not_scale_image_data=True) as cut:
        header = cut[0].header
        assert (header["BSCALE"], header["BZERO"], header["BLANK"]) == (0.25, 100.0, 1234)
        np.testing.assert_array_equal(cut[0].data, raw[section(header)])


def test_a_gzip_of_the_whole_file(survey, tmp_path):
    exposure = next(e for e in survey.exposures if not e.compressed)
    path = tmp_path / "visit.fits.gz"
    path.write_bytes(gzip.compress(exposure.path.read_bytes(), 1))
    check(path, circle(exposure.wcs, 200, 100, 12, 0.4), tmp_path, planes=3)


def test_concave_polygons_ranges_and_whole_images(survey, tmp_path):
    exposure = survey.exposures[1]
    corners = [(40, 40), (200, 60), (120, 90), (210, 200), (60, 180), (100, 100)]
    polygon = Polygon(tuple(place(exposure.wcs, x, y) for x, y in corners))
    headers = check(exposure.path, polygon, tmp_path, planes=3)
    assert abs(headers[1]["NAXIS1"] - 171) <= 2
    assert abs(headers[1]["NAXIS2"] - 161) <= 2
    ra, dec = place(exposure.wcs, 128, 128)
    check(exposure.path, Range(ra - 0.004, ra + 0.004, dec - 0.002, dec + 0.002), tmp_path, 3)
    whole = check(exposure.path, None, tmp_path, planes=3)
    assert whole[1]["NAXIS1"] == whole[1]["NAXIS2"] == 256
    assert "CUTSTEN" not in whole[0]
    check(exposure.path, Circle(0.0, 0.0, 180.0), tmp_path, planes=3)


def test_no_overlap_is_none(survey):
    exposure = survey.exposures[0]
    assert cutout_file(exposure.path, Selection(Circle(10.0, 10.0, 1.0))) is None
    ra, dec = place(exposure.wcs, -3.0, 100.0)
    assert cutout_file(exposure.path, Selection(Circle(ra, dec, 2.0 * 0.4 / 3600))) is None
    assert cutout_file(exposure.path, Selection(Circle(ra, dec, 4.0 * 0.4 / 3600))) is not None


def test_chips_of_a_camera_are_cut_where_they_are_met(tmp_path):
    hdus = [fits.PrimaryHDU()]
    skies = [make_wcs(40.0 + 0.02 * k, 5.0, 100, 0.5, distorted=False) for k in range(4)]
    for k, wcs in enumerate(skies):
        data = np.full((100, 100), k, np.int16)
        hdus.append(fits.ImageHDU(data, wcs.to_header(), name=f"CCD{k}"))
    path = write(tmp_path / "camera.fits", *hdus)
    headers = check(path, circle(skies[2], 50, 50, 20, 0.5), tmp_path, planes=1)
    assert headers[1]["EXTNAME"] == "CCD2"
    products = Products(path)
    assert len(products.found) == 4
    for did, product in products.found.items():
        source = source_of(product, products.index(product))
        made = cutout(source, Selection(circle(skies[2], 50, 50, 20, 0.5)))
        assert (made is not None) == ("CCD2" in did)
        if made is not None:
            with opened(made) as cut:
                assert cut[0].header["CUTID"] == did


def test_a_mask_without_coordinates_follows_its_image(tmp_path):
    wcs = make_wcs(40.0, 5.0, 100, 0.5)
    image = np.arange(10000, dtype=np.float32).reshape(100, 100)
    path = write(
        tmp_path / "a.fits",
        fits.PrimaryHDU(image, wcs.to_header(relax=True)),
        fits.ImageHDU(image.astype(np.int32), name="MASK"),
    )
    made = cutout_file(path, Selection(circle(wcs, 60, 30, 11, 0.5)))
    with opened(made) as cut:
        np.testing.assert_array_equal(cut[0].data.astype(np.int32), cut["MASK"].data)


def test_planes_of_two_sizes_are_each_cut_by_their_own_sky(tmp_path):
    fine, coarse = make_wcs(40.0, 5.0, 200, 0.5), make_wcs(40.0, 5.0, 100, 1.0, distorted=False)
    path = write(
        tmp_path / "a.fits",
        fits.PrimaryHDU(np.zeros((200, 200), np.float32), fine.to_header(relax=True)),
        fits.ImageHDU(np.zeros((100, 100), np.float32), coarse.to_header(), name="BACKGROUND"),
    )
    headers = check(path, circle(fine, 100, 100, 40, 0.5), tmp_path, planes=2)
    assert abs(headers[0]["NAXIS1"] - 2 * headers[1]["NAXIS1"]) <= 3


def test_an_answer_over_the_limit_is_refused_by_name(survey):
    exposure = survey.exposures[0]
    with pytest.raises(TooLargeError, match=r"over the limit of 0\.1 MB"):
        cutout_file(exposure.path, Selection(None), limit_bytes=100_000)
    assert cutout_file(
        exposure.path, Selection(circle(exposure.wcs, 100, 100, 5, 0.4)), limit_bytes=100_000
    )


def test_a_file_that_changed_is_an_error(survey, tmp_path):
    path = Path(shutil.copy(survey.exposures[0].path, tmp_path / "a.fits"))
    products = Products(path)
    (product,) = products.found.values()
    source = source_of(product, products.index(product))
    assert cutout(source, Selection(None)) is not None
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="changed"):
        cutout(source, Selection(None))


@pytest.mark.parametrize("compressed", [False, True])
def test_only_the_needed_bytes_are_read(tmp_path, monkeypatch, compressed):
    wcs = make_wcs(40.0, 5.0, 1000, 0.5)
    rng = np.random.default_rng(1)
    data = rng.integers(0, 1 << 30, (1000, 1000)).astype(np.int32)
    maker = fits.CompImageHDU if compressed else fits.ImageHDU
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), maker(data, wcs.to_header(relax=True)))
    products = Products(path)
    (product,) = products.found.values()
    source = source_of(product, products.index(product))
    selection = Selection(circle(wcs, 500, 500, 10, 0.5))
    cutout(source, selection)  # looks at the headers, once
    taken = []
    pread, preadv = os.pread, os.preadv
    monkeypatch.setattr(os, "pread", lambda *given: (taken.append(given[1]), pread(*given))[1])
    monkeypatch.setattr(
        os,
        "preadv",
        lambda *given: (taken.append(sum(map(len, given[1]))), preadv(*given))[1],
    )
    cutout(source, selection)
    assert sum(taken) <= 24 * 4000
    assert len(taken) == 1


def test_files_written_directly_are_those_put_together_from_arrays(survey, monkeypatch):
    def bodies():
        found = []
        for exposure in survey.exposures:
            for stencil in (None, circle(exposure.wcs, 130, 40, 25, 0.4)):
                made = cutout_file(
                    exposure.path,
                    Selection(stencil),
                    # Memory that was used before holds anything.
                    allocate=lambda length: memoryview(bytearray(b"\xa5" * length)),
                )
                found.append(re.sub(rb"CUTDATE = '[^']*'", b"", bytes(made.body)))
        return found

    direct = bodies()
    monkeypatch.setattr(cut_module, "_is_plain", lambda *_: False)
    monkeypatch.setattr(cut_module, "write_directly", None)
    assert direct == bodies()


def test_a_truncated_file_is_an_error(survey, tmp_path):
    path = Path(shutil.copy(survey.exposures[0].path, tmp_path / "a.fits"))
    products = Products(path)
    (product,) = products.found.values()
    index = products.index(product)
    with path.open("r+b") as file:
        file.truncate(product.size_bytes // 2)
    index = dataclasses.replace(index, version=stat_local(path).version)
    with pytest.raises(DataError):
        cutout(source_of(product, index), Selection(None))
