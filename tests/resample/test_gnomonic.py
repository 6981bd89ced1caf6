"""Gnomonic images by compiled code: what astropy gives, on the image, beside it and far away."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, Sip
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.fits.wcs import icrs_to_pixel, pixel_to_icrs
from vodal.resample.gnomonic import Gnomonic
from vodal.testing.skies import make_wcs

SIZE = 1000


def in_frame(wcs, frame):
    """Say that the coordinates are of another frame."""
    wcs.pixel_shape = (SIZE, SIZE)
    if frame == "galactic":
        wcs.wcs.ctype = [str(t).replace("RA--", "GLON").replace("DEC-", "GLAT")
                         for t in wcs.wcs.ctype]  # fmt: skip
        wcs.wcs.radesys = ""
    else:
        wcs.wcs.radesys = frame
    wcs.wcs.set()
    return wcs


def both(wcs, ra, dec):
    wcs.pixel_shape = (SIZE, SIZE)
    fast = Gnomonic.of(wcs)
    assert fast is not None
    return np.array(fast.to_pixel(ra, dec)), np.array(icrs_to_pixel(wcs, ra, dec))


@settings(deadline=None)
@given(
    lon=st.floats(0, 359.99),
    lat=st.floats(-89.999, 89.999),
    rotation=st.floats(-180, 180),
    distortion=st.sampled_from([0.0, 1.0, -3.0]),
    frame=st.sampled_from(["ICRS", "FK5", "galactic"]),
    seed=st.integers(0, 1000),
)
def test_places_on_and_beside_the_image_are_those_of_astropy(
    lon, lat, rotation, distortion, frame, seed
):
    wcs = make_wcs(lon, lat, SIZE, 2.0, rotation, distorted=distortion != 0.0)
    if distortion:
        sip = wcs.sip
        wcs.sip = Sip(distortion * sip.a, distortion * sip.b, None, None, sip.crpix)
    wcs = in_frame(wcs, frame)
    random = np.random.default_rng(seed)
    x, y = random.uniform(-0.3 * SIZE, 1.3 * SIZE, (2, 50))
    ra, dec = pixel_to_icrs(wcs, x, y)
    fast, slow = both(wcs, ra, dec)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=2e-5)
    np.testing.assert_allclose(fast, [x, y], rtol=0, atol=2e-5)


@settings(deadline=None)
@given(ra=st.floats(0, 359.99), dec=st.floats(-90, 90), distorted=st.booleans())
def test_places_far_away_are_nowhere_on_the_image(ra, dec, distorted):
    wcs = make_wcs(40.0, 60.0, SIZE, 2.0, 30.0, distorted=distorted)
    fast, slow = both(wcs, np.array([ra]), np.array([dec]))
    inside = [np.all((p > -1.0) & (p < SIZE)) for p in (fast, slow)]
    assert inside[0] == inside[1]
    if not distorted:
        np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-5)


def test_shapes_are_kept_and_nan_stays_nan():
    wcs = make_wcs(0.0, 0.0, SIZE, 2.0)
    wcs.pixel_shape = (SIZE, SIZE)
    fast = Gnomonic.of(wcs)
    x, y = fast.to_pixel(np.array([[0.0, np.nan, 0.1]]), np.array([[0.0, 0.0, 0.1]]))
    assert x.shape == y.shape == (1, 3)
    assert np.isnan(x).tolist() == np.isnan(y).tolist() == [[False, True, False]]


HEADER = {
    "NAXIS": 2, "NAXIS1": 100, "NAXIS2": 80, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
    "CRVAL1": 5.0, "CRVAL2": 6.0, "CRPIX1": 40.0, "CRPIX2": 30.0, "CD1_1": -1e-3, "CD1_2": 0.0,
    "CD2_1": 0.0, "CD2_2": 1e-3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, True),
        ({"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0}, True),
        (
            {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0, "PV1_4": 1e-3},
            False,
        ),
        ({"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA"}, False),
        ({"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"}, False),
        ({"LONPOLE": 170.0}, False),
        ({"RADESYS": "FK4"}, False),
        ({"PV1_1": 0.5, "PV1_2": 70.0}, False),
    ],
)
def test_others_are_left_to_astropy(change, taken):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(fits.Header({**HEADER, **change}))
    wcs.wcs.set()
    assert (Gnomonic.of(wcs) is not None) == taken
