"""Coalescing of byte ranges, so that near neighbours are read in one go."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from vodal.errors import DataError

__all__ = ["read_coalesced", "read_exactly"]


def read_exactly(fd: int, offset: int, length: int, name: str) -> bytes:
    """Read ``length`` bytes from ``offset`` of an open file, however many calls it takes.

    Raises
    ------
    DataError
        If the file, told as ``name``, ends before that.
    """
    parts = []
    while length > 0:
        part = os.pread(fd, length, offset)
        if not part:
            raise DataError(f"the file {name} ends before byte {offset + length}")
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_coalesced(
    ranges: Sequence[tuple[int, int]],
    read: Callable[[int, int], bytes],
    gap_bytes: int,
) -> list[bytes]:
    """Read ranges, merging those with no more than ``gap_bytes`` between them.

    Parameters
    ----------
    ranges
        ``(offset, length)`` in bytes, in any order; may overlap or be empty.
    read
        Reads exactly ``length`` bytes from ``offset``.
    gap_bytes
        The largest hole that is read along and dropped.

    Returns
    -------
    list of bytes
        In the order of ``ranges``.
    """
    order = sorted(range(len(ranges)), key=lambda i: ranges[i][0])
    parts: list[bytes] = [b""] * len(ranges)
    group: list[int] = []
    start = end = 0

    def flush() -> None:
        if not group:
            return
        block = read(start, end - start)
        for i in group:
            offset, length = ranges[i]
            parts[i] = block[offset - start : offset - start + length]

    for i in order:
        offset, length = ranges[i]
        if length == 0:
            continue
        if group and offset <= end + gap_bytes:
            group.append(i)
            end = max(end, offset + length)
        else:
            flush()
            group = [i]
            start, end = offset, offset + length
    flush()
    return parts
