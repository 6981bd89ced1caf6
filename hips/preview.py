"""``preview.jpg``: a small picture of the first view (HiPS 1.0 section 4.4.4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from numpy.typing import NDArray

from hips.encode import jpeg, read_fits
from hips.formats import grey_picture, read_picture
from hips.frames import Frame, from_icrs
from hips.names import TILE_ORDER, TILE_WIDTH, deinterleave, pixel_size_arcsec
from hips.tiles.opening import open_tiles
from hips.view import View

if TYPE_CHECKING:
    from hips.stretch import Stretch

__all__ = ["PreviewGrid", "write_preview"]

Bytes = NDArray[np.uint8]

_WIDTH: Final = 256
_WIDEST_DEG: Final = 120.0


class PreviewGrid:
    """The pixels of a preview: 256 x 256 around a view, north up and east left, gnomonic.

    Parameters
    ----------
    view
        The first view.
    deepest
        Order of the deepest tiles.
    frame
        Of the tiles.
    """

    def __init__(self, view: View, deepest: int, frame: Frame = "equatorial") -> None:
        fov = min(view.fov_deg, _WIDEST_DEG)
        self.order = 0
        """Of the tiles that it is made of."""
        while self.order < deepest and pixel_size_arcsec(self.order) > fov / _WIDTH * 3600.0:
            self.order += 1
        ra, dec = _tangent_plane(view, 2.0 * math.tan(math.radians(fov / 2.0)) / _WIDTH)
        lon, lat = from_icrs(frame, ra.ravel(), dec.ravel())
        cells = healpix.lonlat_to_healpix(
            Longitude(lon, "deg"), Latitude(lat, "deg"), self.order + TILE_ORDER
        ).astype(np.int64)
        self._tiles = cells >> 2 * TILE_ORDER
        x, y = deinterleave(cells & (1 << 2 * TILE_ORDER) - 1)
        self._row, self._column = TILE_WIDTH - 1 - x, y

    def tiles(self) -> list[int]:
        """Give the numbers of these tiles."""
        return [int(npix) for npix in np.unique(self._tiles)]

    def draw(self, picture_of: Callable[[int], Bytes | None], quality: int) -> bytes:
        """Draw it.

        Parameters
        ----------
        picture_of
            Gives a tile as (row, column, RGBA), lowest row first; None if it is not there.
        quality
            Of the JPEG.
        """
        drawn = np.zeros((_WIDTH * _WIDTH, 4), np.uint8)
        for npix in self.tiles():
            tile = picture_of(npix)
            if tile is not None:
                here = self._tiles == npix
                drawn[here] = tile[self._row[here], self._column[here]]
        return jpeg(drawn.reshape(_WIDTH, _WIDTH, 4), quality)


def write_preview(
    folder: Path, view: View, deepest: int, quality: int, stretch: Stretch | None = None,
    frame: Frame = "equatorial",
) -> None:  # fmt: skip
    """Write the preview of a HiPS that lies in a folder.

    Parameters
    ----------
    folder
        Holds the tiles.
    view, deepest, quality, frame
        As of `PreviewGrid`.
    stretch
        Of FITS tiles, where there are no others.
    """
    grid, tree = PreviewGrid(view, deepest, frame), open_tiles(folder)

    def picture_of(npix: int) -> Bytes | None:
        found = read_picture(tree, grid.order, npix)
        if found is None and stretch is not None:
            data = tree.read(grid.order, npix, "fits")
            found = None if data is None else grey_picture(stretch.levels(read_fits(data)))
        return found

    (folder / "preview.jpg").write_bytes(grid.draw(picture_of, quality))


def _tangent_plane(view: View, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the sky of a gnomonic picture's pixels; the first row is the southernmost."""
    at = (np.arange(_WIDTH) - (_WIDTH - 1) / 2.0) * step
    east, north = np.meshgrid(-at, at)
    a, d = math.radians(view.ra_deg), math.radians(view.dec_deg)
    depth = math.cos(d) - north * math.sin(d)
    ra = a + np.arctan2(east, depth)
    dec = np.arctan2(np.sin(d) + north * math.cos(d), np.hypot(depth, east))
    return np.mod(np.rad2deg(ra), 360.0), np.rad2deg(dec)
