"""FITS bytes from cards and arrays, in one buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vodal.fits.headers import header_block

__all__ = ["Allocate", "Part", "Room", "encode", "encode_to", "encoded_size", "lay_out", "padded"]

Allocate = Callable[[int], memoryview]
"""Gives memory for so many bytes, which holds anything at first."""

_BLOCK = 2880


@dataclass(frozen=True, slots=True)
class Part:
    """One HDU."""

    cards: Sequence[str]
    """Of 80 characters, without END."""
    data: NDArray[Any] | bytes = b""
    """Stored values, of the type that BITPIX tells; or bytes as they are."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where the parts of an HDU are in a file."""

    header: bytes
    at: int
    """Of the header's first byte."""
    length: int
    """Of the data, in bytes, without what fills its last block."""

    @property
    def data_at(self) -> int:
        """Of the data's first byte."""
        return self.at + len(self.header)

    @property
    def end(self) -> int:
        """Of the byte behind the HDU's last block."""
        return self.data_at + padded(self.length)

    def write_header(self, body: memoryview) -> None:
        """Write the header, and what fills the data's last block."""
        body[self.at : self.data_at] = self.header
        filled = self.data_at + self.length
        body[filled : self.end] = _filling(self.header) * (self.end - filled)


def lay_out(parts: Sequence[tuple[Sequence[str], int]]) -> list[Room]:
    """Find where HDUs lie in a file, by their cards and the bytes of their data."""
    rooms: list[Room] = []
    for cards, length in parts:
        rooms.append(Room(header_block(cards), rooms[-1].end if rooms else 0, length))
    return rooms


def padded(length: int) -> int:
    """Round up to whole blocks."""
    return -(-length // _BLOCK) * _BLOCK


def _filling(header: bytes) -> bytes:
    """Give what fills the last block: zeros, of ASCII tables blanks (FITS 4.0 section 7.2.3)."""
    return b" " if header.startswith(b"XTENSION= 'TABLE ") else b"\0"


def _length(data: NDArray[Any] | bytes) -> int:
    return len(data) if isinstance(data, bytes) else data.nbytes


def encoded_size(parts: Sequence[Part]) -> int:
    """Give the number of bytes that `encode` makes."""
    return sum(padded((len(part.cards) + 1) * 80) + padded(_length(part.data)) for part in parts)


def encode(parts: Sequence[Part]) -> bytearray:
    """Write HDUs one after the other."""
    out = bytearray(encoded_size(parts))
    encode_to(parts, lambda _: memoryview(out))
    return out


def encode_to(parts: Sequence[Part], allocate: Allocate) -> memoryview:
    """Write HDUs one after the other to memory that is given."""
    rooms = lay_out([(part.cards, _length(part.data)) for part in parts])
    body = allocate(rooms[-1].end)
    for part, room in zip(parts, rooms, strict=True):
        room.write_header(body)
        data = part.data
        if isinstance(data, bytes):
            body[room.data_at : room.data_at + room.length] = data
        elif data.size:
            # The bytes are turned as they are copied.
            target = np.frombuffer(body, data.dtype.newbyteorder(">"), data.size, room.data_at)
            target.reshape(data.shape)[...] = data
    return body
