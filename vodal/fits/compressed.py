"""Tile-compressed images: the decoding of their tiles.

The conventions are those of FITS 4.0 section 10. The codecs (Rice, Hcompress, PLIO) and the
restoring of dithered floats are astropy's C code, reached through its private modules: astropy's
public way to them opens the whole HDU, while a cutout has the bytes of a few tiles in hand. All
use of that private interface is in this module. It is the same from astropy 6.1 to 8.0.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from astropy.io.fits.hdu.compressed._codecs import PLIO1, HCompress1, Rice1
from astropy.io.fits.hdu.compressed._quantization import DITHER_METHODS, Quantize
from isal import isal_zlib
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.index import HduIndex, TileIndex
from vodal.fits.tiletable import ALGORITHMS, DATA_COLUMNS
from vodal.fits.values import HeaderValues

__all__ = ["TileDecoder", "decode_tiles", "pixel_type"]

_LONGEST = np.iinfo(np.int64).max
_UNSIGNED = 32768
"""BZERO of unsigned 16-bit integers (FITS 4.0 section 5.2.5)."""
_GZIP_OR_ZLIB = 47
"""Window bits that accept a gzip or a zlib header, as both are met in tiles."""


def pixel_type(bitpix: int) -> np.dtype[Any]:
    """Give the native numpy type of stored values (unsigned for BITPIX 8)."""
    return np.dtype(
        {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}[bitpix]
    ).newbyteorder("=")


@dataclass(frozen=True)
class TileDecoder:
    """What of a compressed image's header is needed to decode its tiles."""

    hdu: HduIndex
    tiles: TileIndex
    algorithm: str
    dither: int
    """-1 none, 1 or 2 the subtractive kinds."""
    seed: int
    blank: int | None
    """Stored value that marks blank pixels, where it is one for all tiles."""
    parameters: dict[str, int]

    @classmethod
    def of(cls, hdu: HduIndex) -> TileDecoder:
        """Read the header.

        Raises
        ------
        DataError
            If the header has values that no decoder knows.
        """
        header, place = hdu.values, f"HDU {hdu.number}"
        if hdu.tiles is None:
            raise DataError(f"{place} is no tile-compressed image")
        algorithm = str(header.get("ZCMPTYPE", "")).strip().upper()
        if algorithm not in ALGORITHMS:
            raise DataError(f"{place}: the tile compression '{algorithm[:40]}' is not supported")
        method = str(header.get("ZQUANTIZ", "NO_DITHER")).strip().upper()
        if method not in DITHER_METHODS:
            raise DataError(f"{place}: the quantisation '{method[:40]}' is not supported")
        dither = -1 if method == "NONE" else int(DITHER_METHODS[method])
        try:
            blank = header.get("ZBLANK", header.get("BLANK"))
            parameters = {}
            for k in range(1, 1000):
                if f"ZNAME{k}" not in header:
                    break
                name = str(header[f"ZNAME{k}"]).strip().upper()
                if name in {"BLOCKSIZE", "BYTEPIX", "SCALE", "SMOOTH"}:
                    parameters[name] = int(header[f"ZVAL{k}"])
            seed = int(header.get("ZDITHER0", 1))
            return cls(
                hdu, hdu.tiles, algorithm, dither, seed, None if blank is None else int(blank),
                parameters,
            )  # fmt: skip
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(f"{place}: the compression cards are broken: {error}") from None

    @cached_property
    def scale_zero(self) -> tuple[float, float] | None:
        """ZSCALE and ZZERO where they are cards, one pair for all tiles."""
        header = self.hdu.values
        if "ZSCALE" not in header:
            return None
        return float(header["ZSCALE"]), float(header.get("ZZERO", 0.0))

    @property
    def quantized(self) -> bool:
        """Whether floats were made integers before they were compressed."""
        return self.hdu.bitpix < 0 and (
            self.tiles.zscale is not None or self.scale_zero is not None
        )

    @property
    def rice_form(self) -> tuple[int, int] | None:
        """Bits of a value and values in a block of RICE_1; None if they are unusual."""
        width, block = self.parameters.get("BYTEPIX", 4), self.parameters.get("BLOCKSIZE", 32)
        return (8 * width, block) if width in {1, 2, 4} and 1 <= block <= 65536 else None

    @property
    def blank_pixel(self) -> int:
        """The pixel that stands for no value in an image of integers; 0 where none does."""
        if self.hdu.bitpix < 0 or self.tiles.zblank is None:
            return 0
        return int(self.hdu.image_values["BLANK"])

    def scales(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give ZSCALE and ZZERO of tiles (n, 2)."""
        scales = np.empty((len(numbers), 2))
        scales[:] = self.scale_zero or (1.0, 0.0)
        for column, values in enumerate((self.tiles.zscale, self.tiles.zzero)):
            if values is not None:
                scales[:, column] = values[numbers]
        return scales

    def blanks(self, numbers: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Give the stored values that are to be changed, as they stand for none (n,)."""
        if self.tiles.zblank is not None:
            return self.tiles.zblank[numbers]
        if self.hdu.bitpix > 0 or self.blank is None or abs(self.blank) > _LONGEST:
            return None
        return np.full(len(numbers), self.blank, np.int64)

    def shape_of(self, number: int) -> tuple[int, ...]:
        """Give the shape of a tile; those at the upper edges may be smaller."""
        shape, tile = self.hdu.shape, self.tiles.tile_shape
        counts = [-(-size // step) for size, step in zip(shape, tile, strict=True)]
        place = np.unravel_index(number, counts)
        return tuple(
            min(step, size - int(k) * step)
            for k, step, size in zip(place, tile, shape, strict=True)
        )

    def decode(self, number: int, data: bytes) -> NDArray[Any]:
        """Decode one tile.

        Parameters
        ----------
        number
            0-based, in the order of the table's rows.
        data
            Its bytes, as `TileIndex.offsets` and `lengths` say.

        Returns
        -------
        array
            Of the tile's shape and the image's type, in native byte order; blank pixels of floats
            are NaN.

        Raises
        ------
        DataError
            If the bytes are damaged.
        """
        try:
            return self._decode(number, data)
        except DataError as error:
            reason = error.message
        except Exception as error:  # noqa: BLE001 - the codecs raise exceptions of many kinds
            reason = str(error) or type(error).__name__
        raise DataError(f"HDU {self.hdu.number}: tile {number} is damaged: {reason}")

    def _decode(self, number: int, data: bytes) -> NDArray[Any]:
        shape = self.shape_of(number)
        if not data:
            raise DataError("it has no bytes")
        column = int(self.tiles.columns[number])
        if column == 2:
            values = _numbers(data, _element_of(self.hdu.values), shape)
            return values.astype(pixel_type(self.hdu.bitpix))
        if column == 1:
            plain = _inflate(data, math.prod(shape) * 8)
            return _numbers(plain, None, shape, self.hdu.bitpix).astype(pixel_type(self.hdu.bitpix))
        values = self._stored(data, shape)
        zblank = self.blank if self.tiles.zblank is None else int(self.tiles.zblank[number])
        blank = None if zblank is None else values == zblank
        if self.quantized:
            values = self._restore(number, values)
        stored = pixel_type(self.hdu.bitpix)
        if stored.kind != "f" and values.dtype.itemsize > stored.itemsize:
            # What Hcompress lost may carry a value out of its range; CFITSIO stops there as well.
            values = np.clip(values, np.iinfo(stored).min, np.iinfo(stored).max)
        values = values.astype(stored)
        if blank is not None and blank.any():
            if self.hdu.bitpix < 0:
                values[blank] = np.nan
            elif self.tiles.zblank is not None:
                values[blank] = self.hdu.image_values["BLANK"]
        return values

    def _stored(self, data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
        """Undo the compression proper."""
        pixels = math.prod(shape)
        lossless_bitpix = None if self.quantized else self.hdu.bitpix
        match self.algorithm:
            case "GZIP_1":
                return _numbers(_inflate(data, pixels * 8), None, shape, lossless_bitpix)
            case "NOCOMPRESS":
                return _numbers(data, None, shape, lossless_bitpix)
            case "GZIP_2":
                plain = _inflate(data, pixels * 8)
                width = len(plain) // pixels
                shuffled = np.frombuffer(plain, np.uint8, width * pixels)
                data = shuffled.reshape(width, pixels).T.tobytes()
                return _numbers(data, None, shape, lossless_bitpix)
            case "PLIO_1":
                values = PLIO1(tilesize=pixels).decode(_line_list(data))
                if self.hdu.bitpix == 16 and self.hdu.values.get("BZERO") == _UNSIGNED:
                    # CFITSIO has unsigned integers in the list as what they stand for, as it holds
                    # nothing negative; astropy (8.0) reads them as stored.
                    values = values - _UNSIGNED
            case "HCOMPRESS_1":
                values = self._hcompress(data, shape)
            case _:
                values = self._rice(data, pixels)
        return cast(NDArray[Any], np.asarray(values)[:pixels].reshape(shape))

    def _rice(self, data: bytes, pixels: int) -> NDArray[Any]:
        width = self.parameters.get("BYTEPIX", 4)
        block = self.parameters.get("BLOCKSIZE", 32)
        if width not in {1, 2, 4, 8} or not 1 <= block <= 65536:
            raise DataError(f"BYTEPIX {width} and BLOCKSIZE {block} are not supported")
        if pixels > 8 * len(data) * block:
            raise DataError("it has too few bytes for its pixels")
        values = Rice1(blocksize=block, bytepix=width, tilesize=pixels).decode(
            np.frombuffer(data, np.uint8)
        )
        # The one-byte form holds unsigned values (BITPIX 8).
        return np.asarray(values).view(np.uint8) if width == 1 else np.asarray(values)

    def _hcompress(self, data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
        sides = tuple(size for size in shape if size != 1)
        sides = (1,) * (2 - len(sides)) + sides
        # The C code takes sizes and bit depths from the stream and reads without end: what it
        # will use must be right before, and there must be zeros enough after.
        if len(data) < 25 or data[:2] != b"\xdd\x99":
            raise DataError("it is no Hcompress stream")
        if tuple(struct.unpack(">ii", data[2:10])) != sides or len(sides) != 2:
            raise DataError("its size is not that of the tile")
        planes = max(data[22:25])
        if planes > 62:
            raise DataError(f"it claims {planes} bit planes")
        padded = data + bytes(math.prod(sides) * (planes + 1) // 2 + 4096)
        codec = HCompress1(
            scale=self.parameters.get("SCALE", 0),
            smooth=self.parameters.get("SMOOTH", 0),
            bytepix=8,
            nx=sides[0],
            ny=sides[1],
        )
        return np.asarray(codec.decode(np.frombuffer(padded, np.uint8)))

    def _restore(self, number: int, values: NDArray[Any]) -> NDArray[Any]:
        """Make floats of quantised integers."""
        scale, zero = self.scale_zero or (1.0, 0.0)
        if self.tiles.zscale is not None:
            scale = float(self.tiles.zscale[number])
        if self.tiles.zzero is not None:
            zero = float(self.tiles.zzero[number])
        if self.dither == -1:
            return values.astype(np.float64) * scale + zero
        restorer = Quantize(
            # The rows repeat; the C code trusts that they are positive.
            row=(number + self.seed - 1) % 10000 + 1,
            dither_method=self.dither,
            quantize_level=None,
            bitpix=self.hdu.bitpix,
        )
        if values.dtype.itemsize > 4:
            values = values.astype(np.int32)
        restored = np.asarray(restorer.decode_quantized(values, scale, zero))
        return restored.reshape(values.shape)


def decode_tiles(
    hdu: HduIndex, numbers: Sequence[int], parts: Sequence[bytes]
) -> list[NDArray[Any]]:
    """Decode tiles of one image.

    Parameters
    ----------
    hdu
        A tile-compressed image.
    numbers
        0-based, in the order of the table's rows.
    parts
        The bytes of each.

    Raises
    ------
    DataError
        If a tile is damaged; the message names HDU and tile.
    """
    decoder = TileDecoder.of(hdu)
    return [decoder.decode(number, part) for number, part in zip(numbers, parts, strict=True)]


def _line_list(data: bytes) -> NDArray[Any]:
    """Give the words of a PLIO line list whose header is sound, as the C code trusts it."""
    words = np.frombuffer(data, ">i2", len(data) // 2)
    # The third word is the list's length, or 0 or less where two further words have it.
    short = len(words) > 3 and words[2] > 0
    if not short and len(words) < 7:
        raise DataError("it is no PLIO line list")
    length = int(words[2]) if short else (int(words[4]) << 15) + int(words[3])
    first = 3 if short else int(words[1])
    if not (0 <= length <= len(words) and 0 < first <= len(words)):
        raise DataError("its PLIO line list is longer than its bytes")
    return words


def _inflate(data: bytes, limit: int) -> bytes:
    """Decompress a gzip stream that must not hold more than ``limit`` bytes."""
    member = isal_zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    plain = member.decompress(data, limit + 1)
    if len(plain) > limit:
        raise DataError("it holds more bytes than the tile")
    if not member.eof:
        raise DataError("its gzip stream is cut")
    return plain


def _numbers(
    data: bytes, element: str | None, shape: tuple[int, ...], bitpix: int | None = None
) -> NDArray[Any]:
    """Read big-endian numbers, their width from the number of bytes if no element is given."""
    pixels = math.prod(shape)
    width = len(data) // pixels
    if element is None:
        kind = "f" if bitpix is not None and bitpix < 0 and width >= 4 else "i"
        element = "u1" if width == 1 else f">{kind}{width}"
    if width not in {1, 2, 4, 8} or len(data) != pixels * np.dtype(element).itemsize:
        raise DataError(f"it has {len(data)} bytes for {pixels} pixels")
    return np.frombuffer(data, element).reshape(shape)


def _element_of(header: HeaderValues) -> str:
    """Give the numpy type of the elements of the column UNCOMPRESSED_DATA."""
    for k in range(1, int(header.get("TFIELDS", 0)) + 1):
        if str(header.get(f"TTYPE{k}", "")).strip().upper() == DATA_COLUMNS[2]:
            letter = re.sub(r"^\d*[PQ]", "", str(header[f"TFORM{k}"]).strip().upper())[:1]
            return {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}[letter]
    raise DataError("the table has no column UNCOMPRESSED_DATA")
