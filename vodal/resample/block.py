"""What is resampled onto: a block of pixels whose places on the sky are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Block", "Layout"]

Floats = NDArray[np.float64]


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
