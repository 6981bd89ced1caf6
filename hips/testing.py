"""What tests of HiPS compare."""

from __future__ import annotations

from pathlib import Path

import cdshealpix.nested as healpix
import numpy as np
from numpy.typing import NDArray

from hips.encode import read_fits
from hips.names import TILE_WIDTH, interleave, tile_path
from hips.properties import parse_properties
from hips.recipe import BUILD_FOLDER
from hips.tiles.tree import TileTree

__all__ = ["served_files", "tile_pixels"]


def served_files(folder: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Give the bytes of all that is served but the properties, and these without their dates.

    Parameters
    ----------
    folder
        Of a HiPS.
    """
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and BUILD_FOLDER not in path.parts
    }
    values = parse_properties(found.pop("properties").decode())
    return found, {key: value for key, value in values.items() if not key.endswith("_date")}


def tile_pixels(
    folder: Path, order: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give right ascension, declination and value of an order's pixels with a value, degrees.

    Places are those of the library of HEALPix.
    """
    parts = []
    for npix in TileTree(folder).tiles(order, "fits"):
        tile = read_fits((folder / tile_path(order, npix, "fits")).read_bytes())
        row, column = np.nonzero(np.isfinite(tile))
        cells = (npix << 18) + interleave(TILE_WIDTH - 1 - row, column).astype(np.int64)
        lon, lat = healpix.healpix_to_lonlat(cells.astype(np.uint64), order + 9)
        parts.append((lon.deg, lat.deg, tile[row, column].astype(float)))
    ra, dec, value = (np.concatenate(values) for values in zip(*parts, strict=True))
    return ra, dec, value
