"""One unit of work: a run of deepest tiles that share an ancestor, and the orders between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hips.decode import ImageCache
from hips.encode import CardValue, fits_tile, png_grey
from hips.names import tile_path
from hips.pyramid import Pyramid
from hips.stretch import Stretch
from hips.tile import TileBlock
from vodal.resample.block import Sampling
from vodal.resample.canvas import Canvas
from vodal.resample.grid import TOUCH_CELLS, pixel_grid

__all__ = ["ShardJob", "ShardResult", "TileWriter", "build_shard", "top_path"]

Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TileWriter:
    """Writes tiles below a folder."""

    folder: Path
    cards: Mapping[str, CardValue]
    """Of every FITS tile."""
    stretch: Stretch

    def write(self, order: int, npix: int, tile: Pixels) -> int:
        """Write a tile as FITS and PNG; gives the number of bytes."""
        path = self.folder / tile_path(order, npix, "fits")
        try:
            return self._write(path, order, npix, tile)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            return self._write(path, order, npix, tile)

    def _write(self, path: Path, order: int, npix: int, tile: Pixels) -> int:
        size = path.write_bytes(fits_tile(order, npix, tile, self.cards))
        png = png_grey(self.stretch.levels(tile))
        return size + path.with_suffix(".png").write_bytes(png)


@dataclass(frozen=True, slots=True)
class ShardJob:
    """What to do."""

    order: int
    """Of the deepest tiles."""
    top: int
    """Order of the one tile at the top of the shard."""
    npix: int
    """Number of that tile."""
    tiles: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    """Deepest tiles in rising order, each with its images: number and touched parts (bits)."""
    images: Mapping[int, tuple[Path, float]]
    """Decoded file and weight by image number."""
    writer: TileWriter
    scratch: Path
    sampling: Sampling
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What was done."""

    npix: int
    leaves: tuple[int, ...]
    """Numbers of the deepest tiles that hold something."""
    tiles: int
    """Written, of all orders."""
    size_bytes: int


_caches: dict[int, ImageCache] = {}
"""Decoded images held by this process, by the limit of the cache: one in practice."""


def top_path(scratch: Path, npix: int) -> Path:
    """Give where the top tile of a shard and its valid fractions are left for the orders above."""
    return scratch / f"top-{npix}.npy"


def build_shard(job: ShardJob) -> ShardResult:
    """Render the deepest tiles of a shard and those above them up to the shard's own.

    The shard's tile is also left with its valid fractions in the scratch folder.
    """
    cache = _caches.setdefault(job.cache_bytes, ImageCache(job.cache_bytes))
    count = size = 0
    leaves: list[int] = []

    def emit(order: int, npix: int, tile: Pixels, valid: Pixels) -> None:
        nonlocal count, size
        size += job.writer.write(order, npix, tile)
        count += 1
        if order == job.top:
            np.save(top_path(job.scratch, npix), np.stack([tile, valid]))

    pyramid = Pyramid(job.order, job.top, emit)
    for npix, images in job.tiles:
        tile = _render(job, cache, npix, images)
        if tile is None:
            continue
        leaves.append(npix)
        size += job.writer.write(job.order, npix, tile)
        count += 1
        pyramid.add(npix, tile)
    pyramid.finish()
    return ShardResult(job.npix, tuple(leaves), count, size)


def _render(
    job: ShardJob, cache: ImageCache, npix: int, images: tuple[tuple[int, int], ...]
) -> Pixels | None:
    block = TileBlock(job.order, npix)
    canvas = Canvas(block.layout, job.sampling)
    for number, parts in images:
        if number not in job.images:
            continue
        path, weight = job.images[number]
        image = cache.get(path)
        bits = np.array([parts >> bit & 1 for bit in range(TOUCH_CELLS**2)], np.bool_)
        touched = bits.reshape(TOUCH_CELLS, TOUCH_CELLS)
        shape = (image.pixels.shape[0], image.pixels.shape[1])
        grid = pixel_grid(image.mapping, block, shape, touched)
        if grid is not None:
            canvas.add(image.pixels, grid, weight)
    return canvas.finish()
