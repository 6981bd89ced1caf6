"""Ranges of a file that is open in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence

from typing_extensions import override

from vodal.errors import DataError
from vodal.storage.base import RangeReader
from vodal.storage.ranges import read_exactly, read_planned

__all__ = ["FileReader"]

_GAP_BYTES = 64 * 1024
"""On a disk a hole of this size costs less to read than a second system call."""
_MOST_PARTS = 1024
"""Of one system call (IOV_MAX of Linux)."""

_NEAR_BYTES = 4096
"""A hole of this size costs less to read than a second system call, also from memory."""
_NOW: int | None = getattr(os, "RWF_NOWAIT", None)
"""Asks for bytes only if the system has them in memory."""

_hole = memoryview(bytearray(_GAP_BYTES))
"""Where what lies between rows is read to; nobody looks at it."""


class FileReader(RangeReader):
    """Reads ranges by the descriptor of an open file.

    Parameters
    ----------
    fd
        The descriptor; closing it is left to the class that opened the file.
    name
        Of the file, for errors.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd, self._name = fd, name

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._fd

    def check(self) -> None:
        """See that what was read of the descriptor is of the version that is wanted.

        Raises
        ------
        ChangedError
            If it may be of another.
        """
        self._check()

    def _check(self) -> None:
        """Raise ChangedError if what was just read may be of another version than is wanted."""

    @override
    def read(self, offset: int, length: int) -> bytes:
        data = read_exactly(self._fd, offset, length, self._name)
        self.taken_bytes += length
        self._check()
        return data

    @override
    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return read_planned(ranges, self.read)

    def read_rows(self, offset: int, stride: int, width: int, rows: memoryview) -> int:
        """Read evenly spaced rows to where they belong, one behind the other.

        Parameters
        ----------
        offset
            Of the first row.
        stride, width
            Bytes from one row to the next, and of a row.
        rows
            Bytes of all rows.

        Returns
        -------
        int
            Bytes that were read, with those between the rows where they were.

        Raises
        ------
        DataError
            If the file ends before that.
        ChangedError
            If it is not of the version that is to be read.
        """
        gap = stride - width
        if gap <= 0:
            self._fill(offset, [rows])
            self._check()
            return len(rows)
        starts = range(0, len(rows), width)
        if gap > _NEAR_BYTES:
            done = self._fill_from_memory(offset, stride, width, rows)
            offset, starts = offset + done * stride, starts[done:]
        if gap > _GAP_BYTES:
            for number, start in enumerate(starts):
                self._fill(offset + number * stride, [rows[start : start + width]])
            self._check()
            return len(rows)
        # Rows and holes in turn, in one call: what is on the disk comes in one piece.
        each = _MOST_PARTS // 2
        between = _hole[:gap]
        for first in range(0, len(starts), each):
            parts = [between] * (2 * len(starts[first : first + each]) - 1)
            parts[::2] = [rows[start : start + width] for start in starts[first : first + each]]
            self._fill(offset + first * stride, parts)
        self._check()
        return len(rows) + gap * max(0, len(starts) - 1)

    def _fill_from_memory(self, offset: int, stride: int, width: int, rows: memoryview) -> int:
        """Read rows one by one as long as no disk is needed; gives how many there were."""
        if _NOW is None:
            return 0
        for done, start in enumerate(range(0, len(rows), width)):
            try:
                part = rows[start : start + width]
                if os.preadv(self._fd, [part], offset + done * stride, _NOW) != width:
                    return done
            except OSError:
                # Not there at once, or a file system that cannot tell.
                return done
        return len(rows) // width

    def _fill(self, offset: int, parts: list[memoryview]) -> None:
        """Fill buffers with bytes that follow each other in the file."""
        wanted = sum(map(len, parts))
        while parts:
            count = os.preadv(self._fd, parts, offset)
            if count == 0:
                raise DataError(f"the file {self._name} ends before byte {offset + wanted}")
            offset += count
            if count == wanted:
                return
            wanted -= count
            done = 0
            while done < len(parts) and count >= len(parts[done]):
                count -= len(parts[done])
                done += 1
            parts = parts[done:]
            if count:
                parts[0] = parts[0][count:]
