"""World coordinates of an image, whose pixels may be averaged before they are resampled.

Interpolation between pixels that are much finer than those of the target would pass over most of
them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from vodal.fits.wcs import icrs_to_pixel, pixel_to_icrs
from vodal.resample.gnomonic import Gnomonic

__all__ = ["ImageMapping", "SkyMapping", "binned"]

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


class SkyMapping(Protocol):
    """The world coordinates of an image, as the grid needs them."""

    def to_icrs(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Give (ra, dec) in degrees of 0-based pixels, NaN where there is no sky."""
        ...

    def to_pixel(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Give 0-based (x, y), NaN where a position has no pixel."""
        ...


class ImageMapping(SkyMapping):
    """World coordinates of an image whose pixels may have been averaged.

    Parameters
    ----------
    wcs
        Of the image, its two celestial axes (`vodal.fits.wcs.sky_wcs`).
    binning
        Pixels along a side that are averaged to one, from the first on.
    """

    def __init__(self, wcs: WCS, binning: int = 1) -> None:
        self._wcs, self._binning = wcs, binning
        self._gnomonic = Gnomonic.of(wcs)

    @override
    def to_icrs(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        b = self._binning
        return pixel_to_icrs(
            self._wcs, (np.asarray(x) + 0.5) * b - 0.5, (np.asarray(y) + 0.5) * b - 0.5
        )

    @override
    def to_pixel(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        if self._gnomonic is not None:
            x, y = self._gnomonic.to_pixel(ra_deg, dec_deg)
        else:
            x, y = icrs_to_pixel(self._wcs, ra_deg, dec_deg)
        b = self._binning
        return (x + 0.5) / b - 0.5, (y + 0.5) / b - 0.5


def binned(values: Pixels, binning: int) -> Pixels:
    """Average squares of pixels, blank ones left out; squares at the far edges may be cut."""
    ny, nx = (-(-size // binning) for size in values.shape)
    padded = np.full((ny * binning, nx * binning), np.nan, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(ny, binning, nx, binning)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Pixels = (np.where(valid, blocks, 0.0).sum(axis=(1, 3)) / count).astype(np.float32)
    return mean
