"""Spectral axes: what they count, in which unit, and their wavelengths in vacuum (FITS paper III).

The first four letters of CTYPE say what an axis counts; its algorithm code (-F2W, -LOG, -GRI, -TAB
...) is for wcslib, which gives the coordinate itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vodal.constants import LIGHT_M_S, PLANCK_J_S

__all__ = [
    "SPECTRAL_UNITS",
    "VELOCITIES",
    "rest_wavelength_m",
    "spectral_kind",
    "spectral_scale",
    "vacuum_wavelengths",
]

Floats = NDArray[np.float64]

_SHORTEST_IN_AIR_M = 2e-7

VELOCITIES = frozenset({"VRAD", "VOPT", "ZOPT", "VELO", "BETA"})
"""Kinds that need a rest wavelength."""
_KINDS = {"FREQ": "FREQ", "WAVE": "WAVE", "LAMBDA": "WAVE", "WAVELENGTH": "WAVE",
          "WAVEL": "WAVE", "AWAV": "AWAV", "ENER": "ENER", "ENERGY": "ENER", "WAVN": "WAVN",
          "VRAD": "VRAD", "VOPT": "VOPT", "ZOPT": "ZOPT", "VELO": "VELO", "BETA": "BETA",
          "FELO": "VOPT", "VELOCITY": "VRAD"}  # fmt: skip
_UNIT_KINDS = {"m": "WAVE", "Hz": "FREQ", "J": "ENER"}
SPECTRAL_UNITS = {
    "m": ("m", 1.0), "nm": ("m", 1e-9), "um": ("m", 1e-6), "micron": ("m", 1e-6),
    "mm": ("m", 1e-3), "cm": ("m", 1e-2), "angstrom": ("m", 1e-10), "angstroms": ("m", 1e-10),
    "a": ("m", 1e-10), "micrometer": ("m", 1e-6), "microns": ("m", 1e-6),
    "hz": ("Hz", 1.0), "khz": ("Hz", 1e3), "mhz": ("Hz", 1e6), "ghz": ("Hz", 1e9),
    "m/s": ("m/s", 1.0), "m s-1": ("m/s", 1.0), "km/s": ("m/s", 1e3), "km s-1": ("m/s", 1e3),
    "m / s": ("m/s", 1.0), "km / s": ("m/s", 1e3),
    "1/m": ("1/m", 1.0), "m-1": ("1/m", 1.0), "1 / m": ("1/m", 1.0),
    "1/cm": ("1/m", 1e2), "cm-1": ("1/m", 1e2), "1 / cm": ("1/m", 1e2),
    "j": ("J", 1.0), "ev": ("J", 1.602176634e-19), "kev": ("J", 1.602176634e-16),
    "mev": ("J", 1.602176634e-13), "gev": ("J", 1.602176634e-10),
}  # fmt: skip
"""Units in lower case, as headers and astropy write them: the SI unit and its number."""


def spectral_kind(ctype: str, unit: str) -> str | None:
    """Tell what an axis counts.

    Parameters
    ----------
    ctype
        CTYPE, with its algorithm code. Without a type, or LINEAR, the unit tells.
    unit
        CUNIT.

    Returns
    -------
    str or None
        FREQ, WAVE (in vacuum), AWAV (in air), ENER, WAVN, VRAD, VOPT, ZOPT, VELO or BETA; None if
        the axis is not spectral.
    """
    code = re.split(r"[-\s]", ctype.upper())[0]
    if code in _KINDS:
        return _KINDS[code]
    if code in {"", "LINEAR"}:
        scale = SPECTRAL_UNITS.get(unit.lower())
        if scale is not None:
            return _UNIT_KINDS.get(scale[0])
    return None


def spectral_scale(unit: str) -> float:
    """Give how many SI units there are in a unit; 1 for what is not known, as SI is the default."""
    return SPECTRAL_UNITS.get(unit.lower(), ("", 1.0))[1]


def rest_wavelength_m(number: Callable[[str], float | None]) -> float:
    """Give the rest wavelength in vacuum, of RESTFRQ or RESTWAV; NaN where there is none.

    Parameters
    ----------
    number
        Gives the number of a keyword, None if the header has none.
    """
    for keyword in ("RESTFRQ", "RESTFREQ", "FREQ0", "RESTWAV"):
        value = number(keyword)
        if value is not None and value > 0.0:
            return value if keyword == "RESTWAV" else LIGHT_M_S / value
    return float("nan")


def vacuum_wavelengths(kind: str, values: ArrayLike, rest_m: float = float("nan")) -> Floats:
    """Turn spectral coordinates into wavelengths in vacuum (FITS paper III, table 2).

    Parameters
    ----------
    kind
        As `spectral_kind` gives it.
    values
        In SI units (Hz, m, J, 1/m, m/s); any shape.
    rest_m
        Rest wavelength in vacuum, which velocities and redshifts need.

    Returns
    -------
    array
        Metres; NaN where the coordinate has no positive, finite wavelength.
    """
    given = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        found = np.asarray(_convert(kind, given, rest_m), np.float64)
        return np.where(np.isfinite(found) & (found > 0.0), found, np.nan)


def _convert(kind: str, values: Floats, rest_m: float) -> Floats:
    match kind:
        case "WAVE":
            return values
        case "AWAV":
            return values * _air_index(values)
        case "FREQ":
            return LIGHT_M_S / values
        case "ENER":
            return PLANCK_J_S * LIGHT_M_S / values
        case "WAVN":
            return 1.0 / values
        case "VRAD":
            return rest_m / (1.0 - values / LIGHT_M_S)
        case "VOPT":
            return rest_m * (1.0 + values / LIGHT_M_S)
        case "ZOPT":
            return rest_m * (1.0 + values)
        case "VELO" | "BETA":
            beta = values / LIGHT_M_S if kind == "VELO" else values
            return np.asarray(rest_m * np.sqrt((1.0 + beta) / (1.0 - beta)))
        case _:
            return np.full_like(values, np.nan)


def _air_index(air_m: Floats) -> Floats:
    """Give the refraction index of standard air (15 C, dry; Morton 1991, ApJS 77, 119).

    Wavelengths below 200 nm are given in vacuum by custom.
    """
    index = np.ones_like(air_m)
    for _ in range(3):
        s2 = (1e-6 / (air_m * index)) ** 2
        index = 1.000064328 + 2.94981e-2 / (146.0 - s2) + 2.5540e-4 / (41.0 - s2)
    return np.where(air_m >= _SHORTEST_IN_AIR_M, index, 1.0)
