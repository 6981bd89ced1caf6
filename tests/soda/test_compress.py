"""Compressed cutouts, as astropy, funpack and fitsverify read them."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import verify, write

from soda.compress import compress
from soda.cut import cutout_file
from soda.encode import Part, encode
from soda.formats import FORMATS
from soda.output import Compression, Output
from soda.selection import Selection
from vodal.errors import SkylaneError
from vodal.fits.opening import open_pixels
from vodal.fits.pixels import read_section
from vodal.fits.scan import scan_file
from vodal.regions import Circle
from vodal.testing.skies import make_wcs

BY_NAME = {one.name: one for one in FORMATS}
RICE, GZIP = BY_NAME["fits-rice"], BY_NAME["fits-gzip"]


def cards_of(data, **more):
    header = fits.PrimaryHDU(data).header
    header.update(more)
    text = header.tostring(sep="", endcard=False, padding=False)
    return [text[start : start + 80] for start in range(0, len(text), 80)]


def packed(data, method="rice", compression=None, **more):
    part = Part(cards_of(data, **more), data)
    return encode(compress([part], method, compression or Compression()))


def read(body):
    """Give the pixels of the second HDU as astropy decompresses them."""
    with fits.open(io.BytesIO(bytes(body))) as file:
        assert isinstance(file[1], fits.CompImageHDU)
        return np.asarray(file[1].data), file[1].header


shapes = st.lists(st.integers(1, 40), min_size=1, max_size=4).filter(lambda s: np.prod(s) < 4000)
tiles = st.tuples(st.integers(1, 50), st.integers(1, 50))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), tile=tiles, method=st.sampled_from(["rice", "gzip"]))
def test_integers_come_back_equal(data, tile, method):
    dtype = data.draw(st.sampled_from(["u1", "i2", "i4"]))
    pixels = data.draw(arrays(dtype, data.draw(shapes)))
    found, _ = read(packed(pixels, method, Compression(tile=tile)))
    assert found.dtype.newbyteorder("=") == pixels.dtype
    np.testing.assert_array_equal(found, pixels)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), tile=tiles)
def test_floats_without_loss_come_back_to_the_bit(data, tile):
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    pixels = data.draw(arrays(dtype, data.draw(shapes)))
    found, _ = read(packed(pixels, "gzip", Compression(tile=tile)))
    np.testing.assert_array_equal(found, pixels)


@settings(max_examples=100, deadline=None)
@given(
    data=st.data(), tile=tiles, seed=st.integers(0, 99), quantize=st.sampled_from([1.0, 4.0, 30])
)
def test_quantised_floats_are_off_by_less_than_a_step_of_the_noise(data, tile, seed, quantize):
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    shape = data.draw(shapes)
    rng = np.random.default_rng(seed)
    pixels = rng.normal(1000.0, 10.0, shape).astype(dtype)
    pixels[rng.random(shape) < 0.1] = np.nan
    pixels[rng.random(shape) < 0.1] = 0.0
    found, _ = read(packed(pixels, "rice", Compression(quantize, tile)))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(pixels))
    np.testing.assert_array_equal(found == 0.0, pixels == 0.0)
    # The noise of a small tile is not known well: blank and zero pixels are part of its estimate.
    bound = 0.6 * 3000.0 / quantize
    assert np.nanmax(np.abs(found - pixels), initial=0.0) <= bound


def test_the_step_is_the_noise_by_the_quantising_number():
    rng = np.random.default_rng(5)
    pixels = rng.normal(50.0, 2.0, (600, 500)).astype(np.float32)
    for quantize in (2.0, 4.0, 16.0):
        found, _ = read(packed(pixels, "rice", Compression(quantize)))
        off = found - pixels
        step = 2.0 / quantize
        # Uniform errors of one step; the tile's noise is known to a few percent.
        assert np.abs(off).max() <= 0.55 * step
        assert off.std() == pytest.approx(step / np.sqrt(12.0), rel=0.05)
        assert abs(off.mean()) < 0.01 * step


@pytest.mark.parametrize(
    "special",
    [
        np.full((20, 30), 7.5, np.float32),
        np.full((20, 30), np.nan, np.float32),
        np.full((20, 30), np.inf, np.float64),
        np.array([[1.0, np.inf, -np.inf, np.nan] * 10] * 5, np.float32),
        np.array([[3e38, -3e38] * 20] * 5, np.float32),
        np.array([[1e300, -1e300, np.nan] * 20] * 5, np.float64),
        np.array([[2.5]], np.float32),
        np.array([[np.nan]], np.float64),
    ],
    ids=["constant", "blank", "inf", "mixed", "huge", "huger", "one", "one blank"],
)
def test_what_cannot_be_quantised_is_kept_to_the_bit(special):
    found, _ = read(packed(special, "rice"))
    np.testing.assert_array_equal(found, special)


def test_tiles_of_both_kinds_in_one_image(tmp_path):
    rng = np.random.default_rng(1)
    pixels = rng.normal(0.0, 1.0, (64, 64)).astype(np.float32)
    pixels[:32, :32] = 3.0
    pixels[40, 40] = np.inf
    pixels[0, 60] = np.nan
    path = tmp_path / "mixed.fits"
    path.write_bytes(packed(pixels, "rice", Compression(tile=(32, 32))))
    found, _ = read(path.read_bytes())
    np.testing.assert_array_equal(found[:32, :32], pixels[:32, :32])
    np.testing.assert_array_equal(found[32:, 32:], pixels[32:, 32:])
    assert not np.array_equal(found[32:, :32], pixels[32:, :32])
    assert not verify(path)
    # Our own reader agrees with astropy's.
    index = scan_file(path)
    with open_pixels(path.as_uri(), index) as reader:
        ours = read_section(reader, index.hdus[1], (slice(0, 64), slice(0, 64)))
    np.testing.assert_array_equal(ours, found)


@pytest.mark.parametrize("shape", [(30, 40), (1, 1, 1, 1, 1, 30, 40)], ids=["64 bits", "axes"])
@pytest.mark.parametrize("method", ["rice", "gzip"])
def test_what_funpack_cannot_unpack_stays_plain(tmp_path, method, shape):
    dtype = np.int64 if len(shape) == 2 else np.int16
    pixels = np.arange(1200, dtype=dtype).reshape(shape)
    other = np.arange(600, dtype=np.int16).reshape(20, 30)
    cards = fits.ImageHDU(other).header.tostring(sep="", endcard=False, padding=False)
    second = [cards[start : start + 80] for start in range(0, len(cards), 80)]
    parts = [Part(cards_of(pixels), pixels), Part(second, other)]
    path, plain = tmp_path / "a.fits.fz", tmp_path / "a.fits"
    path.write_bytes(encode(compress(parts, method, Compression())))
    assert not verify(path)
    subprocess.run(["funpack", path], check=True, cwd=tmp_path)
    with fits.open(plain) as file:
        np.testing.assert_array_equal(file[0].data, pixels)
        np.testing.assert_array_equal(file[1].data, other)


def test_funpack_gives_the_original_back(tmp_path):
    rng = np.random.default_rng(2)
    pixels = rng.integers(-1000, 1000, (70, 90)).astype(np.int16)
    path, plain = tmp_path / "a.fits.fz", tmp_path / "a.fits"
    body = packed(pixels, "rice", Compression(tile=(32, 32)), BZERO=32768, BLANK=-5, OBJECT="M 31")
    path.write_bytes(body)
    subprocess.run(["funpack", path], check=True, cwd=tmp_path)
    with fits.open(plain, do_not_scale_image_data=True) as file:
        assert len(file) == 1
        np.testing.assert_array_equal(file[0].data, pixels)
        assert file[0].header["OBJECT"] == "M 31"
        assert (file[0].header["BZERO"], file[0].header["BLANK"]) == (32768, -5)
    assert not verify(path)


@pytest.mark.parametrize("shape", [(300, 700), (3, 150, 500), (9, 70_000)])
def test_funpack_finds_blank_pixels_where_they_are(tmp_path, shape):
    rng = np.random.default_rng(8)
    pixels = rng.normal(100.0, 10.0, shape).astype(np.float32)
    pixels[rng.random(shape) < 0.05] = np.nan
    path, plain = tmp_path / "a.fits.fz", tmp_path / "a.fits"
    path.write_bytes(packed(pixels))
    subprocess.run(["funpack", path], check=True, cwd=tmp_path)
    ours, _ = read(path.read_bytes())
    with fits.open(plain) as file:
        np.testing.assert_array_equal(file[0].data, ours)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(pixels))


@pytest.fixture
def survey_file(tmp_path):
    """A file of all kinds of planes, the first in the primary HDU."""
    wcs = make_wcs(40.0, 5.0, 120, 0.5).to_header(relax=True)
    rng = np.random.default_rng(3)
    image = fits.PrimaryHDU(rng.normal(10.0, 2.0, (120, 120)).astype(np.float32), wcs)
    image.header["OBSERVER"] = "a long text, " * 12
    mask = fits.ImageHDU(rng.integers(0, 9, (120, 120)).astype(np.int32), wcs, name="MASK")
    unsigned = fits.ImageHDU(rng.integers(0, 65536, (120, 120)).astype(np.uint16), wcs, name="N")
    return write(tmp_path / "survey.fits", image, mask, unsigned)


@pytest.mark.parametrize("form", [RICE, GZIP], ids=["rice", "gzip"])
def test_a_compressed_cutout_has_the_headers_and_pixels_of_a_plain_one(survey_file, form):
    stencil = Circle(40.0, 5.0, 0.004)
    output = Output(form, compression=Compression(8.0, (20, 20)))
    body = cutout_file(survey_file, Selection(stencil), output=output).body
    plain = cutout_file(survey_file, Selection(stencil)).body
    path = survey_file.with_name("cut.fits.fz")
    path.write_bytes(body)
    assert not verify(path)
    with fits.open(path) as ours, fits.open(io.BytesIO(bytes(plain))) as theirs:
        assert len(ours) == len(theirs) + 1
        for one, other in zip(ours[1:], theirs, strict=True):
            if form is RICE and other.header["BITPIX"] < 0:
                assert np.abs(one.data - other.data).max() < 0.2
            else:
                np.testing.assert_array_equal(one.data, other.data)
            ignored = {"SIMPLE", "XTENSION", "EXTEND", "PCOUNT", "GCOUNT", "CUTDATE"}
            for keyword in set(other.header) - ignored:
                assert one.header[keyword] == other.header[keyword]


@pytest.mark.realdata
def test_real_cutouts_compressed(real_images, tmp_path):
    paths = sorted(path for path in real_images.rglob("*.fits") if path.stat().st_size < 4e6)[::6]
    checked = 0
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                plain = cutout_file(path, Selection())
            except SkylaneError:
                continue
            for form in (RICE, GZIP):
                made = cutout_file(path, Selection(), output=Output(form))
                out = tmp_path / "out.fits.fz"
                out.write_bytes(made.body)
                assert not verify(out) or verify(path), path
                with (
                    fits.open(out, do_not_scale_image_data=True) as ours,
                    fits.open(
                        io.BytesIO(bytes(plain.body)), do_not_scale_image_data=True
                    ) as theirs,
                ):
                    compare(ours, theirs, form, path)
        checked += 1
    assert checked > 5


def compare(ours, theirs, form, path):
    wanted = [hdu for hdu in theirs if hdu.is_image and hdu.size and hdu.header["BITPIX"] != 64]
    found = [hdu for hdu in ours if isinstance(hdu, fits.CompImageHDU)]
    assert len(found) == len(wanted), path
    for one, other in zip(found, wanted, strict=True):
        a, b = np.asarray(one.data), np.asarray(other.data)
        assert a.shape == b.shape
        if form is RICE and b.dtype.kind == "f":
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
            step = one._bintable.data["ZSCALE"].max() if one._bintable is not None else np.inf
            known = np.isfinite(b)
            if known.any():
                assert (
                    np.abs(a[known] - b[known]).max() <= step * 1.01 + 1e-6 * np.abs(b[known]).max()
                )
        else:
            np.testing.assert_array_equal(a, b)
