"""The orders above the shards, order by order, each tile from the four below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hips.crew import Crew
from hips.encode import read_fits
from hips.names import TILE_WIDTH, child_slices
from hips.pyramid import halve
from hips.recipe import digest_of
from hips.records import Record, Records
from hips.shard import TileWriter
from hips.tiles.opening import open_tiles

__all__ = ["UpperJob", "build_above", "build_upper"]

Pixels = NDArray[np.float32]
Job = TypeVar("Job")


@dataclass(frozen=True, slots=True)
class UpperJob:
    """A tile of a band to be made."""

    order: int
    npix: int
    children: tuple[int, ...]
    """Those of the four tiles below that there are."""
    inputs: str
    writer: TileWriter
    published: Path


def build_upper(job: UpperJob) -> Record:
    """Make a tile from those below it, or take it from the HiPS as it is served.

    The record that is given back is without the valid fractions.
    """
    tree = job.writer.tree
    records = Records(tree.folder)
    done = records.get(job.order, job.npix)
    formats = job.writer.encoding.marks
    if done is not None and (done.inputs, done.formats) == (job.inputs, formats):
        return replace(done, valid=b"")
    before = Records(job.published).get(job.order, job.npix)
    if before is not None and before.inputs == job.inputs:
        old = open_tiles(job.published)
        size = job.writer.take(old, job.order, job.npix, before.formats)
        record = replace(before, formats=formats, size_bytes=size)
        records.put(record)
        return replace(record, valid=b"")
    tile = np.full((TILE_WIDTH, TILE_WIDTH), np.nan, np.float32)
    valid = np.zeros((TILE_WIDTH, TILE_WIDTH), np.float32)
    for child in job.children:
        below = records.get(job.order + 1, child)
        data = tree.read(job.order + 1, child, "fits")
        if below is None or data is None:
            raise RuntimeError(f"tile {child} of order {job.order + 1} has gone")
        place = child_slices(child & 3)
        tile[place], valid[place] = halve(read_fits(data), below.valid_fractions())
    size = job.writer.write(job.order, job.npix, tile)
    record = Record(
        job.order, job.npix, job.inputs, size, formats=formats, valid=Record.pack(valid)
    )
    records.put(record)
    return replace(record, valid=b"")


def build_above(
    tops: Iterable[Record],
    crew: Crew,
    work: Callable[[Job], Record],
    job_of: Callable[[int, int, tuple[int, ...], str], Job],
) -> list[Record]:
    """Make the orders above some tiles, up to the whole sky.

    Parameters
    ----------
    tops
        Records of tiles of one order.
    crew
        Who works.
    work
        Makes one tile.
    job_of
        Gives its argument: order and number of the tile, numbers of those below it, and the digest
        of all that goes into it.

    Returns
    -------
    list of Record
        Of the tiles made.
    """
    made: list[Record] = []
    level = {record.npix: record for record in tops}
    order = min((record.order for record in level.values()), default=0)
    while order > 0:
        order -= 1
        families: dict[int, list[int]] = {}
        for npix in sorted(level):
            families.setdefault(npix >> 2, []).append(npix)
        jobs = [
            job_of(order, npix, tuple(group), digest_of(*((n, level[n].inputs) for n in group)))
            for npix, group in families.items()
        ]
        level = {}
        for _, record in crew.results(work, jobs):
            if isinstance(record, Exception):
                raise record
            level[record.npix] = record
        made.extend(level.values())
    return made
