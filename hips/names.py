"""Names and places of tiles: paths, NESTED numbers, and which way up a tile is.

HiPS 1.0 section 4.1. A tile of order K and number N is the HEALPix cell N (NESTED) of order K,
cut into 512 x 512 cells of order K + 9. Inside a cell, HEALPix counts x towards the north-east and
y towards the north-west (the even and the odd bits of the NESTED number). In a FITS tile, whose
row 0 is the lowest, ``row = 511 - x`` and ``column = y``, so that north-east of the cell is
down and north-west is right; PNG and JPEG have the same picture with the top row first.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BUILD_FOLDER",
    "MAX_ORDER",
    "TILE_ORDER",
    "TILE_WIDTH",
    "allsky_path",
    "child_slices",
    "children",
    "deinterleave",
    "interleave",
    "parent",
    "parse_tile_path",
    "pixel_size_arcsec",
    "tile_count",
    "tile_path",
    "xy_of",
]

TILE_ORDER: Final = 9
TILE_WIDTH: Final = 1 << TILE_ORDER
"""Pixels along a tile's side."""
BUILD_FOLDER: Final = ".build"
"""Of a HiPS's folder: what later builds need to know. Never served."""
MAX_ORDER: Final = 20
"""Deepest order of tiles: their pixels are then of HEALPix's order 29, the deepest there is."""

_TILE: Final = re.compile(r"Norder(\d{1,2})/Dir(\d{1,19})/Npix(\d{1,19})\.(\w{1,8})")
_SPHERE_ARCSEC2 = 4.0 * np.pi * (180.0 / np.pi * 3600.0) ** 2


def tile_count(order: int) -> int:
    """Give the number of tiles that cover the sky at an order."""
    return int(12 * 4**order)


def tile_path(order: int, npix: int, extension: str) -> str:
    """Give a tile's path below the HiPS's folder.

    >>> tile_path(6, 34567, "png")
    'Norder6/Dir30000/Npix34567.png'
    """
    return f"Norder{order}/Dir{npix // 10000 * 10000}/Npix{npix}.{extension}"


def parse_tile_path(path: str) -> tuple[int, int, str] | None:
    """Give order, number and extension of a tile's path below the HiPS's folder; None if none.

    >>> parse_tile_path("Norder6/Dir30000/Npix34567.png")
    (6, 34567, 'png')
    """
    match = _TILE.fullmatch(path)
    if match is None or int(match[2]) != int(match[3]) // 10000 * 10000:
        return None
    return int(match[1]), int(match[3]), match[4]


def allsky_path(order: int, extension: str) -> str:
    """Give the path of the picture of all tiles of an order."""
    return f"Norder{order}/Allsky.{extension}"


def parent(npix: int) -> int:
    """Give the number of the tile one order above."""
    return npix >> 2


def children(npix: int) -> tuple[int, int, int, int]:
    """Give the numbers of the four tiles one order below."""
    first = npix << 2
    return first, first + 1, first + 2, first + 3


def child_slices(child: int, width: int = TILE_WIDTH) -> tuple[slice, slice]:
    """Give the rows and columns of a FITS tile that a child (0 to 3) fills.

    With FITS rows (upwards): 0 top left, 1 bottom left, 2 top right, 3 bottom right.
    """
    half = width // 2
    x, y = child & 1, child >> 1
    row, column = half * (1 - x), half * y
    return slice(row, row + half), slice(column, column + half)


def interleave(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give NESTED numbers inside a cell: the bits of x at even places, of y at odd places."""
    return _spread(x) | (_spread(y) << 1)


def _spread(value: NDArray[np.int64]) -> NDArray[np.int64]:
    v = np.asarray(value, np.int64)
    v = (v | (v << 16)) & 0x0000FFFF0000FFFF
    v = (v | (v << 8)) & 0x00FF00FF00FF00FF
    v = (v | (v << 4)) & 0x0F0F0F0F0F0F0F0F
    v = (v | (v << 2)) & 0x3333333333333333
    return (v | (v << 1)) & 0x5555555555555555


def deinterleave(inside: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give x and y of NESTED numbers inside a cell: what `interleave` was given."""
    return _gather(inside), _gather(np.asarray(inside, np.int64) >> 1)


def _gather(value: NDArray[np.int64]) -> NDArray[np.int64]:
    v = np.asarray(value, np.int64) & 0x5555555555555555
    v = (v | (v >> 1)) & 0x3333333333333333
    v = (v | (v >> 2)) & 0x0F0F0F0F0F0F0F0F
    v = (v | (v >> 4)) & 0x00FF00FF00FF00FF
    v = (v | (v >> 8)) & 0x0000FFFF0000FFFF
    return (v | (v >> 16)) & 0x00000000FFFFFFFF


def xy_of(order: int, npix: int) -> tuple[int, int, int]:
    """Give the base cell (0 to 11) of a tile and its x and y in it, each in [0, 2 ** order)."""
    base, inside = divmod(npix, 4**order)
    x, y = deinterleave(np.array(inside))
    return base, int(x), int(y)


def pixel_size_arcsec(order: int) -> float:
    """Give the side of a tile's pixel (the square root of its area) at an order."""
    return float(np.sqrt(_SPHERE_ARCSEC2 / tile_count(order + TILE_ORDER)))
