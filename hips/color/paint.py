"""The tiles of a HiPS in colour, from the FITS tiles of its bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.color.scale import ColorScale, Mix, choose_scale
from hips.color.settings import ColorSettings
from hips.encode import read_fits
from hips.formats import Encoding
from hips.records import Record, Records
from hips.tiles.base import Tiles, TileSink
from hips.tiles.opening import open_tiles
from vodal.compiled import kernel
from vodal.errors import UsageError
from vodal.pictures.levels import StretchName

__all__ = ["ColorJob", "choose_color", "paint", "paint_tiles"]

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_SAMPLE_TILES: Final = 24
_ASINH, _LINEAR, _SQRT, _LOG = range(4)
_CURVES: Final[dict[StretchName, int]] = {
    "asinh": _ASINH, "linear": _LINEAR, "sqrt": _SQRT, "log": _LOG,
}  # fmt: skip
_LOG_A: Final = 1000.0
"""As of `vodal.pictures.levels.stretched`."""


@kernel
def _mix(
    band: Pixels, black: np.float32, gain: np.float32, weight: float, total: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> None:  # fmt: skip
    for row in range(total.shape[0]):
        for column in range(total.shape[1]):
            value = band[row, column]
            if not math.isnan(value):
                total[row, column] += (value - black) * gain * weight
                weights[row, column] += weight


@kernel
def _scale(brightness: float, stretch: float, softening: float, curve: int) -> float:
    """Give by what colours of a brightness are multiplied."""
    if not brightness > 0.0:
        return 0.0
    if curve == _ASINH:
        at = softening * brightness / stretch
        return math.log(at + math.sqrt(at * at + 1.0)) / (softening * brightness)
    at = brightness / stretch
    if curve == _SQRT:
        at = math.sqrt(at)
    elif curve == _LOG:
        at = math.log(_LOG_A * at + 1.0) / math.log(_LOG_A + 1.0)
    return at / brightness


@kernel
def _paint(
    red: Pixels, green: Pixels, blue: Pixels, black: Pixels, gain: Pixels, stretch: float,
    softening: float, curve: int, out: Bytes,
) -> None:  # fmt: skip
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            r = (red[row, column] - black[0]) * gain[0]
            g = (green[row, column] - black[1]) * gain[1]
            b = (blue[row, column] - black[2]) * gain[2]
            total, count = 0.0, 0
            for value in (r, g, b):
                if not math.isnan(value):
                    total += value
                    count += 1
            if count == 0:
                out[row, column, 0] = out[row, column, 1] = out[row, column, 2] = 0
                out[row, column, 3] = 0
                continue
            brightness = total / count
            # A band that is missing here is taken as grey, so that edges have no false colour.
            r = brightness if math.isnan(r) else r
            g = brightness if math.isnan(g) else g
            b = brightness if math.isnan(b) else b
            scale = _scale(brightness, stretch, softening, curve)
            r, g, b = max(r * scale, 0.0), max(g * scale, 0.0), max(b * scale, 0.0)
            brightest = max(r, g, b)
            if brightest > 1.0:
                r, g, b = r / brightest, g / brightest, b / brightest
            out[row, column, 0] = int(r * 255.0 + 0.5)
            out[row, column, 1] = int(g * 255.0 + 0.5)
            out[row, column, 2] = int(b * 255.0 + 0.5)
            out[row, column, 3] = 255


def paint(tiles: Sequence[Pixels | None], scale: ColorScale) -> Bytes:
    """Give (row, column, RGBA) of the bands' tiles; transparent where all are blank.

    A colour is the weighted mean of those of its bands that have a value; one of whose bands none
    has is grey, the mean of the others. Of three bands for three colours it is the same as
    `vodal.pictures.lupton.paint_bands`, compiled.

    Parameters
    ----------
    tiles
        In the order of the scale's bands, one at least; None where a band has no tile.
    scale
        From values to colours.
    """
    shape = next(tile.shape for tile in tiles if tile is not None)
    black, gain = np.array(scale.black, np.float32), np.array(scale.gain, np.float32)
    if scale.mix.plain:
        red, green, blue = (_or_blank(tile, shape) for tile in tiles)
    else:
        red, green, blue = (_mixed(tiles, row, black, gain, shape) for row in scale.weights)
        black, gain = np.zeros(3, np.float32), np.ones(3, np.float32)
    out = np.empty((*shape, 4), np.uint8)
    _paint(red, green, blue, black, gain, scale.stretch, scale.softening, _CURVES[scale.curve], out)
    return out


def _or_blank(tile: Pixels | None, shape: tuple[int, ...]) -> Pixels:
    return np.full(shape, np.nan, np.float32) if tile is None else tile


def _mixed(
    tiles: Sequence[Pixels | None], row: Sequence[float], black: Pixels, gain: Pixels,
    shape: tuple[int, ...],
) -> Pixels:  # fmt: skip
    """Give the weighted mean of the bands of one colour, blank where all of them are."""
    total, weights = np.zeros(shape), np.zeros(shape)
    for band, (tile, weight) in enumerate(zip(tiles, row, strict=True)):
        if tile is not None and weight:
            _mix(tile, black[band], gain[band], weight, total, weights)
    with np.errstate(invalid="ignore"):
        mean: Pixels = (total / weights).astype(np.float32)
    return mean


@dataclass(frozen=True, slots=True)
class ColorJob:
    """A tile to paint, and of a run of tiles those below it."""

    folders: tuple[Path, ...]
    """Of the bands' HiPS, in the order of the scale."""
    encoding: Encoding
    target: Tiles
    published: Path
    """The colour HiPS as it is served."""
    scale: ColorScale
    order: int
    npix: int
    inputs: str
    """Digest of all that goes into the tiles."""
    tiles: tuple[tuple[int, int], ...]
    """Order and number of each."""
    leaves: Mapping[int, str]
    """The deepest of these."""


def paint_tiles(job: ColorJob) -> Record:
    """Paint tiles from the bands' FITS tiles, unless they are there already."""
    records = Records(job.target.folder)
    formats = job.encoding.marks
    done = records.get(job.order, job.npix)
    if done is not None and (done.inputs, done.formats) == (job.inputs, formats):
        return done
    done = Records(job.published).get(job.order, job.npix)
    if done is not None and done.formats != formats:
        done = None
    if done is not None and done.inputs == job.inputs and _take_all(job):
        records.put(done)
        return done
    if job.leaves:
        with job.target.filling(job.order, job.npix) as sink:
            size = _fill(job, done, sink)
    else:
        size = _fill(job, None, job.target)
    record = Record(job.order, job.npix, job.inputs, size, job.leaves, formats=formats)
    records.put(record)
    return record


def _take_all(job: ColorJob) -> bool:
    """Take the tiles as they are served, if they can be had so."""
    old = open_tiles(job.published)
    if not job.leaves:
        job.target.take(old, job.order, job.npix, job.encoding.marks)
        return True
    tiles: dict[int, list[int]] = {}
    for order, npix in job.tiles:
        tiles.setdefault(order, []).append(npix)
    return job.target.take_shard(old, job.order, job.npix, tiles, job.encoding.marks)


def _fill(job: ColorJob, before: Record | None, sink: TileSink) -> int:
    # A tile above the runs has no leaves to be told by.
    kept = before.kept(job.leaves, max(order for order, _ in job.tiles)) if before else None
    size = 0
    for order, npix in job.tiles:
        if kept is not None and kept(order, npix):
            size += sink.take(open_tiles(job.published), order, npix, job.encoding.marks)
        else:
            size += _paint_tile(job, order, npix, sink)
    return size


def _paint_tile(job: ColorJob, order: int, npix: int, sink: TileSink) -> int:
    tiles = [_read(folder, order, npix) for folder in job.folders]
    if all(tile is None for tile in tiles):
        raise UsageError("the HiPS of the bands have changed while they were made into colours")
    picture = paint(tiles, job.scale)
    return sum(
        sink.write(order, npix, extension, job.encoding.colors(extension, picture))
        for extension in job.encoding.pictures
    )


def _read(folder: Path, order: int, npix: int) -> Pixels | None:
    data = open_tiles(folder).read(order, npix, "fits")
    return None if data is None else read_fits(data)


def choose_color(
    mix: Mix,
    settings: ColorSettings | None,
    folders: Sequence[Path],
    order: int,
    tiles: Mapping[int, int],
) -> ColorScale:
    """Choose how values become colours from some of the deepest tiles.

    Parameters
    ----------
    mix
        The bands' parts of the colours.
    settings
        What is set.
    folders
        Of the bands' HiPS.
    order
        Of the tiles.
    tiles
        Numbers of tiles and in how many bands each is there.
    """
    whole = sorted(npix for npix, count in tiles.items() if count == len(folders))
    best = whole or sorted(tiles)
    step = max(1, len(best) // _SAMPLE_TILES)
    samples = ([_read(folder, order, npix) for folder in folders] for npix in best[::step])
    return choose_scale(mix, settings, samples)
