"""One section of one image: which bytes it needs, and where their values go."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vodal.fits.compressed import pixel_type
from vodal.fits.index import HduIndex
from vodal.storage.files import FileReader

__all__ = ["BATCH_BYTES", "PlainJob", "SectionJob"]

BATCH_BYTES = 1 << 25
"""Of stored bytes held at a time."""
_GAP_SHARE = 8
"""Rows are read as one block if what lies between them is no more than this part of them."""


class SectionJob:
    """One section: the ranges to read, in order, and what to do with each part.

    Parameters
    ----------
    hdu
        The image.
    bounds
        Start and stop along each axis, in numpy order.
    into
        Where the values go: of the section's shape and the image's type, in either byte order, its
        pixels side by side; None makes an array.
    """

    def __init__(
        self, hdu: HduIndex, bounds: list[tuple[int, int]], into: NDArray[Any] | None
    ) -> None:
        shape, kind = [stop - start for start, stop in bounds], pixel_type(hdu.bitpix)
        self.hdu, self.bounds = hdu, bounds
        self.out: NDArray[Any] = np.empty(shape, kind) if into is None else into
        if list(self.out.shape) != shape or self.out.dtype.newbyteorder("=") != kind:
            raise ValueError(f"a section of {shape} {kind} does not go into {self.out.dtype}")
        if not self.out.flags.c_contiguous:
            raise ValueError("the pixels of a section lie side by side")

    @property
    def needed_bytes(self) -> int:
        """Stored bytes of the section's pixels, or of the tiles that hold them."""
        return self.out.nbytes

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Give (offset, length) of each part."""
        raise NotImplementedError

    def put(self, part: bytes) -> None:
        """Take the next part."""
        raise NotImplementedError


class PlainJob(SectionJob):
    """A section of an uncompressed image, as evenly spaced rows.

    Whether what lies between them is read along is for the reader to say.
    """

    def __init__(
        self, hdu: HduIndex, bounds: list[tuple[int, int]], into: NDArray[Any] | None
    ) -> None:
        # Axes that are read whole are one with the next slower axis, so that whole planes and
        # degenerate axes come out as single runs of bytes.
        shape: list[int] = list(hdu.shape)
        ranges = list(bounds)
        while len(shape) > 1 and ranges[-1] == (0, shape[-1]):
            (start, stop), row = ranges[-2], shape.pop()
            ranges.pop()
            ranges[-1] = (start * row, stop * row)
            shape[-1] *= row
        super().__init__(hdu, bounds, into)
        self._item = abs(hdu.bitpix) // 8
        self._shape, self._ranges = [1, *shape], [(0, 1), *ranges]
        (self._y0, self._y1), (self._x0, self._x1) = self._ranges[-2:]
        self._stride = self._shape[-1] * self._item
        width = (self._x1 - self._x0) * self._item
        self._joined = self._stride - width <= width // _GAP_SHARE
        self._flat = self.out.reshape(-1)
        self._filled = 0

    @override
    def ranges(self) -> Iterator[tuple[int, int]]:
        rows, columns = self._y1 - self._y0, self._x1 - self._x0
        per_block = self._rows_per_block(rows, columns)
        for offset in self._planes():
            for row in range(0, rows, per_block):
                count = min(per_block, rows - row)
                length = (count - 1) * self._stride + columns * self._item
                yield offset + row * self._stride, length

    def _planes(self) -> Iterator[int]:
        """Give the offset of the first pixel of each run of evenly spaced rows."""
        if self.out.size == 0:
            return
        outer = [range(start, stop) for start, stop in self._ranges[:-2]]
        for place in itertools.product(*outer):
            base = 0
            for k, size in zip(place, self._shape[:-2], strict=True):
                base = base * size + k
            first = base * self._shape[-2] + self._y0
            yield self.hdu.data_offset + first * self._stride + self._x0 * self._item

    def _rows_per_block(self, rows: int, columns: int) -> int:
        if not self._joined or rows == 0 or columns == 0:
            return 1
        return max(1, min(rows, BATCH_BYTES // self._stride))

    @override
    def put(self, part: bytes) -> None:
        columns = self._x1 - self._x0
        count = (len(part) - columns * self._item) // self._stride + 1
        stored = self.out.dtype.newbyteorder(">")
        rows = np.ndarray((count, columns), stored, part, strides=(self._stride, self._item))
        end = self._filled + count * columns
        self._flat[self._filled : end].reshape(count, columns)[...] = rows
        self._filled = end

    def read(self, reader: FileReader) -> int:
        """Read all rows from an open file to where they belong; gives the bytes that were read."""
        count = 0
        width = (self._x1 - self._x0) * self._item
        plane = (self._y1 - self._y0) * width
        target = self._flat.view(np.uint8).data
        for number, offset in enumerate(self._planes()):
            rows = target[number * plane : (number + 1) * plane]
            count += reader.read_rows(offset, self._stride, width, rows)
        if self.out.dtype.isnative and self._item > 1:
            self.out.byteswap(inplace=True)
        return count
