"""Block by block from the images to a FITS file.

Of each image only what a block of the grid needs is read, so that no more is held than the result
and the part of one image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from soda.box import Box
from soda.cut import Cutout
from soda.distance import signed_distance
from soda.encode import Allocate, Part, encode_to
from soda.grid import Grid
from soda.header import Provenance
from soda.outside import outside_pixels
from soda.reading import allocate_plain
from soda.skyimage import SkyImage
from soda.stitch.cards import coverage_part, image_part, inputs_part
from soda.stitch.combine import STACK_BYTES, Combiner
from soda.stitch.inputs import Input, OpenFiles, blamed, look
from soda.stitch.request import Rules, StitchInput, StitchRequest
from soda.stitch.scaling import Scaling, make_scaling
from soda.stitch.target import Target, make_target, outline
from soda.stopwatch import Stopwatch
from vodal.errors import TooLargeError, UsageError
from vodal.fits.wcs import pixel_scale_arcsec
from vodal.resample.areas import PixelAreas, pixel_areas
from vodal.resample.block import Window
from vodal.resample.grid import PixelGrid, pixel_grid
from vodal.resample.mapping import ImageMapping
from vodal.resample.reading import good_pixels

__all__ = ["stitch"]

Pixels = NDArray[np.float32]

_SIDE: Final = 2048
"""Of a block, in pixels."""


def stitch(
    inputs: Sequence[StitchInput],
    asked: StitchRequest,
    *,
    rules: Rules | None = None,
    limit_bytes: int | None = None,
    target: Target | None = None,
    allocate: Allocate = allocate_plain,
) -> Cutout | None:
    """Make one image of several.

    Parameters
    ----------
    inputs
        The images; where they overlap, their order counts for ``first`` only.
    asked
        What is wanted.
    rules
        What of the images' headers is believed.
    limit_bytes
        The largest image that is made, counted as plain FITS.
    target
        The grid; by default that of the request.
    allocate
        Gives the memory of a FITS file.

    Returns
    -------
    Cutout or None
        None if no image gives a pixel a value.

    Raises
    ------
    TooLargeError
        If the image would be larger than the limit; no pixel has been read then.
    UsageError
        If the request cannot be followed with these images.
    DataError
        If a file is damaged or gone, or cannot be resampled.
    SourceChangedError
        If a file is not the one that was indexed.
    """
    if not inputs:
        return None
    rules = rules or Rules()
    watch = Stopwatch()
    files = OpenFiles()
    try:
        seen = look(inputs, rules, files)
        scaling = make_scaling(seen, asked)
        if target is None:
            target = _target(seen, asked)
        _check_size(target, asked, limit_bytes)
        work = _Work(seen, scaling, asked, target, files)
        watch.lap("index")
        work.run()
    finally:
        files.close()
    watch.lap("resample")
    used = sorted(work.used)
    if not used:
        return None
    only = [seen[k] for k in used]
    of_these = replace(
        scaling,
        factors=tuple(scaling.factors[k] for k in used),
        weights=tuple(scaling.weights[k] for k in used),
    )
    name = only[0].name if len(only) == 1 else ""
    body: bytearray | memoryview
    if asked.output.format.kind == "picture":
        body = _picture(work.values, target, asked, name)
    else:
        origin = Provenance.now(name, asked.selection)
        parts = _parts(work, only, of_these, [work.binnings[k] for k in used], rules, origin)
        body = encode_to(parts, allocate)
    watch.lap("encode")
    return _cutout(body, seen, watch)


def _cutout(body: bytearray | memoryview, seen: Sequence[Input], watch: Stopwatch) -> Cutout:
    """Put the image together with what it took; what was read is told by the images."""
    tallies = [one.image.tally for one in seen]
    spent = watch.seconds
    section = sum(one.image.section_s for one in seen)
    decode = sum(tally.decode_s for tally in tallies)
    spent |= {
        "read": max(0.0, section - decode),
        "decode": decode,
        "resample": max(0.0, spent["resample"] - section),
    }
    return Cutout(
        body,
        spent,
        sum(tally.read_bytes for tally in tallies),
        sum(tally.needed_bytes for tally in tallies),
    )


def _picture(values: Pixels, target: Target, asked: StitchRequest, name: str) -> bytearray:
    # Decoders of pictures are loaded by who asks for them.
    from soda.picture import painted, size_of  # noqa: PLC0415
    from vodal.pictures.resize import Shrinker  # noqa: PLC0415

    grid = Grid(target.wcs, 0.0, 0.0, 1.0, 1.0, target.width, target.height)
    height, width = size_of(target.height, target.width, asked.output.look)
    shrinker = Shrinker(values.shape, (height, width))
    shrinker.add(values)
    return bytearray(painted(shrinker.result(), grid.scaled(width, height), asked.output, name))


def _parts(
    work: _Work,
    inputs: Sequence[Input],
    scaling: Scaling,
    binnings: Sequence[int],
    rules: Rules,
    origin: Provenance,
) -> Sequence[Part]:
    asked, wcs = work.asked, work.target.wcs
    parts: Sequence[Part] = [
        image_part(work.values, wcs, work.area_arcsec2, inputs, scaling, asked, rules, origin),
        *([coverage_part(work.coverage, wcs, asked)] if asked.coverage else ()),
        inputs_part(inputs, scaling, binnings),
    ]
    if asked.output.format.kind in {"rice", "gzip"}:
        # Its compiled parts are loaded by who asks for it.
        from soda.compress import compress  # noqa: PLC0415

        parts = compress(parts, asked.output.format.kind, asked.output.compression)
    return parts


def _target(seen: Sequence[Input], asked: StitchRequest) -> Target:
    covered = np.empty(0), np.empty(0)
    if asked.stencil is None:
        edges = [outline(one.image.wcs, one.image.shape) for one in seen]
        covered = np.concatenate([e[0] for e in edges]), np.concatenate([e[1] for e in edges])
        if not covered[0].size:
            raise UsageError("no part of the images is on the sky")
    # Rounded, as it is told by the difference of two places.
    finest = float(f"{min(one.scale_arcsec for one in seen):.7g}")
    return make_target(asked, finest, covered)


def _check_size(target: Target, asked: StitchRequest, limit_bytes: int | None) -> None:
    size = target.width * target.height * 4 * (2 if asked.coverage else 1)
    if limit_bytes is not None and size > limit_bytes:
        raise TooLargeError(
            f"the image of {target.width} x {target.height} pixels would take {size / 1e6:.3g} MB,"
            f" over the limit of {limit_bytes / 1e6:.3g} MB; ask for a smaller region, or for"
            " larger pixels by PIXSCALE"
        )


class _Work:
    """The pixels of the result in the making."""

    def __init__(
        self,
        inputs: Sequence[Input],
        scaling: Scaling,
        asked: StitchRequest,
        target: Target,
        files: OpenFiles,
    ) -> None:
        self._inputs, self._scaling, self.asked, self.target = inputs, scaling, asked, target
        self._files = files
        self.used: set[int] = set()
        shape = target.height, target.width
        self.values: Pixels = np.full(shape, np.nan, np.float32)
        self.coverage: Pixels = np.zeros(shape if asked.coverage else (0, 0), np.float32)
        scale = pixel_scale_arcsec(target.wcs, (shape[1] - 1) / 2.0, (shape[0] - 1) / 2.0)
        if not (math.isfinite(scale) and scale > 0.0):
            scale = pixel_scale_arcsec(target.wcs)
        self.area_arcsec2 = scale * scale
        self._plane = ImageMapping(target.wcs)
        self.binnings = [
            max(1, min(int(scale / one.scale_arcsec + 1e-6), *one.image.shape)) for one in inputs
        ]
        self._mappings = [
            ImageMapping(one.image.wcs, binning)
            for one, binning in zip(inputs, self.binnings, strict=True)
        ]

    def run(self) -> None:
        """Make all blocks."""
        side = _SIDE
        if self.asked.combination == "median":
            side = min(side, max(64, math.isqrt(STACK_BYTES // 4 // len(self._inputs))))
        for block in self.target.blocks(side):
            self._make(block)

    def _make(self, block: Window) -> None:
        y = slice(block.y0, block.y0 + block.layout.height)
        x = slice(block.x0, block.x0 + block.layout.width)
        outside = self._outside(Box(x.start, x.stop, y.start, y.stop))
        if outside is not None and outside.all():
            return
        asked = self.asked
        combiner = Combiner(block.layout, asked.sampling, asked.combination)
        wanted = None if outside is None else ~outside
        for number in range(len(self._inputs)):
            self._add(number, block, combiner, wanted)
        values, coverage = combiner.finish()
        if values is None:
            return
        if self._scaling.flux:
            areas = pixel_areas(self._plane, x.start, x.stop, y.start, y.stop)
            values *= (areas / self.area_arcsec2).astype(np.float32)
        if outside is not None:
            values[outside] = np.nan
            coverage[outside] = 0.0
        self.values[y, x] = values
        if asked.coverage:
            self.coverage[y, x] = coverage

    def _outside(self, box: Box) -> NDArray[np.bool_] | None:
        if self.asked.stencil is None or self.asked.output.outside == "keep":
            return None
        image = SkyImage(self.target.wcs, self.target.width, self.target.height)
        return outside_pixels(image, box, signed_distance(self.asked.stencil))

    def _add(
        self,
        number: int,
        block: Window,
        combiner: Combiner,
        wanted: NDArray[np.bool_] | None,
    ) -> None:
        one, binning = self._inputs[number], self.binnings[number]
        ny, nx = one.image.shape
        shape = -(-ny // binning), -(-nx // binning)
        grid = pixel_grid(self._mappings[number], block, shape)
        reach = None if grid is None else grid.reach(shape)
        if grid is None or reach is None:
            return
        with blamed(one.name, one.image.uri):
            pixels = self._read(number, reach)
        part: PixelGrid = grid.moved(reach[0], reach[2])
        given = combiner.add(pixels, part, self._scaling.weights[number])
        if (given if wanted is None else given & wanted).any():
            self.used.add(number)

    def _read(self, number: int, box: tuple[int, int, int, int]) -> Pixels:
        """Read a part of an image, scaled."""
        one, binning = self._inputs[number], self.binnings[number]
        x0, x1, y0, y1 = box
        pixels = np.empty((y1 - y0, x1 - x0), np.float32)
        self._files.use(one.image)
        factor = self._scaling.factors[number]
        areas = PixelAreas(self._mappings[number], *box) if self._scaling.flux else None
        filled = 0
        for rows in good_pixels(one.image, one.mask, one.bits, binning, box):
            end = filled + len(rows)
            if areas is None:
                np.multiply(rows, np.float32(factor), out=pixels[filled:end])
            else:
                ratio = areas.factors(
                    factor * binning**2 * self.area_arcsec2,
                    np.arange(x0, x1), np.arange(y0 + filled, y0 + end),
                )  # fmt: skip
                np.multiply(rows, ratio, out=pixels[filled:end])
            filled = end
        return pixels
