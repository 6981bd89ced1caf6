"""From the deepest tiles to the coarser ones, each pixel the mean of the four below it.

The mean is weighted by how much of each pixel is valid: a pixel at the edge that stands for one
valid quarter does not count like four. A pixel is blank only if all four below it are. Tiles are
taken in NESTED order and only one unfinished tile an order is held, whatever the size of the sky.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hips.names import TILE_WIDTH, child_slices
from vodal.compiled import kernel

__all__ = ["Pyramid", "halve"]

Pixels = NDArray[np.float32]
Emit = Callable[[int, int, Pixels, Pixels], None]


@kernel
def _halve(tile: Pixels, valid: Pixels, out: Pixels, out_valid: Pixels) -> None:
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            total, weight = 0.0, 0.0
            for dr in range(2):
                for dc in range(2):
                    value, share = tile[2 * r + dr, 2 * c + dc], valid[2 * r + dr, 2 * c + dc]
                    if share > 0.0 and not math.isnan(value):
                        total += share * value
                        weight += share
            out[r, c] = total / weight if weight > 0.0 else math.nan
            out_valid[r, c] = 0.25 * weight


def halve(tile: Pixels, valid: Pixels) -> tuple[Pixels, Pixels]:
    """Take the weighted mean of each 2 x 2 pixels.

    Parameters
    ----------
    tile, valid
        Values (NaN is blank) and the fraction of each pixel, 0 to 1, that is valid.

    Returns
    -------
    tile, valid
        Of half the size.
    """
    out = np.empty((tile.shape[0] // 2, tile.shape[1] // 2), np.float32)
    out_valid = np.empty_like(out)
    _halve(tile, valid, out, out_valid)
    return out, out_valid


class _Level:
    """The unfinished tile of one order."""

    def __init__(self, npix: int) -> None:
        self.npix = npix
        self.tile = np.full((TILE_WIDTH, TILE_WIDTH), np.nan, np.float32)
        self.valid = np.zeros((TILE_WIDTH, TILE_WIDTH), np.float32)


class Pyramid:
    """Makes the tiles of the orders from ``order - 1`` up to ``top``.

    Parameters
    ----------
    order
        Of the tiles that are put in.
    top
        The coarsest order to make.
    emit
        Called with order, number, values and valid fractions of each finished tile, children
        before parents and in NESTED order within an order. The arrays are its to keep.
    """

    def __init__(self, order: int, top: int, emit: Emit) -> None:
        self._order, self._top, self._emit = order, top, emit
        self._open: dict[int, _Level] = {}
        self._last = -1

    def add(self, npix: int, tile: Pixels, valid: Pixels | None = None) -> None:
        """Put in a tile; the numbers must rise.

        Parameters
        ----------
        npix
            Its number.
        tile
            Values, NaN where blank.
        valid
            Valid fraction of each pixel; by default 1 where there is a value.
        """
        if npix <= self._last:
            raise ValueError(f"tile {npix} after tile {self._last}: not in rising order")
        self._last = npix
        if valid is None:
            valid = np.isfinite(tile).astype(np.float32)
        self._put(self._order, npix, tile, valid)

    def finish(self) -> None:
        """Complete what is unfinished."""
        for order in range(self._order - 1, self._top - 1, -1):
            self._close(order)

    def _put(self, order: int, npix: int, tile: Pixels, valid: Pixels) -> None:
        above = order - 1
        if above < self._top:
            return
        level = self._open.get(above)
        if level is not None and level.npix != npix >> 2:
            self._close(above)
            level = None
        if level is None:
            level = self._open[above] = _Level(npix >> 2)
        half, half_valid = halve(tile, valid)
        place = child_slices(npix & 3)
        level.tile[place], level.valid[place] = half, half_valid

    def _close(self, order: int) -> None:
        level = self._open.pop(order, None)
        if level is not None:
            self._emit(order, level.npix, level.tile, level.valid)
            self._put(order, level.npix, level.tile, level.valid)
