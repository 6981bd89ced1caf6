"""Cutouts of files of every kind, held against astropy: pixels, coordinates, planes, cards."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import section, verify
from soda_random import PROJECTIONS, files

from soda.cut import cutout_file
from soda.distance import unit_vectors
from soda.selection import Selection
from vodal.fits.opening import open_pixels
from vodal.fits.scan import scan_file
from vodal.fits.wcs import load_wcs, pixel_scale_arcsec, pixel_to_icrs, sky_wcs
from vodal.regions import Circle, Range

pytestmark = pytest.mark.filterwarnings("ignore")

CHANGED = {"NAXIS1", "NAXIS2", "NAXIS3", "NAXIS4", "CRPIX1", "CRPIX2", "CRPIX3", "CRPIX4", "EXTEND",
           "SIMPLE", "XTENSION", "PCOUNT", "GCOUNT", "BITPIX", "NAXIS", "CHECKSUM", "DATASUM",
           "COMMENT", "HISTORY", ""}  # fmt: skip


@st.composite
def stencils(draw, made):
    """Draw a stencil on a file: in its middle, at its edges and corners, tiny or over all."""
    sky = made.sky
    wcs = sky_wcs(our_wcs(made.path))
    nx, ny = (sky.shape[len(sky.shape) - 1 - axis] for axis in (sky.x_axis, sky.y_axis))
    x = draw(st.sampled_from([0.0, nx - 1.0, nx / 2 - 0.5, -0.4, nx - 0.6, nx + 2.0]))
    y = draw(st.sampled_from([0.0, ny - 1.0, ny / 2 - 0.5, -0.4, ny - 0.6, -3.0]))
    ra, dec = pixel_to_icrs(wcs, x, y)
    if not np.isfinite(ra):
        return Circle(0.0, 0.0, 180.0)
    radius = pixel_scale_arcsec(wcs) / 3600 * draw(st.sampled_from([0.01, 0.6, 3.0, 12.0]))
    radius = draw(st.sampled_from([radius, radius, radius, 180.0]))
    if draw(st.integers(0, 4)) == 0:
        return Range(0.0, 360.0, max(-90.0, float(dec) - radius), min(90.0, float(dec) + radius))
    return Circle(float(ra), float(dec), min(radius, 180.0))


def our_wcs(path):
    """Give the coordinates of a file's image as we read them."""
    index = scan_file(path)
    hdu = next(one for one in index.hdus if one.shape and one.header.get("CTYPE1"))
    with open_pixels(path.as_uri(), index) as reader:
        return load_wcs(hdu, index, reader)


def assert_places(cut, cut_file, original, original_file, code, key=" "):
    """Compare where corners and the centre lie, in pixels of the original."""
    theirs = WCS(original.header, original_file, key=key)
    ours = WCS(cut.header, cut_file, key=key)
    slices = section(cut.header)
    shape = np.array([part.stop - part.start for part in reversed(slices)])
    start = np.array([part.start for part in reversed(slices)])
    corners = np.array(list(np.ndindex(*(3,) * len(shape)))) / 2.0
    # A little inside of the corners: at the rim of a map rounding decides what is on the sky.
    places = corners * (shape - 0.002) - 0.499
    found, expected = ours.all_pix2world(places, 0), theirs.all_pix2world(places + start, 0)
    lng, lat = theirs.wcs.lng, theirs.wcs.lat
    if lng >= 0:
        step = np.zeros((2, len(shape)))
        seen = np.isfinite(expected).all(axis=1) & np.isfinite(found).all(axis=1)
        assert (np.isfinite(found).all(axis=1) == np.isfinite(expected).all(axis=1)).all()
        one = unit_vectors(found[seen, lng], found[seen, lat])
        two = unit_vectors(expected[seen, lng], expected[seen, lat])
        off = np.linalg.norm(one - two, axis=-1)
        step[0, lng], step[1, lat] = 1e-3, 1e-3
        for k in (0, 1):
            beside = theirs.all_pix2world(places[seen] + start + step[k], 0)
            size = np.linalg.norm(unit_vectors(beside[:, lng], beside[:, lat]) - two, axis=-1) * 1e3
            # wcslib computes CSC in single precision.
            limit = 1e-6 * size + (4e-7 if code == "CSC" else 1e-15)
            good = np.isfinite(size) & (size > 0)
            assert (off[good] <= limit[good]).all(), (off.max(), size)
    others = [k for k in range(len(shape)) if k not in {lng, lat}]
    np.testing.assert_allclose(found[:, others], expected[:, others], rtol=1e-12)


def assert_cards(cut, original):
    """See that each card of the original is there, but for those that the cut changes."""
    for card in original.header.cards:
        if card.keyword in CHANGED or re.fullmatch(r"CRPIX\dB", card.keyword):
            continue
        assert cut.header.count(card.keyword) == original.header.count(card.keyword), card
        if cut.header.count(card.keyword) == 1:
            assert cut.header[card.keyword] == original.header[card.keyword], card
            assert cut.header.comments[card.keyword] == card.comment, card
    for keyword in ("COMMENT", "HISTORY"):
        if keyword in original.header:
            theirs = [str(line) for line in original.header[keyword]]
            assert [line for line in map(str, cut.header[keyword]) if line in theirs] == theirs


def assert_equal_files(cut_path, original_path, code, planes):
    """Compare all planes of a cutout with what astropy reads of the original."""
    slices = set()
    with fits.open(cut_path) as cut, fits.open(original_path) as original:
        images = [hdu for hdu in cut if "CUTHDU" in hdu.header]
        assert len(images) == planes
        for hdu in images:
            before = original[hdu.header["CUTHDU"]]
            part = section(hdu.header)
            slices.add(str(part))
            expected = before.section[part]
            assert hdu.data.dtype.newbyteorder("=") == before.data.dtype.newbyteorder("=")
            np.testing.assert_array_equal(hdu.data, expected)
            assert hdu.header["BITPIX"] == before.header["BITPIX"]
            assert (hdu.name or "PRIMARY") == (before.name or "PRIMARY")
            if "CTYPE1" in before.header:
                assert_places(hdu, cut, before, original, code)
            if any(keyword.startswith("CTYPE") and keyword[-1] == "B" for keyword in before.header):
                assert_places(hdu, cut, before, original, code, "B")
            assert_cards(hdu, before)
    assert len(slices) == 1


def assert_no_pixel(made, stencil):
    """See by brute force that no pixel's centre is in a stencil."""
    wcs = our_wcs(made.path)
    sky = made.sky
    nx, ny = (sky.shape[len(sky.shape) - 1 - axis] for axis in (sky.x_axis, sky.y_axis))
    ra, dec = pixel_to_icrs(sky_wcs(wcs), *np.meshgrid(np.arange(nx), np.arange(ny)))
    if isinstance(stencil, Circle):
        centre = unit_vectors(np.array([stencil.ra_deg]), np.array([stencil.dec_deg]))
        away = np.linalg.norm(unit_vectors(ra.ravel(), dec.ravel()) - centre, axis=-1)
        inside = 2 * np.arcsin(np.minimum(1, away / 2)) <= np.deg2rad(stencil.radius_deg)
    else:
        inside = (dec >= stencil.dec_min_deg) & (dec <= stencil.dec_max_deg)
    assert not inside.any()


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_cutout_of_any_file_is_astropys(tmp_path, data):
    made = data.draw(files(tmp_path))
    stencil = data.draw(stencils(made))
    answer = cutout_file(made.path, Selection(stencil))
    if answer is None:
        assert_no_pixel(made, stencil)
        return
    out = tmp_path / "cut.fits"
    out.write_bytes(answer.body)
    assert_equal_files(out, made.path, made.sky.code, made.planes)
    assert verify(out) == "" or verify(made.path) != ""


@pytest.mark.parametrize("code", sorted(PROJECTIONS))
def test_every_projection_is_cut_right_at_its_edge_and_across_a_pole(tmp_path, code):
    header = fits.Header()
    for axis, (name, value) in enumerate((("RA--", 0.001), ("DEC-", 45.0)), 1):
        header[f"CTYPE{axis}"] = f"{name}-{code}"
        header[f"CRVAL{axis}"], header[f"CRPIX{axis}"] = value, 30.25
        header[f"CDELT{axis}"] = (-1.0) ** axis * 1.5
    for number, value in PROJECTIONS[code].items():
        header[f"PV2_{number}"] = value
    pixels = np.arange(3600, dtype=np.int32).reshape(60, 60)
    path = tmp_path / "map.fits"
    fits.PrimaryHDU(pixels, header).writeto(path)
    compared = 0
    for stencil in (Circle(0.0, 90.0, 6.0), Circle(20.0, 30.0, 9.0), Circle(359.9, 45.0, 3.0)):
        answer = cutout_file(path, Selection(stencil))
        if answer is not None:
            out = tmp_path / "cut.fits"
            out.write_bytes(answer.body)
            assert_equal_files(out, path, code, 1)
            assert verify(out) == ""
            compared += 1
    assert compared >= 2
