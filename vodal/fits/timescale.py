"""Time scales of headers: to UTC and back (FITS paper IV, table 2)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache

import erfa
from astropy.time import Time

from vodal.fits.quiet import quiet

__all__ = [
    "from_utc",
    "read_reference",
    "scale_named",
    "time_axis_name",
    "time_unit_days",
    "to_utc",
]

_NAMES = {"UTC": "utc", "UT": "utc", "UT1": "utc", "GMT": "utc", "TAI": "tai", "IAT": "tai",
          "TT": "tt", "TDT": "tt", "ET": "tt", "TDB": "tdb", "TCG": "tcg", "TCB": "tcb",
          "GPS": "gps"}  # fmt: skip
_UNITS = {"s": 1 / 86400, "d": 1.0, "a": 365.25, "yr": 365.25, "cy": 36525.0, "min": 1 / 1440,
          "h": 1 / 24, "ta": 365.24219, "Ba": 365.2421988, "ms": 1 / 86400e3, "us": 1 / 86400e6,
          "ns": 1 / 86400e9, "ks": 1e3 / 86400, "Ms": 1e6 / 86400}  # fmt: skip
_JD_OF_MJD_0 = 2400000.5
_ATOMIC = ("tai", "tt")
_GPS_BEHIND_TAI_D = 19.0 / 86400.0


@lru_cache(maxsize=256)
def scale_named(text: str) -> str | None:
    """Give the scale that TIMESYS or a CTYPE names; None if it is not known.

    Parameters
    ----------
    text
        Such as ``TT``, or ``UT(NIST)`` with its realization, which is passed over.

    Returns
    -------
    str or None
        ``utc`` (of UT1 too, which is within a second), ``tai``, ``tt``, ``tdb``, ``tcg``, ``tcb``
        or ``gps``.
    """
    return _NAMES.get(re.split(r"[ (]", text.upper())[0])


def time_axis_name(ctype: str) -> str:
    """Tell what kind of time an axis has (FITS paper IV section 3.1).

    Parameters
    ----------
    ctype
        In upper case.

    Returns
    -------
    str
        ``TIME``, whose scale is that of TIMESYS, ``LOCAL``, or the name of a scale; nothing if the
        axis is none of time.
    """
    name = re.sub(r"-+(TAB|LOG)$", "", ctype)
    return name if name in {"TIME", "LOCAL"} or scale_named(name) is not None else ""


def to_utc(mjd: float, scale: str) -> float:
    """Convert a moment to UTC.

    Parameters
    ----------
    mjd
        On the given scale.
    scale
        As `scale_named` gives it.
    """
    if scale == "utc":
        return mjd
    if scale == "gps":
        mjd, scale = mjd + _GPS_BEHIND_TAI_D, "tai"
    with quiet():  # of years before 1960 ERFA warns
        if scale in _ATOMIC:
            return _atomic_to_utc(mjd, scale)
        return float(_time(mjd, scale).utc.mjd)


def _atomic_to_utc(mjd: float, scale: str) -> float:
    """Do what `astropy.time.Time` does for TAI and TT, with its leap seconds, in a tenth of it."""
    whole = math.floor(mjd)
    day, part = _JD_OF_MJD_0 + whole, mjd - whole
    if scale == "tt":
        day, part = erfa.tttai(day, part)
    day, part = erfa.taiutc(day, part)
    return float((day - _JD_OF_MJD_0) + part)


def from_utc(mjd: float, scale: str) -> float:
    """Convert a moment from UTC to another scale; the inverse of `to_utc`."""
    if scale == "utc":
        return mjd
    if scale == "gps":
        return from_utc(mjd, "tai") - _GPS_BEHIND_TAI_D
    with quiet():
        return float(getattr(_time(mjd, "utc"), scale).mjd)


def _time(mjd: float, scale: str) -> Time:
    whole = math.floor(mjd)
    with quiet():
        return Time(whole, mjd - whole, format="mjd", scale=scale)


def time_unit_days(unit: str) -> float | None:
    """Give a unit of time in days, by the names of FITS paper IV; None if it is not known."""
    return _UNITS.get(unit)


def read_reference(number: Callable[[str], float | None], text: Callable[[str], str]) -> float:
    """Give the moment from which a header's times count (FITS paper IV section 4.1).

    Parameters
    ----------
    number, text
        Give the number or text of a keyword; None or nothing where the header has none.

    Returns
    -------
    float
        MJD on the header's scale: of MJDREF, or else JDREF, or else DATEREF; 0 by default.
    """
    for keyword, zero in (("MJDREF", 0.0), ("JDREF", _JD_OF_MJD_0)):
        whole, part = number(f"{keyword}I"), number(f"{keyword}F")
        if whole is not None:
            return (whole - zero) + (part or 0.0)
        single = number(keyword)
        if single is not None:
            return single - zero
    date = text("DATEREF")
    if date:
        try:
            with quiet():
                return float(Time(date, format="fits", scale="tai").mjd)
        except ValueError:
            return 0.0
    return 0.0
