"""Pixels of a section of an image, read through the byte index: only the bytes they need.

Stored values are those of the file (of the quantised floats the restored ones); `physical`
applies BSCALE, BZERO and BLANK.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from typing_extensions import override

from vodal.errors import DataError
from vodal.fits.compressed import TileDecoder, pixel_type
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.source import decompressed_chunks
from vodal.storage import RangeReader, local_path, open_reader
from vodal.storage.gzipped import SpooledReader

__all__ = ["open_pixels", "physical", "read_section", "read_sections"]

_ROW_GAP_BYTES = 64 * 1024
"""Rows with no more between them are read as one block."""
_BATCH_BYTES = 1 << 25
"""Of compressed bytes held at a time."""
MAX_SPOOL_BYTES = 8 << 30
"""Default limit of a decompressed gzip."""


def open_pixels(uri: str, index: FileIndex, *, limit_bytes: int = MAX_SPOOL_BYTES) -> RangeReader:
    """Open a file for range reads in the offsets of its index.

    A whole-file gzip is decompressed once, to an anonymous temporary file that lives as long as
    the reader; a caller that needs it again keeps the reader.

    Parameters
    ----------
    uri
        Of the file, as `vodal.storage.open_reader` takes it.
    index
        Of the same file.
    limit_bytes
        The most that a gzip may hold.

    Raises
    ------
    DataError
        If the file is not the one that was indexed, or is a damaged or too large gzip.
    NotFoundError
        If the file is not there.
    """
    reader = open_reader(uri)
    stat = reader.stat()
    if stat.version == index.version and index.encoding == "":
        return reader
    with reader:
        if stat.version != index.version:
            raise DataError("the file changed since it was catalogued")
        path = local_path(uri)
        with path.open("rb") as file:
            return SpooledReader(decompressed_chunks(file), stat, path.name, limit_bytes)


def read_section(reader: RangeReader, hdu: HduIndex, section: tuple[slice, ...]) -> NDArray[Any]:
    """Read the stored values of a section of one image.

    Parameters
    ----------
    reader
        In the offsets of the HDU's index.
    hdu
        A plain or tile-compressed image.
    section
        One slice an axis in numpy order, without steps. Ends beyond the image are cut off, as
        numpy does.

    Returns
    -------
    array
        In native byte order, of the type that BITPIX tells; of a section with no pixels an empty
        one.

    Raises
    ------
    DataError
        If the HDU has no image, the file ends early or a tile is damaged.
    """
    return read_sections(reader, [(hdu, section)])[0]


def read_sections(
    reader: RangeReader, requests: Sequence[tuple[HduIndex, tuple[slice, ...]]]
) -> list[NDArray[Any]]:
    """Read sections of several images of one file, their bytes in as few reads as can be.

    Parameters and errors are those of `read_section`.
    """
    jobs = [_job(hdu, section) for hdu, section in requests]
    pieces: Iterator[tuple[int, tuple[int, int]]] = (
        (number, piece) for number, job in enumerate(jobs) for piece in job.ranges()
    )
    for batch in _batches(pieces):
        parts = reader.read_many([piece for _, piece in batch])
        for (number, _), part in zip(batch, parts, strict=True):
            jobs[number].put(part)
    return [job.out for job in jobs]


def _batches(
    pieces: Iterator[tuple[int, tuple[int, int]]],
) -> Iterator[list[tuple[int, tuple[int, int]]]]:
    """Group reads so that no more than about `_BATCH_BYTES` are held at a time."""
    batch: list[tuple[int, tuple[int, int]]] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += piece[1][1]
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Job:
    """One section: the ranges to read, in order, and what to do with each part."""

    def __init__(self, hdu: HduIndex, bounds: list[tuple[int, int]]) -> None:
        self.hdu, self.bounds = hdu, bounds
        self.out: NDArray[Any] = np.empty(
            [stop - start for start, stop in bounds], pixel_type(hdu.bitpix)
        )

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Give (offset, length) of each part."""
        raise NotImplementedError

    def put(self, part: bytes) -> None:
        """Take the next part."""
        raise NotImplementedError


def _job(hdu: HduIndex, section: tuple[slice, ...]) -> _Job:
    if hdu.kind not in {"image", "compressed"}:
        raise DataError(f"HDU {hdu.number} has no image")
    if len(section) != len(hdu.shape):
        raise ValueError(f"a section of {len(section)} axes for an image of {len(hdu.shape)}")
    bounds = []
    for part, size in zip(section, hdu.shape, strict=True):
        start, stop, step = part.indices(size)
        if step != 1:
            raise ValueError("a section has no steps")
        bounds.append((start, max(start, stop)))
    return _TileJob(hdu, bounds) if hdu.kind == "compressed" else _PlainJob(hdu, bounds)


class _PlainJob(_Job):
    """A section of an uncompressed image, as blocks of evenly spaced rows."""

    def __init__(self, hdu: HduIndex, bounds: list[tuple[int, int]]) -> None:
        # Axes that are read whole are one with the next slower axis, so that whole planes and
        # degenerate axes come out as single runs of bytes.
        shape: list[int] = list(hdu.shape)
        ranges = list(bounds)
        while len(shape) > 1 and ranges[-1] == (0, shape[-1]):
            (start, stop), row = ranges[-2], shape.pop()
            ranges.pop()
            ranges[-1] = (start * row, stop * row)
            shape[-1] *= row
        super().__init__(hdu, bounds)
        self._item = abs(hdu.bitpix) // 8
        self._shape, self._ranges = [1, *shape], [(0, 1), *ranges]
        (self._y0, self._y1), (self._x0, self._x1) = self._ranges[-2:]
        self._stride = self._shape[-1] * self._item
        width = (self._x1 - self._x0) * self._item
        self._joined = self._stride - width <= _ROW_GAP_BYTES
        self._flat = self.out.reshape(-1)
        self._filled = 0

    @override
    def ranges(self) -> Iterator[tuple[int, int]]:
        if self.out.size == 0:
            return
        rows, columns = self._y1 - self._y0, self._x1 - self._x0
        outer = [range(start, stop) for start, stop in self._ranges[:-2]]
        per_block = self._rows_per_block(rows, columns)
        for place in itertools.product(*outer):
            base = 0
            for k, size in zip(place, self._shape[:-2], strict=True):
                base = base * size + k
            first = base * self._shape[-2] + self._y0
            for row in range(0, rows, per_block):
                count = min(per_block, rows - row)
                offset = (first + row) * self._stride + self._x0 * self._item
                length = (count - 1) * self._stride + columns * self._item
                yield self.hdu.data_offset + offset, length

    def _rows_per_block(self, rows: int, columns: int) -> int:
        if not self._joined or rows == 0 or columns == 0:
            return 1
        return max(1, min(rows, _BATCH_BYTES // self._stride))

    @override
    def put(self, part: bytes) -> None:
        columns = self._x1 - self._x0
        count = (len(part) - columns * self._item) // self._stride + 1
        stored = self.out.dtype.newbyteorder(">")
        rows = np.ndarray((count, columns), stored, part, strides=(self._stride, self._item))
        end = self._filled + count * columns
        self._flat[self._filled : end].reshape(count, columns)[...] = rows
        self._filled = end


class _TileJob(_Job):
    """A section of a tile-compressed image."""

    def __init__(self, hdu: HduIndex, bounds: list[tuple[int, int]]) -> None:
        super().__init__(hdu, bounds)
        self._decoder = TileDecoder.of(hdu)
        tile = self._decoder.tiles.tile_shape
        self._counts = [-(-size // step) for size, step in zip(hdu.shape, tile, strict=True)]
        self._places = self._all_places() if self.out.size else iter(())

    def _all_places(self) -> Iterator[tuple[int, ...]]:
        """Give the place of each tile that the section meets, along each axis."""
        steps = self._decoder.tiles.tile_shape
        return itertools.product(
            *(
                range(start // step, (stop - 1) // step + 1)
                for (start, stop), step in zip(self.bounds, steps, strict=True)
            )
        )

    def _number(self, place: tuple[int, ...]) -> int:
        number = 0
        for k, count in zip(place, self._counts, strict=True):
            number = number * count + k
        return number

    @override
    def ranges(self) -> Iterator[tuple[int, int]]:
        if self.out.size == 0:
            return
        tiles = self._decoder.tiles
        for place in self._all_places():
            number = self._number(place)
            yield int(tiles.offsets[number]), int(tiles.lengths[number])

    @override
    def put(self, part: bytes) -> None:
        place = next(self._places)
        tile = self._decoder.decode(self._number(place), part)
        target, origin = [], []
        steps = self._decoder.tiles.tile_shape
        for k, step, size, (start, stop) in zip(place, steps, tile.shape, self.bounds, strict=True):
            low = max(start, k * step)
            high = min(stop, k * step + size)
            target.append(slice(low - start, high - start))
            origin.append(slice(low - k * step, high - k * step))
        self.out[tuple(target)] = tile[tuple(origin)]


def physical(stored: NDArray[Any], header: fits.Header) -> NDArray[Any]:
    """Apply BSCALE, BZERO and BLANK to stored values.

    Integers stay integers where the cards are absent or are those of the convention for unsigned
    (and signed 8-bit) integers (FITS 4.0 section 5.3); all else becomes float (32 bits for what
    16 bits hold and for stored 32-bit floats, else 64), blank pixels NaN.

    Parameters
    ----------
    stored
        As `read_section` gives them.
    header
        Of the image (`HduIndex.image_header`).
    """
    scale, zero = _number(header, "BSCALE", 1.0), _number(header, "BZERO", 0.0)
    floats = stored.dtype.kind == "f"
    blank = None if floats else header.get("BLANK")
    if not isinstance(blank, int):
        blank = None
    if scale == 1.0 and zero == 0.0 and blank is None:
        return stored
    if not floats and blank is None and scale == 1.0:
        turned = _turned(stored, zero)
        if turned is not None:
            return turned
    wide = stored.dtype.itemsize == 8 or (not floats and stored.dtype.itemsize > 2)
    values: NDArray[Any] = stored.astype(np.float64 if wide else np.float32)
    if scale != 1.0:
        np.multiply(values, scale, out=values)
    if zero != 0.0:
        np.add(values, zero, out=values)
    if blank is not None:
        values[stored == blank] = np.nan
    return values


def _number(header: fits.Header, keyword: str, default: float) -> float:
    value = header.get(keyword, default)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else default


def _turned(stored: NDArray[Any], zero: float) -> NDArray[Any] | None:
    """Give integers of the other signedness if BZERO says so, by flipping the highest bit."""
    bits = stored.dtype.itemsize * 8
    if stored.dtype.kind == "u":
        if zero != -128.0:
            return None
        return (stored ^ np.uint8(0x80)).view(np.int8)
    if zero != float(1 << (bits - 1)):
        return None
    unsigned = np.dtype(f"u{bits // 8}")
    turned: NDArray[Any] = stored.view(unsigned) ^ unsigned.type(1 << (bits - 1))
    return turned
