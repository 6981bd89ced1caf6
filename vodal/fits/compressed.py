"""Tile-compressed images: the header of the image inside and the decoding of single tiles.

FITS 4.0 section 10. The codecs are astropy's: it offers whole images only in public, so its
private classes are used, here and nowhere else; the tests hold the outcome against its public
`CompImageHDU`.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.compressed import _codecs
from astropy.io.fits.hdu.compressed._quantization import DITHER_METHODS, Quantize
from numpy.typing import NDArray

from vodal.errors import DataError

__all__ = ["CODECS", "TileCodec", "image_header", "tile_codec"]

CODECS = frozenset(
    {"RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"}
)
"""Values of ZCMPTYPE that are understood."""

_TABLE_CARDS = re.compile(
    r"(XTENSION|SIMPLE|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|EXTEND|GROUPS"
    r"|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|BCOL)\d+"
    r"|ZIMAGE|ZTENSION|ZSIMPLE|ZEXTEND|ZBLOCKED|ZCMPTYPE|ZBITPIX|ZNAXIS\d*|ZTILE\d+|ZNAME\d+"
    r"|ZVAL\d+|ZMASKCMP|ZQUANTIZ|ZDITHER0|ZPCOUNT|ZGCOUNT|ZHECKSUM|ZDATASUM|ZBLANK|ZSCALE|ZZERO"
    r"|CHECKSUM|DATASUM)"
)


def image_header(table: fits.Header) -> fits.Header:
    """Make the header of the image inside a tile-compressed table.

    Parameters
    ----------
    table
        The header of the BINTABLE.

    Returns
    -------
    Header
        Of an IMAGE extension: the structure from the Z keywords, all other cards kept in order.
    """
    header = fits.Header()
    header["XTENSION"] = ("IMAGE", "Image extension")
    header["BITPIX"] = (table["ZBITPIX"], "array data type")
    naxis = int(table["ZNAXIS"])
    header["NAXIS"] = (naxis, "number of array dimensions")
    for axis in range(1, naxis + 1):
        header[f"NAXIS{axis}"] = table[f"ZNAXIS{axis}"]
    header["PCOUNT"] = (0, "number of parameters")
    header["GCOUNT"] = (1, "number of groups")
    for card in table.cards:
        if _TABLE_CARDS.fullmatch(card.keyword):
            continue
        if card.keyword == "EXTNAME" and card.value == "COMPRESSED_IMAGE":
            continue
        header.append(card, end=True)
    if table["ZBITPIX"] > 0 and "ZBLANK" in table and "BLANK" not in header:
        header["BLANK"] = table["ZBLANK"]
    return header


def _settings(header: fits.Header) -> dict[str, Any]:
    """Collect the pairs ZNAMEn, ZVALn, names in upper case."""
    pairs: dict[str, Any] = {}
    for number in range(1, 1000):
        name = header.get(f"ZNAME{number}")
        if name is None:
            break
        pairs[str(name).upper()] = header.get(f"ZVAL{number}")
    return pairs


@dataclass(frozen=True)
class TileCodec:
    """Decodes the tiles of one compressed image."""

    algorithm: str
    bitpix: int
    dither: int
    """As astropy numbers the methods: -1 none, 1 and 2 subtractive."""
    dither_seed: int
    blank: int | None
    """ZBLANK of the header."""
    scale: float | None
    zero: float | None
    """ZSCALE and ZZERO where they are cards and not columns."""
    block_size: int
    byte_pix: int
    hcompress_scale: int
    hcompress_smooth: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Native dtype of the image's stored values."""
        return np.dtype(fits.BITPIX2DTYPE[self.bitpix])

    def decode(
        self,
        data: bytes,
        shape: tuple[int, ...],
        row: int,
        column: int,
        scaling: tuple[float | None, float | None, int | None],
    ) -> NDArray[Any]:
        """Decode one tile.

        Parameters
        ----------
        data
            The tile's bytes.
        shape
            Of the tile, cut at the image's edge.
        row
            0-based number of the tile, which seeds the dither.
        column
            As in `vodal.fits.index.TileIndex.columns`.
        scaling
            ZSCALE, ZZERO and ZBLANK of this tile, None where its table has no such column.

        Raises
        ------
        DataError
            If the bytes cannot be decoded.
        """
        try:
            if column == 1:
                return self._lossless(zlib.decompress(data, 31), shape)
            if column == 2:
                return self._lossless(data, shape)
            return self._decode(data, shape, row, scaling)
        except (ValueError, TypeError, zlib.error, OSError, EOFError, OverflowError) as error:
            raise DataError(f"{self.algorithm}: {error}") from None
        except Exception as error:  # the codecs raise classes of their own
            raise DataError(f"{self.algorithm}: {error}") from None

    def _lossless(self, data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
        stored = np.frombuffer(data, self.dtype.newbyteorder(">"))
        return stored.reshape(shape).astype(self.dtype)

    def _decode(
        self,
        data: bytes,
        shape: tuple[int, ...],
        row: int,
        scaling: tuple[float | None, float | None, int | None],
    ) -> NDArray[Any]:
        scale = self.scale if scaling[0] is None else scaling[0]
        zero = self.zero if scaling[1] is None else scaling[1]
        blank = self.blank if scaling[2] is None else scaling[2]
        quantised = self.bitpix < 0 and scale is not None and zero is not None
        stored = self._integers(data, shape, quantised=quantised)
        if not quantised:
            return stored.astype(self.dtype, copy=False)
        assert scale is not None
        assert zero is not None
        integers = np.ascontiguousarray(stored, np.int32)
        if self.dither == -1:
            values = (integers * scale + zero).astype(self.dtype)
        else:
            values = np.frombuffer(
                Quantize(
                    row=row + self.dither_seed,
                    dither_method=self.dither,
                    quantize_level=0,
                    bitpix=self.bitpix,
                ).decode_quantized(integers.ravel(), scale, zero),
                self.dtype,
            ).reshape(shape)
        if blank is not None:
            blanks = integers == blank
            if blanks.any():
                values = values.copy()
                values[blanks] = np.nan
        return values

    def _integers(self, data: bytes, shape: tuple[int, ...], *, quantised: bool) -> NDArray[Any]:
        """Decode to the values that were compressed: integers, or floats if unquantised."""
        count = prod(shape)
        if self.algorithm in {"GZIP_1", "GZIP_2", "NOCOMPRESS"}:
            plain = data if self.algorithm == "NOCOMPRESS" else zlib.decompress(data, 31)
            if count == 0 or len(plain) % count:
                raise DataError(f"a tile of {count} pixels unpacks to {len(plain)} bytes")
            item = len(plain) // count
            if self.algorithm == "GZIP_2":
                shuffled = np.frombuffer(plain, np.uint8).reshape(item, count)
                plain = shuffled.T.tobytes()
            is_float = self.bitpix < 0 and not quantised
            kind = "f" if is_float else ("u" if item == 1 else "i")
            return np.frombuffer(plain, f">{kind}{item}").reshape(shape)
        if self.algorithm in {"RICE_1", "RICE_ONE"}:
            codec: Any = _codecs.Rice1(
                blocksize=self.block_size, bytepix=self.byte_pix, tilesize=count
            )
        elif self.algorithm == "PLIO_1":
            codec = _codecs.PLIO1(tilesize=count)
        else:
            plane = [n for n in shape if n != 1] or [1, 1]
            if len(plane) != 2:
                raise DataError(f"a tile of shape {shape} is not two-dimensional")
            codec = _codecs.HCompress1(
                scale=self.hcompress_scale,
                smooth=self.hcompress_smooth,
                bytepix=8,
                nx=plane[0],
                ny=plane[1],
            )
        words = ">i2" if self.algorithm == "PLIO_1" else np.uint8
        raw = np.asarray(codec.decode(np.frombuffer(data, words)))
        if raw.dtype.itemsize == 1:
            raw = raw.view(np.uint8)
        return raw.reshape(-1)[:count].reshape(shape)


@lru_cache(maxsize=256)
def _codec(cards: str) -> TileCodec:
    header = fits.Header.fromstring(cards)
    algorithm = str(header["ZCMPTYPE"]).strip().upper()
    if algorithm not in CODECS:
        raise DataError(f"compression {algorithm} is not supported; known: {sorted(CODECS)}")
    pairs = _settings(header)
    method = str(header.get("ZQUANTIZ", "NO_DITHER")).strip().upper()
    return TileCodec(
        algorithm=algorithm,
        bitpix=int(header["ZBITPIX"]),
        dither=-1 if method in {"NONE", "NO_DITHER", ""} else DITHER_METHODS[method],
        dither_seed=int(header.get("ZDITHER0", 0)),
        blank=header.get("ZBLANK"),
        scale=header.get("ZSCALE"),
        zero=header.get("ZZERO"),
        block_size=int(pairs.get("BLOCKSIZE") or 32),
        byte_pix=int(pairs.get("BYTEPIX") or 4),
        hcompress_scale=int(pairs.get("SCALE") or 0),
        hcompress_smooth=int(pairs.get("SMOOTH") or 0),
    )


def tile_codec(cards: str) -> TileCodec:
    """Give the decoder for a tile-compressed HDU.

    Parameters
    ----------
    cards
        The table's header, as `vodal.fits.index.HduIndex.cards` keeps it.

    Raises
    ------
    DataError
        If the compression is not known or its keywords are broken.
    """
    try:
        return _codec(cards)
    except (KeyError, ValueError, TypeError, fits.VerifyError) as error:
        raise DataError(f"the keywords of the compression are broken: {error}") from None
