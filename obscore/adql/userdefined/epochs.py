"""Positions of moving stars at another time."""

from __future__ import annotations

import math

from vodal.regions import Point

__all__ = ["position_at"]

_AU_PER_YEAR_KM_S = 4.740470463533349
"""One astronomical unit a Julian year, in km/s."""

_MAS_RAD = math.radians(1.0 / 3_600_000.0)


def position_at(
    ra_deg: float,
    dec_deg: float,
    parallax_mas: float,
    pmra_mas_yr: float,
    pmdec_mas_yr: float,
    radial_velocity_km_s: float,
    epoch_yr: float,
    to_epoch_yr: float,
) -> Point:
    """Move a star along a straight line (ESA SP-1200 volume 1, section 1.5.5, "rigorous").

    Parameters
    ----------
    ra_deg, dec_deg
        At the first epoch; any frame.
    parallax_mas
        0 for what is infinitely far.
    pmra_mas_yr, pmdec_mas_yr
        Proper motion, that in right ascension times the cosine of the declination.
    radial_velocity_km_s
        Away from us.
    epoch_yr, to_epoch_yr
        Julian years.

    Raises
    ------
    UsageError
        If the declination is over 90 degrees.
    """
    start = Point(ra_deg, dec_deg)
    years = to_epoch_yr - epoch_yr
    ra, dec = math.radians(start.ra_deg), math.radians(start.dec_deg)
    east = pmra_mas_yr * _MAS_RAD * years
    north = pmdec_mas_yr * _MAS_RAD * years
    away = 1.0 + radial_velocity_km_s * parallax_mas * _MAS_RAD / _AU_PER_YEAR_KM_S * years
    ca, sa, cd, sd = math.cos(ra), math.sin(ra), math.cos(dec), math.sin(dec)
    x = cd * ca * away - sa * east - sd * ca * north
    y = cd * sa * away + ca * east - sd * sa * north
    z = sd * away + cd * north
    return Point(math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y))))
