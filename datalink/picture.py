"""A small picture of an image: read at low resolution, stretched, written as PNG.

Runs in a process of its own (`datalink.preview`), since it reads whatever a file holds. Of a large
image only some rows are read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.opening import open_pixels
from vodal.fits.pixels import physical, read_sections
from vodal.pictures.encode import encode_picture
from vodal.pictures.levels import Cuts, find_cuts, stretched
from vodal.storage import LOCAL, RangeReader, Storage

__all__ = ["make_preview", "shrink", "stretch"]

_BAND_BYTES = 32 * 1024 * 1024
"""Pixels held at a time while an image is read, as 8-byte floats."""

_ROWS_PER_PIXEL = 4
"""Rows averaged for one row of a preview; more make it no clearer and cost reading."""


def _plane(hdu: HduIndex) -> tuple[slice, ...]:
    """Choose a plane of a cube: the middle one, but the first of a short axis (Stokes I)."""
    leading = (0 if size <= 4 else size // 2 for size in hdu.shape[:-2])
    return tuple(slice(place, place + 1) for place in leading)


def _row_groups(hdu: HduIndex, step: int) -> list[tuple[int, int]]:
    """Choose the rows (start, stop) that make up each row of the preview."""
    height = hdu.shape[-2]
    tall_tiles = hdu.tiles is not None and hdu.tiles.tile_shape[-2] > 1
    # A tile costs the same for one of its rows as for all.
    rows = step if tall_tiles else min(step, _ROWS_PER_PIXEL)
    groups = []
    for start in range(0, height, step):
        stop = min(start + step, height)
        middle = max(start, (start + stop - rows) // 2)
        groups.append((middle, min(middle + rows, stop)))
    return groups


def _mean_blocks(rows: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Average the finite pixels of all rows over ``step`` columns; NaN where there are none."""
    values = rows.astype(np.float64)
    finite = np.isfinite(values)
    starts = np.arange(0, values.shape[1], step)
    total = np.add.reduceat(np.where(finite, values, 0.0).sum(axis=0), starts)
    count = np.add.reduceat(finite.sum(axis=0), starts)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.where(count > 0, total / count, np.nan).astype(np.float32)


def shrink(reader: RangeReader, hdu: HduIndex, pixels: int) -> NDArray[np.float32]:
    """Read an image at a lower resolution.

    Parameters
    ----------
    reader
        Of the file, in the offsets of its index.
    hdu
        An image of two axes or more; of a cube one plane is taken.
    pixels
        The longest side of the result is at most this.

    Returns
    -------
    array
        Physical values, first row at the bottom as FITS has it; NaN where there is no value.
    """
    height, width = hdu.shape[-2:]
    step = max(1, -(-max(height, width) // pixels))
    groups = _row_groups(hdu, step)
    plane = _plane(hdu)
    per_group = max(stop - start for start, stop in groups) * width * 8
    tile_rows = 1 if hdu.tiles is None else hdu.tiles.tile_shape[-2]
    together = max(1, _BAND_BYTES // per_group, -(-tile_rows // step))
    out = np.empty((len(groups), -(-width // step)), np.float32)
    header = hdu.image_header
    for first in range(0, len(groups), together):
        some = groups[first : first + together]
        if some[-1][1] - some[0][0] == sum(stop - start for start, stop in some):
            # One section for neighbouring rows: each tile is decompressed once.
            section = (*plane, slice(some[0][0], some[-1][1]), slice(0, width))
            whole = read_sections(reader, [(hdu, section)])[0].reshape(-1, width)
            cuts = np.cumsum([stop - start for start, stop in some])[:-1]
            parts = np.split(whole, cuts)
        else:
            sections = [(hdu, (*plane, slice(a, b), slice(0, width))) for a, b in some]
            parts = [part.reshape(-1, width) for part in read_sections(reader, sections)]
        for number, part in enumerate(parts, first):
            out[number] = _mean_blocks(physical(part, header), step)
    return out


def stretch(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map values to grey by asinh between the sky and the bright end, both taken robustly.

    Returns
    -------
    array
        Shape (rows, columns, 2): grey and opacity; NaN is transparent.
    """
    cuts = find_cuts(values, Cuts("auto"))
    levels = stretched(np.where(np.isfinite(values), values, np.nan), *cuts, "asinh")
    known = np.isfinite(levels)
    out = np.zeros((*values.shape, 2), np.uint8)
    out[..., 0][known] = np.round(255.0 * levels[known])
    out[..., 1][known] = 255
    return out


def make_preview(
    uri: str, index: FileIndex, number: int, pixels: int, storage: Storage = LOCAL
) -> bytes:
    """Make the PNG of one image, the way the sky is drawn: first row at the bottom.

    Parameters
    ----------
    uri
        Of the file.
    index
        Of the same file.
    number
        Of the HDU.
    pixels
        Longest side.
    storage
        Opens the file.

    Raises
    ------
    DataError
        If the HDU is no image of two axes, or the file is not what its index says.
    """
    hdu = next((item for item in index.hdus if item.number == number), None)
    if hdu is None or len(hdu.shape) < 2 or 0 in hdu.shape:
        raise DataError("there is no image to make a preview of")
    with open_pixels(uri, index, (number,), storage=storage) as reader:
        values = shrink(reader, hdu, pixels)
    return encode_picture(stretch(values)[::-1], "image/png")
