"""How large the pixels of an image are on the sky, each of them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.fits.frames import unit_vectors
from vodal.resample.mapping import SkyMapping

__all__ = ["pixel_areas"]

Floats = NDArray[np.float64]

_STEPS: Final = (64, 32, 16, 8)
"""Pixels from one that is computed to the next."""
_TOLERANCE: Final = 5e-5
_ARCSEC2: Final = math.degrees(1.0) ** 2 * 3600.0**2


def pixel_areas(mapping: SkyMapping, x0: int, x1: int, y0: int, y1: int) -> Floats:
    """Give the solid angles of pixels in square arcseconds.

    They are computed for some pixels and interpolated between, so closely that the next wider
    steps would be off by less than 5e-5, but not closer than 8 pixels. A pixel that is off the sky
    counts as those that are on it do in the middle.

    Parameters
    ----------
    mapping
        World coordinates of the image.
    x0, x1, y0, y1
        The pixels, 0-based, half open.

    Returns
    -------
    array
        Shape (y1 - y0, x1 - x0).
    """
    xs, ys = _some(x0, x1, _STEPS[0]), _some(y0, y1, _STEPS[0])
    areas = _areas(mapping, xs, ys)
    for step in _STEPS[1:]:
        wide_x, wide_y, wide = xs, ys, areas
        xs, ys = _some(x0, x1, step), _some(y0, y1, step)
        areas = _areas(mapping, xs, ys)
        error = np.abs(_hats(wide_y, ys) @ wide @ _hats(wide_x, xs).T / areas - 1.0)
        # Comparisons with NaN are false.
        if not float(error.max()) > _TOLERANCE:
            break
    columns, rows = np.arange(x0, x1, dtype=np.float64), np.arange(y0, y1, dtype=np.float64)
    between: Floats = _hats(ys, rows) @ areas @ _hats(xs, columns).T
    return between


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


def _hats(nodes: Floats, places: Floats) -> Floats:
    """Give the share of each node in the value at each place, linear between nodes."""
    if len(nodes) == 1:
        return np.ones((len(places), 1))
    at = (places - nodes[0]) / (nodes[1] - nodes[0])
    shares: Floats = np.clip(1.0 - np.abs(at[:, None] - np.arange(len(nodes))), 0.0, None)
    return shares
