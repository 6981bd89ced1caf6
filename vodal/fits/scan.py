"""From a file to its byte-offset index: a walk over the HDUs that reads headers only.

The walk trusts nothing that a header claims: each size is checked against the bytes that are
there before anything is made of it, so that memory stays bounded by what the file holds.
Formats are those of FITS 4.0: section 3.3 (HDUs), 4.4.1 (sizes), 6 (random groups), 10.1 (tiled
image compression).
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import Literal

from vodal.errors import ChangedError, DataError, NotFoundError
from vodal.fits.cards import CARD_LENGTH, Keywords, clean_text, repair_cards
from vodal.fits.index import FileIndex, HduIndex, HduKind, TileIndex
from vodal.fits.source import (
    ForwardSource,
    GzipSource,
    PlainSource,
    RangeSource,
    foreign_format,
)
from vodal.fits.tiletable import TilePlan, plan_tiles
from vodal.storage import FileStat, RangeReader, stat_local

__all__ = ["scan_file", "scan_reader"]

_BLOCK = 2880
_STARTS = range(0, _BLOCK, CARD_LENGTH)
_MAX_HEADER_BLOCKS = 4096
"""A header of 11 MB: 147,000 cards, ten times the longest known."""
_MAX_HDUS = 20_000
_MAX_CHECKED_BYTES = 4 << 20
_MAX_PLAIN_BYTES = 1 << 36
"""Of a decompressed gzip stream: 64 GiB, beyond which it is taken for a bomb."""
_BITPIX = {8, 16, 32, 64, -32, -64}


def scan_file(path: Path) -> FileIndex:
    """Index a FITS file by its headers.

    Only headers and the descriptors of compressed tiles are read. A whole-file gzip is known by
    its first bytes, whatever the name, and is decompressed on the way to its end, so that its
    checksum is verified.

    Parameters
    ----------
    path
        A local file.

    Raises
    ------
    DataError
        If it is not FITS, or is damaged; the message says where and how.
    ChangedError
        If it changed while it was read.
    NotFoundError
        If it cannot be opened.
    """
    before = stat_local(path)
    if not path.is_file():
        raise DataError(f"{path.name} is not a regular file")
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source: ForwardSource = GzipSource(file) if is_gzip else PlainSource(file)
            hdus = _Walk(source).hdus()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise NotFoundError(f"the file {path.name} cannot be read: {error.strerror}") from None
    if (after.st_size, after.st_mtime_ns) != _size_and_time(before.version):
        raise ChangedError(f"the file {path.name} changed while it was read")
    return FileIndex(before.size_bytes, before.version, "gzip" if is_gzip else "", hdus)


def scan_reader(
    reader: RangeReader, stat: FileStat, size_bytes: int, encoding: Literal["", "gzip"] = ""
) -> FileIndex:
    """Index a FITS file that is open for range reads; else as `scan_file`.

    Parameters
    ----------
    reader
        Of the file, or of the plain stream of a gzip.
    stat
        Of the file as stored.
    size_bytes
        Of what the reader gives.
    encoding
        That the index shall tell.

    Raises
    ------
    DataError
        If it is not FITS, or is damaged.
    ChangedError
        If it changed while it was read.
    """
    hdus = _Walk(RangeSource(reader, size_bytes)).hdus()
    return FileIndex(stat.size_bytes, stat.version, encoding, hdus)


def _size_and_time(version: str) -> tuple[int, int]:
    size, _, time_ns = version.partition("-")
    return int(size, 16), int(time_ns, 16)


class _Walk:
    """The state of one walk: the source and the place in it."""

    def __init__(self, source: ForwardSource) -> None:
        self._source = source
        self._position = 0
        self._checksum = 0

    def hdus(self) -> tuple[HduIndex, ...]:
        """Walk to the end of the stream."""
        hdus: list[HduIndex] = []
        while True:
            block = self._source.read(_BLOCK)
            if not hdus and not block.startswith(b"SIMPLE"):
                raise DataError(f"this is {foreign_format(block)}")
            if hdus and not block.startswith(b"XTENSION"):
                # What follows the last HDU is no FITS structure (FITS 4.0 section 3.5).
                self._drain(len(block))
                return tuple(hdus)
            if len(hdus) >= _MAX_HDUS:
                raise DataError(f"the file has more than {_MAX_HDUS} HDUs")
            hdus.append(self._hdu(len(hdus), block))

    def _drain(self, length: int) -> None:
        """Go to the end of the stream, so that the checksum of a gzip is verified."""
        while length:
            self._position += length
            self._check_size()
            length = self._source.skip(1 << 24)

    def _check_size(self) -> None:
        if isinstance(self._source, GzipSource) and self._position > _MAX_PLAIN_BYTES:
            raise DataError(f"the gzip stream holds more than {_MAX_PLAIN_BYTES} bytes")

    def _header(self, place: str, block: bytes) -> tuple[list[str], int]:
        """Read a header to its END; give its cards and its length in bytes."""
        cards: list[str] = []
        self._checksum = 0
        for blocks in range(1, _MAX_HEADER_BLOCKS + 1):
            if len(block) < _BLOCK:
                raise DataError(f"the header of {place} is cut before its END card")
            self._checksum = zlib.crc32(block, self._checksum)
            end = _end_card(block)
            text = clean_text(block[:end])
            cards += [text[start : start + CARD_LENGTH] for start in _STARTS[: end // CARD_LENGTH]]
            if end < _BLOCK:
                return cards, blocks * _BLOCK
            block = self._source.read(_BLOCK)
        raise DataError(f"the header of {place} has no END card within {_MAX_HEADER_BLOCKS} blocks")

    def _hdu(self, number: int, block: bytes) -> HduIndex:
        place = f"HDU {number}"
        header_offset = self._position
        cards, header_length = self._header(place, block)
        self._position += header_length
        keywords = Keywords(cards, place)
        shape, fixed_length, data_length = _data_shape(keywords)
        kind, bitpix, shape = _classify(keywords, number, shape, data_length)
        plan = (
            plan_tiles(keywords, shape, fixed_length, data_length) if kind == "compressed" else None
        )
        name = keywords.string("EXTNAME").strip().upper()
        if kind == "compressed" and name == "COMPRESSED_IMAGE":
            name = ""  # the default that fpack gives is not the image's name
        data_offset = self._position
        tiles, checked = self._data(place, data_length, plan)
        return HduIndex(
            number=number,
            kind=kind,
            name=name,
            extver=_extver(keywords),
            header_offset=header_offset,
            header_length=header_length,
            data_offset=data_offset,
            data_length=data_length,
            bitpix=bitpix,
            shape=shape,
            cards="".join(repair_cards(cards)),
            tiles=tiles,
            checked_bytes=header_length + checked,
            checksum=self._checksum,
        )

    def _data(self, place: str, length: int, plan: TilePlan | None) -> tuple[TileIndex | None, int]:
        """Pass over a data unit with its padding, reading the descriptors of tiles on the way.

        Returns
        -------
        tuple
            The tiles, and how many bytes of their table went into the checksum.
        """
        tiles = None
        passed = checked = 0

        def read(count: int) -> bytes:
            nonlocal checked
            part = self._source.read(count)
            first = part[: _MAX_CHECKED_BYTES - checked]
            self._checksum = zlib.crc32(first, self._checksum)
            checked += len(first)
            return part

        if plan is not None:
            passed, tiles = plan.read(read, self._position)
        while passed < length:
            step = self._source.skip(min(length - passed, 1 << 24))
            if step == 0:
                raise DataError(f"the data of {place} ends {length - passed} bytes early")
            passed += step
            self._check_size()
        # Some writers leave out the padding of the last HDU; the data is whole all the same.
        padding = -length % _BLOCK
        self._source.skip(padding)
        self._position += length + padding
        self._check_size()
        return tiles, checked


def _end_card(block: bytes) -> int:
    """Give where in a block of a header its END card begins; the length of a block if nowhere."""
    start = block.find(b"END")
    while start >= 0:
        if start % CARD_LENGTH == 0 and not block[start + 3 : start + CARD_LENGTH].strip(b" \0"):
            return start
        start = block.find(b"END", start + 1)
    return _BLOCK


def _extver(keywords: Keywords) -> int:
    try:
        return keywords.integer("EXTVER", 1)
    except DataError:
        return 1


def _data_shape(keywords: Keywords) -> tuple[tuple[int, ...], int, int]:
    """Give shape (numpy order), bytes without PCOUNT, and bytes of the data unit in all."""
    naxis = keywords.size("NAXIS")
    # Without data nothing depends on BITPIX, so that its loss is no reason to refuse the file.
    bitpix = keywords.integer("BITPIX", None if naxis else 8)
    if bitpix not in _BITPIX:
        raise DataError(
            f"{keywords.place}: BITPIX is {bitpix}; it must be 8, 16, 32, 64, -32 or -64"
        )
    if naxis > 999:
        raise DataError(f"{keywords.place}: NAXIS is {naxis}; it must not be over 999")
    axes = [keywords.size(f"NAXIS{k}") for k in range(1, naxis + 1)]
    if not axes:
        return (), 0, 0
    item = abs(bitpix) // 8
    pcount, gcount = keywords.size("PCOUNT", 0), keywords.size("GCOUNT", 1)
    shape = tuple(reversed(axes))
    if axes[0] == 0 and len(axes) > 1 and keywords.logical("GROUPS"):
        return shape, 0, item * gcount * (pcount + math.prod(axes[1:]))
    if "XTENSION" not in keywords:
        pcount, gcount = 0, 1  # only extensions and random groups have them
    pixels = math.prod(axes)
    return shape, item * pixels, item * gcount * (pcount + pixels)


def _classify(
    keywords: Keywords, number: int, shape: tuple[int, ...], data_length: int
) -> tuple[HduKind, int, tuple[int, ...]]:
    """Give kind, BITPIX and shape of the image (8 and empty where there is none)."""
    extension = keywords.string("XTENSION").strip().upper() if number else "IMAGE"
    if extension == "BINTABLE" and keywords.logical("ZIMAGE"):
        return _classify_compressed(keywords)
    if extension in {"BINTABLE", "TABLE", "A3DTABLE"}:
        return "table", 8, ()
    if data_length == 0:
        return "empty", 8, ()
    if extension not in {"IMAGE", "IUEIMAGE"} or (shape and shape[-1] == 0):
        return "other", 8, ()
    if keywords.integer("GCOUNT", 1) != 1 or keywords.integer("PCOUNT", 0) != 0:
        return "other", 8, ()
    return "image", keywords.integer("BITPIX"), shape


def _classify_compressed(keywords: Keywords) -> tuple[HduKind, int, tuple[int, ...]]:
    zbitpix = keywords.integer("ZBITPIX")
    if zbitpix not in _BITPIX:
        raise DataError(
            f"{keywords.place}: ZBITPIX is {zbitpix}; it must be 8, 16, 32, 64, -32 or -64"
        )
    znaxis = keywords.size("ZNAXIS")
    if znaxis > 999:
        raise DataError(f"{keywords.place}: ZNAXIS is {znaxis}; it must not be over 999")
    shape = tuple(keywords.size(f"ZNAXIS{k}") for k in range(znaxis, 0, -1))
    if math.prod(shape) == 0 or not shape:
        return "other", 8, ()
    return "compressed", zbitpix, shape
