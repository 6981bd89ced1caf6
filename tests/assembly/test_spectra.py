"""Spectral and Stokes axes, and what they make of a product."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import constants as const
from astropy import units as u
from astropy.coordinates import SpectralQuantity
from astropy.wcs import WCS

C = const.c.value
HI = 1420405751.786


def axis(ctype, value, step, unit, pixel=1.0, number=3):
    return {
        f"CTYPE{number}": ctype,
        f"CRVAL{number}": value,
        f"CDELT{number}": step,
        f"CUNIT{number}": unit,
        f"CRPIX{number}": pixel,
    }


@pytest.mark.parametrize(
    ("cards", "low", "high"),
    [
        (axis("FREQ", 1.0e9, 1.0e8, "Hz"), C / 1.35e9, C / 0.95e9),
        (axis("FREQ", 1.0, 0.1, "GHz"), C / 1.35e9, C / 0.95e9),
        (axis("freq", 1.0e9, 1.0e8, ""), C / 1.35e9, C / 0.95e9),
        (axis("WAVE", 500.0, 2.0, "nm"), 499e-9, 507e-9),
        (axis("LINEAR", 5000.0, 20.0, "Angstrom"), 499e-9, 507e-9),
        (axis("ENER", 1.0, 1.0, "keV"), None, None),
        (axis("WAVN", 1000.0, 100.0, "1/cm"), 1e-2 / 1350, 1e-2 / 950),
    ],
)
def test_axis_edges(row_of, cards, low, high):
    row = row_of(cards, shape=(4, 8, 10))
    if low is None:
        low, high = (
            (energy * u.keV).to_value(u.m, equivalencies=u.spectral()) for energy in (4.5, 0.5)
        )
    assert row["em_min"] == pytest.approx(low, rel=1e-7)
    assert row["em_max"] == pytest.approx(high, rel=1e-7)
    assert row["em_xel"] == 4
    assert row["em_res_power"] == pytest.approx((low + high) / 2 / ((high - low) / 4), rel=1e-5)
    assert row["dataproduct_type"] == "cube"


@pytest.mark.parametrize(
    ("ctype", "convention"), [("VRAD", "radio"), ("VOPT", "optical"), ("VELO", "relativistic")]
)
def test_velocities_against_astropy(row_of, ctype, convention):
    cards = axis(ctype, -1.0e6, 1.0e6, "m/s") | {"RESTFRQ": HI}
    row = row_of(cards, shape=(4, 8, 10))
    edges = SpectralQuantity(
        [-1.5e6, 2.5e6] * u.m / u.s, doppler_convention=convention, doppler_rest=HI * u.Hz
    ).to_value(u.m)
    assert [row["em_min"], row["em_max"]] == pytest.approx(sorted(edges), rel=1e-9)


def test_old_velocity_axis_with_the_rest_frequency_under_its_old_name(row_of):
    row = row_of(axis("VELO-LSR", 0.0, 1000.0, "") | {"RESTFREQ": 115.2712e9}, shape=(5, 8, 10))
    assert row["em_min"] < C / 115.2712e9 < row["em_max"]


def test_velocity_without_rest_frequency(row_of):
    row = row_of(axis("VOPT", 0.0, 1000.0, "m/s"), shape=(4, 8, 10))
    assert row["em_min"] is None
    assert "no rest frequency" in row["notes"][0]


def test_air_wavelengths_become_vacuum_ones(row_of):
    """As wcslib translates AWAV to WAVE, at 500 nm."""
    wcs = WCS(naxis=1)
    wcs.wcs.ctype = ["AWAV"]
    wcs.wcs.crval, wcs.wcs.cdelt, wcs.wcs.cunit = [499e-9], [2e-9], ["m"]
    wcs.wcs.crpix = [1.0]
    wcs.wcs.sptr("WAVE-A2W")
    row = row_of(axis("AWAV", 499.0, 2.0, "nm"), shape=(4, 8, 10))
    expected = wcs.wcs_pix2world([[-0.5]], 0)[0][0]
    assert row["em_min"] == pytest.approx(expected, rel=1e-8)
    assert row["em_min"] - 498e-9 == pytest.approx(0.139e-9, abs=0.002e-9)


def test_logarithmic_axis(row_of):
    row = row_of(axis("WAVE-LOG", 4e-7, 4e-9, "m"), shape=(100, 8, 10))
    assert row["em_min"] == pytest.approx(4e-7 * np.exp(-0.5 * 0.01))
    assert row["em_max"] == pytest.approx(4e-7 * np.exp(99.5 * 0.01))


def test_degenerate_axis_gives_its_channel(row_of):
    row = row_of(axis("FREQ", 1.4e9, 2e7, "Hz"), shape=(1, 8, 10))
    assert row["dataproduct_type"] == "image"
    assert row["em_xel"] == 1
    assert row["em_min"] == pytest.approx(C / 1.41e9)


def test_axis_beyond_the_array(row_of):
    """A cutout of one plane that keeps the cards of the cube's axes."""
    cards = axis("FREQ", 1.3649e9, 2.1875e7, "") | axis("STOKES", 1.0, 1.0, "", number=4)
    row = row_of(cards)
    assert row["em_min"] == pytest.approx(C / (1.3649e9 + 1.09375e7))
    assert row["pol_states"] == "/I/"


@pytest.mark.parametrize(
    ("start", "step", "count", "states"),
    [
        (1, 1, 4, "/I/Q/U/V/"),
        (1, 1, 1, "/I/"),
        (4, -1, 4, "/I/Q/U/V/"),
        (-5, -1, 4, "/XX/YY/XY/YX/"),
        (-1, -1, 2, "/RR/LL/"),
        (1, 3, 2, "/I/V/"),
    ],
)
def test_polarization_states_in_canonical_order(row_of, start, step, count, states):
    row = row_of(axis("STOKES", start, step, ""), shape=(count, 8, 10))
    assert row["pol_states"] == states
    assert row["pol_xel"] == count
    assert row["dataproduct_type"] == ("cube" if count > 1 else "image")


def test_stokes_axis_of_nonsense(row_of):
    row = row_of(axis("STOKES", 1000.0, 10.0, ""), shape=(4, 8, 10))
    assert row.get("pol_states") is None
    assert "no polarization state" in row["notes"][0]


def test_axis_with_a_unit_that_is_none(row_of):
    row = row_of(axis("POL", 1000.0, 10.0, "STOKES"), shape=(4, 8, 10))
    assert row["dataproduct_type"] == "cube"
    assert row["em_min"] is None


def test_spectral_axis_goes_before_the_filter(row_of):
    row = row_of(axis("FREQ", 1.4e9, 2e7, "Hz") | {"FILTER": "r"}, shape=(1, 8, 10))
    assert row["em_min"] > 0.2
    assert row["filter"] == "r"
