"""Tile-compressed images (FITS 4.0 section 10.1) made of the images of a cutout.

Integers are compressed without loss by RICE_1. Floats are quantised to a fraction of each tile's
noise with SUBTRACTIVE_DITHER_2, which keeps zeros, and then go through RICE_1; or they go through
GZIP_2 without loss. A tile that cannot be quantised (it is constant, or holds infinities) is kept
without loss in the column GZIP_COMPRESSED_DATA. What CFITSIO (4.2) does not unpack stays a plain
image: integers of 64 bits, and more than six axes.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from astropy.io.fits.hdu.compressed._codecs import Rice1
from astropy.io.fits.hdu.compressed._quantization import (
    DITHER_METHODS,
    QuantizationFailedException,
    Quantize,
)
from isal import isal_zlib
from numpy.typing import NDArray

from soda.encode import Part
from soda.output import Compression
from vodal.fits.headers import text_cards, value_card

__all__ = ["compress"]

_DITHER: Final = "SUBTRACTIVE_DITHER_2"
_BLANK: Final = -(1 << 31)
"""ZBLANK of quantised floats."""
_RICE_BLOCK: Final = 32
_TILE_PIXELS: Final = 1 << 16
"""About what a tile of whole rows holds."""
_MOST_AXES: Final = 6
"""Of a compressed image in CFITSIO."""
_LARGEST: Final = 1e30
"""Squares of differences of larger values leave the range of the noise's floats."""
_STRUCTURE: Final = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|TFIELDS|THEAP"
    r"|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM)\d+"
    r"|Z(IMAGE|CMPTYPE|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|QUANTIZ|DITHER0|BLANK|SCALE|ZERO"
    r"|SIMPLE|TENSION|EXTEND|PCOUNT|GCOUNT|MASKCMP))$"
)
"""What is written anew, and what would be taken for part of the table."""


@dataclass(frozen=True, slots=True)
class _Tile:
    data: bytes
    scale: float = 0.0
    zero: float = 0.0
    kept: bool = False
    """Whether it was not quantised, though the others may be."""
    blank: bool = False
    """Whether it has blank pixels."""


def compress(
    parts: Sequence[Part], method: Literal["rice", "gzip"], compression: Compression
) -> list[Part]:
    """Compress the images among the HDUs of a file; tables stay as they are.

    An image of the primary HDU moves to an extension behind a primary without data.
    """
    out: list[Part] = []
    for number, part in enumerate(parts):
        image = _is_packed(part.data)
        if number == 0 and image:
            out.append(_empty_primary())
        if image:
            out.append(_compressed(part, method, compression))
        else:
            out.append(part)
    return out


def _is_packed(data: NDArray[Any] | bytes) -> bool:
    """Tell whether it is an image that others can unpack."""
    if not isinstance(data, np.ndarray) or data.size == 0:
        return False
    return 1 <= data.ndim <= _MOST_AXES and (data.dtype.kind == "f" or data.dtype.itemsize < 8)


def _empty_primary() -> Part:
    return Part(
        [
            value_card("SIMPLE", "T", "conforms to FITS standard"),
            value_card("BITPIX", "8"),
            value_card("NAXIS", "0"),
            value_card("EXTEND", "T", "there are extensions"),
        ]
    )


def _compressed(part: Part, method: Literal["rice", "gzip"], compression: Compression) -> Part:
    data = part.data
    assert isinstance(data, np.ndarray)
    floats = data.dtype.kind == "f"
    rice = method == "rice"
    whole = data.shape[-1], max(1, _TILE_PIXELS // data.shape[-1])
    columns, rows = compression.tile or whole
    wanted = (*(1 for _ in data.shape[:-2]), rows, columns)[-data.ndim :]
    shape = tuple(min(step, size) for step, size in zip(wanted, data.shape, strict=True))
    seed = 1 + zlib.crc32(data.reshape(-1)[: math.prod(shape)].tobytes()) % 10_000
    if rice and floats:
        made = [
            _quantised(tile, seed + number, compression.quantize)
            for number, tile in enumerate(_tiles(data, shape))
        ]
    elif rice:
        made = [_Tile(_rice(tile)) for tile in _tiles(data, shape)]
    else:
        made = [_Tile(_gzip(tile, shuffled=True)) for tile in _tiles(data, shape)]
    table, cards = _table(made, quantised=rice and floats)
    cards += [
        value_card("ZIMAGE", "T", "this is a tile-compressed image"),
        *_original_structure(part.cards, data),
        *(value_card(f"ZTILE{k}", str(n)) for k, n in enumerate(reversed(shape), 1)),
        *text_cards("ZCMPTYPE", "RICE_1" if rice else "GZIP_2"),
    ]
    if rice:
        width = 4 if floats else data.dtype.itemsize
        for k, (name, value) in enumerate((("BLOCKSIZE", _RICE_BLOCK), ("BYTEPIX", width)), 1):
            cards += text_cards(f"ZNAME{k}", name)
            cards.append(value_card(f"ZVAL{k}", str(value)))
    if rice and floats:
        cards += text_cards("ZQUANTIZ", _DITHER, "how floats were quantised")
        cards.append(value_card("ZDITHER0", str(seed), "seed of the dithering"))
        if any(tile.blank for tile in made):
            cards.append(value_card("ZBLANK", str(_BLANK), "blank pixels"))
    elif floats:
        cards += text_cards("ZQUANTIZ", "NONE", "nothing was quantised")
    kept = [card for card in part.cards if not _STRUCTURE.match(card[:8].rstrip())]
    return Part([*cards, *kept], table)


def _tiles(data: NDArray[Any], shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """Give the tiles in the order of the table's rows."""
    steps = (range(0, size, step) for size, step in zip(data.shape, shape, strict=True))
    for corner in itertools.product(*steps):
        place = tuple(slice(k, k + step) for k, step in zip(corner, shape, strict=True))
        yield np.ascontiguousarray(data[place])


def _rice(values: NDArray[Any]) -> bytes:
    width = values.dtype.itemsize
    codec = Rice1(blocksize=_RICE_BLOCK, bytepix=width, tilesize=values.size)
    return bytes(codec.encode(values.reshape(-1).view(f"i{width}")))


def _gzip(values: NDArray[Any], *, shuffled: bool) -> bytes:
    stored = values.astype(values.dtype.newbyteorder(">")).reshape(-1).view(np.uint8)
    if shuffled:
        stored = np.ascontiguousarray(stored.reshape(-1, values.dtype.itemsize).T)
    packer = isal_zlib.compressobj(level=3, wbits=31)
    return bytes(packer.compress(stored.tobytes()) + packer.flush())


def _quantised(values: NDArray[Any], row: int, quantize: float) -> _Tile:
    """Quantise and compress a tile, or keep it as it is where that cannot be.

    Parameters
    ----------
    values
        The tile.
    row
        Where in the sequence of random numbers the dithering begins: the tile's 0-based number
        plus the seed.
    quantize
        Steps in one standard deviation of the noise.
    """
    blank = np.isnan(values)
    has_blank = bool(blank.any())
    if has_blank:
        # Any value of the tile itself, which changes neither its noise nor its range.
        known = values[~blank]
        values = np.where(blank, known.min() if known.size else values.dtype.type(0), values)
    quantised: NDArray[Any] | None = None
    scale = zero = 0.0
    if float(np.abs(values).max()) < _LARGEST:
        quantizer = Quantize(
            row=row,
            dither_method=DITHER_METHODS[_DITHER],
            quantize_level=quantize,
            bitpix=-8 * values.dtype.itemsize,
        )
        try:
            found, scale, zero = quantizer.encode_quantized(values)
            quantised = np.array(found, np.int32).reshape(values.shape)
        except QuantizationFailedException:
            pass
    if quantised is None:
        kept = np.where(blank, values.dtype.type(np.nan), values) if has_blank else values
        return _Tile(_gzip(kept, shuffled=False), kept=True)
    quantised[blank] = _BLANK
    return _Tile(_rice(quantised), float(scale), float(zero), blank=has_blank)


def _table(tiles: Sequence[_Tile], *, quantised: bool) -> tuple[bytes, list[str]]:
    """Write the rows and the heap, and the cards that describe them."""
    heap = sum(len(tile.data) for tile in tiles)
    letter, number = ("P", ">i4") if heap < 1 << 31 else ("Q", ">i8")
    columns = [("COMPRESSED_DATA", letter)]
    if quantised and any(tile.kept for tile in tiles):
        columns.append(("GZIP_COMPRESSED_DATA", letter))
    if quantised:
        columns += [("ZSCALE", "D"), ("ZZERO", "D")]
    fields = [(name, ">f8") if form == "D" else (name, number, (2,)) for name, form in columns]
    rows = np.zeros(len(tiles), np.dtype(fields))
    lengths = np.array([len(tile.data) for tile in tiles], np.int64)
    starts = np.cumsum(lengths) - lengths
    kept = np.array([tile.kept for tile in tiles])
    for name, form in columns:
        if form != "D":
            here = kept if name.startswith("GZIP") else ~kept
            rows[name][here] = np.stack([lengths[here], starts[here]], axis=1)
    if quantised:
        rows["ZSCALE"] = [tile.scale for tile in tiles]
        rows["ZZERO"] = [tile.zero for tile in tiles]
    cards = [
        *text_cards("XTENSION", "BINTABLE", "binary table extension"),
        value_card("BITPIX", "8"),
        value_card("NAXIS", "2"),
        value_card("NAXIS1", str(rows.dtype.itemsize), "bytes of a row"),
        value_card("NAXIS2", str(len(rows)), "tiles"),
        value_card("PCOUNT", str(heap), "bytes of the heap"),
        value_card("GCOUNT", "1"),
        value_card("TFIELDS", str(len(columns))),
    ]
    for k, (name, form) in enumerate(columns, 1):
        longest = int(rows[name][:, 0].max()) if form != "D" else 0
        cards += text_cards(f"TTYPE{k}", name)
        cards += text_cards(f"TFORM{k}", "1D" if form == "D" else f"1{form}B({longest})")
    return b"".join([rows.tobytes(), *(tile.data for tile in tiles)]), cards


def _original_structure(cards: Sequence[str], data: NDArray[Any]) -> list[str]:
    """Write what the image's own structure was, so that it can be made again."""
    primary = cards[0].startswith("SIMPLE")
    bits = 8 * data.dtype.itemsize * (-1 if data.dtype.kind == "f" else 1)
    return [
        value_card("ZSIMPLE", "T") if primary else text_cards("ZTENSION", "IMAGE")[0],
        value_card("ZBITPIX", str(bits), "bits of a value of the image"),
        value_card("ZNAXIS", str(data.ndim), "axes of the image"),
        *(value_card(f"ZNAXIS{k}", str(n)) for k, n in enumerate(reversed(data.shape), 1)),
        *([value_card("ZEXTEND", "T")] if primary else []),
        *([] if primary else [value_card("ZPCOUNT", "0"), value_card("ZGCOUNT", "1")]),
    ]
