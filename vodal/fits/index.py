"""The byte-offset index of a FITS file: where each HDU and each compressed tile lies.

Made once by `vodal.fits.scan` when a file is catalogued and kept beside its row, so that a cutout
needs no look at the file's headers: one or a few range reads give the pixels. Offsets count from
the file's first byte; for a whole-file gzip they count in the uncompressed stream.

The header is kept as the file has it, so that a cutout can carry its cards.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from typing_extensions import override

from vodal.fits.values import HeaderValues

if TYPE_CHECKING:
    from astropy.io import fits

    from vodal.fits.compressed import TileDecoder

__all__ = ["FileIndex", "HduIndex", "HduKind", "PackedIndex", "TileIndex"]

HduKind = Literal["image", "compressed", "table", "empty", "other"]
"""`image` has pixels, `compressed` is a tile-compressed image, `empty` has no data unit."""

_FORMAT = 1


@dataclass(frozen=True)
class TileIndex:
    """Where the tiles of a tile-compressed image lie (FITS 4.0 section 10).

    The arrays have one element a tile, in the order of the table's rows: the last (fastest) axis
    of the image varies first. A tile's bytes are those of one of the table's columns.
    """

    tile_shape: tuple[int, ...]
    """In numpy order, as the image's shape."""
    offsets: NDArray[np.int64]
    """First byte of each tile."""
    lengths: NDArray[np.int64]
    """Number of bytes of each tile."""
    columns: NDArray[np.uint8]
    """0 COMPRESSED_DATA, 1 GZIP_COMPRESSED_DATA, 2 UNCOMPRESSED_DATA."""
    zscale: NDArray[np.float64] | None = None
    zzero: NDArray[np.float64] | None = None
    zblank: NDArray[np.int64] | None = None
    """Of each tile, where the table has the column."""


@dataclass(frozen=True)
class HduIndex:
    """One HDU."""

    number: int
    """0 is the primary HDU."""
    kind: HduKind
    name: str
    """EXTNAME in upper case; empty if there is none."""
    extver: int
    header_offset: int
    header_length: int
    """In bytes, a multiple of 2880."""
    data_offset: int
    data_length: int
    """In bytes, with the heap, without the padding."""
    bitpix: int
    """Of the image (ZBITPIX if compressed); 8 where there is none."""
    shape: tuple[int, ...]
    """Of the image in numpy order (slowest first); empty where there is none."""
    cards: str
    """The header as the file has it: 80-character cards without END, joined."""
    tiles: TileIndex | None = None
    checked_bytes: int = 0
    """From the start of the header, what `checksum` is of: the header, and of a tile-compressed
    image the table that says where its tiles lie (4 MiB of it at most). 0 in indexes that were made
    without."""
    checksum: int = 0
    """CRC-32 of these bytes as the file has them."""

    @property
    def image_bytes(self) -> int:
        """Of the pixels of its image, as a plain one has them."""
        return math.prod(self.shape) * abs(self.bitpix) // 8

    @cached_property
    def header(self) -> fits.Header:
        """The header as the file has it; do not change it."""
        from astropy.io import fits  # noqa: PLC0415 - servers start without it

        return fits.Header.fromstring(self.cards)

    @cached_property
    def image_header(self) -> fits.Header:
        """The header of the image: for a tile-compressed HDU that of the image inside.

        Do not change it.
        """
        if self.kind != "compressed":
            return self.header
        from vodal.fits.imageheader import image_header  # noqa: PLC0415 - only where needed

        return image_header(self.header)

    @cached_property
    def values(self) -> HeaderValues:
        """The values of `header`, which is not made for them."""
        return HeaderValues.of(self.cards)

    @cached_property
    def image_values(self) -> HeaderValues:
        """The values of `image_header`, which is not made for them."""
        if self.kind != "compressed":
            return self.values
        from vodal.fits.imageheader import image_values  # noqa: PLC0415 - only where needed

        values = image_values(self.values)
        if values is not None:
            return values
        return HeaderValues.of(self.image_header.tostring(endcard=False, padding=False))

    @cached_property
    def derived(self) -> dict[str, Any]:
        """What others have made of this HDU and keep with it, by names of theirs."""
        return {}

    @cached_property
    def tile_decoder(self) -> TileDecoder:
        """What decodes the tiles of a tile-compressed image.

        Raises
        ------
        DataError
            If the header has values that no decoder knows.
        """
        from vodal.fits.compressed import TileDecoder  # noqa: PLC0415 - only where needed

        return TileDecoder.of(self)


@dataclass(frozen=True)
class FileIndex:
    """A whole file."""

    size_bytes: int
    """Of the file as stored."""
    version: str
    """The file's version when it was read (`vodal.storage.FileStat.version`)."""
    encoding: Literal["", "gzip"]
    """``gzip`` if the whole file is compressed; offsets then count in the plain stream."""
    hdus: tuple[HduIndex, ...]

    @property
    def content_type(self) -> str:
        """Media type of the file as stored."""
        return "application/gzip" if self.encoding == "gzip" else "image/fits"

    def to_bytes(self) -> bytes:
        """Pack for the database."""
        arrays: list[bytes] = []

        def put(array: NDArray[Any] | None) -> list[object] | None:
            if array is None:
                return None
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            start = sum(len(item) for item in arrays)
            arrays.append(data)
            return [array.dtype.newbyteorder("<").str, start, len(data)]

        hdus = []
        for hdu in self.hdus:
            tiles = hdu.tiles
            hdus.append(
                {
                    "number": hdu.number,
                    "kind": hdu.kind,
                    "name": hdu.name,
                    "extver": hdu.extver,
                    "at": [hdu.header_offset, hdu.header_length, hdu.data_offset, hdu.data_length],
                    "bitpix": hdu.bitpix,
                    "shape": hdu.shape,
                    "cards": hdu.cards,
                    "checked": [hdu.checked_bytes, hdu.checksum],
                    "tiles": None
                    if tiles is None
                    else {
                        "shape": tiles.tile_shape,
                        "offsets": put(tiles.offsets),
                        "lengths": put(tiles.lengths),
                        "columns": put(tiles.columns),
                        "zscale": put(tiles.zscale),
                        "zzero": put(tiles.zzero),
                        "zblank": put(tiles.zblank),
                    },
                }
            )
        head = json.dumps(
            {
                "format": _FORMAT,
                "size": self.size_bytes,
                "version": self.version,
                "encoding": self.encoding,
                "hdus": hdus,
            },
            separators=(",", ":"),
        ).encode()
        return isal_zlib.compress(len(head).to_bytes(8, "little") + head + b"".join(arrays), 1)

    def packed(self) -> PackedIndex:
        """Give it as who only passes it on holds it."""
        return PackedIndex(self.size_bytes, self.version, self.encoding, self.to_bytes())

    @classmethod
    def from_bytes(cls, packed: bytes) -> FileIndex:
        """Unpack what `to_bytes` packed.

        Raises
        ------
        ValueError
            If it was packed by another version of the format.
        """
        data = zlib.decompress(packed)
        length = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + length])
        if head["format"] != _FORMAT:
            raise ValueError(f"byte index of format {head['format']}, expected {_FORMAT}")
        body = memoryview(data)[8 + length :]

        def get(place: list[Any] | None) -> NDArray[Any] | None:
            if place is None:
                return None
            dtype, start, size = place
            return np.frombuffer(body[start : start + size], dtype=dtype)

        hdus = []
        for item in head["hdus"]:
            tiles = item["tiles"]
            hdus.append(
                HduIndex(
                    number=item["number"],
                    kind=item["kind"],
                    name=item["name"],
                    extver=item["extver"],
                    header_offset=item["at"][0],
                    header_length=item["at"][1],
                    data_offset=item["at"][2],
                    data_length=item["at"][3],
                    bitpix=item["bitpix"],
                    shape=tuple(item["shape"]),
                    cards=item["cards"],
                    checked_bytes=item.get("checked", (0, 0))[0],
                    checksum=item.get("checked", (0, 0))[1],
                    tiles=None
                    if tiles is None
                    else TileIndex(
                        tile_shape=tuple(tiles["shape"]),
                        offsets=cast(NDArray[np.int64], get(tiles["offsets"])),
                        lengths=cast(NDArray[np.int64], get(tiles["lengths"])),
                        columns=cast(NDArray[np.uint8], get(tiles["columns"])),
                        zscale=get(tiles["zscale"]),
                        zzero=get(tiles["zzero"]),
                        zblank=get(tiles["zblank"]),
                    ),
                )
            )
        return cls(head["size"], head["version"], head["encoding"], tuple(hdus))


class PackedIndex(FileIndex):
    """A byte index that is packed, and is unpacked if it is looked into."""

    def __init__(
        self, size_bytes: int, version: str, encoding: Literal["", "gzip"], packed: bytes
    ) -> None:
        self.__dict__.update(
            size_bytes=size_bytes, version=version, encoding=encoding, _bytes=packed
        )

    @cached_property
    @override
    def hdus(self) -> tuple[HduIndex, ...]:
        """Its HDUs."""
        return FileIndex.from_bytes(self.to_bytes()).hdus

    @override
    def to_bytes(self) -> bytes:
        return bytes(self.__dict__["_bytes"])

    @override
    def packed(self) -> PackedIndex:
        return self
