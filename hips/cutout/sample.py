"""The values of a HiPS on a grid: bilinear between the four nearest pixels of the tiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from astropy.wcs import WCS
from numpy.typing import NDArray

from hips.cutout.grid import Grid
from hips.names import TILE_ORDER, TILE_WIDTH, deinterleave, pixel_size_arcsec
from vodal.errors import DataError
from vodal.fits.frames import route_to_icrs, turn

__all__ = ["TileReader", "order_for", "sample"]

Pixels = NDArray[np.float32]
Floats = NDArray[np.float64]

TileReader = Callable[[int], Pixels | None]
"""Gives a tile of one order by its number, shape (rows, columns, channels) and lowest row first;
NaN is blank, None a tile that is not there."""

_CHUNK: Final = 1 << 17
"""Pixels in work at a time."""
_HELD_TILES: Final = 64


def order_for(grid: Grid, deepest: int) -> int:
    """Give the order whose pixels suit a grid: the first that are no larger than the grid's."""
    for order in range(deepest):
        if pixel_size_arcsec(order) <= grid.scale_arcsec * 1.001:
            return order
    return deepest


def sample(read: TileReader, order: int, grid: Grid, frame: str, channels: int = 1) -> Pixels:
    """Bring tiles onto a grid.

    A pixel is blank where less than half of its weight lies on pixels of tiles with a value; what
    is there is weighted as if only it were there.

    Parameters
    ----------
    read
        Gives the tiles.
    order
        Of the tiles.
    grid
        The pixels that are wanted.
    frame
        ``equatorial``, ``galactic`` or ``ecliptic``, as ``hips_frame`` has it.
    channels
        Values of each pixel.

    Returns
    -------
    ndarray
        Shape (height, width, channels), the first row the lowest.
    """
    tiles = lru_cache(_HELD_TILES)(read)
    way = _route(frame)
    out = np.full((grid.height, grid.width, channels), np.nan, np.float32)
    step = max(1, _CHUNK // grid.width)
    for first in range(0, grid.height, step):
        last = min(first + step, grid.height)
        ra, dec = grid.sky(first, last)
        seen = np.isfinite(ra) & np.isfinite(dec)
        if seen.any():
            lon, lat = turn(way, ra[seen], dec[seen], inverse=True)
            out[first:last][seen] = _bilinear(tiles, order, lon, lat, channels)
    return out


def _route(frame: str) -> NDArray[np.float64] | None:
    names = {"galactic": "GLON", "ecliptic": "ELON", "equatorial": ""}
    if frame not in names:
        raise DataError(f"cutouts of a HiPS in the frame '{frame}' are not made")
    if not names[frame]:
        return None
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{names[frame]}-CAR", f"{names[frame].replace('LON', 'LAT')}-CAR"]
    wcs.wcs.set()
    way = route_to_icrs(wcs)
    assert way is None or isinstance(way, np.ndarray)
    return way


def _bilinear(tiles: TileReader, order: int, lon: Floats, lat: Floats, channels: int) -> Pixels:
    cells, weights = healpix.bilinear_interpolation(
        Longitude(lon, "deg"), Latitude(np.clip(lat, -90.0, 90.0), "deg"), order + TILE_ORDER
    )
    # Masked where only three pixels meet.
    cells = np.ma.filled(cells, 0).astype(np.int64)
    weights = np.ma.filled(weights, 0.0).astype(np.float64)
    numbers, inside = cells >> 2 * TILE_ORDER, cells & (1 << 2 * TILE_ORDER) - 1
    x, y = deinterleave(inside)
    total = np.zeros((lon.size, channels))
    share = np.zeros((lon.size, channels))
    for number in np.unique(numbers[weights > 0.0]):
        tile = tiles(int(number))
        if tile is None:
            continue
        for corner in range(cells.shape[1]):
            here = np.flatnonzero((numbers[:, corner] == number) & (weights[:, corner] > 0.0))
            values = tile[TILE_WIDTH - 1 - x[here, corner], y[here, corner]]
            weight = weights[here, corner, None] * np.isfinite(values)
            total[here] += weight * np.nan_to_num(values, nan=0.0)
            share[here] += weight
    whole = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Pixels = np.where(share > 0.5 * whole, total / share, np.nan).astype(np.float32)
    return result
