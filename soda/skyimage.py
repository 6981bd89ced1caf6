"""Which pixels of an image a stencil meets, found from the pixels' side.

The image is divided into square blocks. Each has a circle on the sky around it; a block whose
circle is clear of the stencil is dropped, one whose circle lies in the stencil counts whole, and
the others are divided in 4 x 4, down to pixels, as long as they can still widen the box that is
known. Only the forward transform (pixel to sky) is needed, which every image has everywhere, so
that poles, RA 0, projections with edges and distortions without an inverse are no cases of their
own. Where the sky is flat across a block to 1/50 pixel, its parts are interpolated.

A pixel is met if its area, edge included, has a point in common with the stencil. Where that is
within the error of the search, and it matters to the box, the pixels' own coordinates decide
(`soda.edges`), so that what a cut of a cut holds does not depend on how the first was divided.
Pixels partly off the sky, at the rim of a map, are divided on, and decided to about 1/4 pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from soda.box import Box, KnownBox
from soda.distance import StencilDistance, compiled, unit_vectors
from soda.edges import settle
from vodal.fits.wcs import pixel_scale_arcsec, pixel_to_icrs

__all__ = ["SkyImage", "compiled"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
_Maker = Callable[["_Blocks", Ints, Floats, Floats], "_Blocks"]
"""Makes parts of blocks: the blocks, which parts, and where they are."""

_PARTS = 4
"""A block is divided in as many along each side."""
_LEAF_PIXELS = 0.25
_FINEST_PIXELS = 0.25 / 64
_SLACK_PIXELS = 0.5
"""Where pixels are long and narrow on the sky, the circle around a quarter of one may reach far
along the other axis; such quarters are divided on, down to the finest size."""
_BLOCKS_PER_SIDE = 16
_MAX_BLOCK_DEG = 4.0
"""Circles around larger blocks would be poor."""
_FLAT_PIXELS = 0.02
_ERROR = 0.055
"""By how much interpolated places may be wrong: twice that, where a circle around a pixel has the
radius 1.06 / sqrt 2."""
_MANY, _FEW = 128, 8
_MOST_BLOCKS = 1 << 16
"""About a second's work. Where more would be divided, as on maps whose pixels are all long and
narrow, the box is left wider than it need be."""
_STRETCH = 1.02
"""Circles are drawn through samples of a block's rim; between them it may bulge a little."""
_STRETCH_CURVED = 1.2
_STRETCH_EDGE = 2.5
"""Where part of a block is off the sky."""


@dataclass(frozen=True)
class _Blocks:
    """Blocks of one size."""

    size: float
    """Side in pixels."""
    u: Floats
    v: Floats
    """Lower edges along x and y, counted from the image's edge."""
    corners: Floats
    """Unit vectors of the corners (n, 2, 2, 3): y, x."""
    centre: Floats
    """Centre of the circle (n, 3)."""
    radius: Floats
    """Of the circle, radians."""
    flat: Bools
    whole: Bools
    """Whether all samples are on the sky."""
    blind: Bools
    """Whether no sample is."""

    def take(self, chosen: Bools) -> _Blocks:
        return _Blocks(
            self.size,
            self.u[chosen],
            self.v[chosen],
            self.corners[chosen],
            self.centre[chosen],
            self.radius[chosen],
            self.flat[chosen],
            self.whole[chosen],
            self.blind[chosen],
        )


class SkyImage:
    """The sky of an image plane, ready to be asked for many stencils.

    Parameters
    ----------
    sky
        Celestial coordinates of two axes (`vodal.fits.wcs.sky_wcs`).
    nx, ny
        Pixels along these axes.
    """

    def __init__(self, sky: WCS, nx: int, ny: int) -> None:
        self.sky, self.nx, self.ny = sky, nx, ny

    def vectors(self, u: Floats, v: Floats) -> Floats:
        """Give the unit vectors of places counted from the image's edge; NaN off the sky."""
        return unit_vectors(*pixel_to_icrs(self.sky, u - 0.5, v - 0.5))

    def box(self, distance: StencilDistance) -> Box | None:
        """Give the smallest box with all pixels that a stencil meets; None if there are none.

        What comes nearer than `soda.edges.TOUCH_PIXELS` touches.

        Parameters
        ----------
        distance
            Of the stencil, from `soda.distance.signed_distance`.
        """
        module = compiled.pays(1)
        if module is None:
            return self.box_by_arrays(distance)
        flat, u0, v0, u1, v1, unsure = module.search(
            self._table, float(self._size), self.nx, self.ny, distance.numbers, _MOST_BLOCKS
        )
        if not flat:
            return self.box_by_arrays(distance)
        known = KnownBox(self.nx, self.ny)
        known.u0, known.v0, known.u1, known.v1 = u0, v0, u1, v1
        known.doubt(unsure[:, 0], unsure[:, 1])
        settle(known, self.vectors, distance)
        return known.box()

    def box_by_arrays(self, distance: StencilDistance) -> Box | None:
        """Do the same without compiled code, and for every image."""
        known = KnownBox(self.nx, self.ny)
        self._search(self._blocks, known, distance, may_probe=True)
        settle(known, self.vectors, distance)
        return known.box()

    def _search(
        self, blocks: _Blocks, known: KnownBox, distance: StencilDistance, *, may_probe: bool
    ) -> None:
        """Widen the box by all that blocks hold."""
        while len(blocks.u):
            from_stencil = distance(blocks.centre)
            near = from_stencil <= blocks.radius
            blocks, from_stencil = blocks.take(near), from_stencil[near]
            self._learn(known, blocks, from_stencil)
            if blocks.size <= _LEAF_PIXELS:
                coarse = _slack_pixels(blocks) > _SLACK_PIXELS
                if blocks.size <= _FINEST_PIXELS or not coarse.any():
                    return
                blocks, from_stencil = blocks.take(coarse), from_stencil[coarse]
            covered = (from_stencil <= -blocks.radius) & blocks.whole
            if blocks.size <= 1.0:
                unsure = blocks.whole & ~covered
                if may_probe:
                    known.doubt(blocks.u[unsure], blocks.v[unsure])
                covered |= unsure
            blocks = blocks.take(~covered & known.sticks_out(blocks.u, blocks.v, blocks.size))
            if may_probe and len(blocks.u) > _MANY:
                # A long side along the pixels: a few places tell its pixel and spare the others.
                self._search(_outermost(blocks), known, distance, may_probe=False)
                blocks = blocks.take(known.sticks_out(blocks.u, blocks.v, blocks.size))
            if not len(blocks.u):
                return
            known.looked_at += len(blocks.u)
            if known.looked_at > _MOST_BLOCKS:
                known.add_blocks(blocks.u, blocks.v, blocks.size)
                return
            blocks = self._divide(blocks, known)

    def _learn(self, known: KnownBox, blocks: _Blocks, from_stencil: Floats) -> None:
        """Widen the box by what is certain."""
        covered = (from_stencil <= -blocks.radius) & blocks.whole
        known.add_blocks(blocks.u[covered], blocks.v[covered], blocks.size)
        u, v = blocks.u + blocks.size / 2, blocks.v + blocks.size / 2
        met = (u < self.nx) & (v < self.ny)
        if blocks.size > _LEAF_PIXELS:
            error = np.where(blocks.flat, _ERROR * blocks.radius / blocks.size, 0.0)
            met &= blocks.whole & (from_stencil <= -error)
        else:
            settled = blocks.size <= _FINEST_PIXELS or _slack_pixels(blocks) <= _SLACK_PIXELS
            met &= ~blocks.blind & (settled | (from_stencil <= 0.0))
        known.add_points(u[met], v[met])

    @cached_property
    def _size(self) -> int:
        """Side of the blocks to start from, pixels."""
        scale_deg = pixel_scale_arcsec(self.sky) / 3600.0
        size = 1
        while max(self.nx, self.ny) > _BLOCKS_PER_SIDE * size:
            if size * _PARTS * scale_deg > _MAX_BLOCK_DEG:
                break
            size *= _PARTS
        return size

    @cached_property
    def _samples(self) -> Floats:
        """Unit vectors at every half of a block (2 rows + 1, 2 columns + 1, 3)."""
        columns, rows, half = -(-self.nx // self._size), -(-self.ny // self._size), self._size / 2
        u, v = np.meshgrid(np.arange(2 * columns + 1) * half, np.arange(2 * rows + 1) * half)
        return self.vectors(u, v)

    @cached_property
    def _blocks(self) -> _Blocks:
        """The blocks to start from."""
        size, (rows, columns) = float(self._size), (n // 2 for n in self._samples.shape[:2])
        u, v = np.meshgrid(np.arange(columns) * size, np.arange(rows) * size)
        blocks = _measure(size, u.ravel(), v.ravel(), _three_by_three(self._samples))
        return _see_rims(blocks, rows, columns)

    @cached_property
    def _table(self) -> Floats:
        """The same blocks for compiled code (`soda.skysearch`)."""
        module = compiled.loaded
        if module is None or not np.isfinite(self._samples[..., 0]).all():
            return self.table_by_arrays()
        table: Floats = module.measure(np.ascontiguousarray(self._samples), float(self._size))
        return table

    def table_by_arrays(self) -> Floats:
        """Give the table of blocks to start from without compiled code, and for every image."""
        blocks = self._blocks
        columns = [blocks.u[:, None], blocks.v[:, None], blocks.corners.reshape(-1, 12)]
        flat = 0.5 * blocks.whole + 0.5 * (blocks.flat & blocks.whole)
        columns += [blocks.centre, blocks.radius[:, None], flat[:, None]]
        return np.ascontiguousarray(np.concatenate(columns, axis=1), np.float64)

    def _divide(self, blocks: _Blocks, known: KnownBox) -> _Blocks:
        """Divide blocks, leaving out what is not on the image or already known."""
        flat = self._chosen(blocks.take(blocks.flat), known, _interpolate)
        curved = self._chosen(blocks.take(~blocks.flat), known, self._sample)
        parts = [part for part in (flat, curved) if part is not None]
        return parts[0] if len(parts) == 1 else _join(blocks.size / _PARTS, parts)

    def _chosen(self, blocks: _Blocks, known: KnownBox, make: _Maker) -> _Blocks | None:
        """Make those parts of blocks that matter."""
        if not len(blocks.u):
            return None
        size = blocks.size / _PARTS
        u, v = _child_edges(blocks)
        matters = (u < self.nx) & (v < self.ny) & known.sticks_out(u, v, size)
        (chosen,) = np.nonzero(matters)
        return make(blocks, chosen, u[chosen], v[chosen])

    def _sample(self, blocks: _Blocks, chosen: Ints, u: Floats, v: Floats) -> _Blocks:
        """Make parts of curved blocks, asking the coordinates themselves."""
        size = blocks.size / _PARTS
        steps = np.arange(3) * (size / 2)
        xs, ys = np.broadcast_arrays(u[:, None, None] + steps, v[:, None, None] + steps[:, None])
        parts = _measure(size, u, v, self.vectors(xs, ys))
        if not parts.blind.any():
            return parts
        # Off the sky as far as can be seen, but beside what is on it: look closer once.
        blind = parts.blind
        parent = chosen // (_PARTS * _PARTS)
        parts.centre[blind] = blocks.centre[parent[blind]]
        parts.radius[blind] = blocks.radius[parent[blind]]
        return parts.take(~blind | (~blocks.blind[parent] & (size > 1.0)))


def _outermost(blocks: _Blocks) -> _Blocks:
    """Choose a few blocks along each of the four sides."""
    chosen = np.zeros(len(blocks.u), np.bool_)
    for outward in (-blocks.u, blocks.u, -blocks.v, blocks.v):
        (side,) = np.nonzero(outward == outward.max())
        chosen[side[:: max(1, len(side) // _FEW)]] = True
    return blocks.take(chosen)


def _three_by_three(grid: Floats) -> Floats:
    """Cut a grid of samples at half steps (..., 2r+1, 2c+1, 3) into blocks (n, 3, 3, 3)."""
    rows, columns = (grid.shape[-3] - 1) // 2, (grid.shape[-2] - 1) // 2
    parts = [
        [grid[..., i : i + 2 * rows : 2, j : j + 2 * columns : 2, :] for j in range(3)]
        for i in range(3)
    ]
    stacked = np.stack([np.stack(row, axis=-2) for row in parts], axis=-3)
    return stacked.reshape(-1, 3, 3, 3)


def _child_edges(blocks: _Blocks) -> tuple[Floats, Floats]:
    size = blocks.size / _PARTS
    steps = np.arange(_PARTS) * size
    shape = (len(blocks.u), _PARTS, _PARTS)
    u = np.broadcast_to(blocks.u[:, None, None] + steps[None, None, :], shape)
    v = np.broadcast_to(blocks.v[:, None, None] + steps[None, :, None], shape)
    return u.reshape(-1), v.reshape(-1)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.sqrt(np.einsum("...k,...k->...", vectors, vectors))[..., None])


def _length(vectors: Floats) -> Floats:
    return np.asarray(np.sqrt(np.einsum("...k,...k->...", vectors, vectors)), np.float64)


def _slack_pixels(blocks: _Blocks) -> Floats:
    """Tell how many pixels the circles reach along the blocks' narrow side."""
    side_x = blocks.corners[:, 0, 1] - blocks.corners[:, 0, 0]
    side_y = blocks.corners[:, 1, 0] - blocks.corners[:, 0, 0]
    longest = np.maximum(_length(side_x + side_y), _length(side_x - side_y))
    with np.errstate(invalid="ignore", divide="ignore"):
        width = _length(np.cross(side_x, side_y)) / longest
        slack = blocks.radius * blocks.size / width
    # At the rim of a map only the finest blocks tell the sky from what is off it.
    return np.where(np.isfinite(slack), slack, math.inf)


def _measure(size: float, u: Floats, v: Floats, samples: Floats) -> _Blocks:
    """Draw the circles around blocks of which nine samples are known."""
    seen = np.isfinite(samples[..., 0])
    count = seen.sum(axis=(1, 2))
    whole, blind = count == 9, count == 0
    centre = samples[:, 1, 1].copy()
    if not whole.all():
        lost = ~seen[:, 1, 1]
        mean = np.where(seen[..., None], samples, 0.0).sum(axis=(1, 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            centre[lost] = _unit(mean[lost])
    corners = samples[:, ::2, ::2]
    with np.errstate(invalid="ignore"):
        chord = _length(samples - centre[:, None, None])
        reach = np.where(seen, chord, 0.0).max(axis=(1, 2))
        pixel = reach / (size * math.sqrt(0.5))
        across = corners.mean(axis=(1, 2))
        rims = np.stack(
            [
                corners[:, 0].mean(axis=1),
                corners[:, 1].mean(axis=1),
                corners[:, :, 0].mean(axis=1),
                corners[:, :, 1].mean(axis=1),
                across,
            ],
            axis=1,
        )
        true = np.stack(
            [samples[:, 0, 1], samples[:, 2, 1], samples[:, 1, 0], samples[:, 1, 2], centre],
            axis=1,
        )
        bend = _length(_unit(rims) - true).max(axis=1)
        flat = whole & (bend <= _FLAT_PIXELS * pixel)
    stretch = np.where(flat, _STRETCH, np.where(whole, _STRETCH_CURVED, _STRETCH_EDGE))
    radius = 2.0 * np.arcsin(np.minimum(1.0, stretch * reach / 2.0))
    return _Blocks(size, u, v, corners, centre, radius, flat, whole, blind)


def _see_rims(blocks: _Blocks, rows: int, columns: int) -> _Blocks:
    """Give blocks off the sky beside blocks on it the circle of these, and drop the others."""
    if not blocks.blind.any():
        return blocks
    seen = np.zeros((rows + 2, columns + 2))
    seen[1:-1, 1:-1] = (~blocks.blind).reshape(rows, columns)
    centres = np.zeros((rows + 2, columns + 2, 3))
    centres[1:-1, 1:-1] = np.where(blocks.blind[:, None], 0.0, blocks.centre).reshape(
        rows, columns, 3
    )
    total = np.zeros((rows, columns, 3))
    count = np.zeros((rows, columns))
    for i in range(3):
        for j in range(3):
            total += centres[i : i + rows, j : j + columns]
            count += seen[i : i + rows, j : j + columns]
    beside = (count > 0).ravel() & blocks.blind
    with np.errstate(invalid="ignore"):
        blocks.centre[beside] = _unit(total.reshape(-1, 3)[beside])
    widest = float(blocks.radius[~blocks.blind].max(initial=0.0))
    blocks.radius[beside] = min(math.pi, 6.0 * widest)
    return blocks.take(~blocks.blind | (beside & np.isfinite(blocks.centre[:, 0])))


def _interpolate(blocks: _Blocks, chosen: Ints, u: Floats, v: Floats) -> _Blocks:
    """Make parts of flat blocks by interpolation between their corners."""
    size = blocks.size / _PARTS
    parent, place = np.divmod(chosen, _PARTS * _PARTS)
    origin = blocks.corners[:, 0, 0]
    along_x = blocks.corners[:, 0, 1] - origin
    along_y = blocks.corners[:, 1, 0] - origin
    twist = (blocks.corners[:, 1, 1] - blocks.corners[:, 1, 0] - along_x)[parent]
    step = 1.0 / _PARTS
    a = ((place % _PARTS) * step)[:, None]
    b = ((place // _PARTS) * step)[:, None]
    # The part is a bilinear patch as well: its corner, its two sides and its own twist.
    along_x, along_y = along_x[parent], along_y[parent]
    corner = origin[parent] + a * along_x + b * along_y + (a * b) * twist
    side_x = step * (along_x + b * twist)
    side_y = step * (along_y + a * twist)
    twist = (step * step) * twist
    corners = np.empty((len(chosen), 2, 2, 3))
    corners[:, 0, 0] = corner
    corners[:, 0, 1] = corner + side_x
    corners[:, 1, 0] = corner + side_y
    corners[:, 1, 1] = corner + side_x + side_y + twist
    centre = corner + 0.5 * (side_x + side_y) + 0.25 * twist
    # The corners' distances differ from half of the diagonals by the twist, which is small.
    diagonal = np.maximum(_length(side_x + side_y + twist), _length(side_x - side_y))
    reach = 0.5 * diagonal + _length(twist)
    # The interpolation's own error is a part of a pixel, whatever the size of the block.
    radius = _STRETCH * reach + 2.0 * _FLAT_PIXELS * reach / size
    yes = np.ones(len(u), np.bool_)
    return _Blocks(size, u, v, corners, _unit(centre), radius, yes, yes, ~yes)


def _join(size: float, parts: list[_Blocks]) -> _Blocks:
    if len(parts) == 1:
        return parts[0]
    return _Blocks(
        size,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("u", "v", "corners", "centre", "radius", "flat", "whole", "blind")
        ),
    )
