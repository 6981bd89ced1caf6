"""Grids of a picture's pixels on the sky, and images brought from one to another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from soda.distance import unit_vectors
from vodal.errors import UsageError
from vodal.fits.headers import text_cards, value_card
from vodal.fits.wcs import icrs_to_pixel, pixel_scale_arcsec, pixel_to_icrs
from vodal.resample.block import Sampling, windows
from vodal.resample.grid import pixel_grid
from vodal.resample.mapping import SkyMapping

__all__ = ["Grid", "north_grid", "regridded", "tangent_cards"]

Floats = NDArray[np.float64]

_SIDE: Final = 1024
"""Of a block that is resampled at a time, in pixels."""
_LARGEST_NORTH_DEG: Final = 60.0
_CARDS_ERROR: Final = 1.0 / 200.0
"""Part of a picture's longer side that a tangent plane may be off for its header to be written."""


@dataclass(frozen=True)
class Grid(SkyMapping):
    """Pixels that lie evenly on those of an image."""

    sky: WCS
    """Of the image, its two celestial axes."""
    x0: float
    y0: float
    """Edge of the first pixel, counted from the image's edge in pixels of the image."""
    step_x: float
    step_y: float
    """Sizes of a pixel in pixels of the image."""
    nx: int
    ny: int

    def scaled(self, nx: int, ny: int) -> Grid:
        """Give the grid of the same area with other numbers of pixels."""
        step_x, step_y = self.step_x * self.nx / nx, self.step_y * self.ny / ny
        return Grid(self.sky, self.x0, self.y0, step_x, step_y, nx, ny)

    @override
    def to_icrs(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        return pixel_to_icrs(
            self.sky,
            self.x0 + (np.asarray(x) + 0.5) * self.step_x - 0.5,
            self.y0 + (np.asarray(y) + 0.5) * self.step_y - 0.5,
        )

    @override
    def to_pixel(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        x, y = icrs_to_pixel(self.sky, ra_deg, dec_deg)
        return (
            (x + 0.5 - self.x0) / self.step_x - 0.5,
            (y + 0.5 - self.y0) / self.step_y - 0.5,
        )

    def scale_arcsec(self) -> float:
        """Give the side of a pixel in the middle; NaN where that is off the sky."""
        x, y = self.x0 + self.nx * self.step_x / 2, self.y0 + self.ny * self.step_y / 2
        side = pixel_scale_arcsec(self.sky, x - 0.5, y - 0.5)
        return side * math.sqrt(self.step_x * self.step_y)

    def outline(self) -> tuple[Floats, Floats]:
        """Give positions along the edge and inside, as far as they are on the sky."""
        steps = np.linspace(-0.5, 1.0 - 0.5, 17)
        u, v = np.meshgrid((steps + 0.5) * self.nx - 0.5, (steps + 0.5) * self.ny - 0.5)
        ra, dec = self.to_icrs(u, v)
        seen = np.isfinite(ra)
        return ra[seen], dec[seen]

    def circle(self) -> tuple[float, float, float]:
        """Give a circle around all: right ascension, declination and radius in degrees.

        Raises
        ------
        UsageError
            If nothing is on the sky.
        """
        vectors = unit_vectors(*self.outline())
        if not len(vectors):
            raise UsageError("no part of the image that the stencil meets is on the sky")
        x, y, z = vectors.mean(axis=0)
        length = math.sqrt(x * x + y * y + z * z)
        if length < 0.1:
            return 0.0, 0.0, 180.0
        cosine = float((vectors @ np.array([x, y, z])).min()) / length
        radius = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
        ra, dec = math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.asin(z / length))
        return ra, dec, min(180.0, 1.05 * radius)


def _tangent(ra_deg: float, dec_deg: float, step_deg: float) -> WCS:
    """Give a tangent plane, north up and east to the left, its first pixel's centre there."""
    sky = WCS(naxis=2)
    sky.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    sky.wcs.crval = [ra_deg, dec_deg]
    sky.wcs.crpix = [1.0, 1.0]
    sky.wcs.cdelt = [-step_deg, step_deg]
    sky.wcs.radesys = "ICRS"
    sky.wcs.set()
    return sky


def north_grid(grid: Grid) -> Grid:
    """Give the grid with north up and east to the left that holds a grid's area.

    Its pixels are as large as those of the grid in the middle.

    Raises
    ------
    UsageError
        If the area is too large for a tangent plane.
    """
    ra, dec, radius = grid.circle()
    scale = grid.scale_arcsec()
    if radius > _LARGEST_NORTH_DEG / 2.0 or not scale > 0.0:
        raise UsageError(
            f"ORIENT=north is for regions up to {_LARGEST_NORTH_DEG:g} degrees across; "
            "ask for a smaller one, or for ORIENT=pixels"
        )
    sky = _tangent(ra, dec, scale / 3600.0)
    x, y = icrs_to_pixel(sky, *grid.outline())
    x0, y0 = float(np.nanmin(x)) + 0.5, float(np.nanmin(y)) + 0.5
    nx = max(1, math.ceil(float(np.nanmax(x)) + 0.5 - x0 - 0.01))
    ny = max(1, math.ceil(float(np.nanmax(y)) + 0.5 - y0 - 0.01))
    return Grid(sky, x0, y0, 1.0, 1.0, nx, ny)


def regridded(
    values: NDArray[Any], grid: Grid, target: Grid, sampling: Sampling = "bilinear"
) -> NDArray[np.float32]:
    """Bring an image to another grid, by the rules of `vodal.resample.canvas`.

    Parameters
    ----------
    values
        The image, rows first; what is not finite is blank.
    grid
        Where its pixels are.
    target
        The grid to bring it to.
    sampling
        How it is sampled.
    """
    # Its compiled parts are loaded by who asks for it.
    from vodal.resample.canvas import Canvas  # noqa: PLC0415

    image = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    out = np.full((target.ny, target.nx), np.nan, np.float32)
    for block in windows(target, target.nx, target.ny, _SIDE):
        places = pixel_grid(grid, block, image.shape)
        if places is None:
            continue
        canvas = Canvas(block.layout, sampling)
        canvas.add(image, places)
        made = canvas.finish()
        if made is not None:
            out[block.y0 : block.y0 + len(made), block.x0 : block.x0 + made.shape[1]] = made
    return out


def tangent_cards(grid: Grid) -> list[str]:
    """Write the coordinates of a picture's pixels, first row at the bottom, as FITS cards.

    They are those of the tangent plane in the middle; empty where a pixel would be off by more
    than one pixel's size and half a percent of the longer side, as on wide fields.
    """
    x, y = (grid.nx - 1) / 2.0, (grid.ny - 1) / 2.0
    ra, dec = grid.to_icrs(np.array([x]), np.array([y]))
    if not np.isfinite(ra[0]):
        return []
    plane = _tangent(float(ra[0]), float(dec[0]), 1.0)
    half = 0.5
    beside = grid.to_icrs(x + np.array([-half, half, 0, 0]), y + np.array([0, 0, -half, half]))
    xi, eta = icrs_to_pixel(plane, *beside)
    matrix = np.array([[-(xi[1] - xi[0]), -(xi[3] - xi[2])], [eta[1] - eta[0], eta[3] - eta[2]]])
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) == 0.0:
        return []
    u, v = np.meshgrid(np.linspace(-0.5, grid.nx - 0.5, 9), np.linspace(-0.5, grid.ny - 0.5, 9))
    there = (
        np.stack(icrs_to_pixel(plane, *grid.to_icrs(u, v))) * np.array([-1.0, 1.0])[:, None, None]
    )
    here = np.einsum("ij,jkl->ikl", matrix, np.stack([u - x, v - y]))
    off = np.einsum("ij,jkl->ikl", np.linalg.inv(matrix), there - here)
    if not float(np.abs(off).max()) <= max(1.0, _CARDS_ERROR * max(grid.nx, grid.ny)):
        return []
    cards = [
        value_card("SIMPLE", "T"),
        value_card("BITPIX", "8"),
        value_card("NAXIS", "2"),
        value_card("NAXIS1", str(grid.nx)),
        value_card("NAXIS2", str(grid.ny)),
        *text_cards("CTYPE1", "RA---TAN"),
        *text_cards("CTYPE2", "DEC--TAN"),
        *text_cards("RADESYS", "ICRS"),
    ]
    for axis, (value, place) in enumerate(((ra[0], x), (dec[0], y)), 1):
        cards.append(value_card(f"CRVAL{axis}", repr(float(value))))
        cards.append(value_card(f"CRPIX{axis}", repr(float(place) + 1.0)))
        cards += [value_card(f"CD{axis}_{k + 1}", f"{matrix[axis - 1, k]:.12G}") for k in (0, 1)]
    return cards
