"""Several ranges of bytes in one answer: ``multipart/byteranges`` (RFC 9110 section 14.6)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from email.message import Message

__all__ = ["CONTENT_RANGE", "Pieces", "read_pieces"]

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_PART_RANGE = re.compile(
    rb"^content-range:[ \t]*bytes (\d+)-(\d+)/(\d+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)


class Pieces:
    """Pieces of a file, as a server gave them.

    Parameters
    ----------
    size_bytes
        Of the whole file.
    pieces
        Offset and bytes of each, in any order. A server may join what lies near.
    """

    def __init__(self, size_bytes: int, pieces: Sequence[tuple[int, memoryview]]) -> None:
        self.size_bytes = size_bytes
        self._pieces = sorted(pieces, key=lambda piece: piece[0])
        self._offsets = [offset for offset, _ in self._pieces]

    def take(self, offset: int, length: int) -> bytes | None:
        """Give a range that lies within one of the pieces; None if none holds it."""
        place = bisect_right(self._offsets, offset) - 1
        if place < 0:
            return None
        start, data = self._pieces[place]
        found = data[offset - start : offset - start + length]
        return bytes(found) if len(found) == length else None


def read_pieces(headers: Message, body: bytes | bytearray) -> Pieces | None:
    """Read what a server gave of several ranges.

    Parameters
    ----------
    headers, body
        Of an answer of status 206.

    Returns
    -------
    Pieces or None
        None if it is not what the standard says, or is cut short.
    """
    if headers.get("Content-Encoding", "identity") != "identity":
        return None
    view = memoryview(body)
    alone = CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if alone is not None and alone[1] is not None:
        start, end = int(alone[1]), int(alone[2]) + 1
        return Pieces(int(alone[3]), [(start, view)]) if end - start == len(body) else None
    boundary = headers.get_param("boundary")
    if headers.get_content_type() != "multipart/byteranges" or not isinstance(boundary, str):
        return None
    return _parts(b"--" + boundary.encode("latin-1", "replace"), body, view)


def _parts(delimiter: bytes, body: bytes | bytearray, view: memoryview) -> Pieces | None:
    """Go from part to part; lengths are told, so that pixels are never searched."""
    at = body.find(delimiter)
    pieces: list[tuple[int, memoryview]] = []
    sizes: set[int] = set()
    while at >= 0 and not body.startswith(b"--", at + len(delimiter)):
        end = body.find(b"\r\n\r\n", at)
        told = _PART_RANGE.search(body, at, end + 2) if end >= 0 else None
        if told is None:
            return None
        start, stop, size = int(told[1]), int(told[2]) + 1, int(told[3])
        first, last = end + 4, end + 4 + stop - start
        if stop <= start or not body.startswith(b"\r\n" + delimiter, last):
            return None
        pieces.append((start, view[first:last]))
        sizes.add(size)
        at = last + 2
    return Pieces(sizes.pop(), pieces) if len(sizes) == 1 and at >= 0 else None
