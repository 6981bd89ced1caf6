"""The pixels of an image as they are resampled: float32, bad ones blank, averaged if asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.fits.index import HduIndex
from vodal.fits.opened import OpenImage
from vodal.resample.mapping import binned

__all__ = ["good_pixels", "in_bins"]

Pixels = NDArray[np.float32]

_BLOCK_PIXELS: Final = 1 << 23
"""Pixels that are read at a time."""


def good_pixels(
    image: OpenImage,
    mask: HduIndex | None = None,
    bits: int = 0,
    binning: int = 1,
    box: tuple[int, int, int, int] | None = None,
) -> Iterator[Pixels]:
    """Read pixels in blocks of rows.

    Parameters
    ----------
    image
        What is read.
    mask
        Its mask plane.
    bits
        Of the mask, whose pixels become blank.
    binning
        Pixels along a side that are averaged.
    box
        (x0, x1, y0, y1) in averaged pixels, half open; by default all.

    Raises
    ------
    DataError
        If they cannot be read.
    """
    ny, nx = image.shape
    x0, x1, y0, y1 = box or (0, -(-nx // binning), 0, -(-ny // binning))
    columns = slice(x0 * binning, min(nx, x1 * binning))
    end = min(ny, y1 * binning)
    size = image.rows_at_once(_BLOCK_PIXELS, columns.stop - columns.start)
    blocks = _blocks(image, mask, bits, slice(y0 * binning, end), columns, size)
    return (values for (values,) in in_bins(((block,) for block in blocks), binning))


def in_bins(blocks: Iterable[tuple[Pixels, ...]], binning: int) -> Iterator[tuple[Pixels, ...]]:
    """Average blocks of rows of one or several planes, whatever the blocks' heights."""
    if binning == 1:
        yield from blocks
        return
    left: tuple[Pixels, ...] = ()
    for block in blocks:
        planes = block
        if left:
            planes = tuple(np.concatenate(pair) for pair in zip(left, block, strict=True))
        whole = len(planes[0]) // binning * binning
        left = tuple(plane[whole:] for plane in planes)
        if whole:
            yield tuple(binned(plane[:whole], binning) for plane in planes)
    if left and len(left[0]):
        yield tuple(binned(plane, binning) for plane in left)


def _blocks(
    image: OpenImage, mask: HduIndex | None, bits: int, rows: slice, columns: slice, size: int
) -> Iterator[Pixels]:
    start = rows.start
    while start < rows.stop:
        stop = min(rows.stop, (start // size + 1) * size)
        yield _block(image, mask, bits, slice(start, stop), columns)
        start = stop


def _block(
    image: OpenImage, mask: HduIndex | None, bits: int, rows: slice, columns: slice
) -> Pixels:
    if len(image.planes) == 1:
        return _plane(image, mask, bits, rows, columns, 0)
    shape = rows.stop - rows.start, columns.stop - columns.start
    total, count = np.zeros(shape), np.zeros(shape, np.int32)
    for number in range(len(image.planes)):
        values = _plane(image, mask, bits, rows, columns, number)
        known = np.isfinite(values)
        np.add(total, values, out=total, where=known)
        count += known
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)


def _plane(
    image: OpenImage, mask: HduIndex | None, bits: int, rows: slice, columns: slice, number: int
) -> Pixels:
    values = image.section(image.hdu, rows, columns, number).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    if mask is not None and bits:
        flags = image.section(mask, rows, columns, number)
        if flags.dtype.kind in "iu":
            values[flags.astype(np.int64) & bits != 0] = np.nan
    return values
