"""The grid of a cutout of a HiPS."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, WcsError
from numpy.typing import NDArray

from hips.cutout.request import CutoutRequest
from vodal.errors import DataError, UsageError
from vodal.fits.projected import projected
from vodal.fits.quiet import quiet
from vodal.fits.wcs import icrs_to_pixel, pixel_scale_arcsec, pixel_to_icrs, sky_wcs

__all__ = ["Grid", "make_grid"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """Pixels on the sky."""

    wcs: WCS
    """Of two celestial axes."""
    width: int
    height: int
    scale_arcsec: float
    """Side of a pixel in the middle."""

    def sky(self, first: int, last: int) -> tuple[Floats, Floats]:
        """Give ICRS positions in degrees of rows from ``first`` up to ``last``, which is not in.

        NaN where a pixel is not on the sky.
        """
        y, x = np.meshgrid(
            np.arange(first, last, dtype=float), np.arange(self.width, dtype=float), indexing="ij"
        )
        return pixel_to_icrs(self.wcs, x, y)


def make_grid(asked: CutoutRequest, view: tuple[float, float, float]) -> Grid:
    """Make the grid of a request.

    Parameters
    ----------
    asked
        The request.
    view
        Right ascension, declination and width of the field in degrees, where it tells none.

    Raises
    ------
    UsageError
        If the coordinates that are asked for are not of the sky.
    """
    wcs = _made(asked, view) if asked.wcs is None else _given(asked)
    scale = pixel_scale_arcsec(wcs, (asked.width - 1) / 2.0, (asked.height - 1) / 2.0)
    if not (math.isfinite(scale) and scale > 0.0):
        scale = pixel_scale_arcsec(wcs)
    if not (math.isfinite(scale) and scale > 0.0):
        raise UsageError("the coordinates that are asked for give no size of a pixel")
    return Grid(wcs, asked.width, asked.height, scale)


def _given(asked: CutoutRequest) -> WCS:
    header = fits.Header()
    try:
        with quiet():
            for key, value in (asked.wcs or {}).items():
                header[key] = value
            header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, asked.width, asked.height
            wcs = sky_wcs(WCS(header))
            wcs.wcs.set()
    except (DataError, ValueError, WcsError, fits.VerifyError) as error:
        raise UsageError(f"wcs cannot be put on the sky: {error}") from None
    return wcs


def _made(asked: CutoutRequest, view: tuple[float, float, float]) -> WCS:
    ra = view[0] if asked.ra_deg is None else asked.ra_deg
    dec = view[1] if asked.dec_deg is None else asked.dec_deg
    fov = view[2] if asked.fov_deg is None else asked.fov_deg
    step_deg = fov / max(asked.width, asked.height)
    wcs = projected(asked.projection, asked.frame, (ra, dec), step_deg, asked.rotation_deg)
    x, y = icrs_to_pixel(wcs, np.array([ra]), np.array([dec]))
    wcs.wcs.crpix = [
        wcs.wcs.crpix[0] + (asked.width - 1) / 2.0 - float(x[0]),
        wcs.wcs.crpix[1] + (asked.height - 1) / 2.0 - float(y[0]),
    ]
    wcs.wcs.set()
    return wcs
