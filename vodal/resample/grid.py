"""Where the pixels of a block lie on an image: exact at nodes, interpolated between, checked.

The exact mapping (block to sky to image pixel, with all distortions) is evaluated at the nodes of
a grid and interpolated bilinearly between them. The interpolation is compared with the exact
mapping in the middle of each grid cell, at a random place in it, and on every second node; where
it is off by more than `TOLERANCE_PIXELS` the grid is made finer, and cells that stay off are
mapped pixel by pixel. A fixed step would be wrong by pixels where HEALPix has a kink: along the
parallels of |dec| = 41.81 degrees, at the poles and near them; and at seams of all-sky images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.resample.block import Block, Layout
from vodal.resample.mapping import SkyMapping

__all__ = [
    "TOLERANCE_PIXELS",
    "TOUCH_CELLS",
    "PixelGrid",
    "exact_pixels",
    "pixel_grid",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE_PIXELS: Final = 0.005
TOUCH_CELLS: Final = 4
"""Along a block's side: how finely it is known beforehand which parts an image touches."""

_STEPS: Final = (32, 16, 8, 4)
_MARGIN: Final = 4
"""Pixels around a place that a sample can need."""
_SPARSE: Final = 0.25
"""Up to this fraction of bad cells is mapped pixel by pixel rather than by a finer grid."""


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """The mapping of one block to one image.

    The first index of the arrays runs along u, the second along v; the last nodes may lie beyond
    the block.
    """

    step: int
    """Pixels of the block from node to node."""
    x: Floats
    """Image pixel at the nodes, 0-based."""
    y: Floats
    interpolate: Bools
    """Grid cells inside which the nodes are interpolated."""
    exact_u: NDArray[np.int64]
    """Pixels of the block, by their lower edges, that are mapped one by one."""
    exact_v: NDArray[np.int64]
    exact_x: Floats
    """Image pixels of those; NaN where there is none."""
    exact_y: Floats

    def reach(self, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """Give the pixels of the image that samples can need.

        Parameters
        ----------
        shape
            Of the image, rows first.

        Returns
        -------
        x0, x1, y0, y1
            Half open, within the image; None if there are none.
        """
        used = np.zeros(self.x.shape, np.bool_)
        for a in (slice(None, -1), slice(1, None)):
            for b in (slice(None, -1), slice(1, None)):
                used[a, b] |= self.interpolate
        bounds = []
        for nodes, exact, size in (
            (self.x, self.exact_x, shape[1]),
            (self.y, self.exact_y, shape[0]),
        ):
            places = np.concatenate([nodes[used], exact[np.isfinite(exact)]])
            if not places.size:
                return None
            places = np.clip(places, -2 * _MARGIN, size + 2 * _MARGIN)
            low = max(0, int(np.floor(places.min())) - _MARGIN)
            high = min(size, int(np.ceil(places.max())) + _MARGIN + 1)
            if low >= high:
                return None
            bounds += [low, high]
        return bounds[0], bounds[1], bounds[2], bounds[3]

    def moved(self, x0: int, y0: int) -> PixelGrid:
        """Give the grid of a part of the image that begins at a pixel."""
        return replace(
            self,
            x=self.x - x0,
            y=self.y - y0,
            exact_x=self.exact_x - x0,
            exact_y=self.exact_y - y0,
        )


def exact_pixels(mapping: SkyMapping, block: Block, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Map places of a block to image pixels, exactly."""
    return mapping.to_pixel(*block.sky(u, v))


def pixel_grid(
    mapping: SkyMapping,
    block: Block,
    shape: tuple[int, int],
    touched: Bools | None = None,
) -> PixelGrid | None:
    """Map a block to an image to within `TOLERANCE_PIXELS`.

    Parameters
    ----------
    mapping
        World coordinates of the image.
    block
        What is resampled onto.
    shape
        Of the image, rows first.
    touched
        Parts of the block (`TOUCH_CELLS` squared) outside which the image does not reach and
        which are not looked at; by default the whole block.

    Returns
    -------
    PixelGrid or None
        None if no part of the block meets the image.
    """
    if touched is None:
        touched = np.ones((TOUCH_CELLS, TOUCH_CELLS), np.bool_)
    for step in _STEPS:
        cells = _cells(block.layout, step, touched)
        x, y = _nodes(mapping, block, step, cells)
        cells &= _near_image(x, y, shape)
        if not cells.any():
            return None
        bad = cells & ~_good(mapping, block, step, cells, x, y)
        if step == _STEPS[-1] or bad.sum() <= _SPARSE * cells.sum():
            break
    u, v = _pixels_of(bad, step, block.layout)
    exact_x, exact_y = (
        exact_pixels(mapping, block, u.astype(np.float64) + 0.5, v.astype(np.float64) + 0.5)
        if u.size
        else (np.empty(0), np.empty(0))
    )
    return PixelGrid(step, x, y, cells & ~bad, u, v, exact_x, exact_y)


def _cells(layout: Layout, step: int, touched: Bools) -> Bools:
    """Tell which cells are looked at: those that the block has, in touched parts of it.

    Their numbers are even, as they are checked in pairs; some may lie beyond the block.
    """
    parts = []
    for size in (layout.height, layout.width):
        first = np.arange(2 * -(-size // (2 * step))) * step
        last = np.minimum(first + step, size) - 1
        inside = first < size
        places = [np.where(inside, k, 0) * TOUCH_CELLS // size for k in (first, last)]
        parts.append((inside, places))
    (rows, u), (columns, v) = parts
    cells = np.zeros((rows.size, columns.size), np.bool_)
    for a in u:
        for b in v:
            cells |= touched[np.ix_(a, b)]
    return cells & rows[:, None] & columns[None, :]


def _nodes(mapping: SkyMapping, block: Block, step: int, cells: Bools) -> tuple[Floats, Floats]:
    """Map the corners of the wanted cells; the other nodes are NaN."""
    n, m = cells.shape
    needed = np.zeros((n + 1, m + 1), np.bool_)
    for a in (0, 1):
        for b in (0, 1):
            needed[a : n + a, b : m + b] |= cells
    u, v = np.nonzero(needed)
    x, y = np.full(needed.shape, np.nan), np.full(needed.shape, np.nan)
    x[needed], y[needed] = exact_pixels(
        mapping, block, u.astype(np.float64) * step, v.astype(np.float64) * step
    )
    return x, y


def _corners(nodes: Floats) -> Floats:
    return np.stack([nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, :-1], nodes[1:, 1:]])


def _near_image(x: Floats, y: Floats, shape: tuple[int, int]) -> Bools:
    """Tell which cells may meet the image; those with unmapped corners may."""
    outside = np.zeros((x.shape[0] - 1, x.shape[1] - 1), np.bool_)
    for nodes, size in ((x, shape[1]), (y, shape[0])):
        corners = _corners(nodes)
        low, high = corners.min(axis=0), corners.max(axis=0)
        # A cell on a kink bulges out of its corners by less than half its extent.
        margin = 1.0 + 0.5 * (high - low)
        outside |= (high + margin < -0.5) | (low - margin > size - 0.5)
    return ~outside


def _good(
    mapping: SkyMapping,
    block: Block,
    step: int,
    cells: Bools,
    x: Floats,
    y: Floats,
) -> Bools:
    """Tell in which of the wanted cells the interpolation holds."""
    a, b = np.nonzero(cells)
    # Random, so that no regular structure of a distortion hides between the nodes; seeded, so
    # that the same images give the same tiles.
    random = np.random.default_rng(block.seed).random((2, a.size))
    fraction_u = np.concatenate([np.full(a.size, 0.5), random[0]])
    fraction_v = np.concatenate([np.full(a.size, 0.5), random[1]])
    a2, b2 = np.tile(a, 2), np.tile(b, 2)
    true_x, true_y = exact_pixels(
        mapping, block, (a2 + fraction_u) * step, (b2 + fraction_v) * step
    )
    off = np.hypot(
        _interpolate(x, a2, b2, fraction_u, fraction_v) - true_x,
        _interpolate(y, a2, b2, fraction_u, fraction_v) - true_y,
    )
    good = np.zeros(cells.shape, np.bool_)
    # Comparisons with NaN are false: what cannot be mapped is not good.
    good[a, b] = (off[: a.size] <= TOLERANCE_PIXELS) & (off[a.size :] <= TOLERANCE_PIXELS)
    # The error of this grid is at most half that of the one with half as many nodes.
    coarse = np.maximum(_coarse_error(x), _coarse_error(y)) / 2.0
    return good & ~(np.repeat(np.repeat(coarse, 2, 0), 2, 1) > TOLERANCE_PIXELS)


def _interpolate(
    nodes: Floats, a: NDArray[np.int64], b: NDArray[np.int64], fu: Floats, fv: Floats
) -> Floats:
    low = nodes[a, b] * (1 - fu) + nodes[a + 1, b] * fu
    high = nodes[a, b + 1] * (1 - fu) + nodes[a + 1, b + 1] * fu
    result: Floats = low * (1 - fv) + high * fv
    return result


def _coarse_error(nodes: Floats) -> Floats:
    """Give the error of every second node's interpolation at the nodes between, for each 2 x 2."""
    even = nodes[::2, ::2]
    middle = np.abs(_corners(even).mean(axis=0) - nodes[1:-1:2, 1:-1:2])
    along_u = np.abs(0.5 * (nodes[:-2:2] + nodes[2::2]) - nodes[1:-1:2])[:, ::2]
    along_v = np.abs(0.5 * (nodes[:, :-2:2] + nodes[:, 2::2]) - nodes[:, 1:-1:2])[::2]
    worst: Floats = np.fmax.reduce(
        [middle, along_u[:, :-1], along_u[:, 1:], along_v[:-1], along_v[1:]]
    )
    return worst


def _pixels_of(
    cells: Bools, step: int, layout: Layout
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the pixels inside the marked cells."""
    a, b = np.nonzero(cells)
    inner = np.arange(step)
    u = (a[:, None, None] * step + inner[None, :, None] + 0 * inner[None, None, :]).ravel()
    v = (b[:, None, None] * step + 0 * inner[None, :, None] + inner[None, None, :]).ravel()
    inside = (u < layout.height) & (v < layout.width)
    return u[inside].astype(np.int64), v[inside].astype(np.int64)
