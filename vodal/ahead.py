"""An iterator that works ahead in a thread, so that two processors share a long answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Generic, TypeVar

__all__ = ["read_ahead"]

_T = TypeVar("_T")


def read_ahead(source: Iterator[_T], *, depth: int = 1, after: int = 2) -> Iterator[_T]:
    """Give what another iterator gives, making the next items while one is in use.

    Parameters
    ----------
    source
        Closed, if it can be, when the last item was taken or this iterator is closed. It is used
        by one thread at a time.
    depth
        Items that may lie ready.
    after
        Items taken without a thread: most iterators end soon.
    """
    try:
        for _ in range(after):
            try:
                item = next(source)
            except StopIteration:
                return
            yield item
        worker = _Worker(source, depth)
        try:
            while (made := worker.take()) is not None:
                yield made[0]
        finally:
            worker.stop()
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


class _Worker(Generic[_T]):
    """Takes items in a thread."""

    def __init__(self, source: Iterator[_T], depth: int) -> None:
        self._source = source
        self._ready: Queue[tuple[_T] | None] = Queue()
        self._room = threading.Semaphore(depth)
        self._stopped = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._ready.put((next(self._source),))
                self._room.acquire()
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where the items are taken
            self._failure = error
        self._ready.put(None)

    def take(self) -> tuple[_T] | None:
        """Give the next item; None at the end.

        Raises
        ------
        BaseException
            What the source raised.
        """
        made = self._ready.get()
        if made is None and self._failure is not None:
            raise self._failure
        self._room.release()
        return made

    def stop(self) -> None:
        """Let the thread end with the item that it makes, and wait for it."""
        self._stopped = True
        self._room.release()
        self._thread.join()
