"""What is resampled onto: a block of pixels whose places on the sky are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

if TYPE_CHECKING:
    from vodal.resample.mapping import SkyMapping

__all__ = ["Block", "Layout", "Sampling", "Window", "windows"]

Floats = NDArray[np.float64]

Sampling = Literal["bilinear", "lanczos3"]
"""How an image is sampled, see `vodal.resample.canvas`; the first is the default."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pixels of a block are stored."""

    height: int
    """Rows, along u."""
    width: int
    """Columns, along v."""
    flipped: bool = False
    """Whether the first row is the one of the highest u, as in tiles of HiPS."""


class Block(Protocol):
    """A block of pixels; places (u, v) count pixels from its corner, whole numbers at edges."""

    @property
    def layout(self) -> Layout:
        """How its pixels are stored."""
        ...

    @property
    def seed(self) -> int:
        """Starts the random numbers of checks; the same for the same block."""
        ...

    def sky(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Give (ra, dec) in ICRS degrees; NaN where there is no sky.

        Places up to 64 pixels beyond the block are asked for where its sides are no multiples
        of that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Window(Block):
    """A part of an image's own grid of pixels; u runs along its y, v along its x."""

    mapping: SkyMapping
    """Of the whole grid."""
    x0: int
    """The first pixel, 0-based."""
    y0: int
    layout: Layout

    @property
    @override
    def seed(self) -> int:
        return self.x0 + self.y0

    @override
    def sky(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        return self.mapping.to_icrs(v - 0.5 + self.x0, u - 0.5 + self.y0)


def windows(mapping: SkyMapping, width: int, height: int, side: int) -> Iterator[Window]:
    """Divide a grid of pixels into blocks of up to ``side`` squared, row by row."""
    for y0 in range(0, height, side):
        for x0 in range(0, width, side):
            layout = Layout(min(side, height - y0), min(side, width - x0))
            yield Window(mapping, x0, y0, layout)
