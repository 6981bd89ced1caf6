"""Tile-compressed images unpacked, in a process of its own (`datalink.process`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datalink.content import Part, Share
from datalink.slabs import Slab, Slabs
from vodal.fits.index import HduIndex
from vodal.pool.kept import Kept, new_number
from vodal.storage import RangeReader, Storage

__all__ = ["PackedImage", "UnpackedPart", "Unpacking", "unpack", "unpack_of"]

Unpacking = Callable[[tuple[slice, ...]], Awaitable[NDArray[np.uint8]]]
"""Gives the bytes of a section of an image."""

_LEAST_SLAB_BYTES = 1 << 20
"""A smaller one costs little less than this."""


@dataclass(frozen=True, slots=True)
class PackedImage(Kept):
    """A tile-compressed image of a file."""

    uri: str
    version: str
    hdu: HduIndex
    storage: Storage
    number: int = field(default_factory=new_number, compare=False)

    @classmethod
    def of(cls, uri: str, version: str, hdu: HduIndex, storage: Storage) -> PackedImage:
        """Make one to be sent to a process, without what was derived of its header here."""
        return cls(uri, version, replace(hdu), storage)

    @property
    @override
    def kept_number(self) -> int:
        return self.number


def unpack(image: PackedImage, section: tuple[slice, ...]) -> NDArray[np.uint8]:
    """Give the bytes of a section of an image as the plain image has them.

    Raises
    ------
    ChangedError
        If the file is not of the version any more.
    DataError
        If a tile is damaged.
    ServiceUnavailable
        If its storage does not answer now.
    """
    with image.storage.open(image.uri, image.version) as reader:
        return unpack_of(reader, image.hdu, section)


def unpack_of(reader: RangeReader, hdu: HduIndex, section: tuple[slice, ...]) -> NDArray[np.uint8]:
    """Do as `unpack` of a file that is open."""
    # Decoders are loaded by the process that unpacks, not by every server.
    from vodal.fits.compressed import pixel_type  # noqa: PLC0415
    from vodal.fits.pixels import read_sections  # noqa: PLC0415

    shape = [part.stop - part.start for part in section]
    pixels = np.empty(shape, pixel_type(hdu.bitpix).newbyteorder(">"))
    read_sections(reader, [(hdu, section)], into=[pixels])
    return pixels.reshape(-1).view(np.uint8)


class UnpackedPart(Part):
    """The pixels of a tile-compressed image, big-endian.

    Parameters
    ----------
    hdu
        The image.
    unpacked
        Gives the bytes of a section of it.

    Raises
    ------
    TooLargeError
        If its tiles cannot be unpacked in reasonable time and memory.
    """

    is_direct = False

    def __init__(self, hdu: HduIndex, unpacked: Unpacking) -> None:
        self._slabs, self._unpacked = Slabs(hdu), unpacked
        self.size_bytes = hdu.image_bytes

    @override
    async def pieces(self, start: int, stop: int, share: Share) -> AsyncGenerator[bytes, None]:
        while start < stop:
            wanted = max(_LEAST_SLAB_BYTES, share.piece_bytes(4 * _LEAST_SLAB_BYTES))
            slab: Slab = self._slabs.at(start, wanted)
            data = await self._unpacked(slab.section)
            end = min(stop, slab.stop)
            yield data[start - slab.start : end - slab.start].tobytes()
            start = end
