"""Headers of plain images: a gnomonic projection (TAN), alone, with SIP or TPV, and no more.

Most images have such coordinates. What they say takes a few sums, where the general way
(`vodal.fits.wcs`) has wcslib read the header and asks it for each place. Headers with anything that
wcslib would heed beyond that are none of these, nor is what it or `vodal.fits.wcs` would refuse.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vodal.fits.bend import Bend, sip_bend, tpv_bend
from vodal.fits.frames import route_of
from vodal.fits.index import HduIndex
from vodal.fits.values import HeaderValues
from vodal.fits.wcs import is_of_coordinates

__all__ = ["TangentPlane", "tangent_plane"]

Floats = NDArray[np.float64]

_NUMBERS = re.compile(
    r"(CRVAL|CRPIX|CDELT|CROTA)[12]$|(CD|PC)[12]_[12]$|(LON|LAT)POLE$|EQUINOX$|EPOCH$"
    r"|[AB]P?_\d_\d$|PV[12]_(\d|[1-9]\d)$"
)
_WHOLE = re.compile(r"NAXIS[12]?$|WCSAXES$|[AB]P?_ORDER$")
_TEXTS = re.compile(r"(CTYPE|CUNIT)[12]$|RAD(E|EC)SYS$")
_WITHOUT_EFFECT = re.compile(
    r"DATE(-OBS)?$|MJD-OBS$|MJDREF[IF]?$|TIMESYS$|TELESCOP$|WCSNAME$|OBSGEO-[XYZ]$|[AB]P?_DMAX$"
    r"|RESTFRQ$|RESTWAV$|SPECSYS$|SSYS(OBS|SRC)$|VELOSYS$|ZSOURCE$|WAT\d_\d{3}$"
)
_PAIRS = {("RA---", "DEC--"): "RA", ("GLON-", "GLAT-"): "GLON"}
_NEEDED = frozenset({"CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"})
_HIGHEST_DEC_DEG = 89.99
"""At the pole itself the longitude of the native pole has another default (paper II, eq. 8)."""
_SINGULAR = 0.05
"""Determinant of the matrix, as a part of its squared norm, that is clearly not singular."""


@dataclass(frozen=True, slots=True)
class TangentPlane:
    """From pixels to the plane that touches the sky at the reference position, and to the sky."""

    x: float
    y: float
    """0-based pixel of the reference position."""
    matrix: tuple[tuple[float, float], tuple[float, float]]
    """Radians in the plane, east and north, a pixel along x and y."""
    axes: Floats
    """Unit vectors (ICRS, one a row) to the east, to the north and of the reference position."""
    sip: Bend | None = None
    """In pixels, before the matrix."""
    tpv: Bend | None = None
    """In degrees, after it."""

    @property
    def is_straight(self) -> bool:
        """Whether there is no distortion."""
        return self.sip is None and self.tpv is None

    def plane(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Give places in the plane, in radians to the east and to the north of the reference.

        Parameters
        ----------
        x, y
            0-based pixels, shape (n,).
        """
        u, v = x - self.x, y - self.y
        if self.sip is not None:
            u, v = self.sip.applied(u, v)
        (xx, xy), (yx, yy) = self.matrix
        east, north = xx * u + xy * v, yx * u + yy * v
        if self.tpv is None:
            return east, north
        east, north = self.tpv.applied(np.degrees(east), np.degrees(north))
        return np.radians(east), np.radians(north)

    def position(self, east: float, north: float) -> tuple[float, float]:
        """Give right ascension in [0, 360) and declination in degrees of a place in the plane."""
        x, y, z = (east * e + north * n + c for e, n, c in zip(*self.axes.tolist(), strict=True))
        return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))

    def bounds(self, nx: int, ny: int) -> tuple[float, float]:
        """Give bounds of what an array of so many pixels covers.

        Returns
        -------
        tuple of float
            Radians in the plane from the reference position within which all of it lies; and how
            much the distortion changes from place to place. Where that is below 0.4 no pixel, nor
            any part of the array, is turned over beside another.
        """
        (xx, xy), (yx, yy) = self.matrix
        u = max(abs(-0.5 - self.x), abs(nx - 0.5 - self.x))
        v = max(abs(-0.5 - self.y), abs(ny - 0.5 - self.y))
        squared = xx * xx + xy * xy + yx * yx + yy * yy
        far, steepness = math.hypot(u, v), 0.0
        if self.sip is not None:
            steepness = self.sip.steepness(u, v)
            far = (1.0 + steepness) * far + self.sip.shift
        reach = math.sqrt(squared) * far
        if self.tpv is not None:
            x, y = abs(xx) * u + abs(xy) * v, abs(yx) * u + abs(yy) * v
            steepness = self.tpv.steepness(math.degrees(x), math.degrees(y))
            reach = (1.0 + steepness) * reach + math.radians(self.tpv.shift)
            # Directions that the matrix brings near each other may not be turned so far.
            steepness *= squared / (2.0 * abs(xx * yy - xy * yx))
        return reach, steepness


def tangent_plane(hdu: HduIndex) -> TangentPlane | None:
    """Read the coordinates of an image if they are plain ones; None for all others.

    Parameters
    ----------
    hdu
        The image.
    """
    cards = _cards(hdu.image_values) if len(hdu.shape) == 2 else None
    if cards is None or cards.get("NAXIS") != 2 or cards.get("WCSAXES", 2) != 2:
        return None
    kind, distortion = _kind(cards)
    matrix = _matrix(cards)
    if kind is None or matrix is None or not cards.keys() >= _NEEDED:
        return None
    lon, lat, x, y = (float(cards[name]) for name in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"))
    if abs(lat) > _HIGHEST_DEC_DEG or cards.get("LONPOLE", 180.0) != 180.0:
        return None
    if any(cards.get(f"CUNIT{axis}", "deg") != "deg" for axis in (1, 2)):
        return None
    axes = _axes(cards, kind, lon, lat)
    sip = sip_bend(cards) if distortion == "SIP" else None
    tpv = tpv_bend(cards) if distortion == "TPV" else None
    if axes is None or (distortion and sip is None and tpv is None):
        return None
    return TangentPlane(x - 1.0, y - 1.0, matrix, axes, sip, tpv)


@lru_cache(maxsize=1 << 12)
def _class_of(keyword: str) -> type | str | None:
    """Tell what a card has to be: the type of its value, or nothing as it does not count."""
    if not is_of_coordinates(keyword):
        return None
    for pattern, kind in ((_NUMBERS, float), (_WHOLE, int), (_TEXTS, str)):
        if pattern.match(keyword):
            return kind
    return None if _WITHOUT_EFFECT.match(keyword) else "unusual"


def _cards(header: HeaderValues) -> dict[str, Any] | None:
    """Give the cards of the coordinates, or None if one is unusual, repeated or no finite value."""
    found: dict[str, Any] = {}
    for keyword, _ in header.cards:
        kind = _class_of(keyword)
        if kind is None:
            continue
        if kind == "unusual" or keyword in found:
            return None
        value = header[keyword]
        if kind is float:
            if type(value) not in {int, float} or not math.isfinite(value):
                return None
        elif type(value) is not kind:
            return None
        found[keyword] = value
    return found


def _kind(cards: dict[str, Any]) -> tuple[str | None, str]:
    """Give the name of the longitude, if both axes are of TAN, and of the distortion."""
    types = (cards.get("CTYPE1", ""), cards.get("CTYPE2", ""))
    has_sip = any(keyword[0] in "AB" for keyword in cards)
    has_pv = any(keyword.startswith("PV") for keyword in cards)
    if has_sip and has_pv:
        return None, ""
    end, distortion = ("TAN-SIP", "SIP") if has_sip else ("TPV", "TPV") if has_pv else ("TAN", "")
    if not all(name.endswith(end) for name in types):
        return None, ""
    return _PAIRS.get((types[0][: -len(end)], types[1][: -len(end)])), distortion


def _matrix(
    cards: dict[str, Any],
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Give the matrix of the linear part in radians, unless it is doubtful or nearly singular."""
    pairs = ("1_1", "1_2", "2_1", "2_2")
    has_cd, has_pc = (any(f"{name}{pair}" in cards for pair in pairs) for name in ("CD", "PC"))
    turned = [cards[name] for name in ("CROTA1", "CROTA2") if name in cards]
    if any(turned) or has_cd + has_pc + bool(turned) > 1:
        return None
    if has_cd:
        a, b, c, d = (math.radians(cards.get(f"CD{pair}", 0.0)) for pair in pairs)
    else:
        steps = [math.radians(cards.get(f"CDELT{axis}", 0.0)) for axis in (1, 2)]
        a, b, c, d = (
            steps[int(pair[0]) - 1] * cards.get(f"PC{pair}", float(pair[0] == pair[2]))
            for pair in pairs
        )
    if abs(a * d - b * c) <= _SINGULAR * (a * a + b * b + c * c + d * d):
        return None
    return (a, b), (c, d)


def _axes(cards: dict[str, Any], kind: str, lon_deg: float, lat_deg: float) -> Floats | None:
    """Give the directions of east, north and the reference position, if their frame is at rest."""
    systems = {
        str(cards[name]).strip().upper() for name in ("RADESYS", "RADECSYS") if name in cards
    }
    if "EPOCH" in cards and "EQUINOX" not in cards:
        return None
    equinox = float(cards.get("EQUINOX", 0.0))
    if len(systems) > 1 or not (equinox == 0.0 or 1984.0 <= equinox <= 2400.0):
        return None
    system = systems.pop() if systems else ""
    if system not in {"", "ICRS", "FK5"}:
        return None
    route = route_of(kind, system, equinox)
    ra, dec = math.radians(lon_deg), math.radians(lat_deg)
    sin_ra, cos_ra, sin_dec, cos_dec = math.sin(ra), math.cos(ra), math.sin(dec), math.cos(dec)
    axes = np.array(
        [
            (-sin_ra, cos_ra, 0.0),
            (-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec),
            (cos_dec * cos_ra, cos_dec * sin_ra, sin_dec),
        ]
    )
    if route is None:
        return axes
    return axes @ route.T if isinstance(route, np.ndarray) else None
