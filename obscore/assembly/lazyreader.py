"""A file that is opened only if something asks for its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from typing_extensions import override

from vodal.fits.index import FileIndex
from vodal.fits.opening import open_pixels
from vodal.storage import FileStat, RangeReader, Storage

__all__ = ["LazyReader"]


class LazyReader(RangeReader):
    """Opens the file only if coordinates refer to tables in it: most files do not."""

    def __init__(self, uri: str, index: FileIndex, storage: Storage) -> None:
        self._uri, self._index, self._storage = uri, index, storage
        self._reader: RangeReader | None = None

    def _open(self) -> RangeReader:
        if self._reader is None:
            self._reader = open_pixels(self._uri, self._index, (), storage=self._storage)
        return self._reader

    @override
    def stat(self) -> FileStat:
        return self._open().stat()

    @override
    def identity(self) -> str | None:
        return self._open().identity()

    @override
    def read(self, offset: int, length: int) -> bytes:
        return self._open().read(offset, length)

    @override
    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return self._open().read_many(ranges)

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._reader is not None:
            self._reader.__exit__(kind, error, trace)
