"""Boxes of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "KnownBox"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels along x and y, the two celestial axes in the order of the file; 0-based, half open."""

    x0: int
    x1: int
    y0: int
    y1: int


class KnownBox:
    """A box that grows, in whole pixels of an image; places count from the image's edge.

    Parameters
    ----------
    nx, ny
        Of the image, which the box never leaves.
    """

    def __init__(self, nx: int, ny: int) -> None:
        self.nx, self.ny = nx, ny
        self.u0 = self.v0 = math.inf
        self.u1 = self.v1 = -math.inf
        self.looked_at = 0
        """Blocks that were divided."""
        self._unsure: list[tuple[Floats, Floats]] = []

    def doubt(self, u: Floats, v: Floats) -> None:
        """Keep pixels in mind that may be met."""
        if len(u):
            self._unsure.append((u, v))

    def unsure(self) -> tuple[Floats, Floats]:
        """Give the lower edges of the pixels that may be met, and would widen the box."""
        if not self._unsure:
            return np.empty(0), np.empty(0)
        u, v = (np.concatenate(part) for part in zip(*self._unsure, strict=True))
        out = self.sticks_out(u, v, 1.0)
        return u[out], v[out]

    def add_blocks(self, u: Floats, v: Floats, size: float) -> None:
        """Take in square blocks with these lower edges."""
        if len(u):
            self.u0 = min(self.u0, math.floor(u.min()))
            self.v0 = min(self.v0, math.floor(v.min()))
            self.u1 = max(self.u1, min(self.nx, math.ceil((u + size).max())))
            self.v1 = max(self.v1, min(self.ny, math.ceil((v + size).max())))

    def add_points(self, u: Floats, v: Floats) -> None:
        """Take in the pixels that hold these places."""
        if len(u):
            self.u0 = min(self.u0, math.floor(u.min()))
            self.v0 = min(self.v0, math.floor(v.min()))
            self.u1 = max(self.u1, math.floor(u.max()) + 1)
            self.v1 = max(self.v1, math.floor(v.max()) + 1)

    def sticks_out(self, u: Floats, v: Floats, size: float) -> NDArray[np.bool_]:
        """Tell which blocks would widen the box."""
        right, top = np.minimum(u + size, self.nx), np.minimum(v + size, self.ny)
        return (u < self.u0) | (right > self.u1) | (v < self.v0) | (top > self.v1)

    def close(self, columns: tuple[float, float], rows: tuple[float, float]) -> None:
        """Take the ends of a line of pixels that is met, where no line across it is.

        What just touches may be met by a column of pixels and, to the last digit, by no row.
        """
        if math.isinf(self.u0):
            self.u0, self.u1 = columns
        if math.isinf(self.v0):
            self.v0, self.v1 = rows

    def box(self) -> Box | None:
        """Give the box; None if it is empty."""
        if self.u1 <= self.u0:
            return None
        return Box(int(self.u0), int(self.u1), int(self.v0), int(self.v1))
