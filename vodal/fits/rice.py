"""RICE_1 tiles decoded by compiled code: no farther than needed, straight to where they belong.

The algorithm is that of FITS 4.0 section 10.4.1, the restoring of quantised floats that of section
10.2. `vodal.fits.compressed` has the slower twin, on astropy's C code; both give the same bits.

A tile is a stream of bits: a first value, then blocks of differences. Each block says how many low
bits of its differences are written as they are (the high part is a count of zeros), or that all
are zero, or that all are written in full. Nothing is read beyond the stream's end.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vodal.addresses import float_writer, leading_zeros, reader, writer
from vodal.compiled import in_turn, uncounted

__all__ = ["Tiles", "decode_many", "load"]

Longs = NDArray[np.int64]

_FORMS = {8: 0, 16: 1, 32: 2, 64: 3, -32: 4, -64: 5}
"""Numbers of the forms of pixels, by BITPIX."""

_NATIVE = 6
"""Added to the number of a form whose bytes are in the order of the machine."""
_ZERO = -2147483646
"""Stands for 0.0 in floats of SUBTRACTIVE_DITHER_2 (FITS 4.0 section 10.2)."""
_RANDOM = 10000
_FULL = 0xFFFFFFFF

_read8, _read32 = reader(8), reader(32)
_put8 = writer(8)
_put16, _put32, _put64 = (writer(bits) for bits in (16, 32, 64))
_keep16, _keep32, _keep64 = (writer(bits, native=True) for bits in (16, 32, 64))
_put_float, _put_double = float_writer(32), float_writer(64)
_keep_float, _keep_double = float_writer(32, native=True), float_writer(64, native=True)


State = tuple[int, int, int, int]
"""Of a stream: bits that wait, how many (-1 if it ended too early), the next byte's address, the
last value."""


class Tiles(NamedTuple):
    """Tiles that are decoded in one go; one row of each array for each."""

    streams: Longs
    """Addresses of the first byte and of the one behind the last (n, 2)."""
    boxes: Longs
    """What is wanted: first and last-plus-one along three axes, slowest first (n, 6)."""
    sides: Longs
    """Of the tiles along the two faster axes (n, 2)."""
    targets: Longs
    """Addresses where the first wanted pixel goes (n,)."""
    scales: NDArray[np.float64]
    """ZSCALE and ZZERO (n, 2)."""
    rows: Longs
    """Where the dithering begins, in the table of random numbers (n,)."""
    blanks: Longs
    """Stored values that stand for no value (n,)."""


class Form(NamedTuple):
    """What all tiles of an image have in common."""

    bits: int
    """Of a stored value: 8, 16 or 32."""
    block: int
    """Values in a block."""
    kind: int
    """Of `_FORMS`, with `_NATIVE`."""
    dither: int
    """-1 none, 1 or 2."""
    has_blank: bool
    blank: int
    """What an integer without value becomes."""
    strides: tuple[int, int]
    """Bytes from a plane and a row of the target to the next."""


class Randoms(NamedTuple):
    """What dithers."""

    numbers: NDArray[np.float64]
    """The 10000 random numbers of the standard (FITS 4.0 appendix I)."""
    starts: Longs
    """Where the draws of a row begin among them."""


@cache
def random_numbers() -> Randoms:
    """Make what dithers."""
    numbers = np.empty(_RANDOM, np.float32)
    seed = 1
    for place in range(_RANDOM):
        seed = 16807 * seed % 2147483647
        numbers[place] = seed / 2147483647
    starts = (numbers * np.float32(500.0)).astype(np.int64)
    return Randoms(numbers.astype(np.float64), starts)


@uncounted
def _more(bits: int, have: int, place: int, end: int) -> tuple[int, int, int]:
    """Take more of a stream behind the ``have`` bits that wait, at most 31 of them."""
    if place + 4 <= end:
        word = _read32(place)
        swapped = (
            ((word & 0xFF) << 24) | ((word & 0xFF00) << 8) | ((word >> 8) & 0xFF00)
            | ((word >> 24) & 0xFF)
        )  # fmt: skip
        return (bits << 32) | swapped, have + 32, place + 4
    while place < end and have <= 48:
        bits = (bits << 8) | (_read8(place) & 0xFF)
        have += 8
        place += 1
    return bits, have, place


@uncounted
def _written_in_full(
    state: State, end: int, width: int, values: NDArray[np.int32], first: int, upto: int
) -> State:
    """Decode a block whose differences are written as they are."""
    bits, have, place, last = state
    for index in range(first, upto):
        if have < width:
            bits, have, place = _more(bits, have, place, end)
            if have < width:
                return bits, -1, place, last
        have -= width
        difference = bits >> have
        bits &= (1 << have) - 1
        last += (difference >> 1) ^ -(difference & 1)
        values[index] = np.int32(last)
    return bits, have, place, last


@uncounted
def _split(
    state: State, end: int, low: int, values: NDArray[np.int32], first: int, upto: int
) -> State:
    """Decode a block whose differences are a count of zeros, a one and some low bits."""
    bits, have, place, last = state
    for index in range(first, upto):
        zeros = 0
        while bits == 0:
            zeros += have
            bits, have, place = _more(0, 0, place, end)
            if have == 0:
                return bits, -1, place, last
        top = 63 - leading_zeros(bits)
        zeros += have - 1 - top
        have = top
        bits ^= 1 << top
        if have < low:
            bits, have, place = _more(bits, have, place, end)
            if have < low:
                return bits, -1, place, last
        have -= low
        difference = ((zeros << low) | (bits >> have)) & _FULL
        bits &= (1 << have) - 1
        last += (difference >> 1) ^ -(difference & 1)
        values[index] = np.int32(last)
    return bits, have, place, last


@uncounted
def decode_values(
    place: int, end: int, width: int, block: int, values: NDArray[np.int32], count: int
) -> bool:
    """Decode the first values of a stream.

    Parameters
    ----------
    place, end
        Addresses of the first byte and of the one behind the last.
    width
        Bits of a value.
    block
        Values in a block.
    values
        Where they go.
    count
        How many.

    Returns
    -------
    bool
        Whether the stream has as many.
    """
    selector, full = (5, 25) if width == 32 else (4, 14) if width == 16 else (3, 6)
    if place + width // 8 > end:
        return False
    last, bits, have, done = 0, 0, 0, 0
    for _ in range(width // 8):
        last, place = (last << 8) | (_read8(place) & 0xFF), place + 1
    while done < count:
        upto = min(done + block, count)
        if have < selector:
            bits, have, place = _more(bits, have, place, end)
        have -= selector
        if have < 0:
            return False
        low = (bits >> have) - 1
        bits &= (1 << have) - 1
        state = (bits, have, place, last)
        if low < 0:
            values[done:upto] = np.int32(last)
        elif low == full:
            state = _written_in_full(state, end, width, values, done, upto)
        else:
            state = _split(state, end, low, values, done, upto)
        bits, have, place, last = state
        if have < 0:
            return False
        done = upto
    if width < 32:
        _narrow(values, width, count)
    return True


@uncounted
def _narrow(values: NDArray[np.int32], width: int, count: int) -> None:
    """Give values that ran over their width what they would be within it."""
    for index in range(count):
        # The one-byte form holds unsigned values (BITPIX 8).
        narrow = values[index] & 0xFF if width == 8 else np.int16(values[index])
        values[index] = np.int32(narrow)


@uncounted
def _put_whole(kind: int, target: int, value: int) -> None:
    if kind in (0, 6):
        _put8(target, value)
    elif kind == 1:
        _put16(target, value)
    elif kind == 2:
        _put32(target, value)
    elif kind == 3:
        _put64(target, value)
    elif kind == 7:
        _keep16(target, value)
    elif kind == 8:
        _keep32(target, value)
    else:
        _keep64(target, value)


@uncounted
def _put_wholes(
    form: Form, values: NDArray[np.int32], first: int, count: int, target: int, blank: int
) -> None:
    """Write a row of whole numbers."""
    step = 1 << (form.kind % _NATIVE)
    for index in range(count):
        value: int = np.int64(values[first + index])  # type: ignore[assignment]
        if form.has_blank and value == blank:
            value = form.blank
        _put_whole(form.kind, target + step * index, value)


@uncounted
def _put_number(kind: int, target: int, value: float) -> None:
    if kind == 4:
        _put_float(target, value)
    elif kind == 5:
        _put_double(target, value)
    elif kind == 10:
        _keep_float(target, value)
    else:
        _keep_double(target, value)


@uncounted
def _put_floats(
    form: Form,
    values: NDArray[np.int32],
    first: int,
    count: int,
    target: int,
    blank: int,
    scale: float,
    zero: float,
    randoms: Randoms,
    row: int,
) -> None:
    """Restore and write a row of floats, ``first`` of the tile's values onwards."""
    step = 4 if form.kind in (4, 10) else 8
    draw = 0
    if form.dither > 0:
        # The draws begin anew, elsewhere, each time that the table is at its end.
        draw, left = randoms.starts[row], first
        while left >= _RANDOM - draw:
            left -= _RANDOM - draw
            row = (row + 1) % _RANDOM
            draw = randoms.starts[row]
        draw += left
    for index in range(count):
        stored = np.int64(values[first + index])
        if form.dither > 0:
            number = (stored - randoms.numbers[draw] + 0.5) * scale + zero
            if form.dither == 2 and stored == _ZERO:
                number = 0.0
            draw += 1
            if draw == _RANDOM:
                row = (row + 1) % _RANDOM
                draw = randoms.starts[row]
        else:
            number = stored * scale + zero
        if form.has_blank and stored == blank:
            number = np.nan
        _put_number(form.kind, target + step * index, number)


@uncounted
def decode_tiles(form: Form, tiles: Tiles, values: NDArray[np.int32], randoms: Randoms) -> int:
    """Decode tiles; gives the number of the first that is damaged, or -1."""
    for tile in range(len(tiles.streams)):
        z0, z1, y0, y1, x0, x1 = tiles.boxes[tile]
        rows, columns = tiles.sides[tile]
        count = ((z1 - 1) * rows + y1 - 1) * columns + x1
        start, end = tiles.streams[tile]
        if not decode_values(start, end, form.bits, form.block, values, count):
            return tile
        blank = tiles.blanks[tile]
        for z in range(z0, z1):
            for y in range(y0, y1):
                first = (z * rows + y) * columns + x0
                target = tiles.targets[tile]
                target += (z - z0) * form.strides[0] + (y - y0) * form.strides[1]
                if form.kind % _NATIVE < 4:
                    _put_wholes(form, values, first, x1 - x0, target, blank)
                else:
                    scale, zero = tiles.scales[tile]
                    _put_floats(
                        form, values, first, x1 - x0, target, blank, scale, zero, randoms,
                        tiles.rows[tile],
                    )  # fmt: skip
    return -1


def decode_many(
    tiles: Tiles,
    *,
    width: int,
    block: int,
    bitpix: int,
    native: bool,
    dither: int,
    blank: tuple[bool, int],
    strides: tuple[int, int],
) -> int:
    """Decode tiles of one image.

    Parameters
    ----------
    tiles
        What is wanted of which.
    width
        Bits of a stored value: 8, 16 or 32.
    block
        Values in a block (BLOCKSIZE).
    bitpix
        Of the pixels that are written.
    native
        Whether they are written in the machine's byte order; else big-endian.
    dither
        -1 none, 1 or 2 the subtractive kinds.
    blank
        Whether `Tiles.blanks` counts, and what an integer without value becomes; floats become
        NaN.
    strides
        Bytes from a plane and from a row of the target to the next.

    Returns
    -------
    int
        The first tile whose stream is damaged, or -1.
    """
    z1, y1, x1 = (tiles.boxes[:, column] for column in (1, 3, 5))
    counts = ((z1 - 1) * tiles.sides[:, 0] + y1 - 1) * tiles.sides[:, 1] + x1
    kind = _FORMS[bitpix] + (_NATIVE if native else 0)
    form = Form(width, block, kind, dither, blank[0], blank[1], strides)
    values = np.empty(int(counts.max(initial=0)), np.int32)
    return int(decode_tiles(form, tiles, values, random_numbers()))


@in_turn(decode_tiles)
def load() -> None:
    """Compile, or read from the disk what was compiled before."""
    nothing: Any = np.empty((0, 2), np.int64)
    line = np.empty(0, np.int64)
    tiles = Tiles(nothing, np.empty((0, 6), np.int64), nothing, line, np.empty((0, 2)), line, line)
    decode_many(
        tiles, width=32, block=32, bitpix=-32, native=False, dither=1, blank=(False, 0),
        strides=(0, 0),
    )  # fmt: skip
