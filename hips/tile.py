"""A tile as what images are resampled onto."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hips.cells import sky_of
from hips.frames import Frame, to_icrs
from hips.names import TILE_WIDTH
from vodal.resample.block import Block, Layout

__all__ = ["TileBlock"]

Floats = NDArray[np.float64]

_LAYOUT: Final = Layout(TILE_WIDTH, TILE_WIDTH, flipped=True)


@dataclass(frozen=True, slots=True)
class TileBlock(Block):
    """A tile: u runs along the cell's x (north-east), v along y (north-west)."""

    order: int
    npix: int
    frame: Frame = "equatorial"

    @property
    @override
    def layout(self) -> Layout:
        return _LAYOUT

    @property
    @override
    def seed(self) -> int:
        return self.npix

    @override
    def sky(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        lon, lat = sky_of(self.order, self.npix, u / TILE_WIDTH, v / TILE_WIDTH)
        return to_icrs(self.frame, lon, lat)
