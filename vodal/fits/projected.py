"""World coordinates of a new grid: projection, scale and orientation about a place."""

from __future__ import annotations

import math

import numpy as np
from astropy.wcs import WCS

from vodal.fits.frames import route_to_icrs, turn
from vodal.projections import ZENITHAL, GridFrame

__all__ = ["projected"]


def projected(
    projection: str, frame: GridFrame, middle: tuple[float, float], step_deg: float,
    rotation_deg: float = 0.0,
) -> WCS:  # fmt: skip
    """Make world coordinates whose reference point is the first pixel.

    Parameters
    ----------
    projection
        Three letters of FITS paper II.
    frame
        Of the coordinates.
    middle
        ICRS position in degrees: the reference point of a zenithal projection, the reference
        meridian of any other.
    step_deg
        Side of a pixel; longitudes rise to the left.
    rotation_deg
        Position angle of the upward direction, from north through east.
    """
    wcs = WCS(naxis=2)
    names = ("GLON", "GLAT") if frame == "galactic" else ("RA--", "DEC-")
    wcs.wcs.ctype = [f"{name}-{projection}" for name in names]
    wcs.wcs.cunit = ["deg", "deg"]
    if frame == "icrs":
        wcs.wcs.radesys = "ICRS"
    wcs.wcs.cdelt = [-step_deg, step_deg]
    if rotation_deg:
        angle = math.radians(rotation_deg)
        cos, sin = math.cos(angle), math.sin(angle)
        wcs.wcs.pc = [[cos, -sin], [sin, cos]]
    lon, lat = (np.array([value]) for value in middle)
    lon, lat = turn(route_to_icrs(wcs), lon, lat, inverse=True)
    wcs.wcs.crval = [lon[0], lat[0] if projection in ZENITHAL else 0.0]
    wcs.wcs.crpix = [1.0, 1.0]
    wcs.wcs.set()
    return wcs
