"""Maps as sorted ranges of cells of HEALPix order 29."""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from obscore.adql.userdefined.healpix import MAX_ORDER
from vodal.errors import UsageError

__all__ = ["MAX_CELLS", "Moc", "parse_moc"]

MAX_CELLS = 20_000
"""Cells that a map may have."""

_ALL = 12 << 2 * MAX_ORDER

_FORM = "'4/33-45 5/4,7': order, slash, cells and ranges of cells"


@dataclass(frozen=True, slots=True)
class Moc:
    """A part of the sky made of cells."""

    order: int
    """Of the finest cells."""
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    """Of ranges of order 29, ends not included; sorted, apart from each other."""

    def holds(self, cell: int) -> bool:
        """Tell whether a cell of order 29 belongs to the map."""
        at = bisect_right(self.starts, cell) - 1
        return at >= 0 and cell < self.ends[at]

    def meets(self, start: int, end: int) -> bool:
        """Tell whether any cell of a range belongs to the map."""
        at = bisect_right(self.starts, end - 1) - 1
        return at >= 0 and self.ends[at] > start

    def has(self, start: int, end: int) -> bool:
        """Tell whether all cells of a range belong to the map."""
        at = bisect_right(self.starts, start) - 1
        return at >= 0 and self.ends[at] >= end

    def within(self, other: Moc) -> bool:
        """Tell whether all of the map belongs to another."""
        return all(other.has(start, end) for start, end in self.ranges())

    def touches(self, other: Moc) -> bool:
        """Tell whether the maps have a cell in common."""
        return any(other.meets(start, end) for start, end in self.ranges())

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Give start and end of each range."""
        return zip(self.starts, self.ends, strict=True)

    def rest(self) -> Moc:
        """Give the part of the sky that the map leaves out."""
        starts, ends = (0, *self.ends), (*self.starts, _ALL)
        kept = [(a, b) for a, b in zip(starts, ends, strict=True) if a < b]
        return Moc(self.order, tuple(a for a, _ in kept), tuple(b for _, b in kept))

    @property
    def fraction(self) -> float:
        """Part of the sky that the map covers."""
        return sum(end - start for start, end in self.ranges()) / _ALL

    def cells(self) -> Iterator[tuple[int, int]]:
        """Give order and number of the largest cells that make up the map."""
        for start, end in self.ranges():
            at = start
            while at < end:
                shift = MAX_ORDER
                # The largest cell that begins here and ends in time.
                while at & ((1 << 2 * shift) - 1) or at + (1 << 2 * shift) > end:
                    shift -= 1
                yield MAX_ORDER - shift, at >> 2 * shift
                at += 1 << 2 * shift

    def coarse(self, most: int) -> list[tuple[int, int]]:
        """Give a few cells of one order that cover the map, in the finest order with so few."""
        for order in range(self.order, -1, -1):
            shift = 2 * (MAX_ORDER - order)
            found: set[int] = set()
            for start, end in self.ranges():
                first, last = start >> shift, (end - 1) >> shift
                if last - first >= most:
                    found.update(range(most + 1))
                    break
                found.update(range(first, last + 1))
                if len(found) > most:
                    break
            if len(found) <= most:
                return [(order, cell) for cell in sorted(found)]
        return [(0, cell) for cell in range(12)]

    def pack(self) -> bytes:
        """Give the map's bytes for the database."""
        flat = [number for pair in self.ranges() for number in pair]
        return struct.pack(f"<B{len(flat)}Q", self.order, *flat)

    @staticmethod
    @lru_cache(maxsize=16)
    def unpack(data: bytes) -> Moc:
        """Give the map of its bytes."""
        order, *flat = struct.unpack(f"<B{(len(data) - 1) // 8}Q", data)
        return Moc(order, tuple(flat[::2]), tuple(flat[1::2]))

    @classmethod
    def of_cells(cls, order: int, ranges: Iterable[tuple[int, int]]) -> Moc:
        """Make a map of ranges of order 29 in any order, joining those that touch."""
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(ranges):
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        return cls(order, tuple(starts), tuple(ends))


_PIECE = re.compile(
    r"\s*+,?\s*+(?:(?P<order>[0-9]{1,2})/|(?P<first>[0-9]{1,19})(?:-(?P<last>[0-9]{1,19}))?+)"
    r"(?=[\s,]|$|(?<=/))"
)


def parse_moc(text: str) -> Moc:
    """Read a map's text form (MOC 2.0 section 4.3.2), of space alone.

    Raises
    ------
    UsageError
        If it is none, or too large.
    """
    text = text.strip()
    _check_kind(text)
    text = text.removeprefix("s")
    order: int | None = None
    finest = at = 0
    ranges: list[tuple[int, int]] = []
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise UsageError(f"no MOC goes on with '{text[at : at + 20].strip()}'; write {_FORM}")
        at = found.end()
        if found["order"] is not None:
            order = int(found["order"])
            finest = max(finest, order)
            if order > MAX_ORDER:
                raise UsageError(f"the orders of a MOC go from 0 to {MAX_ORDER}, not {order}")
        elif order is not None:
            ranges.append(_cells(order, int(found["first"]), int(found["last"] or found["first"])))
            if len(ranges) > MAX_CELLS:
                raise UsageError(f"a MOC has at most {MAX_CELLS} cells or ranges of cells")
        else:
            break
    if order is None:
        raise UsageError(f"a MOC begins with an order; write {_FORM}")
    return Moc.of_cells(finest, ranges)


def _check_kind(text: str) -> None:
    if text[:1] in {"{", "["}:
        raise UsageError(f"a MOC is written as text, not as JSON: {_FORM}")
    if text[:1] in {"t", "f"} or " t" in text or " f" in text:
        raise UsageError("a MOC of time or frequency cannot be compared with places")


def _cells(order: int, first: int, last: int) -> tuple[int, int]:
    """Give cells of an order as a range of order 29."""
    if not first <= last < 12 << 2 * order:
        raise UsageError(f"order {order} of a MOC has no cells {first}-{last}")
    shift = 2 * (MAX_ORDER - order)
    return first << shift, (last + 1) << shift
