"""From the celestial frame of an image to ICRS and back.

Most frames differ from ICRS by a rotation, which is worked out once with astropy and then costs
next to nothing; FK4, whose positions hold terms of aberration, goes through astropy each time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from astropy.coordinates import (
    FK4,
    FK5,
    ICRS,
    BarycentricMeanEcliptic,
    BaseCoordinateFrame,
    CartesianRepresentation,
    FK4NoETerms,
    Galactic,
    SkyCoord,
    Supergalactic,
)
from astropy.time import Time
from astropy.wcs import WCS
from numpy.typing import NDArray

from vodal.errors import DataError

__all__ = ["Route", "route_of", "route_to_icrs", "separation_deg", "turn", "unit_vectors"]

Floats = NDArray[np.float64]

Route: TypeAlias = NDArray[np.float64] | BaseCoordinateFrame | None
"""How to get to ICRS: not at all (None), by a rotation matrix, or by way of astropy's frame."""


def route_to_icrs(wcs: WCS) -> Route:
    """Give the way from the frame of world coordinates to ICRS.

    Raises
    ------
    DataError
        If the frame is not one of the sky, or its equinox is no year.
    """
    kind = str(wcs.wcs.lngtyp).strip().upper()
    system = str(wcs.wcs.radesys).strip().upper()
    equinox = float(wcs.wcs.equinox)
    equinox = equinox if np.isfinite(equinox) else 0.0
    if equinox and not 1600.0 <= equinox <= 2400.0:
        raise DataError(f"the world coordinates are broken: EQUINOX is {equinox:g}")
    return route_of(kind, system, equinox)


@lru_cache(maxsize=64)
def route_of(kind: str, system: str, equinox: float) -> Route:
    """Give the way from a frame by its names to ICRS.

    Parameters
    ----------
    kind
        Of the longitude, such as RA.
    system
        RADESYS; empty if there is none.
    equinox
        A year; 0 if there is none.

    Raises
    ------
    DataError
        If the frame is not one of the sky.
    """
    frame: BaseCoordinateFrame
    match kind:
        case "RA":
            # FITS paper II section 3.1: without RADESYS the equinox tells FK4 from FK5.
            if system not in {"ICRS", "FK5", "FK4", "FK4-NO-E"}:
                if system == "GAPPT":
                    raise DataError("geocentric apparent positions (RADESYS GAPPT) are not ICRS")
                system = "ICRS" if equinox == 0.0 else "FK4" if equinox < 1984.0 else "FK5"
            match system:
                case "ICRS":
                    return None
                case "FK5":
                    frame = FK5(equinox=Time(equinox or 2000.0, format="jyear"))
                case "FK4":
                    return FK4(equinox=Time(equinox or 1950.0, format="byear"))
                case _:
                    return FK4NoETerms(equinox=Time(equinox or 1950.0, format="byear"))
        case "GLON":
            frame = Galactic()
        case "SLON":
            frame = Supergalactic()
        case "ELON":
            frame = BarycentricMeanEcliptic(equinox=Time(equinox or 2000.0, format="jyear"))
        case _:
            raise DataError(f"'{kind}' is no longitude of the sky that can be brought to ICRS")
    axes = frame.realize_frame(CartesianRepresentation(np.eye(3)))
    matrix: Floats = np.array(axes.transform_to(ICRS()).cartesian.xyz.value)
    matrix.flags.writeable = False
    return matrix


def turn(how: Route, lon: Floats, lat: Floats, *, inverse: bool) -> tuple[Floats, Floats]:
    """Bring positions of the image's frame to ICRS, or back."""
    if how is None:
        return _wrapped(lon), lat
    if isinstance(how, np.ndarray):
        matrix = how.T if inverse else how
        x, y, z = matrix @ unit_vectors(lon, lat).T
        return _wrapped(np.rad2deg(np.arctan2(y, x))), np.rad2deg(np.arctan2(z, np.hypot(x, y)))
    source, target = (ICRS(), how) if inverse else (how, ICRS())
    points = SkyCoord(lon, np.clip(lat, -90.0, 90.0), unit="deg", frame=source).transform_to(target)
    spherical = points.spherical
    return _wrapped(np.array(spherical.lon.deg)), np.array(spherical.lat.deg)


def _wrapped(lon: Floats) -> Floats:
    """Bring longitudes into [0, 360); a tiny negative one would come out as 360."""
    wrapped = np.mod(lon, 360.0)
    wrapped[wrapped >= 360.0] = 0.0
    return wrapped


def unit_vectors(lon: Floats, lat: Floats) -> Floats:
    """Give unit vectors, one a row."""
    a, b = np.deg2rad(lon), np.deg2rad(lat)
    return np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], axis=-1)


def separation_deg(ra1: Floats, dec1: Floats, ra2: Floats, dec2: Floats) -> Floats:
    """Give the angles between two lists of positions in degrees."""
    difference = np.linalg.norm(unit_vectors(ra1, dec1) - unit_vectors(ra2, dec2), axis=-1)
    separation: Floats = np.rad2deg(2.0 * np.arcsin(np.clip(difference / 2.0, 0.0, 1.0)))
    return separation
