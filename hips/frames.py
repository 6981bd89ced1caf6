"""The frames of a HiPS's cells: equatorial (ICRS) or galactic (HiPS 1.0 section 4.4.1).

The galactic frame is that of astropy, turned from ICRS by way of FK5, and so a plain rotation.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from astropy.coordinates import ICRS, CartesianRepresentation, Galactic, SkyCoord
from numpy.typing import NDArray

__all__ = ["Frame", "from_icrs", "to_icrs"]

Frame = Literal["equatorial", "galactic"]
Floats = NDArray[np.float64]


def to_icrs(frame: Frame, lon_deg: Floats, lat_deg: Floats) -> tuple[Floats, Floats]:
    """Give right ascension and declination (ICRS, degrees) of places of a frame."""
    if frame == "equatorial":
        return lon_deg, lat_deg
    return _turned(_galactic().T, lon_deg, lat_deg)


def from_icrs(frame: Frame, ra_deg: Floats, dec_deg: Floats) -> tuple[Floats, Floats]:
    """Give longitude and latitude (degrees) of places given in ICRS."""
    if frame == "equatorial":
        return ra_deg, dec_deg
    return _turned(_galactic(), ra_deg, dec_deg)


@cache
def _galactic() -> Floats:
    """Give the matrix that turns directions of ICRS to galactic ones."""
    axes = SkyCoord(CartesianRepresentation(*np.eye(3)), frame=ICRS())
    matrix: Floats = axes.transform_to(Galactic()).cartesian.xyz.value
    return matrix


def _turned(matrix: Floats, lon_deg: Floats, lat_deg: Floats) -> tuple[Floats, Floats]:
    lon, lat = np.deg2rad(lon_deg), np.deg2rad(lat_deg)
    across = np.cos(lat)
    direction = across * np.cos(lon), across * np.sin(lon), np.sin(lat)
    x, y, z = (sum(row[k] * direction[k] for k in range(3)) for row in matrix)
    return np.mod(np.rad2deg(np.arctan2(y, x)), 360.0), np.rad2deg(np.arctan2(z, np.hypot(x, y)))
