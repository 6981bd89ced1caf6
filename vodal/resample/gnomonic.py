"""Gnomonic images (TAN, with or without SIP): from the sky to pixels by compiled code.

Does what `vodal.fits.wcs.icrs_to_pixel` does by way of astropy, for the commonest of images, and
takes a tenth of its time for the few hundred places of a block.
"""

from __future__ import annotations

import math
from typing import Final, Self

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from vodal.compiled import compiled
from vodal.fits.frames import route_to_icrs
from vodal.fits.wcs import pixel_to_icrs

__all__ = ["Gnomonic"]

Floats = NDArray[np.float64]

_TYPES: Final = tuple(
    {f"{lon}-TAN{sip}", f"{lat}-TAN{sip}"}
    for lon, lat in (("RA--", "DEC-"), ("GLON", "GLAT"), ("ELON", "ELAT"))
    for sip in ("", "-SIP")
)
_TOLERANCE_PIXELS: Final = 1e-9
_ROUND_TRIP_PIXELS: Final = 0.01
_CHECKED_PIXELS: Final = 1e-5
_STEPS: Final = 40
"""Of the iteration, as many as `vodal.fits.wcs` lets astropy take."""


@compiled
def _polynomials(
    terms: Floats, powers: NDArray[np.int64], u: float, v: float
) -> tuple[float, float]:
    """Sum up both distortions; ``terms`` are (SIP's A, B) of the ``powers`` of u and v."""
    a, b = 0.0, 0.0
    for k in range(powers.shape[0]):
        power = 1.0
        for _ in range(powers[k, 0]):
            power *= u
        for _ in range(powers[k, 1]):
            power *= v
        a += terms[k, 0] * power
        b += terms[k, 1] * power
    return a, b


@compiled
def _to_pixel(
    ra: Floats, dec: Floats, axes: Floats, linear: Floats, origin: Floats, terms: Floats,
    powers: NDArray[np.int64], x: Floats, y: Floats,
) -> None:  # fmt: skip
    for k in range(ra.size):
        x[k] = y[k] = math.nan
        a, d = math.radians(ra[k]), math.radians(dec[k])
        at = (math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d))
        east = axes[0, 0] * at[0] + axes[0, 1] * at[1] + axes[0, 2] * at[2]
        north = axes[1, 0] * at[0] + axes[1, 1] * at[1] + axes[1, 2] * at[2]
        depth = axes[2, 0] * at[0] + axes[2, 1] * at[1] + axes[2, 2] * at[2]
        # Written so that a NaN is left out as well.
        if not depth > 0.0:
            continue
        east, north = math.degrees(east / depth), math.degrees(north / depth)
        wanted_u = linear[0, 0] * east + linear[0, 1] * north
        wanted_v = linear[1, 0] * east + linear[1, 1] * north
        u, v = wanted_u, wanted_v
        if terms.shape[0]:
            before = math.inf
            for _ in range(_STEPS):
                du, dv = _polynomials(terms, powers, u, v)
                du, dv = u + du - wanted_u, v + dv - wanted_v
                off = math.hypot(du, dv)
                if not off < before:
                    break
                before, u, v = off, u - du, v - dv
                if off < _TOLERANCE_PIXELS:
                    break
            if not before <= _ROUND_TRIP_PIXELS:
                continue
        x[k], y[k] = u + origin[0], v + origin[1]


class Gnomonic:
    """The way from the sky to the pixels of a gnomonic image.

    Parameters
    ----------
    axes
        Three unit vectors, one a row: east and north at the image's tangent point, and the
        direction to it, in ICRS.
    linear
        From the plane of the projection (degrees) to pixels from the reference point.
    origin
        0-based pixel of the reference point.
    terms, powers
        Of SIP's A and B, and of which powers of x and y; none without distortion.
    """

    def __init__(
        self, axes: Floats, linear: Floats, origin: Floats, terms: Floats,
        powers: NDArray[np.int64],
    ) -> None:  # fmt: skip
        self._parts = (axes, linear, origin, terms, powers)

    @classmethod
    def of(cls, wcs: WCS) -> Self | None:
        """Take over world coordinates of two axes; None if they are not of this kind.

        What is taken over is compared with the coordinates themselves on and around the image:
        wcslib calls TPV by the name of TAN, and its polynomials are not told otherwise.
        """
        if (
            wcs.naxis != 2
            or wcs.pixel_shape is None
            or wcs.wcs.lng != 0
            or {str(t) for t in wcs.wcs.ctype} not in _TYPES
        ):
            return None
        route = route_to_icrs(wcs)
        tables = (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
        if not (route is None or isinstance(route, np.ndarray)) or any(tables) or wcs.wcs.get_pv():
            return None
        if wcs.wcs.lonpole != 180.0 or wcs.wcs.theta0 != 90.0:
            return None
        lon, lat = np.deg2rad(wcs.wcs.crval)
        axes = np.array([
            [-np.sin(lon), np.cos(lon), 0.0],
            [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
            [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)],
        ])  # fmt: skip
        if route is not None:
            axes = axes @ route.T
        powers, terms = _terms(wcs)
        if len(powers) and not np.allclose(wcs.sip.crpix, wcs.wcs.crpix, rtol=0.0, atol=1e-9):
            return None
        linear = np.linalg.inv(wcs.pixel_scale_matrix)
        made = cls(axes, linear, np.asarray(wcs.wcs.crpix - 1.0), terms, powers)
        return made if made._is(wcs) else None

    def _is(self, wcs: WCS) -> bool:
        """Tell whether pixels on and around an image are found again."""
        width, height = wcs.pixel_shape
        x, y = np.meshgrid(np.linspace(-0.2, 1.2, 9) * width, np.linspace(-0.2, 1.2, 9) * height)
        found_x, found_y = self.to_pixel(*pixel_to_icrs(wcs, x, y))
        off = np.hypot(found_x - x, found_y - y)
        return bool(np.all(off <= _CHECKED_PIXELS))

    def to_pixel(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Do what `vodal.fits.wcs.icrs_to_pixel` does."""
        ra, dec = (np.ascontiguousarray(value, np.float64) for value in (ra_deg, dec_deg))
        x, y = np.empty(ra.shape), np.empty(ra.shape)
        _to_pixel(ra.ravel(), dec.ravel(), *self._parts, x.reshape(-1), y.reshape(-1))
        return x, y


def _terms(wcs: WCS) -> tuple[NDArray[np.int64], Floats]:
    """Give the powers of x and y that SIP has terms of, and the terms."""
    if wcs.sip is None:
        return np.empty((0, 2), np.int64), np.empty((0, 2))
    both = [np.zeros((0, 0)) if one is None else np.asarray(one) for one in (wcs.sip.a, wcs.sip.b)]
    size = max(len(one) for one in both)
    a, b = (np.pad(one, (0, size - len(one))) for one in both)
    powers = np.argwhere((a != 0.0) | (b != 0.0)).astype(np.int64)
    return powers, np.ascontiguousarray(np.stack([a, b], axis=-1)[tuple(powers.T)])
