"""In which slabs the pixels of a tile-compressed image are unpacked, front to back.

A slab is a run of pixels that follow each other in the plain image: all of it along the faster
axes, some of it along one, one place along the slower ones. It is made of whole tiles along the
one axis, so that no tile is unpacked twice where they are flat; of tiles that go through several
slabs each is unpacked for every one of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vodal.errors import TooLargeError
from vodal.fits.index import HduIndex

__all__ = ["Slab", "Slabs"]

_MOST_BYTES = 1 << 28
"""Of the smallest slab."""
_MOST_TIMES = 64
"""That a tile is unpacked."""


@dataclass(frozen=True, slots=True)
class Slab:
    """A run of pixels."""

    section: tuple[slice, ...]
    """In numpy order."""
    start: int
    stop: int
    """First and last byte (exclusive) in the plain image."""


class Slabs:
    """Finds slabs of one image.

    Parameters
    ----------
    hdu
        A tile-compressed image.

    Raises
    ------
    TooLargeError
        If its tiles cannot be unpacked in reasonable time and memory.
    """

    def __init__(self, hdu: HduIndex) -> None:
        assert hdu.tiles is not None
        self._shape = hdu.shape
        item = abs(hdu.bitpix) // 8
        tile = hdu.tiles.tile_shape
        choices = []
        for axis in range(len(hdu.shape)):
            row_bytes = math.prod(hdu.shape[axis + 1 :]) * item
            height = min(tile[axis], hdu.shape[axis])
            times = math.prod(min(tile[k], hdu.shape[k]) for k in range(axis))
            if height * row_bytes <= _MOST_BYTES and times <= _MOST_TIMES:
                choices.append((times, height * row_bytes, axis, height, row_bytes))
        if not choices:
            raise TooLargeError(
                f"COMPRESSION=none: the tiles of HDU {hdu.number} are too large, or lie across too"
                " many planes, to be unpacked here; take the file as it is stored"
            )
        fewest = min(times for times, *_ in choices)
        best = [choice for choice in choices if choice[0] == fewest]
        # Small slabs are joined along the axis, the slower the more of them.
        small = [choice for choice in best if choice[1] <= 1 << 16]
        chosen = min(small, key=lambda choice: choice[2]) if small else min(best)
        self._axis, self._height, self._row_bytes = chosen[2:]

    def at(self, offset: int, wanted_bytes: int) -> Slab:
        """Give the slab that holds a byte.

        Parameters
        ----------
        offset
            Of the byte in the plain image.
        wanted_bytes
            About the size of the slab, where smaller ones are possible.
        """
        axis, height, row_bytes = self._axis, self._height, self._row_bytes
        rows = self._shape[axis]
        before, within = divmod(offset, rows * row_bytes)
        low = within // row_bytes // height * height
        high = min(rows, low + max(1, wanted_bytes // (height * row_bytes)) * height)
        places = np.unravel_index(before, self._shape[:axis]) if axis else ()
        section = (
            *(slice(int(place), int(place) + 1) for place in places),
            slice(low, high),
            *(slice(0, size) for size in self._shape[axis + 1 :]),
        )
        begin = before * rows * row_bytes
        return Slab(section, begin + low * row_bytes, begin + high * row_bytes)
