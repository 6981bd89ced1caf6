"""Percent-encoding of whole columns, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vodal.compiled import compiled, in_turn
from vodal.tables.cells import data_and_offsets

__all__ = ["encoded", "load"]

Bytes = NDArray[np.uint8]

_PLAIN = np.zeros(256, np.bool_)
_PLAIN[list(b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")] = True
"""Bytes that stay as they are (RFC 3986 section 2.3)."""

_DIGITS = np.frombuffer(b"0123456789ABCDEF", np.uint8)

_LONGEST = 3
"""Bytes that one becomes at most."""


@compiled
def _encode(
    data: Bytes, offsets: NDArray[np.int32], prefix: Bytes, tables: tuple[Any, Any],
    made: Bytes, ends: NDArray[np.int32],
) -> None:  # fmt: skip
    plain, digits = tables
    place = 0
    for row in range(len(offsets) - 1):
        for byte in prefix:
            made[place] = byte
            place += 1
        for byte in data[offsets[row] : offsets[row + 1]]:
            if plain[byte]:
                made[place] = byte
                place += 1
            else:
                made[place] = 37
                made[place + 1] = digits[byte >> 4]
                made[place + 2] = digits[byte & 15]
                place += 3
        ends[row + 1] = place


def encoded(texts: pa.Array, prefix: str) -> pa.Array:
    """Give texts percent-encoded as values of a URL's parameter, with a prefix each.

    Parameters
    ----------
    texts
        None of them null; of some 100 MB at most.
    prefix
        Written as it is.
    """
    data, offsets = data_and_offsets(texts)
    opening = np.frombuffer(prefix.encode(), np.uint8)
    made = np.empty(_LONGEST * data.size + opening.size * len(texts), np.uint8)
    ends = np.zeros(len(texts) + 1, np.int32)
    _encode(data, offsets, opening, (_PLAIN, _DIGITS), made, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(made[: ends[-1]])]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


@in_turn(_encode)
def load() -> None:
    """Compile, or read from the disk what was compiled before."""
    encoded(pa.array(["a b"]), "")
