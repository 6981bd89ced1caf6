"""The fixed part of a tile-compressed image's table: where each tile lies (FITS 4.0 section 10.1).

Each row has one tile. Its variable-length columns hold descriptors, a count of elements and an
offset in the heap, as two 32-bit (``P``) or two 64-bit (``Q``) integers (section 7.3.5).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.cards import Keywords
from vodal.fits.index import TileIndex

__all__ = ["ALGORITHMS", "DATA_COLUMNS", "TilePlan", "plan_tiles"]

DATA_COLUMNS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")
"""In the order of the numbers in `TileIndex.columns`."""

ALGORITHMS = frozenset(
    {"RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"}
)

MAX_TILE_PIXELS = 1 << 28
"""A tile is decoded whole; a larger one is refused rather than allowed to fill the memory."""

_WIDTHS = {
    "L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "C": 8, "M": 16,
    "P": 8, "Q": 16,
}  # fmt: skip
_NUMBERS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_TFORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])([LBIJKAEDCM]?)")
_MAX_ROW_BYTES = 1 << 16
_MAX_DATA_BYTES = 1 << 60
"""Beyond all files, and far from where 64 bits overflow."""
_SLAB_BYTES = 1 << 22


@dataclass(frozen=True)
class _Column:
    """One column of the table."""

    start: int
    """Byte in the row."""
    code: str
    """Letter of the type; P and Q are descriptors."""
    element: str
    """Letter of a descriptor's elements."""


@dataclass(frozen=True)
class TilePlan:
    """How to read the table of one compressed image."""

    place: str
    tile_shape: tuple[int, ...]
    rows: int
    row_bytes: int
    heap_start: int
    """From the start of the data unit."""
    data_length: int
    columns: dict[str, _Column]

    def read(self, read: Callable[[int], bytes], data_offset: int) -> tuple[int, TileIndex]:
        """Read the table's fixed part.

        Parameters
        ----------
        read
            Gives the next bytes of the data unit, fewer at the end of the file.
        data_offset
            Where the data unit starts in the file.

        Returns
        -------
        tuple
            The number of bytes read, and the tiles' places in the file.

        Raises
        ------
        DataError
            If the table is cut or a descriptor points outside the heap.
        """
        slab_rows = max(1, _SLAB_BYTES // self.row_bytes)
        parts: list[dict[str, NDArray[np.generic]]] = []
        for first in range(0, self.rows, slab_rows):
            count = min(slab_rows, self.rows - first)
            data = read(count * self.row_bytes)
            if len(data) < count * self.row_bytes:
                missing = self.data_length - first * self.row_bytes - len(data)
                raise DataError(f"the data of {self.place} ends {missing} bytes early")
            parts.append(self._fields(data, count))
        fields = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return self.rows * self.row_bytes, self._tiles(fields, data_offset)

    def _fields(self, data: bytes, count: int) -> dict[str, NDArray[np.generic]]:
        """Cut the columns of interest out of some rows."""
        names, formats, offsets = [], [], []
        for name, column in self.columns.items():
            names.append(name)
            offsets.append(column.start)
            descriptor = {"P": (">i4", 2), "Q": (">i8", 2)}.get(column.code)
            formats.append(descriptor or _NUMBERS[column.code])
        dtype = np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": self.row_bytes}
        )
        table = np.frombuffer(data, dtype, count)
        return {name: table[name].copy() for name in names}

    def _tiles(self, fields: dict[str, NDArray[np.generic]], data_offset: int) -> TileIndex:
        lengths = np.zeros(self.rows, np.int64)
        starts = np.zeros(self.rows, np.int64)
        which = np.zeros(self.rows, np.uint8)
        heap_bytes = self.data_length - self.heap_start
        for number, name in enumerate(DATA_COLUMNS):
            if name not in fields:
                continue
            counts, places = fields[name].astype(np.int64).T
            width = _WIDTHS[self.columns[name].element]
            # A tile is in the first column that has bytes of it.
            chosen = (lengths == 0) & (counts != 0)
            # Compared this way round so that no sum or product can overflow.
            outside = (
                (counts < 0)
                | (counts > heap_bytes // width)
                | (places < 0)
                | (places > heap_bytes - np.clip(counts, 0, heap_bytes // width) * width)
            ) & chosen
            if outside.any():
                raise DataError(
                    f"the descriptor of tile {int(np.argmax(outside))} in {self.place} "
                    "points outside the heap"
                )
            lengths[chosen] = counts[chosen] * width
            starts[chosen] = places[chosen] + self.heap_start + data_offset
            which[chosen] = number
        return TileIndex(
            tile_shape=self.tile_shape,
            offsets=starts,
            lengths=lengths,
            columns=which,
            zscale=fields["ZSCALE"].astype(np.float64) if "ZSCALE" in fields else None,
            zzero=fields["ZZERO"].astype(np.float64) if "ZZERO" in fields else None,
            zblank=fields["ZBLANK"].astype(np.int64) if "ZBLANK" in fields else None,
        )


def plan_tiles(
    keywords: Keywords, shape: tuple[int, ...], fixed_length: int, data_length: int
) -> TilePlan:
    """Work out from a header how its table of tiles is to be read.

    Parameters
    ----------
    keywords
        Of the table's header.
    shape
        Of the image inside, numpy order.
    fixed_length, data_length
        Bytes of the table without and with its heap.

    Raises
    ------
    DataError
        If the header does not describe a table of tiles.
    """
    place = keywords.place
    algorithm = keywords.string("ZCMPTYPE").upper()
    if algorithm not in ALGORITHMS:
        raise DataError(f"{place}: the tile compression '{algorithm[:40]}' is not supported")
    axes = range(len(shape), 0, -1)
    # The default is one row a tile (FITS 4.0 section 10.1.1).
    tile_shape = tuple(
        min(size, keywords.size(f"ZTILE{k}", size if k == 1 else 1))
        for k, size in zip(axes, shape, strict=True)
    )
    if 0 in tile_shape:
        raise DataError(f"{place}: a ZTILEn card is zero")
    if math.prod(tile_shape) > MAX_TILE_PIXELS:
        raise DataError(f"{place}: tiles of {math.prod(tile_shape)} pixels are too large")
    rows, row_bytes = keywords.size("NAXIS2"), keywords.size("NAXIS1")
    tiles = math.prod(-(-size // tile) for size, tile in zip(shape, tile_shape, strict=True))
    if rows != tiles:
        raise DataError(f"{place}: the table has {rows} rows for {tiles} tiles")
    if row_bytes > _MAX_ROW_BYTES:
        raise DataError(f"{place}: rows of {row_bytes} bytes are no table of tiles")
    if data_length > _MAX_DATA_BYTES:
        raise DataError(f"{place}: a table of {data_length} bytes is in no file")
    columns = _columns(keywords, row_bytes)
    if not any(name in columns for name in DATA_COLUMNS):
        raise DataError(f"{place}: the table has no COMPRESSED_DATA column")
    heap_start = keywords.size("THEAP", fixed_length)
    if not fixed_length <= heap_start <= data_length:
        raise DataError(f"{place}: THEAP is {heap_start}, outside the data unit")
    return TilePlan(place, tile_shape, rows, row_bytes, heap_start, data_length, columns)


def _columns(keywords: Keywords, row_bytes: int) -> dict[str, _Column]:
    """Find the columns that tell of tiles."""
    wanted = {*DATA_COLUMNS, "ZSCALE", "ZZERO", "ZBLANK"}
    columns: dict[str, _Column] = {}
    start = 0
    fields = keywords.size("TFIELDS")
    if fields > 999:
        raise DataError(f"{keywords.place}: TFIELDS is {fields}; it must not be over 999")
    for k in range(1, fields + 1):
        form = keywords.string(f"TFORM{k}").strip().upper()
        match = _TFORM.match(form)
        if match is None:
            raise DataError(
                f"{keywords.place}: TFORM{k} is '{form[:40]}', which is no column format"
            )
        repeat = int(match.group(1) or 1)
        code, element = match.group(2), match.group(3)
        name = keywords.string(f"TTYPE{k}").strip().upper()
        if name in wanted and name not in columns:
            is_data = name in DATA_COLUMNS
            if repeat != 1 or is_data != (code in "PQ") or (is_data and element not in _NUMBERS):
                raise DataError(f"{keywords.place}: the column {name} has the format '{form[:40]}'")
            if not is_data and code not in _NUMBERS:
                raise DataError(f"{keywords.place}: the column {name} has the format '{form[:40]}'")
            columns[name] = _Column(start, code, element)
        start += -(-repeat // 8) if code == "X" else repeat * _WIDTHS[code]
    if start > row_bytes:
        raise DataError(f"{keywords.place}: the columns are wider than NAXIS1 = {row_bytes}")
    return columns
