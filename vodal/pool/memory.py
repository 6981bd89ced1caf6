"""Memory that the server and all workers of a pool share, for large results.

A result that a worker writes there is neither sent nor copied, and its pages are there already: of
48 MB their making takes longer than the reading of an image. A buffer is sparse: it takes as much
memory as was written, of which `_KEEP_BYTES` stay for the next result.

A buffer belongs to one request from when its worker gets it until the result has been used. If
the request ends before its worker does, it is free only when the worker is done with it, or dead.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass

__all__ = ["SharedBuffer", "SharedMemory", "SharedPart", "WorkerMemory"]

_KEEP_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class SharedPart:
    """Bytes of a result that lie in the request's buffer, from its start."""

    length: int


def _make_file(size: int) -> int:
    """Make a file that lies in memory, or without a name on the disk where there is no such."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("skylane-results")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


class SharedBuffer:
    """One buffer as the server sees it.

    Parameters
    ----------
    number
        Its place among those of the pool.
    size
        In bytes.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number, self._size = number, size
        self.fd = _make_file(size)
        try:
            self._map = mmap.mmap(self.fd, size)
        except OSError:
            os.close(self.fd)
            raise
        self._written: int | None = None

    def view(self, part: SharedPart) -> memoryview:
        """Give a result's bytes, to be let go of before the buffer is given back."""
        self._written = part.length
        return memoryview(self._map)[: part.length]

    def shrink(self) -> None:
        """Give memory beyond what is kept back to the system."""
        # What was not looked at may be of any length.
        written = self._size if self._written is None else self._written
        self._written = None
        if written > _KEEP_BYTES:
            os.ftruncate(self.fd, _KEEP_BYTES)
            os.ftruncate(self.fd, self._size)

    def close(self) -> None:
        """Close it; the memory goes with the last who has it."""
        os.close(self.fd)
        self._map = mmap.mmap(-1, 1)


class SharedMemory:
    """The buffers of a pool.

    Parameters
    ----------
    count
        Of buffers. Where all are in use, results are sent.
    size
        Of each in bytes, hence of the largest result that is not sent.

    Raises
    ------
    OSError
        If the system gives no such memory, as with a limit of the size of files.
    """

    def __init__(self, count: int, size: int) -> None:
        self._all: list[SharedBuffer] = []
        try:
            for number in range(count):
                self._all.append(SharedBuffer(number, size))
        except OSError:
            self.close()
            raise
        self._free = list(self._all)
        self.fds = tuple(buffer.fd for buffer in self._all)

    @property
    def free(self) -> int:
        """Buffers that nobody has."""
        return len(self._free)

    def take(self) -> SharedBuffer | None:
        """Give a buffer that is free, the last one used first."""
        return self._free.pop() if self._free else None

    def give_back(self, buffer: SharedBuffer) -> None:
        """Take a buffer back that nobody will write to or read any more."""
        if not self._all:
            return
        buffer.shrink()
        self._free.append(buffer)

    def close(self) -> None:
        """Close all; results that are still in use stay readable."""
        for buffer in self._all:
            buffer.close()
        self._all, self._free, self.fds = [], [], ()


class WorkerMemory:
    """The buffers as a worker sees them, of which the present request may have one.

    Parameters
    ----------
    fds
        Of the buffers, by number.
    """

    def __init__(self, fds: tuple[int, ...] = ()) -> None:
        self._fds = fds
        self._maps: dict[int, mmap.mmap] = {}
        self._present: memoryview | None = None

    def begin(self, number: int | None) -> None:
        """Say which buffer the next request has."""
        self._present = None
        if number is None:
            return
        if number not in self._maps:
            self._maps[number] = mmap.mmap(self._fds[number], 0)
        self._present = memoryview(self._maps[number])

    def allocate(self, length: int) -> tuple[memoryview, SharedPart | None]:
        """Give memory for a result of so many bytes, which holds anything at first.

        Returns
        -------
        tuple
            The memory; and how it is named in the answer, None if it has to be sent.
        """
        if self._present is not None and length <= len(self._present):
            return self._present[:length], SharedPart(length)
        return memoryview(bytearray(length)), None
