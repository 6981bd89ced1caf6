"""Headers of files on servers, fetched side by side before it is their turn.

A round trip takes longer than making rows of what it brings. So the headers of a portion's files
are asked for at once, by threads that wait; rows are made one after the other.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Self

from vodal.fits.index import FileIndex
from vodal.fits.opening import open_scanned
from vodal.fits.scan import scan_file
from vodal.storage import Storage, is_local, local_path

__all__ = ["FAR_PORTION", "Ahead", "Scan", "scan"]

FAR_PORTION = 32
"""Files on servers that a process reads at a time."""

Scan = Callable[[str, Storage], FileIndex]


def scan(uri: str, storage: Storage) -> FileIndex:
    """Index a file by its headers, with errors as of `vodal.fits.opening.open_scanned`."""
    if is_local(uri):
        return scan_file(local_path(uri))
    index, reader = open_scanned(uri, storage=storage)
    reader.__exit__(None, None, None)
    return index


class Ahead:
    """Indexes files on servers side by side; to be entered as a context.

    Parameters
    ----------
    uris
        Of files; those on disks are left to `scan`.
    storage
        Opens them.
    seconds
        That are waited at most before the first file's turn.
    """

    def __init__(self, uris: Iterable[str], storage: Storage, seconds: float) -> None:
        self._far = [uri for uri in uris if not is_local(uri)]
        self._storage, self._seconds = storage, seconds
        self._crew: ThreadPoolExecutor | None = None
        self._found: dict[str, Future[FileIndex]] = {}

    def __len__(self) -> int:
        return len(self._far)

    def scan(self, uri: str, storage: Storage) -> FileIndex:
        """Give the index of a file, as `scan` does."""
        future = self._found.get(uri)
        return scan(uri, storage) if future is None else future.result()

    def __enter__(self) -> Self:
        if len(self._far) > 1:
            # The alarm that ends a slow file is for the main thread alone.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            self._crew = ThreadPoolExecutor(min(len(self._far), FAR_PORTION), "headers")
            self._found = {uri: self._crew.submit(scan, uri, self._storage) for uri in self._far}
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            wait(self._found.values(), self._seconds)
        return self

    def __exit__(self, *fault: object) -> None:
        if self._crew is not None:
            self._crew.shutdown(wait=False, cancel_futures=True)
