"""Synthetic cubes and what astropy says of their axes, for the tests of cutouts."""

import itertools
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS

REST_HZ = 1.0e11
REST = REST_HZ * u.Hz

# CTYPE, CUNIT, value and step at the reference pixel, other cards of axis i.
SPECTRA = {
    "freq": ("FREQ", "GHz", 100.0, 0.25, {}),
    "freq-down": ("FREQ", "Hz", 1.0e11, -3.0e8, {}),
    "wave": ("WAVE", "nm", 500.0, 1.25, {}),
    "wave-log": ("WAVE-LOG", "m", 5e-7, 1e-9, {}),
    "wave-f2w": ("WAVE-F2W", "m", 3e-3, 2e-5, {}),
    "freq-w2f": ("FREQ-W2F", "Hz", 1.0e11, 5e8, {}),
    "grism": ("WAVE-GRI", "m", 6e-7, 1e-9, {"PV{i}_0": 4.5e5, "PV{i}_1": 1.0, "PV{i}_2": 27.0}),
    "awav": ("AWAV", "Angstrom", 6000.0, 1.25, {}),
    "wavn": ("WAVN", "m-1", 2.0e6, 1500.0, {}),
    "ener": ("ENER", "eV", 2.0, 0.01, {}),
    "vrad": ("VRAD", "km/s", 100.0, 1.5, {"RESTFRQ": REST_HZ}),
    "vopt": ("VOPT", "m/s", -2000.0, 1500.0, {"RESTFRQ": REST_HZ}),
    "vopt-f2w": ("VOPT-F2W", "m/s", 3e6, 1.5e4, {"RESTFRQ": REST_HZ}),
    "velo": ("VELO", "m/s", 3e6, 1.5e4, {"RESTFRQ": REST_HZ}),
    "zopt": ("ZOPT", "", 0.5, 0.01, {"RESTWAV": 299792458.0 / REST_HZ}),
    "beta": ("BETA", "", 0.1, 0.001, {"RESTFRQ": REST_HZ}),
}


def wavelengths(ctype, values):
    """Give vacuum wavelengths in metres by astropy's units and equivalencies."""
    kind = ctype[:4]
    with np.errstate(all="ignore"):
        match kind:
            case "WAVE":
                return values
            case "FREQ":
                return (values * u.Hz).to_value(u.m, u.spectral())
            case "ENER":
                return (values * u.J).to_value(u.m, u.spectral())
            case "WAVN":
                return (values / u.m).to_value(u.m, u.spectral())
            case "VRAD":
                return (values * u.m / u.s).to_value(u.m, u.doppler_radio(REST))
            case "VOPT":
                return (values * u.m / u.s).to_value(u.m, u.doppler_optical(REST))
            case "VELO":
                return (values * u.m / u.s).to_value(u.m, u.doppler_relativistic(REST))
            case "BETA":
                speed = values * 299792458.0 * u.m / u.s
                return speed.to_value(u.m, u.doppler_relativistic(REST))
            case "ZOPT":
                speed = values * 299792458.0 * u.m / u.s
                return speed.to_value(u.m, u.doppler_optical(REST))
            case "AWAV":
                # Ciddor 1996, Appl. Opt. 35, 1566: phase refractivity of standard air.
                s2 = (1e-6 / values) ** 2
                return values * (1 + 0.05792105 / (238.0185 - s2) + 0.00167917 / (57.362 - s2))
    raise ValueError(kind)


def cube(
    order=("ra", "dec", "spectral", "stokes"),
    *,
    sizes=None,
    spectrum="freq",
    stokes=(1.0, 1.0),
    time=("TIME", "d", 0.0, 0.1),
    matrix="cdelt",
    **cards,
):
    """Make the header and pixels of a cube with axes in an order."""
    sizes = {"ra": 7, "dec": 6, "spectral": 12, "stokes": 4, "time": 8} | (sizes or {})
    header = fits.Header()
    for i, name in enumerate(order, 1):
        ctype, unit, value, step, others = {
            "ra": ("RA---TAN", "deg", 150.0, -1e-3, {}),
            "dec": ("DEC--TAN", "deg", 2.0, 1e-3, {}),
            "spectral": SPECTRA[spectrum],
            "stokes": ("STOKES", "", *stokes, {}),
            "time": (*time, {}),
        }[name]
        header[f"CTYPE{i}"], header[f"CRVAL{i}"], header[f"CRPIX{i}"] = ctype, value, 2.0
        if name == "stokes":
            header[f"CRPIX{i}"] = 1.0
        if unit:
            header[f"CUNIT{i}"] = unit
        if matrix == "cd":
            header[f"CD{i}_{i}"] = step
        else:
            header[f"CDELT{i}"] = step
            if matrix == "pc":
                header[f"PC{i}_{i}"] = 1.0
        for key, content in others.items():
            header[key.format(i=i)] = content
    header.update(cards)
    shape = tuple(sizes[name] for name in reversed(order))
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return fits.PrimaryHDU(data, header)


def quiet_wcs(header, file=None, key=" "):
    """Make astropy's coordinates without its words on dates and units."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(header, file, key=key)


def edges(header, axis):
    """Give the coordinate at the edges of the pixels of an axis (0-based in FITS order)."""
    wcs = quiet_wcs(header)
    size = header[f"NAXIS{axis + 1}"]
    places = np.zeros((size + 1, wcs.naxis))
    places[:, axis] = np.arange(size + 1) - 0.5
    return wcs.all_pix2world(places, 0)[:, axis]


def times_utc(values, unit, reference_mjd, scale):
    """Give MJD in UTC of times that count from a moment."""
    days = (values * u.Unit(unit)).to_value(u.day)
    if scale == "gps":
        return (Time(reference_mjd, days, format="mjd", scale="tai") + 19 * u.s).utc.mjd
    return Time(reference_mjd, days, format="mjd", scale=scale).utc.mjd


def meeting(ends, low, high):
    """Tell which pixels' bins, given their edges, meet an interval, one by one."""
    return [
        k
        for k, (a, b) in enumerate(itertools.pairwise(ends))
        if min(a, b) <= high and max(a, b) >= low
    ]
