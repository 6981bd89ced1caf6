"""FITS bytes from cards and arrays, in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vodal.fits.headers import header_block

__all__ = ["Part", "encode", "encoded_size", "padded"]

_BLOCK = 2880


@dataclass(frozen=True, slots=True)
class Part:
    """One HDU."""

    cards: Sequence[str]
    """Of 80 characters, without END."""
    data: NDArray[Any] | bytes = b""
    """Stored values, of the type that BITPIX tells; or bytes as they are."""


def padded(length: int) -> int:
    """Round up to whole blocks."""
    return -(-length // _BLOCK) * _BLOCK


def _length(data: NDArray[Any] | bytes) -> int:
    return len(data) if isinstance(data, bytes) else data.nbytes


def encoded_size(parts: Sequence[Part]) -> int:
    """Give the number of bytes that `encode` makes."""
    return sum(padded((len(part.cards) + 1) * 80) + padded(_length(part.data)) for part in parts)


def encode(parts: Sequence[Part]) -> bytearray:
    """Write HDUs one after the other."""
    out = bytearray(encoded_size(parts))
    at = 0
    for part in parts:
        block = header_block(part.cards)
        out[at : at + len(block)] = block
        at += len(block)
        data = part.data
        if isinstance(data, bytes):
            out[at : at + len(data)] = data
        elif data.size:
            # The bytes are turned as they are copied.
            target = np.frombuffer(out, data.dtype.newbyteorder(">"), data.size, at)
            target.reshape(data.shape)[...] = data
        at += padded(_length(data))
    return out
