"""Where the pixels of a tile lie on an image: exact at nodes, interpolated between, checked.

The exact mapping (cell to sky to image pixel, with all distortions) is evaluated at the nodes of
a grid and interpolated bilinearly between them. The interpolation is compared with the exact
mapping in the middle of each grid cell, at a random place in it, and on every second node; where
it is off by more than `TOLERANCE_PIXELS` the grid is made finer, and cells that stay off are
mapped pixel by pixel. A fixed step would be wrong by pixels where HEALPix has a kink: along the
parallels of |dec| = 41.81 degrees, at the poles and near them; and at seams of all-sky images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hips.cells import sky_of
from hips.names import TILE_WIDTH

__all__ = [
    "TOLERANCE_PIXELS",
    "TOUCH_CELLS",
    "PixelGrid",
    "SkyMapping",
    "exact_pixels",
    "pixel_grid",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE_PIXELS: Final = 0.005
TOUCH_CELLS: Final = 4
"""Along a tile's side: how finely it is known beforehand which parts an image touches."""

_STEPS: Final = (32, 16, 8, 4)
_SPARSE: Final = 0.25
"""Up to this fraction of bad cells is mapped pixel by pixel rather than by a finer grid."""


class SkyMapping(Protocol):
    """The world coordinates of an image, as the grid needs them."""

    def to_icrs(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Give (ra, dec) in degrees of 0-based pixels, NaN where there is no sky."""
        ...

    def to_pixel(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Give 0-based (x, y), NaN where a position has no pixel."""
        ...


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """The mapping of one tile to one image.

    The first index of the arrays runs along the cell's x (north-east), the second along y
    (north-west); places count from 0 at the cell's southern corner to 512.
    """

    step: int
    """Tile pixels from node to node."""
    x: Floats
    """Image pixel at the nodes, 0-based, ``(512 / step + 1)`` squared."""
    y: Floats
    interpolate: Bools
    """Grid cells inside which the nodes are interpolated."""
    exact_u: NDArray[np.int64]
    """Tile pixels (x, y from the southern corner) that are mapped one by one."""
    exact_v: NDArray[np.int64]
    exact_x: Floats
    """Image pixels of those; NaN where there is none."""
    exact_y: Floats


def exact_pixels(
    mapping: SkyMapping, order: int, npix: int, u: Floats, v: Floats
) -> tuple[Floats, Floats]:
    """Map places of a tile (0 to 512 from its southern corner) to image pixels, exactly."""
    ra, dec = sky_of(order, npix, u / TILE_WIDTH, v / TILE_WIDTH)
    return mapping.to_pixel(ra, dec)


def pixel_grid(
    mapping: SkyMapping,
    order: int,
    npix: int,
    shape: tuple[int, int],
    touched: Bools | None = None,
) -> PixelGrid | None:
    """Map a tile to an image to within `TOLERANCE_PIXELS`.

    Parameters
    ----------
    mapping
        World coordinates of the image.
    order, npix
        The tile.
    shape
        Of the image, rows first.
    touched
        Parts of the tile (`TOUCH_CELLS` squared) outside which the image does not reach and which
        are not looked at; by default the whole tile.

    Returns
    -------
    PixelGrid or None
        None if no part of the tile meets the image.
    """
    if touched is None:
        touched = np.ones((TOUCH_CELLS, TOUCH_CELLS), np.bool_)
    for step in _STEPS:
        n = TILE_WIDTH // step
        repeat = n // TOUCH_CELLS
        cells = np.repeat(np.repeat(touched, repeat, 0), repeat, 1)
        x, y = _nodes(mapping, order, npix, step, cells)
        cells &= _near_image(x, y, shape)
        if not cells.any():
            return None
        bad = cells & ~_good(mapping, order, npix, step, cells, x, y)
        if step == _STEPS[-1] or bad.sum() <= _SPARSE * cells.sum():
            break
    u, v = _pixels_of(bad, step)
    exact_x, exact_y = exact_pixels(
        mapping, order, npix, u.astype(np.float64) + 0.5, v.astype(np.float64) + 0.5
    )
    return PixelGrid(step, x, y, cells & ~bad, u, v, exact_x, exact_y)


def _nodes(
    mapping: SkyMapping, order: int, npix: int, step: int, cells: Bools
) -> tuple[Floats, Floats]:
    """Map the corners of the wanted cells; the other nodes are NaN."""
    n = len(cells)
    needed = np.zeros((n + 1, n + 1), np.bool_)
    for a in (0, 1):
        for b in (0, 1):
            needed[a : n + a, b : n + b] |= cells
    u, v = np.nonzero(needed)
    x, y = np.full(needed.shape, np.nan), np.full(needed.shape, np.nan)
    x[needed], y[needed] = exact_pixels(
        mapping, order, npix, u.astype(np.float64) * step, v.astype(np.float64) * step
    )
    return x, y


def _corners(nodes: Floats) -> Floats:
    return np.stack([nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, :-1], nodes[1:, 1:]])


def _near_image(x: Floats, y: Floats, shape: tuple[int, int]) -> Bools:
    """Tell which cells may meet the image; those with unmapped corners may."""
    outside = np.zeros((len(x) - 1, len(x) - 1), np.bool_)
    for nodes, size in ((x, shape[1]), (y, shape[0])):
        corners = _corners(nodes)
        low, high = corners.min(axis=0), corners.max(axis=0)
        # A cell on a kink bulges out of its corners by less than half its extent.
        margin = 1.0 + 0.5 * (high - low)
        outside |= (high + margin < -0.5) | (low - margin > size - 0.5)
    return ~outside


def _good(
    mapping: SkyMapping,
    order: int,
    npix: int,
    step: int,
    cells: Bools,
    x: Floats,
    y: Floats,
) -> Bools:
    """Tell in which of the wanted cells the interpolation holds."""
    a, b = np.nonzero(cells)
    # Random, so that no regular structure of a distortion hides between the nodes; seeded, so
    # that the same images give the same tiles.
    random = np.random.default_rng(npix).random((2, a.size))
    fraction_u = np.concatenate([np.full(a.size, 0.5), random[0]])
    fraction_v = np.concatenate([np.full(a.size, 0.5), random[1]])
    a2, b2 = np.tile(a, 2), np.tile(b, 2)
    true_x, true_y = exact_pixels(
        mapping, order, npix, (a2 + fraction_u) * step, (b2 + fraction_v) * step
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


def _pixels_of(cells: Bools, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the tile pixels inside the marked cells."""
    a, b = np.nonzero(cells)
    inner = np.arange(step)
    u = (a[:, None, None] * step + inner[None, :, None] + 0 * inner[None, None, :]).ravel()
    v = (b[:, None, None] * step + 0 * inner[None, :, None] + inner[None, None, :]).ravel()
    return u.astype(np.int64), v.astype(np.int64)
