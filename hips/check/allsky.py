"""Rules of the Allsky files (HiPS 1.0 section 4.3.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hips.check.finding import Finding, error, note, warning
from hips.check.picture import Picture, kind_of, read_picture
from hips.check.survey import Survey
from hips.check.turning import turned
from hips.names import allsky_path, tile_count

__all__ = ["check_allsky"]

_ORDERS = (0, 1, 2, 3)


def check_allsky(survey: Survey) -> Iterator[Finding]:
    """Check the Allsky files of the orders 0 to 3, each format."""
    for extension in survey.extensions:
        found = False
        for order in _ORDERS if survey.place.listable else (3,):
            path = allsky_path(order, extension)
            data = survey.place.read(path)
            if data is not None:
                found = True
                yield from _file(survey, order, extension, path, data)
        if not found and survey.order >= 3:
            say = "is not there: clients have to ask for each tile of order 3"
            yield warning("4.3.2", "allsky", allsky_path(3, extension), say)


def _file(survey: Survey, order: int, extension: str, path: str, data: bytes) -> Iterator[Finding]:
    kind = kind_of(data)
    if kind == "gz":
        yield warning("4.2.1.3", "allsky-gzip", path, "is compressed by gzip, which is deprecated")
        return
    picture = read_picture(data, extension) if kind == extension else f"it is {kind or 'unknown'}"
    if not isinstance(picture, Picture):
        yield error("4.3.2", "allsky-content", path, f"is not {extension}: {picture}")
        return
    columns = math.isqrt(tile_count(order))
    rows = -(-tile_count(order) // columns)
    height, width = picture.values.shape
    cell = width // columns
    if width % columns or cell & (cell - 1) or height != cell * rows:
        say = (
            f"is {width} x {height} pixels; {columns} x {rows} cells, each a power of two wide, "
            "are what it holds"
        )
        yield error("4.3.2", "allsky-size", path, say)
        return
    tiles = survey.tiles(order, extension)
    if not len(tiles):
        return
    yield from _cells(survey, order, extension, path, picture, cell)


def _cells(
    survey: Survey, order: int, extension: str, path: str, picture: Picture, cell: int
) -> Iterator[Finding]:
    """Compare cells with the tiles: which are there, and which way up."""
    columns = math.isqrt(tile_count(order))
    tiles = survey.tiles(order, extension)
    step = max(1, len(tiles) // (survey.limit or len(tiles)))
    empty = []
    for npix in tiles[::step].tolist():
        tile = survey.picture(order, npix, extension)
        if not isinstance(tile, Picture) or len(tile.values) < cell or len(tile.values) % cell:
            continue
        down, across = divmod(npix, columns)
        top = len(picture.values) - down * cell
        there = picture.values[top - cell : top, across * cell : (across + 1) * cell]
        small = _shrunk(tile, cell)
        if np.isfinite(small).any() and not np.isfinite(there).any():
            empty.append(npix)
            continue
        way = turned(there, small)
        if way:
            say = f"its cell of tile {npix} would fit the tile {way}"
            yield error("4.3.2", "allsky-turned", path, say)
            return
    if empty:
        say = f"has nothing where tiles {', '.join(map(str, empty[:5]))} of order {order} are"
        yield error("4.3.2", "allsky-cells", path, say)
    elif picture.alpha and survey.place.listable:
        yield from _elsewhere(survey, order, extension, path, picture, cell)


def _elsewhere(
    survey: Survey, order: int, extension: str, path: str, picture: Picture, cell: int
) -> Iterator[Finding]:
    columns = math.isqrt(tile_count(order))
    known = set(survey.tiles(order, extension).tolist())
    for npix in range(tile_count(order)):
        down, across = divmod(npix, columns)
        top = len(picture.values) - down * cell
        there = picture.values[top - cell : top, across * cell : (across + 1) * cell]
        if npix not in known and np.isfinite(there).any():
            yield note("4.3.2", "allsky-cells", path, f"has something at {npix}, where no tile is")
            return


def _shrunk(tile: Picture, cell: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    factor = len(tile.values) // cell
    blocks = tile.values.reshape(cell, factor, cell, factor)
    valid = np.isfinite(blocks)
    total = np.where(valid, blocks, 0.0).sum(axis=(1, 3), dtype=np.float64)
    count = valid.sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
