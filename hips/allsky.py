"""The picture of all tiles of order 3."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.encode import CardValue, fits_image, read_fits
from hips.formats import Encoding, read_picture
from hips.names import TILE_WIDTH, allsky_path, tile_count
from hips.pyramid import halve
from hips.stretch import Stretch
from hips.tiles.opening import open_tiles

__all__ = [
    "ALLSKY_ORDER", "CELL_WIDTH", "allsky_cell", "allsky_picture", "cell_of", "color_cell_of",
    "color_picture", "write_allsky", "write_allsky_color",
]  # fmt: skip

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]

ALLSKY_ORDER: Final = 3
CELL_WIDTH: Final = 64
"""Pixels along the side of a tile in the picture."""


def _grid() -> tuple[int, int]:
    """Give columns and rows of the picture: 27 and 29 at order 3."""
    columns = math.isqrt(tile_count(ALLSKY_ORDER))
    return columns, -(-tile_count(ALLSKY_ORDER) // columns)


def allsky_cell(npix: int) -> tuple[slice, slice]:
    """Give rows (lowest first) and columns of a tile: from the top left, row by row."""
    columns, rows = _grid()
    down, across = divmod(npix, columns)
    bottom = (rows - 1 - down) * CELL_WIDTH
    return slice(bottom, bottom + CELL_WIDTH), slice(across * CELL_WIDTH, (across + 1) * CELL_WIDTH)


def write_allsky(
    folder: Path, stretch: Stretch, cards: Mapping[str, CardValue], encoding: Encoding
) -> None:
    """Write the pictures of order 3 in all formats, from the FITS tiles."""
    tiles = open_tiles(folder)
    cells = {}
    for npix in tiles.tiles(ALLSKY_ORDER, "fits"):
        data = tiles.read(ALLSKY_ORDER, npix, "fits")
        assert data is not None
        cells[npix] = cell_of(read_fits(data))
    picture = allsky_picture(cells)
    _forget(folder)
    (folder / allsky_path(ALLSKY_ORDER, "fits")).write_bytes(fits_image(picture, cards))
    levels = stretch.levels(picture)
    for extension in encoding.pictures:
        data = encoding.grey(extension, levels)
        (folder / allsky_path(ALLSKY_ORDER, extension)).write_bytes(data)


def cell_of(tile: Pixels) -> Pixels:
    """Average a tile down to its cell of the picture, 64 x 64 pixels."""
    valid = np.isfinite(tile).astype(np.float32)
    while tile.shape[0] > CELL_WIDTH:
        tile, valid = halve(tile, valid)
    return tile


def allsky_picture(cells: Mapping[int, Pixels]) -> Pixels:
    """Put cells side by side, by their tiles' numbers; lowest row first, blank where none is."""
    columns, rows = _grid()
    picture = np.full((rows * CELL_WIDTH, columns * CELL_WIDTH), np.nan, np.float32)
    for npix, cell in cells.items():
        picture[allsky_cell(npix)] = cell
    return picture


def write_allsky_color(folder: Path, encoding: Encoding) -> None:
    """Write the picture of order 3 from the colour tiles."""
    tree = open_tiles(folder)
    cells = {}
    for npix in tree.tiles(ALLSKY_ORDER, encoding.pictures[0]):
        tile = read_picture(tree, ALLSKY_ORDER, npix)
        if tile is not None:
            cells[npix] = color_cell_of(tile)
    picture = color_picture(cells)
    _forget(folder)
    for extension in encoding.pictures:
        data = encoding.colors(extension, picture)
        (folder / allsky_path(ALLSKY_ORDER, extension)).write_bytes(data)


def _forget(folder: Path) -> None:
    """Make room: remove what a build in other formats has left."""
    (folder / f"Norder{ALLSKY_ORDER}").mkdir(exist_ok=True)
    for path in (folder / f"Norder{ALLSKY_ORDER}").glob("Allsky.*"):
        path.unlink()


def color_picture(cells: Mapping[int, Bytes]) -> Bytes:
    """Put cells of (row, column, RGBA) side by side as `allsky_picture` does."""
    columns, rows = _grid()
    picture = np.zeros((rows * CELL_WIDTH, columns * CELL_WIDTH, 4), np.uint8)
    for npix, cell in cells.items():
        picture[allsky_cell(npix)] = cell
    return picture


def color_cell_of(tile: Bytes) -> Bytes:
    """Average a tile of colours down to its cell; transparent pixels do not count."""
    factor = TILE_WIDTH // CELL_WIDTH
    blocks = tile.reshape(CELL_WIDTH, factor, CELL_WIDTH, factor, 4).astype(np.float64)
    alpha = blocks[..., 3:]
    weight = alpha.sum(axis=(1, 3))
    color = (blocks[..., :3] * alpha).sum(axis=(1, 3)) / np.maximum(weight, 1.0)
    opaque = np.where(weight > 0.0, 255.0, 0.0)
    result: Bytes = np.rint(np.concatenate([color, opaque], axis=2)).astype(np.uint8)
    return result
