"""A file that is only written, whose bytes are taken away piece by piece."""

from __future__ import annotations

from io import RawIOBase

from typing_extensions import Buffer, override

__all__ = ["Sink"]


class Sink(RawIOBase):
    """What a library writes to as to a file, so that its output can be sent while it is made."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer, /) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    @override
    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        """Give what was written since the last time."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
