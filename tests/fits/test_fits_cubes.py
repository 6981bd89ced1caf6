"""The planes of cubes: states and channels by their axes, against astropy's coordinates."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from vodal.errors import DataError
from vodal.fits.cubes import WAVELENGTH, planes_of
from vodal.fits.opened import OpenImage
from vodal.fits.scan import scan_file

SKY = {"x": ("RA---TAN", "deg", 150.0, -1e-3), "y": ("DEC--TAN", "deg", 2.0, 1e-3)}


def planes(tmp_path, order, sizes, axes, **cards):
    """Write a cube whose FITS axes are in an order, and tell its planes."""
    header = fits.Header()
    for i, name in enumerate(order, 1):
        ctype, unit, value, step = {**SKY, **axes}[name]
        header[f"CTYPE{i}"], header[f"CUNIT{i}"] = ctype, unit
        header[f"CRPIX{i}"], header[f"CRVAL{i}"], header[f"CDELT{i}"] = 1.0, value, step
    header.update(cards)
    shape = tuple({"x": 6, "y": 5, **sizes}[name] for name in reversed(order))
    path = tmp_path / "c.fits"
    fits.PrimaryHDU(np.zeros(shape, np.float32), header).writeto(path)
    return planes_of(
        OpenImage(path.as_uri(), scan_file(path), (0,), planes=((0,) * (len(shape) - 2),))
    )


SPECTRA = {
    "freq": (("FREQ", "GHz", 100.0, -0.5), lambda v: (v * u.GHz).to(u.m, u.spectral()), {}),
    "wave": (("WAVE", "nm", 500.0, 1.25), lambda v: v * u.nm, {}),
    "ener": (("ENER", "J", 3e-19, 2e-21), lambda v: (v * u.J).to(u.m, u.spectral()), {}),
    "vrad": (
        ("VRAD", "km/s", 100.0, 1.5),
        lambda v: (v * u.km / u.s).to(u.m, u.doppler_radio(1e11 * u.Hz)),
        {"RESTFRQ": 1e11},
    ),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("order", [("x", "y", "c"), ("c", "y", "x"), ("y", "c", "x", "s")])
def test_channels_are_in_wavelengths_as_astropy_has_them(tmp_path, name, order):
    axis, to_wavelength, cards = SPECTRA[name]
    axes = {"c": axis, "s": ("STOKES", "", 1.0, 1.0)}
    found = planes(tmp_path, order, {"c": 7, "s": 1}, axes, **cards)
    values = axis[2] + axis[3] * (np.arange(8) - 0.5)
    waves = to_wavelength(values).to_value(u.m)
    assert found.channels.kind == WAVELENGTH
    np.testing.assert_allclose(found.channels.low, np.minimum(waves[:-1], waves[1:]), rtol=1e-8)
    np.testing.assert_allclose(found.channels.high, np.maximum(waves[:-1], waves[1:]), rtol=1e-8)
    assert found.states == ("I",)
    assert found.place(0, 3) == tuple({"c": 3, "s": 0}[k] for k in reversed(order) if k in "cs")


def test_states_alone_are_planes(tmp_path):
    axes = {"s": ("STOKES", "", -5.0, -1.0), "c": ("FREQ", "Hz", 1e9, 1e6)}
    found = planes(tmp_path, ("x", "s", "y", "c"), {"s": 4, "c": 1}, axes)
    assert found.states == ("XX", "YY", "XY", "YX")
    assert found.channels is None
    assert found.place(2, 0) == (0, 2)


@pytest.mark.parametrize(
    ("axis", "cards", "kind", "low"),
    [
        # A velocity without a rest frequency counts by itself.
        (("VOPT", "km/s", 10.0, 2.0), {}, "VOPT", [9000.0, 11000.0, 13000.0]),
        (("", "", 3.0, 1.0), {}, "", [0.5, 1.5, 2.5]),
        (("PHASE", "", 0.25, 0.5), {}, "PHASE", [0.0, 0.5, 1.0]),
        # Where some have no wavelength, numbers tell all.
        (("FREQ", "Hz", -1e9, 1e9), {}, "", [0.5, 1.5, 2.5]),
        (("TIME", "s", 0.0, 2.0), {"MJDREF": 59000.0}, "TIME since MJD 59000", [-1.0, 1.0, 3.0]),
    ],
)
def test_channels_that_have_no_wavelengths(tmp_path, axis, cards, kind, low):
    found = planes(tmp_path, ("x", "y", "c"), {"c": 3}, {"c": axis}, **cards)
    assert found.channels.kind == kind
    np.testing.assert_allclose(found.channels.low, low, atol=1e-9)


def test_what_cannot_be_told_is_refused(tmp_path):
    axes = {"a": ("FREQ", "Hz", 1e9, 1e6), "b": ("TIME", "s", 0.0, 1.0)}
    with pytest.raises(DataError, match=r"more than one axis of channels \(TIME, FREQ\)"):
        planes(tmp_path, ("x", "y", "a", "b"), {"a": 3, "b": 2}, axes)
    (tmp_path / "c.fits").unlink()
    with pytest.raises(DataError, match="no polarization state"):
        planes(tmp_path, ("x", "y", "s"), {"s": 3}, {"s": ("STOKES", "", 3.0, 1.0)})
