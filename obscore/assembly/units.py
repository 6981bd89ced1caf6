"""Conversion of a mapped number to the unit of its column."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

__all__ = ["conversion", "converted"]

_COLUMN_UNITS = {"kbyte": "kbyte", "d": "d", "s": "s", "m": "m", "deg": "deg", "arcsec": "arcsec"}


@lru_cache(maxsize=256)
def conversion(unit: str, to: str, *, spectral: bool = False) -> Callable[[float], float]:
    """Give the function that converts numbers from one unit to another.

    Parameters
    ----------
    unit
        FITS or common spelling.
    to
        A column's unit; empty for none.
    spectral
        Whether frequencies, wave numbers and photon energies are turned into wavelengths.

    Raises
    ------
    ValueError
        If the unit is not known, or cannot be converted.
    """
    try:
        source = u.Unit(unit)
    except ValueError:
        raise ValueError(f"'{unit[:40]}' is no known unit") from None
    target = u.Unit(_COLUMN_UNITS.get(to, to))
    equivalencies = u.spectral() if spectral else []
    try:
        source.to(target, 1.0, equivalencies=equivalencies)
    except u.UnitConversionError:
        raise ValueError(
            f"'{unit}' cannot be converted to {to or 'a number without unit'}"
        ) from None

    def convert(value: float) -> float:
        # The wavelength of no frequency is infinite; what becomes of that, the caller says.
        with np.errstate(all="ignore"):
            return float(source.to(target, value, equivalencies=equivalencies))

    return convert


def converted(
    numbers: NDArray[np.float64], unit: str, to: str, *, spectral: bool = False
) -> NDArray[np.float64]:
    """Convert many numbers as `conversion` does one.

    Raises
    ------
    ValueError
        If the unit is not known, or cannot be converted.
    """
    conversion(unit, to, spectral=spectral)
    source, target = u.Unit(unit), u.Unit(_COLUMN_UNITS.get(to, to))
    equivalencies = u.spectral() if spectral else []
    with np.errstate(all="ignore"):
        return np.asarray(source.to(target, numbers, equivalencies=equivalencies), np.float64)
