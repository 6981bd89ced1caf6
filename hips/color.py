"""Three bands to one HiPS in colour, after Lupton et al. 2004 (`vodal.pictures.lupton`).

Black, the bands' balance and the stretch are chosen once from the data of all three bands and kept
beside the tiles in ``color.json``, so that a later build of the same HiPS has the same colours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hips.encode import read_fits
from hips.formats import Encoding
from hips.opening import open_tiles
from hips.records import Record, Records
from hips.tiles import Tiles, TileSink
from vodal.compiled import kernel
from vodal.errors import UsageError
from vodal.pictures.lupton import SOFTENING, choose_balance

__all__ = ["COLOR_FILE", "ColorJob", "ColorScale", "choose_color", "paint", "paint_tiles"]

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]

COLOR_FILE: Final = "color.json"
_SAMPLE_TILES: Final = 24


@dataclass(frozen=True, slots=True)
class ColorScale:
    """How the values of three bands become red, green and blue; each tuple in that order."""

    bands: tuple[str, str, str]
    black: tuple[float, float, float]
    """Subtracted from the band's values."""
    gain: tuple[float, float, float]
    """Multiplies what is left."""
    stretch: float
    """Brightness up to which the picture is about linear."""
    softening: float = SOFTENING

    def to_json(self) -> str:
        """Write as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ColorScale:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            values = json.loads(text)
            bands, black, gain = (tuple(values[key]) for key in ("bands", "black", "gain"))
            scale = cls(
                bands,
                black,
                gain,
                float(values["stretch"]),
                float(values["softening"]),
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"no colour scale: {error}") from None
        if not len(bands) == len(black) == len(gain) == 3 or not scale.stretch > 0.0:
            raise ValueError("no colour scale: it needs three bands and a stretch above 0")
        return scale


@kernel
def _paint(
    red: Pixels, green: Pixels, blue: Pixels, black: Pixels, gain: Pixels, stretch: float,
    softening: float, out: Bytes,
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
            scale = 0.0
            if brightness > 0.0:
                at = softening * brightness / stretch
                scale = math.log(at + math.sqrt(at * at + 1.0)) / (softening * brightness)
            r, g, b = max(r * scale, 0.0), max(g * scale, 0.0), max(b * scale, 0.0)
            brightest = max(r, g, b)
            if brightest > 1.0:
                r, g, b = r / brightest, g / brightest, b / brightest
            out[row, column, 0] = int(r * 255.0 + 0.5)
            out[row, column, 1] = int(g * 255.0 + 0.5)
            out[row, column, 2] = int(b * 255.0 + 0.5)
            out[row, column, 3] = 255


def paint(tiles: Sequence[Pixels], scale: ColorScale) -> Bytes:
    """Give (row, column, RGBA) of red, green and blue tiles; transparent where all are blank.

    The same as `vodal.pictures.lupton.paint_bands`, compiled.
    """
    red, green, blue = tiles
    out = np.empty((*red.shape, 4), np.uint8)
    _paint(
        red, green, blue, np.array(scale.black, np.float32), np.array(scale.gain, np.float32),
        scale.stretch, scale.softening, out,
    )  # fmt: skip
    return out


@dataclass(frozen=True, slots=True)
class ColorJob:
    """A tile to paint, and of a run of tiles those below it."""

    folders: tuple[Path, Path, Path]
    """Of the bands' HiPS: red, green, blue."""
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
    shape = next((tile.shape for tile in tiles if tile is not None), None)
    if shape is None:
        raise UsageError("the HiPS of the bands have changed while they were made into colours")
    filled = [np.full(shape, np.nan, np.float32) if t is None else t for t in tiles]
    picture = paint(filled, job.scale)
    return sum(
        sink.write(order, npix, extension, job.encoding.colors(extension, picture))
        for extension in job.encoding.pictures
    )


def _read(folder: Path, order: int, npix: int) -> Pixels | None:
    data = open_tiles(folder).read(order, npix, "fits")
    return None if data is None else read_fits(data)


def choose_color(
    bands: tuple[str, str, str],
    folders: tuple[Path, Path, Path],
    order: int,
    tiles: Mapping[int, int],
) -> ColorScale:
    """Choose black, balance and stretch from some of the deepest tiles.

    Parameters
    ----------
    bands, folders
        Red, green, blue.
    order
        Of the tiles.
    tiles
        Numbers of tiles and in how many bands each is there.
    """
    most = max(tiles.values(), default=0)
    best = sorted(npix for npix, count in tiles.items() if count == most)
    step = max(1, len(best) // _SAMPLE_TILES)
    samples: list[list[Pixels]] = [[], [], []]
    for npix in best[::step]:
        read = [_read(folder, order, npix) for folder in folders]
        if any(tile is None for tile in read):
            continue
        together = np.stack([tile[::3, ::3].ravel() for tile in read if tile is not None])
        valid = np.isfinite(together).all(axis=0)
        for band, values in enumerate(together[:, valid]):
            samples[band].append(values)
    values = [np.concatenate(parts) if parts else np.empty(0, np.float32) for parts in samples]
    balance = choose_balance(values)
    return ColorScale(bands, balance.black, balance.gain, balance.stretch)
