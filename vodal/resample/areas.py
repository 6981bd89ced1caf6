"""How large the pixels of an image are on the sky, each of them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vodal.fits.frames import unit_vectors
from vodal.resample.mapping import SkyMapping

__all__ = ["PixelAreas", "pixel_areas"]

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]

_STEPS: Final = (64, 32, 16, 8)
"""Pixels from one that is computed to the next."""
_TOLERANCE: Final = 5e-5
_ARCSEC2: Final = math.degrees(1.0) ** 2 * 3600.0**2


class PixelAreas:
    """The solid angles of an image's pixels in square arcseconds.

    They are computed for some pixels and interpolated between, so closely that the next wider
    steps would be off by less than 5e-5, but not closer than 8 pixels. A pixel that is off the sky
    counts as those that are on it do in the middle. What is given for a pixel does not depend, to
    the last bit, on which others are asked for with it.

    Parameters
    ----------
    mapping
        World coordinates of the image.
    x0, x1, y0, y1
        The pixels that will be asked for, 0-based, half open.
    """

    def __init__(self, mapping: SkyMapping, x0: int, x1: int, y0: int, y1: int) -> None:
        xs, ys = _some(x0, x1, _STEPS[0]), _some(y0, y1, _STEPS[0])
        areas = _areas(mapping, xs, ys)
        for step in _STEPS[1:]:
            wide_x, wide_y, wide = xs, ys, areas
            xs, ys = _some(x0, x1, step), _some(y0, y1, step)
            areas = _areas(mapping, xs, ys)
            error = np.abs(_between(wide, wide_x, wide_y, xs, ys) / areas - 1.0)
            # Comparisons with NaN are false.
            if not float(error.max()) > _TOLERANCE:
                break
        self._xs, self._ys, self._nodes = xs, ys, areas

    def at(self, xs: ArrayLike, ys: ArrayLike) -> Floats:
        """Give those of all pixels in some columns ``xs`` and rows ``ys``, rows first."""
        columns, rows = (np.asarray(places, np.float64) for places in (xs, ys))
        return _between(self._nodes, self._xs, self._ys, columns, rows)

    def factors(self, area_arcsec2: float, xs: ArrayLike, ys: ArrayLike) -> Pixels:
        """Give what values of pixels are multiplied with to be those of pixels of one size.

        Parameters
        ----------
        area_arcsec2
            The solid angle of such a pixel.
        xs, ys
            As of `at`.
        """
        return (area_arcsec2 / self.at(xs, ys)).astype(np.float32)


def pixel_areas(mapping: SkyMapping, x0: int, x1: int, y0: int, y1: int) -> Floats:
    """Give the solid angles of pixels, shape (y1 - y0, x1 - x0); see `PixelAreas`."""
    return PixelAreas(mapping, x0, x1, y0, y1).at(np.arange(x0, x1), np.arange(y0, y1))


def _areas(mapping: SkyMapping, xs: Floats, ys: Floats) -> Floats:
    x, y = np.meshgrid(xs, ys)
    left, right, low, high = (
        unit_vectors(*(part.ravel() for part in mapping.to_icrs(x + dx, y + dy)))
        for dx, dy in ((-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5))
    )
    areas: Floats = np.linalg.norm(np.cross(right - left, high - low), axis=-1) * _ARCSEC2
    known = np.isfinite(areas)
    areas[~known] = np.median(areas[known]) if known.any() else np.nan
    return areas.reshape(x.shape)


def _some(start: int, stop: int, step: int) -> Floats:
    return np.linspace(start, stop - 1, 1 + -(-(stop - 1 - start) // step))


def _between(nodes: Floats, xs: Floats, ys: Floats, columns: Floats, rows: Floats) -> Floats:
    """Interpolate between nodes, linearly in rows and then in columns."""
    # Without products of matrices, whose sums depend on how many rows there are.
    k, f = _place(ys, rows)
    along = nodes[k] * (1.0 - f)[:, None] + nodes[np.minimum(k + 1, len(ys) - 1)] * f[:, None]
    k, f = _place(xs, columns)
    found: Floats = along[:, k] * (1.0 - f) + along[:, np.minimum(k + 1, len(xs) - 1)] * f
    return found


def _place(nodes: Floats, places: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Give the node before each place, and how far it is on the way to the next."""
    if len(nodes) == 1:
        return np.zeros(len(places), np.int64), np.zeros(len(places))
    at = (places - nodes[0]) / (nodes[1] - nodes[0])
    before = np.clip(np.floor(at), 0, len(nodes) - 2)
    return before.astype(np.int64), at - before
