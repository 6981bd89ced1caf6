"""Which part of the sky a HiPS covers: its MOC, and where to look first."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import Final

import cdshealpix.nested as healpix
import numpy as np
from numpy.typing import NDArray

from hips.frames import Frame, to_icrs
from hips.names import TILE_ORDER, TILE_WIDTH, interleave, pixel_size_arcsec, tile_count
from hips.view import View

__all__ = [
    "View",
    "directions_of",
    "first_view",
    "main_part",
    "moc_file",
    "place_within",
]

Floats = NDArray[np.float64]
Cells = NDArray[np.uint64]

_MOST_CELLS: Final = 4096
"""By so many at most is the shape of a coverage judged."""
_SPARSE: Final = 0.05
"""A view of which less is covered shows dots."""
_WIDEST_DEG: Final = 60.0
"""Width of a piece of sky that looks natural."""


def moc_file(order: int, cells: Iterable[int], frame: Frame = "equatorial") -> bytes:
    """Write the MOC of cells (MOC 2.0) as FITS, so that clients ask for no other tiles.

    Its cells are those of the HiPS, and its COORDSYS says in which frame.
    """
    from mocpy import MOC  # noqa: PLC0415 - in servers only where one is asked for

    numbers = np.fromiter(cells, np.uint64)
    moc = MOC.from_healpix_cells(numbers, np.full(numbers.shape, order, np.uint8), order)
    hdus = moc.serialize(format="fits")
    if frame == "galactic":
        hdus[1].header["COORDSYS"] = "G"
    out = io.BytesIO()
    hdus.writeto(out)
    return out.getvalue()


def directions_of(order: int, cells: Cells) -> Floats:
    """Give the unit vectors of cells' centres, in their own frame, shape (cells, 3)."""
    lon, lat = healpix.healpix_to_lonlat(cells, order)
    return _vectors(lon.rad, lat.rad)


def _vectors(lon_rad: Floats, lat_rad: Floats) -> Floats:
    across = np.cos(lat_rad)
    parts = across * np.cos(lon_rad), across * np.sin(lon_rad), np.sin(lat_rad)
    return np.stack(parts, axis=-1)


def main_part(order: int, cells: Cells) -> Cells:
    """Choose the part of a coverage that is looked at first.

    All of it, unless it is of several fields that do not fit into one view, or would be dots in
    it: then the largest of the fields.

    Parameters
    ----------
    order, cells
        What is covered, one cell at least.
    """
    levels = 0
    while np.unique(cells >> np.uint64(2 * levels)).size > _MOST_CELLS:
        levels += 1
    coarse, which, counts = np.unique(
        cells >> np.uint64(2 * levels), return_inverse=True, return_counts=True
    )
    depth = order - levels
    fields = _fields(depth, coarse)
    _, reach_deg = _middle(directions_of(depth, coarse))
    reach_deg += pixel_size_arcsec(depth) * TILE_WIDTH / 3600.0
    around = (1.0 - math.cos(math.radians(min(reach_deg, 180.0)))) / 2.0
    share = coarse.size / tile_count(depth) / around
    if fields.max() == 0 or (share >= _SPARSE and 2.0 * reach_deg <= _WIDEST_DEG):
        return cells
    largest = int(np.bincount(fields, counts).argmax())
    chosen: Cells = cells[fields[which] == largest]
    return chosen


def _fields(order: int, cells: Cells) -> NDArray[np.intp]:
    """Give each of some cells the number of the field that it is part of: those that touch."""
    places = {int(cell): place for place, cell in enumerate(cells)}
    around = healpix.neighbours(cells, order)
    fields = np.full(cells.size, -1, np.intp)
    count = 0
    for first in range(cells.size):
        if fields[first] >= 0:
            continue
        fields[first] = count
        ahead = [first]
        while ahead:
            for cell in around[ahead.pop()].tolist():
                place = places.get(cell)
                if place is not None and fields[place] < 0:
                    fields[place] = count
                    ahead.append(place)
        count += 1
    return fields


def _middle(directions: Floats) -> tuple[int, float]:
    """Give which direction is next to the middle of all, and how far the others are in degrees."""
    # Directions all around leave no middle: any serves.
    nearest = int(np.argmax(directions @ directions.mean(axis=0)))
    within = np.clip(directions @ directions[nearest], -1.0, 1.0)
    return nearest, math.degrees(float(np.arccos(within.min())))


def first_view(order: int, tiles: Sequence[int]) -> tuple[int, float]:
    """Choose what is looked at first.

    Returns
    -------
    npix
        Of the deepest tile in the middle: the one nearest to the middle of the main part.
    fov_deg
        Width of the view: that part, or, where it is wider than 60 degrees, as wide as a piece of
        sky looks natural.
    """
    part = main_part(order, np.asarray(tiles, np.uint64))
    part = part[:: max(1, part.size // _MOST_CELLS)]
    middle, reach_deg = _middle(directions_of(order, part))
    margin = pixel_size_arcsec(order) * TILE_WIDTH / 3600.0
    widest = _WIDEST_DEG if len(tiles) < tile_count(order) // 2 else 180.0
    return int(part[middle]), min(2.0 * reach_deg + 1.2 * margin, widest)


def place_within(
    order: int, npix: int, there: NDArray[np.bool_], frame: Frame = "equatorial"
) -> tuple[float, float]:
    """Give the right ascension and declination of a pixel of a tile that has a value.

    It is the one nearest to the middle of them all.

    Parameters
    ----------
    order, npix, frame
        The tile.
    there
        Which of its pixels have a value, lowest row first; one at least.
    """
    rows, columns = np.nonzero(there)
    away = np.hypot(rows - rows.mean(), columns - columns.mean())
    nearest = int(np.argmin(away))
    inside = interleave(TILE_WIDTH - 1 - rows[[nearest]], columns[[nearest]])
    cell = np.uint64(npix << 2 * TILE_ORDER) + inside.astype(np.uint64)
    lon, lat = healpix.healpix_to_lonlat(cell, order + TILE_ORDER)
    ra, dec = to_icrs(frame, lon.deg, lat.deg)
    return float(ra[0]), float(dec[0])
