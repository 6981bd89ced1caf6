"""Time scales of headers: to UTC and back (FITS paper IV, table 2)."""

from __future__ import annotations

import math
import re

from astropy.time import Time

from vodal.fits.quiet import quiet

__all__ = ["from_utc", "scale_named", "to_utc"]

_NAMES = {"UTC": "utc", "UT": "utc", "UT1": "utc", "GMT": "utc", "TAI": "tai", "IAT": "tai",
          "TT": "tt", "TDT": "tt", "ET": "tt", "TDB": "tdb", "TCG": "tcg", "TCB": "tcb",
          "GPS": "gps"}  # fmt: skip
_GPS_BEHIND_TAI_D = 19.0 / 86400.0


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
    return float(_time(mjd, scale).utc.mjd)


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
