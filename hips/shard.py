"""One unit of work: a run of deepest tiles that share an ancestor, and the orders between."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hips.coadd import Combination, coadd_of
from hips.decode import ImageCache
from hips.encode import CardValue, fits_tile, read_fits
from hips.formats import Encoding
from hips.frames import Frame
from hips.pyramid import Pyramid
from hips.recipe import digest_of
from hips.records import Record, Records
from hips.stretch import Stretch
from hips.tile import TileBlock
from hips.tiles.base import Tiles, TileSink
from hips.tiles.opening import open_tiles
from vodal.resample.block import Sampling
from vodal.resample.grid import TOUCH_CELLS, pixel_grid

__all__ = ["ShardJob", "TileWriter", "build_shard", "shard_inputs"]

Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TileWriter:
    """Writes the tiles of a band."""

    tree: Tiles
    cards: Mapping[str, CardValue]
    """Of every FITS tile."""
    stretch: Stretch
    encoding: Encoding
    frame: Frame

    def write(self, order: int, npix: int, tile: Pixels, into: TileSink | None = None) -> int:
        """Write a tile in all formats, into a shard or on its own; gives the number of bytes."""
        return self._write(into or self.tree, order, npix, tile, self.encoding.marks)

    def take(
        self, old: Tiles, order: int, npix: int, formats: Mapping[str, str],
        into: TileSink | None = None,
    ) -> int:  # fmt: skip
        """Have the tile of another HiPS, in all formats; gives the number of bytes.

        Parameters
        ----------
        old, order, npix
            The other's tiles, and which.
        formats
            Of the tile there (`Record.formats`); others are made from its FITS file.
        """
        sink, size = into or self.tree, 0
        for extension, mark in self.encoding.marks.items():
            if formats.get(extension) == mark:
                size += sink.take(old, order, npix, [extension])
                continue
            data = old.read(order, npix, "fits")
            if data is None:
                raise RuntimeError(f"tile {npix} of order {order} has gone")
            size += self._write(sink, order, npix, read_fits(data), [extension])
        return size

    def _write(
        self, sink: TileSink, order: int, npix: int, tile: Pixels, extensions: Iterable[str]
    ) -> int:
        levels, size = None, 0
        for extension in extensions:
            if extension == "fits":
                data = fits_tile(order, npix, tile, self.cards, self.frame)
            else:
                levels = self.stretch.levels(tile) if levels is None else levels
                data = self.encoding.grey(extension, levels)
            size += sink.write(order, npix, extension, data)
        return size


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
    inputs: Mapping[int, str]
    """Digest of what goes into each deepest tile."""
    images: Mapping[int, tuple[Path, float]]
    """Decoded file and weight by image number."""
    writer: TileWriter
    published: Path
    """The HiPS as it is served, from which tiles with the same inputs are taken."""
    sampling: Sampling
    combination: Combination
    cache_bytes: int


class _Held(threading.local):
    """Decoded images held by each thread that makes shards: one a process, but on a cluster."""

    def __init__(self) -> None:
        self.caches: dict[int, ImageCache] = {}
        """By the limit of the cache: one in practice."""


_held = _Held()


def shard_inputs(inputs: Mapping[int, str]) -> str:
    """Tell shards apart by the inputs of their deepest tiles."""
    return digest_of(*sorted(inputs.items()))


def build_shard(job: ShardJob) -> Record:
    """Render the deepest tiles of a shard and those above them up to the shard's own.

    Leaves a record with the valid fractions of the shard's tile beside the tiles; what is given
    back is the record without these.
    """
    with job.writer.tree.filling(job.top, job.npix) as sink:
        record = _fill(job, sink)
    Records(job.writer.tree.folder).put(record)
    return replace(record, valid=b"")


def _fill(job: ShardJob, sink: TileSink) -> Record:
    cache = _held.caches.setdefault(job.cache_bytes, ImageCache(job.cache_bytes))
    before = Records(job.published).get(job.top, job.npix)
    old = open_tiles(job.published)
    size, packed = 0, b""
    leaves: dict[int, str] = {}

    def emit(order: int, npix: int, tile: Pixels, valid: Pixels) -> None:
        nonlocal size, packed
        if before is not None and before.kept(leaves, job.order)(order, npix):
            size += job.writer.take(old, order, npix, before.formats, sink)
        else:
            size += job.writer.write(order, npix, tile, sink)
        if order == job.top:
            packed = Record.pack(valid)

    pyramid = Pyramid(job.order, job.top, emit)
    for npix, images in job.tiles:
        inputs = job.inputs[npix]
        tile: Pixels | None
        if before is not None and before.blank.get(npix) == inputs:
            continue
        if before is not None and before.leaves.get(npix) == inputs:
            size += job.writer.take(old, job.order, npix, before.formats, sink)
            data = old.read(job.order, npix, "fits")
            if data is None:
                raise RuntimeError(f"tile {npix} of order {job.order} has gone")
            tile = read_fits(data)
        else:
            tile = _render(job, cache, npix, images)
            if tile is None:
                continue
            size += job.writer.write(job.order, npix, tile, sink)
        leaves[npix] = inputs
        pyramid.add(npix, tile)
    pyramid.finish()
    blank = {npix: inputs for npix, inputs in job.inputs.items() if npix not in leaves}
    return Record(
        job.top, job.npix, shard_inputs(job.inputs), size, leaves, blank,
        job.writer.encoding.marks, packed,
    )  # fmt: skip


def _render(
    job: ShardJob, cache: ImageCache, npix: int, images: tuple[tuple[int, int], ...]
) -> Pixels | None:
    block = TileBlock(job.order, npix, job.writer.frame)
    scratch = next((path.parent for path, _ in job.images.values()), None)
    coadd = coadd_of(job.combination, block.layout, job.sampling, scratch)
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
            coadd.add(image, grid, weight)
    return coadd.finish()
