"""What wcslib reads by itself is what astropy's constructor makes of the same header."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.fits.iraf import without_iraf
from vodal.fits.quiet import quiet
from vodal.fits.scan import scan_file
from vodal.fits.tpv import longitude_first
from vodal.fits.values import HeaderValues
from vodal.fits.wcs import claims_sky
from vodal.fits.wcslib import read_wcs

BASE: dict[str, Any] = {
    "NAXIS": 2, "NAXIS1": 60, "NAXIS2": 40, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 25.0, "CRPIX2": 20.0,
    "CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1e-4,
}  # fmt: skip
SIP = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP",
    "A_ORDER": 3, "B_ORDER": 2, "A_0_2": 1e-5, "A_2_1": 3e-7, "B_1_1": -2e-5, "A_3_3": 9.0,
}  # fmt: skip
CHANGES: list[dict[str, Any]] = [
    SIP,
    {**SIP, "AP_ORDER": 2, "BP_ORDER": 2, "AP_1_1": 1e-6, "BP_2_0": -1e-6, "A_DMAX": 0.3},
    {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 0.01, "PV2_1": 1.0},
    {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": -30.0},
    {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CRVAL2": 0.0},
    {"CTYPE1": "DEC--SIN", "CTYPE2": "RA---SIN", "CRVAL1": 2.0, "CRVAL2": 150.0,
     "RADESYS": "FK5", "EQUINOX": 1975.0, "LONPOLE": 170.0},
    {"NAXIS": 3, "NAXIS3": 7, "CTYPE3": "FREQ", "CRVAL3": 1.4, "CDELT3": 1e-3, "CUNIT3": "GHz"},
    {"NAXIS": 3, "NAXIS3": 7, "WCSAXES": 2},
    {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CRVAL1": 540000.0, "CRVAL2": 7200.0},
    {"DATE-OBS": "12/03/97", "EPOCH": 1950.0, "RADECSYS": "FK4", "MJD-OBS": 50519.5},
    {"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None, "CDELT1": -1e-4, "CDELT2": 1e-4,
     "CROTA2": 30.0},
    {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8, "CDELT1": -1e-4, "CDELT2": 1e-4,
     "CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None},
]  # fmt: skip
LEFT: list[dict[str, Any]] = [
    {**SIP, "B_ORDER": None},
    {**SIP, "A_ORDER": 1, "B_ORDER": 1},
    {**SIP, "AP_ORDER": 2},
    {"PV1_5": 0.01, "PV2_5": 0.01},
    {**SIP, "PV1_5": 0.01, "PV2_5": 0.01},
    {**SIP, "NAXIS": 3, "NAXIS3": 7, "CTYPE3": "FREQ", "CRVAL3": 1.4},
    {"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1"},
    {"CTYPE1": "RA---XYZ"},
    {"NAXIS": 2, "WCSAXES": 3, "CTYPE3": "FREQ", "CRVAL3": 1.4},
]


def header_of(*changes: dict[str, Any]) -> fits.Header:
    header = fits.Header()
    for key, value in {
        key: one for cards in (BASE, *changes) for key, one in cards.items()
    }.items():
        if value is not None:
            header[key] = value
    return header


def values_of(header: fits.Header) -> HeaderValues:
    return HeaderValues.of(header.tostring(endcard=False, padding=False))


def assert_same(found: WCS, header: fits.Header) -> None:
    with quiet():
        expected = WCS(header)
        expected.wcs.set()
        assert found.wcs.compare(expected.wcs, tolerance=0.0)
        assert found.to_header(relax=True).tostring() == expected.to_header(relax=True).tostring()
        assert (found.naxis, found.pixel_shape) == (expected.naxis, expected.pixel_shape)
        assert (found.sip is None) == (expected.sip is None)
        assert found.has_distortion == expected.has_distortion
        rng = np.random.default_rng(5)
        places = rng.uniform(-100.0, 3000.0, (50, found.naxis))
        np.testing.assert_array_equal(
            found.all_pix2world(places, 0), expected.all_pix2world(places, 0)
        )
        for name in ("a", "b", "ap", "bp", "crpix") if found.sip is not None else ():
            np.testing.assert_array_equal(getattr(found.sip, name), getattr(expected.sip, name))


@pytest.mark.parametrize("change", CHANGES)
def test_a_header_that_wcslib_can_read_is_read_alike(change: dict[str, Any]) -> None:
    header = header_of(change)
    with quiet():
        found = read_wcs(values_of(header))
    assert found is not None
    assert_same(found, header)


@pytest.mark.parametrize("change", LEFT)
def test_what_astropy_mends_or_refuses_is_left_to_it(change: dict[str, Any]) -> None:
    with quiet():
        assert read_wcs(values_of(header_of(change))) is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(CHANGES + LEFT), max_size=4), st.randoms())
def test_any_mixture_of_cards_is_read_alike_or_left(
    changes: list[dict[str, Any]], draw: Any
) -> None:
    header = header_of(*changes)
    cards = list(header.cards)
    draw.shuffle(cards)
    mixed = fits.Header(cards)
    with quiet():
        found = read_wcs(values_of(mixed))
    if found is not None:
        assert_same(found, mixed)


def headers(folder: Path) -> Iterator[fits.Header]:
    for path in sorted(folder.rglob("*")):
        try:
            index = scan_file(path) if path.is_file() else None
        except DataError:
            continue
        yield from (hdu.image_header for hdu in index.hdus if hdu.shape) if index else ()


@pytest.mark.realdata
def test_headers_of_real_files_are_read_alike(real_images: Path) -> None:
    read = 0
    for header in headers(real_images):
        try:
            plain, _ = without_iraf(longitude_first(header)) if claims_sky(header) else (None, None)
        except DataError:
            continue
        with quiet():
            found = None if plain is None else read_wcs(values_of(plain))
        if found is not None:
            assert_same(found, plain)
            read += 1
    assert read > 150
