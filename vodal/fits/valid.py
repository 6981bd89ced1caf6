"""The outline of the pixels of an image that have a value.

It is the convex hull, in pixels, of the squares of these pixels: what a stack leaves blank around
its images is outside, gaps between chips are inside. Rows are read in strips, so that memory stays
the same however large the image is, and of each row the first and the last such pixel count.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.errors import BlankError, DataError
from vodal.fits.calibration import bad_bits
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.opened import OpenImage
from vodal.fits.opening import open_pixels
from vodal.fits.wcs import celestial_axes, load_wcs
from vodal.planar import hull
from vodal.storage import LOCAL, Storage

__all__ = ["no_data_bits", "open_whole", "valid_outline"]

Floats = NDArray[np.float64]

_STRIP_PIXELS: Final = 1 << 21
_CUT_PIXELS: Final = 0.2
"""Corners are left out where the outline stays so close; pixels' centres are 0.5 inside of it."""


def open_whole(
    uri: str, index: FileIndex, hdus: tuple[int, ...], storage: Storage = LOCAL
) -> OpenImage:
    """Open an image, or a cube with all of its planes.

    Raises
    ------
    DataError
        If it cannot be put on the sky.
    """
    hdu = next(one for one in index.hdus if one.number == hdus[0])
    if all(size == 1 for size in hdu.shape[:-2]):
        try:
            return OpenImage(uri, index, hdus, storage=storage)
        except DataError:
            # The axes of the sky may not be the first two.
            if len(hdu.shape) == 2:
                raise
    with open_pixels(uri, index, hdus, storage=storage) as reader:
        sky = {len(hdu.shape) - 1 - axis for axis in celestial_axes(load_wcs(hdu, index, reader))}
    sizes = [range(size) for axis, size in enumerate(hdu.shape) if axis not in sky]
    return OpenImage(uri, index, hdus, storage=storage, planes=tuple(itertools.product(*sizes)))


def no_data_bits(mask: HduIndex, wanted: Sequence[int | str]) -> int:
    """Give the bits of a mask that say that a pixel has no value, as a number.

    Parameters
    ----------
    mask
        The plane.
    wanted
        Numbers of bits from 0, and names as in the mask's ``MP_<name>`` cards.
    """
    names = [one for one in wanted if isinstance(one, str)]
    bits = bad_bits(mask.header, names)
    for one in wanted:
        if isinstance(one, int):
            bits |= 1 << one
    return bits


def valid_outline(image: OpenImage, no_data: Sequence[int | str] = ()) -> Floats:
    """Outline the pixels that have a value: that are finite, not BLANK, and not flagged.

    Parameters
    ----------
    image
        Of a cube, opened with all planes that count: a pixel is valid if it is in one of them.
    no_data
        Bits of the mask plane whose pixels have no value: see `no_data_bits`.

    Returns
    -------
    array
        Corners of a convex polygon, anticlockwise in pixels, 0-based, x first; shape (n, 2).

    Raises
    ------
    BlankError
        If no pixel has a value.
    DataError
        If the pixels cannot be read.
    """
    ny, nx = image.shape
    first, last = np.full(ny, nx, np.int64), np.full(ny, -1, np.int64)
    mask = image.mask() if no_data else None
    bits = 0 if mask is None else no_data_bits(mask, no_data)
    for rows, valid in _strips(image, mask, bits):
        known = np.flatnonzero(valid.any(axis=1))
        first[rows.start + known] = valid[known].argmax(axis=1)
        last[rows.start + known] = nx - 1 - valid[known, ::-1].argmax(axis=1)
    return _around(first, last)


def _strips(
    image: OpenImage, mask: HduIndex | None, bits: int
) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
    """Tell of strips of rows which pixels are valid."""
    ny, nx = image.shape
    size = image.rows_at_once(_STRIP_PIXELS, nx)
    for start in range(0, ny, size):
        rows, columns = slice(start, min(ny, start + size)), slice(0, nx)
        valid = np.zeros((rows.stop - rows.start, nx), bool)
        for number in range(len(image.planes)):
            values = image.section(image.hdu, rows, columns, number)
            here = np.isfinite(values)
            if mask is not None and bits:
                flags = image.section(mask, rows, columns, number)
                if flags.dtype.kind in "iu":
                    here &= flags.astype(np.int64) & bits == 0
            valid |= here
        yield rows, valid


def _around(first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
    """Give the hull of the squares of the first and the last pixel of each row."""
    rows = np.flatnonzero(last >= 0)
    if not rows.size:
        raise BlankError("no pixel of the image has a value")
    corners = np.concatenate(
        [
            np.stack([x + side, rows + up], axis=1)
            for x, side in ((first[rows], -0.5), (last[rows], 0.5))
            for up in (-0.5, 0.5)
        ]
    )
    return _fewer(corners[hull(corners)])


def _fewer(corners: Floats) -> Floats:
    """Leave out corners of a convex polygon near the straight line between their neighbours."""
    kept = [0]
    at = 0
    while at < len(corners):
        end = at + 1
        while end < len(corners) and _is_straight(corners, at, end + 1):
            end += 1
        if end < len(corners):
            kept.append(end)
        at = end
    return corners[kept] if len(kept) > 2 else corners


def _is_straight(corners: Floats, start: int, end: int) -> bool:
    a, b = corners[start], corners[end % len(corners)]
    way = b - a
    length = float(np.hypot(*way))
    if length == 0.0:
        return False
    between = corners[start + 1 : end] - a
    off = np.abs(way[0] * between[:, 1] - way[1] * between[:, 0]) / length
    return bool((off <= _CUT_PIXELS).all())
