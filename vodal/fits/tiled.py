"""A section of a tile-compressed image: runs of tiles that lie side by side in the file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vodal.errors import DataError
from vodal.fits.index import HduIndex
from vodal.fits.sections import BATCH_BYTES, SectionJob
from vodal.later import LaterModule

__all__ = ["TileJob", "rice"]

rice = LaterModule("vodal.fits.rice", pays_at=64_000_000)
"""Decodes RICE_1 several times faster, when it is loaded; worth it for so many pixels."""

Longs = NDArray[np.int64]

_RANDOM = 10000
"""Rows of dithering, after which they repeat (FITS 4.0 section 10.2)."""


@dataclass(frozen=True)
class _Wanted:
    """The tiles that a section meets, in the order in which they lie in the file.

    One row a tile, one column an axis.
    """

    numbers: Longs
    """Of the tiles (n,)."""
    sides: Longs
    """Of the tiles; those at the upper edges may be smaller."""
    low: Longs
    high: Longs
    """What is wanted of each, half open."""
    target: Longs
    """Where that begins in the section."""

    def take(self, chosen: Any) -> _Wanted:
        return _Wanted(
            self.numbers[chosen],
            self.sides[chosen],
            self.low[chosen],
            self.high[chosen],
            self.target[chosen],
        )


class TileJob(SectionJob):
    """A section of a tile-compressed image."""

    def __init__(
        self, hdu: HduIndex, bounds: list[tuple[int, int]], into: NDArray[Any] | None
    ) -> None:
        super().__init__(hdu, bounds, into)
        self._decoder = hdu.tile_decoder
        self._wanted = self._find()
        tiles = self._decoder.tiles
        self._offsets = tiles.offsets[self._wanted.numbers]
        self._lengths = tiles.lengths[self._wanted.numbers]
        self._runs = iter(self._find_runs())

    def _find(self) -> _Wanted:
        tiles = self._decoder.tiles
        axes: list[tuple[Longs, ...]] = []
        for (start, stop), step, size in zip(
            self.bounds, tiles.tile_shape, self.hdu.shape, strict=True
        ):
            some = start < stop and self.out.size > 0
            place = np.arange(start // step, (stop - 1) // step + 1 if some else start // step)
            begin = place * step
            low = np.maximum(start - begin, 0)
            side = np.minimum(step, size - begin)
            axes.append((place, side, low, np.minimum(stop - begin, side), begin + low - start))
        shape = [len(axis[0]) for axis in axes]
        columns = []
        for k in range(5):
            grid = np.empty((*shape, len(shape)), np.int64)
            for axis, parts in enumerate(axes):
                grid[..., axis] = parts[k].reshape(-1, *(1,) * (len(shape) - 1 - axis))
            columns.append(grid.reshape(-1, len(shape)))
        places, sides, low, high, target = columns
        numbers = np.zeros(len(places), np.int64)
        for axis, (step, size) in enumerate(zip(tiles.tile_shape, self.hdu.shape, strict=True)):
            numbers = numbers * -(-size // step) + places[:, axis]
        wanted = _Wanted(numbers, sides, low, high, target)
        offsets = tiles.offsets[numbers]
        if (offsets[1:] >= offsets[:-1]).all():
            return wanted
        return wanted.take(np.argsort(offsets, kind="stable"))

    def _find_runs(self) -> list[slice]:
        """Group tiles that lie side by side."""
        count = len(self._offsets)
        if count == 0:
            return []
        apart = np.nonzero(self._offsets[1:] != self._offsets[:-1] + self._lengths[:-1])[0] + 1
        ends = np.cumsum(self._lengths)
        runs = []
        for first, end in zip([0, *apart.tolist()], [*apart.tolist(), count], strict=True):
            begin = first
            while begin < end:
                most = (ends[begin - 1] if begin else 0) + BATCH_BYTES
                cut = max(begin + 1, min(end, int(np.searchsorted(ends, most, "right"))))
                runs.append(slice(begin, cut))
                begin = cut
        return runs

    @property
    @override
    def needed_bytes(self) -> int:
        return int(self._lengths.sum())

    @override
    def ranges(self) -> Iterator[tuple[int, int]]:
        for run in self._find_runs():
            yield int(self._offsets[run.start]), int(self._lengths[run].sum())

    @override
    def put(self, part: bytes) -> None:
        run = next(self._runs)
        wanted, lengths = self._wanted.take(run), self._lengths[run]
        ends = np.cumsum(lengths)
        pixels = int(wanted.sides.prod(axis=1).sum())
        module = rice.pays(pixels) if self._is_quick else None
        if module is None:
            quick = np.zeros(len(lengths), np.bool_)
        else:
            quick = self._decoder.tiles.columns[wanted.numbers] == 0
            if quick.all():
                self._put_quickly(module, wanted, part, ends - lengths, ends)
                return
            if quick.any():
                chosen = wanted.take(quick)
                self._put_quickly(module, chosen, part, (ends - lengths)[quick], ends[quick])
        for tile in np.nonzero(~quick)[0].tolist():
            self._put_one(wanted, tile, part[ends[tile] - lengths[tile] : ends[tile]])

    def _put_one(self, wanted: _Wanted, tile: int, data: bytes) -> None:
        values = self._decoder.decode(int(wanted.numbers[tile]), data)
        low, high, target = (
            column[tile].tolist() for column in (wanted.low, wanted.high, wanted.target)
        )
        origin = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        place = tuple(slice(t, t + b - a) for t, a, b in zip(target, low, high, strict=True))
        self.out[place] = values[origin]

    @cached_property
    def _is_quick(self) -> bool:
        """Whether the compiled code knows this kind of image."""
        decoder = self._decoder
        return (
            decoder.algorithm in {"RICE_1", "RICE_ONE"}
            and decoder.rice_form is not None
            and (decoder.quantized or self.hdu.bitpix > 0)
            and math.prod(decoder.tiles.tile_shape[:-3]) == 1
        )

    def _put_quickly(
        self, module: Any, wanted: _Wanted, part: bytes, starts: Longs, ends: Longs
    ) -> None:
        decoder, count = self._decoder, len(wanted.numbers)
        address = np.frombuffer(part, np.uint8).__array_interface__["data"][0] if part else 0
        axes = min(3, self.out.ndim)
        boxes = np.tile(np.array([0, 1] * 3, np.int64), (count, 1))
        boxes[:, 6 - 2 * axes :: 2] = wanted.low[:, -axes:]
        boxes[:, 7 - 2 * axes :: 2] = wanted.high[:, -axes:]
        sides = np.ones((count, 2), np.int64)
        sides[:, 2 - min(2, axes) :] = wanted.sides[:, -2:]
        strides = np.array(self.out.strides, np.int64)
        scales, blanks = decoder.scales(wanted.numbers), decoder.blanks(wanted.numbers)
        given = module.Tiles(
            np.stack([starts, ends], axis=1) + address,
            boxes,
            sides,
            wanted.target @ strides + self.out.__array_interface__["data"][0],
            scales,
            (wanted.numbers + decoder.seed - 1) % _RANDOM,
            np.zeros(count, np.int64) if blanks is None else blanks,
        )
        width, block = decoder.rice_form or (0, 0)
        padded = [0, 0, *self.out.strides][-3:]
        damaged = module.decode_many(
            given,
            width=width,
            block=block,
            bitpix=self.hdu.bitpix,
            native=self.out.dtype.isnative,
            dither=decoder.dither,
            blank=(blanks is not None, decoder.blank_pixel),
            strides=(padded[0], padded[1]),
        )
        if damaged >= 0:
            # The slower way knows why.
            self._put_one(wanted, damaged, part[starts[damaged] : ends[damaged]])
            raise DataError(
                f"HDU {self.hdu.number}: tile {wanted.numbers[damaged]} is damaged: "
                "it has too few bytes for its pixels"
            )
