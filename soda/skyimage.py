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

from collections.abc import Callable
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from soda.blocks import (
    PARTS,
    Blocks,
    child_edges,
    interpolate,
    join,
    measure,
    outermost,
    see_rims,
    slack_pixels,
    three_by_three,
)
from soda.box import Box, KnownBox
from soda.distance import StencilDistance, compiled, unit_vectors
from soda.edges import settle
from vodal.fits.wcs import pixel_scale_arcsec, pixel_to_icrs

__all__ = ["SkyImage", "compiled"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
_Maker = Callable[[Blocks, Ints, Floats, Floats], Blocks]
"""Makes parts of blocks: the blocks, which parts, and where they are."""

_LEAF_PIXELS = 0.25
_FINEST_PIXELS = 0.25 / 64
_SLACK_PIXELS = 0.5
"""Where pixels are long and narrow on the sky, the circle around a quarter of one may reach far
along the other axis; such quarters are divided on, down to the finest size."""
_BLOCKS_PER_SIDE = 16
_MAX_BLOCK_DEG = 4.0
"""Circles around larger blocks would be poor."""
_ERROR = 0.055
"""By how much interpolated places may be wrong: twice that, where a circle around a pixel has the
radius 1.06 / sqrt 2."""
_MANY = 128
_MOST_BLOCKS = 1 << 16
"""About a second's work. Where more would be divided, as on maps whose pixels are all long and
narrow, the box is left wider than it need be."""


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
        self, blocks: Blocks, known: KnownBox, distance: StencilDistance, *, may_probe: bool
    ) -> None:
        """Widen the box by all that blocks hold."""
        while len(blocks.u):
            from_stencil = distance(blocks.centre)
            near = from_stencil <= blocks.radius
            blocks, from_stencil = blocks.take(near), from_stencil[near]
            self._learn(known, blocks, from_stencil)
            if blocks.size <= _LEAF_PIXELS:
                coarse = slack_pixels(blocks) > _SLACK_PIXELS
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
                self._search(outermost(blocks), known, distance, may_probe=False)
                blocks = blocks.take(known.sticks_out(blocks.u, blocks.v, blocks.size))
            if not len(blocks.u):
                return
            known.looked_at += len(blocks.u)
            if known.looked_at > _MOST_BLOCKS:
                known.add_blocks(blocks.u, blocks.v, blocks.size)
                return
            blocks = self._divide(blocks, known)

    def _learn(self, known: KnownBox, blocks: Blocks, from_stencil: Floats) -> None:
        """Widen the box by what is certain."""
        covered = (from_stencil <= -blocks.radius) & blocks.whole
        known.add_blocks(blocks.u[covered], blocks.v[covered], blocks.size)
        u, v = blocks.u + blocks.size / 2, blocks.v + blocks.size / 2
        met = (u < self.nx) & (v < self.ny)
        if blocks.size > _LEAF_PIXELS:
            error = np.where(blocks.flat, _ERROR * blocks.radius / blocks.size, 0.0)
            met &= blocks.whole & (from_stencil <= -error)
        else:
            settled = blocks.size <= _FINEST_PIXELS or slack_pixels(blocks) <= _SLACK_PIXELS
            met &= ~blocks.blind & (settled | (from_stencil <= 0.0))
        known.add_points(u[met], v[met])

    @cached_property
    def _size(self) -> int:
        """Side of the blocks to start from, pixels."""
        scale_deg = pixel_scale_arcsec(self.sky) / 3600.0
        size = 1
        while max(self.nx, self.ny) > _BLOCKS_PER_SIDE * size:
            if size * PARTS * scale_deg > _MAX_BLOCK_DEG:
                break
            size *= PARTS
        return size

    @cached_property
    def _samples(self) -> Floats:
        """Unit vectors at every half of a block (2 rows + 1, 2 columns + 1, 3)."""
        columns, rows, half = -(-self.nx // self._size), -(-self.ny // self._size), self._size / 2
        u, v = np.meshgrid(np.arange(2 * columns + 1) * half, np.arange(2 * rows + 1) * half)
        return self.vectors(u, v)

    @cached_property
    def _blocks(self) -> Blocks:
        """The blocks to start from."""
        size, (rows, columns) = float(self._size), (n // 2 for n in self._samples.shape[:2])
        u, v = np.meshgrid(np.arange(columns) * size, np.arange(rows) * size)
        blocks = measure(size, u.ravel(), v.ravel(), three_by_three(self._samples))
        return see_rims(blocks, rows, columns)

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

    def _divide(self, blocks: Blocks, known: KnownBox) -> Blocks:
        """Divide blocks, leaving out what is not on the image or already known."""
        flat = self._chosen(blocks.take(blocks.flat), known, interpolate)
        curved = self._chosen(blocks.take(~blocks.flat), known, self._sample)
        parts = [part for part in (flat, curved) if part is not None]
        return parts[0] if len(parts) == 1 else join(blocks.size / PARTS, parts)

    def _chosen(self, blocks: Blocks, known: KnownBox, make: _Maker) -> Blocks | None:
        """Make those parts of blocks that matter."""
        if not len(blocks.u):
            return None
        size = blocks.size / PARTS
        u, v = child_edges(blocks)
        matters = (u < self.nx) & (v < self.ny) & known.sticks_out(u, v, size)
        (chosen,) = np.nonzero(matters)
        return make(blocks, chosen, u[chosen], v[chosen])

    def _sample(self, blocks: Blocks, chosen: Ints, u: Floats, v: Floats) -> Blocks:
        """Make parts of curved blocks, asking the coordinates themselves."""
        size = blocks.size / PARTS
        steps = np.arange(3) * (size / 2)
        xs, ys = np.broadcast_arrays(u[:, None, None] + steps, v[:, None, None] + steps[:, None])
        parts = measure(size, u, v, self.vectors(xs, ys))
        if not parts.blind.any():
            return parts
        # Off the sky as far as can be seen, but beside what is on it: look closer once.
        blind = parts.blind
        parent = chosen // (PARTS * PARTS)
        parts.centre[blind] = blocks.centre[parent[blind]]
        parts.radius[blind] = blocks.radius[parent[blind]]
        return parts.take(~blind | (~blocks.blind[parent] & (size > 1.0)))
