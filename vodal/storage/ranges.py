"""Coalescing of byte ranges, so that near neighbours are read in one go."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vodal.errors import DataError

__all__ = ["SMALL_HOLE_BYTES", "Request", "plan_requests", "read_exactly", "read_planned"]

LANES = 64
"""Reads that cost little more than one."""
SMALL_HOLE_BYTES = 64 * 1024
"""Costs less to read than a further request, on a disk and at the far end of a line: where a round
trip takes 20 ms and 100 MB/s come in, 2 MB come in one, and it is shared by 32 requests that are
under way at once."""


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


@dataclass(frozen=True, slots=True)
class Request:
    """One read, and what of it belongs to which of the ranges that were asked for."""

    offset: int
    length: int
    parts: tuple[tuple[int, int, int], ...]
    """Number of the range, and its first and last byte (exclusive) in what is read."""


def plan_requests(
    ranges: Sequence[tuple[int, int]],
    most_bytes: int | None = None,
    *,
    share: int = 8,
    lanes: int = LANES,
    hole_bytes: int = SMALL_HOLE_BYTES,
) -> list[Request]:
    """Plan reads of ranges, as few as can be without reading much more than is wanted.

    Neighbours are read in one go, the nearest first, as long as what lies between them is no more
    than an eighth of what is wanted. If more reads remain than there are lanes, small holes are
    read along all the same.

    Parameters
    ----------
    ranges
        ``(offset, length)`` in bytes, in any order; may overlap or be empty.
    most_bytes
        The longest single read; a longer range comes in several, in order.
    share
        What lies between may be this part of what is wanted; 0 joins only what touches.
    lanes
        Reads that can be under way at once.
    hole_bytes
        A hole that costs less than another read; 0 reads none beyond the eighth.

    Returns
    -------
    list of Request
        By offset, without overlaps.
    """
    order = sorted((i for i in range(len(ranges)) if ranges[i][1] > 0), key=lambda i: ranges[i])
    runs = _runs(ranges, order)
    wanted = sum(end - start for start, end, _ in runs)
    runs = _joined(runs, wanted // share if share else 0, lanes, hole_bytes)
    requests = []
    for start, end, numbers in runs:
        step = end - start if most_bytes is None else most_bytes
        for low in range(start, end, step):
            high = min(low + step, end)
            parts = []
            for i in numbers:
                offset, length = ranges[i]
                if offset < high and offset + length > low:
                    parts.append((i, max(offset, low) - low, min(offset + length, high) - low))
            requests.append(Request(low, high - low, tuple(parts)))
    return requests


_Run = tuple[int, int, list[int]]


def _runs(ranges: Sequence[tuple[int, int]], order: Sequence[int]) -> list[_Run]:
    """Put together what touches or overlaps."""
    runs: list[_Run] = []
    for i in order:
        offset, length = ranges[i]
        if runs and offset <= runs[-1][1]:
            start, end, numbers = runs[-1]
            numbers.append(i)
            runs[-1] = start, max(end, offset + length), numbers
        else:
            runs.append((offset, offset + length, [i]))
    return runs


def _joined(runs: list[_Run], spare_bytes: int, lanes: int, hole_bytes: int) -> list[_Run]:
    """Close holes, the smallest first, for so many bytes; and small ones where there are many."""
    holes = sorted((runs[k + 1][0] - runs[k][1], k) for k in range(len(runs) - 1))
    closed: set[int] = set()
    for hole, k in holes:
        many = len(runs) - len(closed) > lanes
        if hole > spare_bytes and not (many and hole <= hole_bytes):
            break
        spare_bytes -= hole
        closed.add(k)
    joined: list[_Run] = []
    for k, (start, end, numbers) in enumerate(runs):
        if k - 1 in closed:
            first, _, before = joined[-1]
            joined[-1] = first, end, before + numbers
        else:
            joined.append((start, end, numbers))
    return joined


def read_planned(
    ranges: Sequence[tuple[int, int]], read: Callable[[int, int], bytes]
) -> list[bytes]:
    """Read ranges one after the other as `plan_requests` has them.

    Parameters
    ----------
    ranges
        ``(offset, length)`` in bytes, in any order; may overlap or be empty.
    read
        Reads exactly ``length`` bytes from ``offset``.

    Returns
    -------
    list of bytes
        In the order of ``ranges``.
    """
    parts: list[bytes] = [b""] * len(ranges)
    for request in plan_requests(ranges):
        block = read(request.offset, request.length)
        for number, start, stop in request.parts:
            parts[number] = block[start:stop]
    return parts
