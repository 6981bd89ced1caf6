"""Pixels of a section of an image, read through the byte index: only the bytes they need.

Stored values are those of the file (of the quantised floats the restored ones); `physical`
applies BSCALE, BZERO and BLANK.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.index import HduIndex
from vodal.fits.sections import BATCH_BYTES, PlainJob, SectionJob
from vodal.fits.tiled import TileJob
from vodal.storage import RangeReader
from vodal.storage.files import FileReader
from vodal.storage.ranges import SMALL_HOLE_BYTES

__all__ = ["Tally", "physical", "read_section", "read_sections"]


@dataclass(slots=True)
class Tally:
    """What the reading of pixels took."""

    decode_s: float = 0.0
    """Seconds in which bytes were decoded, or put in order."""
    read_bytes: int = 0
    """Asked for from storage."""
    needed_bytes: int = 0
    """Those of the pixels themselves, and of the tiles that hold them."""


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
    reader: RangeReader,
    requests: Sequence[tuple[HduIndex, tuple[slice, ...]]],
    into: Sequence[NDArray[Any]] | None = None,
    tally: Tally | None = None,
) -> list[NDArray[Any]]:
    """Read sections of several images of one file, their bytes in as few reads as can be.

    Parameters
    ----------
    reader, requests
        As of `read_section`.
    into
        Arrays for the values, of the sections' shapes and types, in the machine's byte order or
        in that of the file, C-contiguous. By default they are made.
    tally
        Where what was done is added up.

    Raises
    ------
    DataError
        As `read_section` does.
    """
    targets = into if into is not None else [None] * len(requests)
    every = [
        _job(hdu, section, target) for (hdu, section), target in zip(requests, targets, strict=True)
    ]
    tally = Tally() if tally is None else tally
    jobs = []
    for job in every:
        tally.needed_bytes += job.needed_bytes
        if isinstance(job, PlainJob) and isinstance(reader, FileReader):
            tally.read_bytes += job.read(reader)
        else:
            jobs.append(job)
    pieces: Iterator[tuple[int, tuple[int, int]]] = (
        (number, piece) for number, job in enumerate(jobs) for piece in job.ranges()
    )
    for batch in _batches(pieces):
        before = reader.taken_bytes
        parts = reader.read_many([piece for _, piece in batch])
        tally.read_bytes += reader.taken_bytes - before
        begin = time.perf_counter()
        for (number, _), part in zip(batch, parts, strict=True):
            jobs[number].put(part)
        tally.decode_s += time.perf_counter() - begin
    return [job.out for job in every]


def _batches(
    pieces: Iterator[tuple[int, tuple[int, int]]],
) -> Iterator[list[tuple[int, tuple[int, int]]]]:
    """Group reads so that no more than about `BATCH_BYTES` are held at a time, with small holes."""
    batch: list[tuple[int, tuple[int, int]]] = []
    size = end = 0
    for piece in pieces:
        offset, length = piece[1]
        batch.append(piece)
        size += length + (offset - end if end < offset <= end + SMALL_HOLE_BYTES else 0)
        end = offset + length
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _job(hdu: HduIndex, section: tuple[slice, ...], into: NDArray[Any] | None) -> SectionJob:
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
    kind = TileJob if hdu.kind == "compressed" else PlainJob
    return kind(hdu, bounds, into)


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
