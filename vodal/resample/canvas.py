"""Images onto a block: sampling, and the weighted mean of what overlaps.

Edges are the same for all that is resampled. An image reaches from the outer edge of its first
pixel to that of its last, -0.5 to n - 0.5 along an axis. A sample needs more than half of its
bilinear weight on pixels with a value, those beyond the edge having none; the values are then
weighted as if only those were there. So the outermost half pixel repeats what is next to it, but
for its corners. Lanczos-3 needs all of its 6 x 6 pixels, and is bilinear where one is blank or
missing. A pixel of the block is blank (NaN) where no image gives a sample.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.compiled import in_turn, kernel
from vodal.resample.block import Layout, Sampling
from vodal.resample.grid import PixelGrid

__all__ = ["Canvas", "load"]

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]

_TABLE_STEPS: Final = 1024


def _lanczos_table() -> Floats:
    """Tabulate the six weights for each place between two pixels."""
    at = np.arange(_TABLE_STEPS + 1)[:, None] / _TABLE_STEPS
    distance = np.arange(-2, 4)[None, :] - at
    weights = np.sinc(distance) * np.sinc(distance / 3.0) * (np.abs(distance) < 3.0)
    table: Floats = weights / weights.sum(axis=1, keepdims=True)
    return table


_LANCZOS: Final = _lanczos_table()


@kernel
def _bilinear(image: Pixels, x: float, y: float) -> tuple[float, float]:
    """Give the value and the share of the weight that lies on pixels with a value."""
    i, j = math.floor(x), math.floor(y)
    fx, fy = x - i, y - j
    ny, nx = image.shape
    if i >= 0 and j >= 0 and i < nx - 1 and j < ny - 1:
        low = image[j, i] * (1.0 - fx) + image[j, i + 1] * fx
        high = image[j + 1, i] * (1.0 - fx) + image[j + 1, i + 1] * fx
        value = low * (1.0 - fy) + high * fy
        if not math.isnan(value):
            return value, 1.0
    total, share = 0.0, 0.0
    for dj in range(2):
        for di in range(2):
            jj, ii = j + dj, i + di
            if jj < 0 or ii < 0 or jj >= ny or ii >= nx or math.isnan(image[jj, ii]):
                continue
            weight = (fx if di == 1 else 1.0 - fx) * (fy if dj == 1 else 1.0 - fy)
            total += weight * image[jj, ii]
            share += weight
    if share <= 0.5:
        return 0.0, 0.0
    return total / share, share


@kernel
def _lanczos3(image: Pixels, x: float, y: float, table: Floats) -> tuple[float, float]:
    """Like `_bilinear`, from 6 x 6 pixels; bilinear where one of them is blank or missing."""
    i, j = math.floor(x), math.floor(y)
    ny, nx = image.shape
    if i >= 2 and j >= 2 and i < nx - 3 and j < ny - 3:
        tx = table[int((x - i) * (table.shape[0] - 1) + 0.5)]
        ty = table[int((y - j) * (table.shape[0] - 1) + 0.5)]
        value = 0.0
        for b in range(6):
            row = 0.0
            for a in range(6):
                row += tx[a] * image[j - 2 + b, i - 2 + a]
            value += ty[b] * row
        if not math.isnan(value):
            return value, 1.0
    return _bilinear(image, x, y)


@kernel
def _add_cells(  # noqa: C901 - one loop over pixels, in line for speed
    image: Pixels,
    grid_x: Floats,
    grid_y: Floats,
    wanted: NDArray[np.bool_],
    step: int,
    first: int,
    upwards: int,
    lanczos: bool,  # noqa: FBT001 - compiled functions take no keywords
    table: Floats,
    weight: float,
    total: Floats,
    weights: Pixels,
) -> None:
    height, width = total.shape
    ny, nx = image.shape
    for a in range(wanted.shape[0]):
        rows = min(step, height - a * step)
        for b in range(wanted.shape[1]):
            if not wanted[a, b]:
                continue
            columns = min(step, width - b * step)
            for i in range(rows):
                f = (i + 0.5) / step
                x0 = grid_x[a, b] * (1.0 - f) + grid_x[a + 1, b] * f
                x1 = grid_x[a, b + 1] * (1.0 - f) + grid_x[a + 1, b + 1] * f
                y0 = grid_y[a, b] * (1.0 - f) + grid_y[a + 1, b] * f
                y1 = grid_y[a, b + 1] * (1.0 - f) + grid_y[a + 1, b + 1] * f
                dx, dy = (x1 - x0) / step, (y1 - y0) / step
                row = first + upwards * (a * step + i)
                totals, shares = total[row], weights[row]
                for j in range(columns):
                    x, y = x0 + dx * (j + 0.5), y0 + dy * (j + 0.5)
                    if not lanczos and x >= 0.0 and y >= 0.0 and x < nx - 1.0 and y < ny - 1.0:
                        # `_bilinear` once more, in line: twice as fast as the call.
                        k, m = int(x), int(y)
                        fx, fy = x - k, y - m
                        low = image[m, k] * (1.0 - fx) + image[m, k + 1] * fx
                        high = image[m + 1, k] * (1.0 - fx) + image[m + 1, k + 1] * fx
                        value = low * (1.0 - fy) + high * fy
                        if not math.isnan(value):
                            totals[b * step + j] += weight * value
                            shares[b * step + j] += weight
                            continue
                    if x < -0.5 or y < -0.5 or x >= nx - 0.5 or y >= ny - 0.5:
                        continue
                    if lanczos:
                        value, share = _lanczos3(image, x, y, table)
                    else:
                        value, share = _bilinear(image, x, y)
                    if share > 0.0:
                        totals[b * step + j] += weight * share * value
                        shares[b * step + j] += weight * share


@kernel
def _add_pixels(
    image: Pixels,
    u: NDArray[np.int64],
    v: NDArray[np.int64],
    xs: Floats,
    ys: Floats,
    first: int,
    upwards: int,
    lanczos: bool,  # noqa: FBT001 - compiled functions take no keywords
    table: Floats,
    weight: float,
    total: Floats,
    weights: Pixels,
) -> None:
    ny, nx = image.shape
    for k in range(u.size):
        x, y = xs[k], ys[k]
        # Written so that a NaN, a place that has no pixel, is left out as well.
        if not (x >= -0.5 and y >= -0.5 and x < nx - 0.5 and y < ny - 0.5):
            continue
        if lanczos:
            value, share = _lanczos3(image, x, y, table)
        else:
            value, share = _bilinear(image, x, y)
        if share > 0.0:
            total[first + upwards * u[k], v[k]] += weight * share * value
            weights[first + upwards * u[k], v[k]] += weight * share


@in_turn(_add_pixels)
def load() -> None:
    """Have the compiled code ready, for a process that is to answer its first request soon."""
    image = np.zeros((8, 8), np.float32)
    places = np.array([[2.5, 2.5], [4.5, 4.5]])
    some = np.zeros(1, np.int64)
    grid = PixelGrid(4, places, places.T, np.ones((1, 1), np.bool_), some, some, places[0, :1],
                     places[0, :1])  # fmt: skip
    samplings: tuple[Sampling, ...] = ("bilinear", "lanczos3")
    for sampling in samplings:
        Canvas(Layout(4, 4), sampling).add(image, grid)


class Canvas:
    """A block in the making.

    Parameters
    ----------
    layout
        Of the block.
    sampling
        How images are sampled.
    """

    def __init__(self, layout: Layout, sampling: Sampling = "bilinear") -> None:
        self._lanczos = sampling == "lanczos3"
        self._first = layout.height - 1 if layout.flipped else 0
        self._upwards = -1 if layout.flipped else 1
        self._total = np.zeros((layout.height, layout.width), np.float64)
        self._weights = np.zeros((layout.height, layout.width), np.float32)

    @property
    def weights(self) -> Pixels:
        """The sum of weights of each pixel so far, stored as the block is."""
        return self._weights

    @property
    def totals(self) -> Floats:
        """The sum of weighted values of each pixel so far."""
        return self._total

    def add(self, image: Pixels, grid: PixelGrid, weight: float = 1.0) -> None:
        """Add an image.

        Parameters
        ----------
        image
            Native float32, rows first; NaN is blank.
        grid
            Where the block's pixels lie on it.
        weight
            Of the image among the others; more than 0.
        """
        _add_cells(
            image, grid.x, grid.y, grid.interpolate, grid.step, self._first, self._upwards,
            self._lanczos, _LANCZOS, weight, self._total, self._weights,
        )  # fmt: skip
        if grid.exact_u.size:
            _add_pixels(
                image, grid.exact_u, grid.exact_v, grid.exact_x, grid.exact_y, self._first,
                self._upwards, self._lanczos, _LANCZOS, weight, self._total, self._weights,
            )  # fmt: skip

    def finish(self) -> Pixels | None:
        """Give the block, None if all of it is blank."""
        if not self._weights.any():
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self._total / self._weights).astype(np.float32)
