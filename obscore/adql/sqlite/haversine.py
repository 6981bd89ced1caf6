"""Distances as plain SQL: what SQLite computes itself costs a tenth of a call into Python.

The exact functions of `obscore.adql.sqlite.functions` stay the judges: they are asked where a
value is near a boundary, has no meaning, or is not known.
"""

from __future__ import annotations

import math

__all__ = ["circle_bounds", "circle_test", "distance_value"]

_MARGIN = 1e-10
"""Half-angle in radians about a circle's edge that the exact function decides: far more than the
rounding of coordinates in degrees, and than the width of a boundary."""

_ROUNDING = 1e-13
"""Relative error that a haversine may have."""


def _haversine(ra1: str, dec1: str, ra2: str, dec2: str) -> str:
    return (
        f"(pow(sin(radians({dec2} - {dec1}) / 2), 2) + cos(radians({dec1})) * cos(radians({dec2}))"
        f" * pow(sin(radians({ra2} - {ra1}) / 2), 2))"
    )


def circle_bounds(radius_deg: float) -> tuple[float, float]:
    """Give the haversines up to which a position is surely inside, and over which surely outside.

    Parameters
    ----------
    radius_deg
        Of the circle, from 0 to 180 degrees.
    """
    half = math.radians(radius_deg) / 2
    inside, outside = half - _MARGIN, half + _MARGIN
    return (
        math.sin(inside) ** 2 * (1.0 - _ROUNDING) if inside > 0.0 else -1.0,
        math.sin(outside) ** 2 * (1.0 + _ROUNDING) if outside < math.pi / 2 else 2.0,
    )


def circle_test(
    position: tuple[str, str], centre: tuple[str, str], bounds: tuple[str, str], exact: str
) -> str:
    """Print 1 where a position is in a circle and 0 where it is not.

    Parameters
    ----------
    position, centre
        Right ascension and declination as SQL; printed several times, so columns or parameters.
    bounds
        The two values of `circle_bounds` as SQL.
    exact
        What decides otherwise; also for positions that are NULL or have no meaning.
    """
    ra, dec = position
    haversine = _haversine(*centre, ra, dec)
    return (
        f"(CASE WHEN {dec} NOT BETWEEN -90 AND 90 OR {ra} NOT BETWEEN -720 AND 720 THEN {exact}"
        f" WHEN {haversine} > {bounds[1]} THEN 0 WHEN {haversine} <= {bounds[0]} THEN 1"
        f" ELSE {exact} END)"
    )


def distance_value(first: tuple[str, str], second: tuple[str, str], exact: str) -> str:
    """Print the distance of two positions in degrees, as `vodal.sphere.distance_deg` has it.

    Parameters
    ----------
    first, second
        Right ascension and declination as SQL; printed several times, so columns or parameters.
    exact
        What gives the distance over 90 degrees, where a haversine loses digits, and for positions
        that are NULL or have no meaning.
    """
    haversine = _haversine(*first, *second)
    return (
        f"(CASE WHEN {first[1]} BETWEEN -90 AND 90 AND {second[1]} BETWEEN -90 AND 90"
        f" AND {haversine} < 0.5 THEN degrees(2 * asin(sqrt({haversine}))) ELSE {exact} END)"
    )
