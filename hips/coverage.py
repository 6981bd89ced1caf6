"""Which part of the sky a HiPS covers: its MOC, and where to look first."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from mocpy import MOC

from hips.cells import sky_of
from hips.frames import Frame, to_icrs
from hips.names import TILE_WIDTH, pixel_size_arcsec, tile_count
from hips.view import View

__all__ = ["View", "first_view", "read_moc_cells", "write_moc"]


def write_moc(path: Path, order: int, tiles: Sequence[int], frame: Frame = "equatorial") -> None:
    """Write the MOC of the deepest tiles (MOC 2.0), so that clients ask for no other.

    Its cells are those of the HiPS, and its COORDSYS says in which frame.
    """
    cells = np.asarray(tiles, np.uint64)
    moc = MOC.from_healpix_cells(cells, np.full(cells.shape, order, np.uint8), order)
    moc.save(str(path), format="fits", overwrite=True)
    if frame == "galactic":
        fits.setval(path, "COORDSYS", value="G", ext=1)


def read_moc_cells(path: Path, order: int) -> list[int]:
    """Read a MOC as cells of one order."""
    with fits.open(path) as hdus, tempfile.NamedTemporaryFile(suffix=".fits") as copy:
        # MOCPy knows no frame but ICRS; the cells' numbers are the same in any.
        hdus[1].header["COORDSYS"] = "C"
        hdus.writeto(copy.name, overwrite=True)
        moc = MOC.load(copy.name, format="fits")
    if moc.max_order < order:
        moc = moc.refine_to_order(order)
    return [int(cell) for cell in moc.to_order(order).flatten()]


def _direction(order: int, npix: int, frame: Frame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    half = np.array([0.5])
    place = to_icrs(frame, *sky_of(order, npix, half, half))
    ra, dec = (math.radians(float(value[0])) for value in place)
    return np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])


def first_view(order: int, tiles: Sequence[int], frame: Frame = "equatorial") -> View:
    """Choose a view of the deepest tiles: all of them, or the surroundings of the middle one.

    The centre is always on a tile, the one nearest to the middle of them all; where the tiles are
    scattered over more than 60 degrees, the view is as wide as a piece of sky looks natural.
    """
    step = max(1, len(tiles) // 4096)
    directions = np.array([_direction(order, npix, frame) for npix in list(tiles)[::step]])
    mean = directions.mean(axis=0)
    nearest = directions[int(np.argmax(directions @ mean))]
    # Tiles all around leave no middle: any tile serves.
    within = np.clip(directions @ nearest, -1.0, 1.0)
    reach = math.degrees(float(np.arccos(within.min())))
    margin = pixel_size_arcsec(order) * TILE_WIDTH / 3600.0
    fov = min(2.0 * reach + 1.2 * margin, 60.0 if len(tiles) < tile_count(order) // 2 else 180.0)
    ra = math.degrees(math.atan2(nearest[1], nearest[0])) % 360.0
    dec = math.degrees(math.asin(max(-1.0, min(1.0, float(nearest[2])))))
    return View(ra, dec, fov)
