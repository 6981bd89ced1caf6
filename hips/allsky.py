"""The picture of all tiles of order 3, and the preview of the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.coordinates import Latitude, Longitude
from numpy.typing import NDArray

from hips.encode import CardValue, fits_image, jpeg, read_fits
from hips.formats import Encoding, read_picture
from hips.frames import Frame, from_icrs
from hips.names import (
    TILE_ORDER,
    TILE_WIDTH,
    allsky_path,
    deinterleave,
    pixel_size_arcsec,
    tile_count,
)
from hips.opening import open_tiles
from hips.pyramid import halve
from hips.stretch import Stretch
from hips.tiles import Tiles
from hips.view import View

__all__ = [
    "ALLSKY_ORDER",
    "allsky_cell",
    "write_allsky",
    "write_allsky_color",
    "write_preview",
]

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]

ALLSKY_ORDER: Final = 3
_CELL: Final = 64
_PREVIEW: Final = 256


def _grid() -> tuple[int, int]:
    """Give columns and rows of the picture: 27 and 29 at order 3."""
    columns = math.isqrt(tile_count(ALLSKY_ORDER))
    return columns, -(-tile_count(ALLSKY_ORDER) // columns)


def allsky_cell(npix: int) -> tuple[slice, slice]:
    """Give rows (lowest first) and columns of a tile: from the top left, row by row."""
    columns, rows = _grid()
    down, across = divmod(npix, columns)
    bottom = (rows - 1 - down) * _CELL
    return slice(bottom, bottom + _CELL), slice(across * _CELL, (across + 1) * _CELL)


def write_allsky(
    folder: Path, stretch: Stretch, cards: Mapping[str, CardValue], encoding: Encoding
) -> None:
    """Write the pictures of order 3 in all formats, from the FITS tiles."""
    columns, rows = _grid()
    picture = np.full((rows * _CELL, columns * _CELL), np.nan, np.float32)
    tiles = open_tiles(folder)
    for npix in tiles.tiles(ALLSKY_ORDER, "fits"):
        data = tiles.read(ALLSKY_ORDER, npix, "fits")
        assert data is not None
        tile = read_fits(data)
        valid = np.isfinite(tile).astype(np.float32)
        while tile.shape[0] > _CELL:
            tile, valid = halve(tile, valid)
        picture[allsky_cell(npix)] = tile
    _forget(folder)
    (folder / allsky_path(ALLSKY_ORDER, "fits")).write_bytes(fits_image(picture, cards))
    levels = stretch.levels(picture)
    for extension in encoding.pictures:
        data = encoding.grey(extension, levels)
        (folder / allsky_path(ALLSKY_ORDER, extension)).write_bytes(data)


def write_allsky_color(folder: Path, encoding: Encoding) -> None:
    """Write the picture of order 3 from the colour tiles."""
    columns, rows = _grid()
    picture = np.zeros((rows * _CELL, columns * _CELL, 4), np.uint8)
    tree = open_tiles(folder)
    for npix in tree.tiles(ALLSKY_ORDER, encoding.pictures[0]):
        tile = read_picture(tree, ALLSKY_ORDER, npix)
        if tile is not None:
            picture[allsky_cell(npix)] = _shrunk(tile)
    _forget(folder)
    for extension in encoding.pictures:
        data = encoding.colors(extension, picture)
        (folder / allsky_path(ALLSKY_ORDER, extension)).write_bytes(data)


def _forget(folder: Path) -> None:
    """Make room: remove what a build in other formats has left."""
    (folder / f"Norder{ALLSKY_ORDER}").mkdir(exist_ok=True)
    for path in (folder / f"Norder{ALLSKY_ORDER}").glob("Allsky.*"):
        path.unlink()


def _shrunk(tile: Bytes) -> Bytes:
    """Average a tile of colours down to a cell; transparent pixels do not count."""
    factor = TILE_WIDTH // _CELL
    blocks = tile.reshape(_CELL, factor, _CELL, factor, 4).astype(np.float64)
    alpha = blocks[..., 3:]
    weight = alpha.sum(axis=(1, 3))
    color = (blocks[..., :3] * alpha).sum(axis=(1, 3)) / np.maximum(weight, 1.0)
    opaque = np.where(weight > 0.0, 255.0, 0.0)
    result: Bytes = np.rint(np.concatenate([color, opaque], axis=2)).astype(np.uint8)
    return result


def write_preview(
    folder: Path, view: View, deepest: int, quality: int, stretch: Stretch | None = None,
    frame: Frame = "equatorial",
) -> None:  # fmt: skip
    """Write ``preview.jpg``: 256 x 256 pixels around the first view, north up and east left.

    Parameters
    ----------
    folder
        Holds the tiles.
    view
        The first view.
    deepest
        Order of the deepest tiles.
    quality
        Of the JPEG.
    stretch
        Of FITS tiles, where there are no others.
    frame
        Of the tiles.
    """
    fov = min(view.fov_deg, 120.0)
    pixel = fov / _PREVIEW
    order = 0
    while order < deepest and pixel_size_arcsec(order) > pixel * 3600.0:
        order += 1
    ra, dec = _tangent_plane(view, 2.0 * math.tan(math.radians(fov / 2.0)) / _PREVIEW)
    lon, lat = from_icrs(frame, ra.ravel(), dec.ravel())
    cells = healpix.lonlat_to_healpix(
        Longitude(lon, "deg"), Latitude(lat, "deg"), order + TILE_ORDER
    ).astype(np.int64)
    picture = np.zeros((_PREVIEW * _PREVIEW, 4), np.uint8)
    tiles, inside = cells >> 2 * TILE_ORDER, cells & (1 << 2 * TILE_ORDER) - 1
    x, y = deinterleave(inside)
    tree = open_tiles(folder)
    for npix in np.unique(tiles):
        tile = read_picture(tree, order, int(npix))
        if tile is None and stretch is not None:
            tile = _grey_picture(tree, order, int(npix), stretch)
        if tile is not None:
            here = tiles == npix
            picture[here] = tile[TILE_WIDTH - 1 - x[here], y[here]]
    square = picture.reshape(_PREVIEW, _PREVIEW, 4)
    (folder / "preview.jpg").write_bytes(jpeg(square, quality))


def _grey_picture(tree: Tiles, order: int, npix: int, stretch: Stretch) -> Bytes | None:
    data = tree.read(order, npix, "fits")
    if data is None:
        return None
    levels = stretch.levels(read_fits(data))
    return np.stack([levels, levels, levels, np.where(levels == 0, 0, 255)], 2).astype(np.uint8)


def _tangent_plane(view: View, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the sky of a gnomonic picture's pixels; the first row is the southernmost."""
    at = (np.arange(_PREVIEW) - (_PREVIEW - 1) / 2.0) * step
    east, north = np.meshgrid(-at, at)
    a, d = math.radians(view.ra_deg), math.radians(view.dec_deg)
    depth = math.cos(d) - north * math.sin(d)
    ra = a + np.arctan2(east, depth)
    dec = np.arctan2(np.sin(d) + north * math.cos(d), np.hypot(depth, east))
    return np.mod(np.rad2deg(ra), 360.0), np.rad2deg(dec)
