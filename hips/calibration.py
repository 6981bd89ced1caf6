"""How an image's values are brought to the common scale, and what brings them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from hips.background.kept import Plane
from vodal.resample.areas import PixelAreas
from vodal.resample.mapping import ImageMapping

__all__ = ["Calibration", "Calibrator"]

Pixels = NDArray[np.float32]
Integers = NDArray[np.int64]

_ROWS: Final = 256
"""Of an image that are brought at a time."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How an image's values are brought to the common scale."""

    factor: float
    """Multiplies the values."""
    binning: int
    """Image pixels along a side that are averaged first, where they are much finer than the
    tiles' pixels."""
    own_arcsec: float | None = None
    """Side of the pixel that the factor holds for, where flux is conserved: each value is
    multiplied besides with the ratio of its square to the solid angle of the value's own pixel."""
    background: Plane | None = None
    """Subtracted from the values, so calibrated."""


class Calibrator:
    """Brings the pixels of one image to the common scale.

    What it does to a pixel does not depend, to the last bit, on which others it is given with.

    Parameters
    ----------
    calibration
        How.
    wcs
        World coordinates of the image.
    shape
        Of the image, rows first.
    """

    def __init__(self, calibration: Calibration, wcs: WCS, shape: tuple[int, int]) -> None:
        self._calibration, self._shape, self._areas = calibration, shape, None
        if calibration.own_arcsec is not None:
            b = calibration.binning
            self._areas = PixelAreas(
                ImageMapping(wcs, b), 0, -(-shape[1] // b), 0, -(-shape[0] // b)
            )

    def apply(
        self, pixels: Pixels, xs: ArrayLike, ys: ArrayLike, variances: Pixels | None = None
    ) -> None:
        """Bring values in place.

        Parameters
        ----------
        pixels
            Of some columns and rows, rows first.
        xs, ys
            Which, 0-based, of the image as it is averaged.
        variances
            Of the same pixels; brought as far as pixels differ from each other, not by the factor.
        """
        pixels *= np.float32(self._calibration.factor)
        columns, rows = np.asarray(xs), np.asarray(ys)
        if self._areas is not None:
            self._to_common_area(self._areas, pixels, columns, rows, variances)
        plane = self._calibration.background
        if plane is not None:
            u, v = self._places(columns, 1), self._places(rows, 0)
            pixels -= (plane.offset + plane.slope_y * v).astype(np.float32)[:, None]
            pixels -= (plane.slope_x * u).astype(np.float32)

    def _to_common_area(
        self, areas: PixelAreas, pixels: Pixels, columns: Integers, rows: Integers,
        variances: Pixels | None,
    ) -> None:  # fmt: skip
        side = self._calibration.own_arcsec or 0.0
        area = (side * self._calibration.binning) ** 2
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            ratio = areas.factors(area, columns, rows[part])
            pixels[part] *= ratio
            if variances is not None:
                variances[part] *= ratio * ratio

    def _places(self, pixels: Integers, axis: int) -> NDArray[np.float64]:
        """Give where averaged pixels lie, -1 to 1 from edge to edge of the image."""
        places: NDArray[np.float64] = (2 * pixels + 1) * self._calibration.binning / self._shape[
            axis
        ] - 1.0
        return places
