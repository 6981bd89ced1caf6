"""Square blocks of pixels, each with a circle on the sky around it.

They are measured from samples of the coordinates, or, where the sky is flat across the block that
they are parts of, interpolated between its corners.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PARTS",
    "Blocks",
    "child_edges",
    "interpolate",
    "join",
    "measure",
    "outermost",
    "see_rims",
    "slack_pixels",
    "three_by_three",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

PARTS = 4
"""A block is divided in as many along each side."""
_FLAT_PIXELS = 0.02
_FEW = 8
"""Blocks along each side that are looked at first."""
_STRETCH = 1.02
"""Circles are drawn through samples of a block's rim; between them it may bulge a little."""
_STRETCH_CURVED = 1.2
_STRETCH_EDGE = 2.5
"""Where part of a block is off the sky."""


@dataclass(frozen=True)
class Blocks:
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

    def take(self, chosen: Bools) -> Blocks:
        """Give some of them."""
        return Blocks(
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


def outermost(blocks: Blocks) -> Blocks:
    """Choose a few blocks along each of the four sides."""
    chosen = np.zeros(len(blocks.u), np.bool_)
    for outward in (-blocks.u, blocks.u, -blocks.v, blocks.v):
        (side,) = np.nonzero(outward == outward.max())
        chosen[side[:: max(1, len(side) // _FEW)]] = True
    return blocks.take(chosen)


def three_by_three(grid: Floats) -> Floats:
    """Cut a grid of samples at half steps (..., 2r+1, 2c+1, 3) into blocks (n, 3, 3, 3)."""
    rows, columns = (grid.shape[-3] - 1) // 2, (grid.shape[-2] - 1) // 2
    parts = [
        [grid[..., i : i + 2 * rows : 2, j : j + 2 * columns : 2, :] for j in range(3)]
        for i in range(3)
    ]
    stacked = np.stack([np.stack(row, axis=-2) for row in parts], axis=-3)
    return stacked.reshape(-1, 3, 3, 3)


def child_edges(blocks: Blocks) -> tuple[Floats, Floats]:
    """Give the lower edges of all parts of blocks."""
    size = blocks.size / PARTS
    steps = np.arange(PARTS) * size
    shape = (len(blocks.u), PARTS, PARTS)
    u = np.broadcast_to(blocks.u[:, None, None] + steps[None, None, :], shape)
    v = np.broadcast_to(blocks.v[:, None, None] + steps[None, :, None], shape)
    return u.reshape(-1), v.reshape(-1)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.sqrt(np.einsum("...k,...k->...", vectors, vectors))[..., None])


def _length(vectors: Floats) -> Floats:
    return np.asarray(np.sqrt(np.einsum("...k,...k->...", vectors, vectors)), np.float64)


def slack_pixels(blocks: Blocks) -> Floats:
    """Tell how many pixels the circles reach along the blocks' narrow side."""
    side_x = blocks.corners[:, 0, 1] - blocks.corners[:, 0, 0]
    side_y = blocks.corners[:, 1, 0] - blocks.corners[:, 0, 0]
    longest = np.maximum(_length(side_x + side_y), _length(side_x - side_y))
    with np.errstate(invalid="ignore", divide="ignore"):
        width = _length(np.cross(side_x, side_y)) / longest
        slack = blocks.radius * blocks.size / width
    # At the rim of a map only the finest blocks tell the sky from what is off it.
    return np.where(np.isfinite(slack), slack, math.inf)


def measure(size: float, u: Floats, v: Floats, samples: Floats) -> Blocks:
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
    return Blocks(size, u, v, corners, centre, radius, flat, whole, blind)


def see_rims(blocks: Blocks, rows: int, columns: int) -> Blocks:
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


def interpolate(blocks: Blocks, chosen: Ints, u: Floats, v: Floats) -> Blocks:
    """Make parts of flat blocks by interpolation between their corners."""
    size = blocks.size / PARTS
    parent, place = np.divmod(chosen, PARTS * PARTS)
    origin = blocks.corners[:, 0, 0]
    along_x = blocks.corners[:, 0, 1] - origin
    along_y = blocks.corners[:, 1, 0] - origin
    twist = (blocks.corners[:, 1, 1] - blocks.corners[:, 1, 0] - along_x)[parent]
    step = 1.0 / PARTS
    a = ((place % PARTS) * step)[:, None]
    b = ((place // PARTS) * step)[:, None]
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
    return Blocks(size, u, v, corners, _unit(centre), radius, yes, yes, ~yes)


def join(size: float, parts: list[Blocks]) -> Blocks:
    """Put blocks of one size together."""
    if len(parts) == 1:
        return parts[0]
    return Blocks(
        size,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("u", "v", "corners", "centre", "radius", "flat", "whole", "blind")
        ),
    )
