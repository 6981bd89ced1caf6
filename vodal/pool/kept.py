"""Arguments that a worker keeps, so that they are sent to it once.

The server writes down which it has sent to which worker, and both forget the same ones: the oldest
use goes first. So the server always knows what a worker has.
"""

from __future__ import annotations

import io
import itertools
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from typing_extensions import override

__all__ = ["Kept", "KeptByWorker", "dumps", "loads", "new_number"]

_MOST = 64
"""Arguments that a worker keeps."""

new_number: Callable[[], int] = itertools.count(1).__next__
"""Gives a number that no other object of this process has."""


class Kept:
    """What is worth keeping; never changed once it was made."""

    __slots__ = ()

    @property
    def kept_number(self) -> int:
        """The object's own number, from `new_number`."""
        raise NotImplementedError


class KeptByWorker:
    """What a worker has; on the server's side the numbers alone."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, Kept | None] = OrderedDict()

    def has(self, number: int) -> bool:
        """Tell whether it is there, and note its use."""
        if number not in self._known:
            return False
        self._known.move_to_end(number)
        return True

    def get(self, number: int) -> Kept | None:
        """Give what is there, and note its use."""
        self._known.move_to_end(number)
        return self._known[number]

    def copy(self) -> OrderedDict[int, Kept | None]:
        """Give what is there."""
        return self._known.copy()

    def restore(self, before: OrderedDict[int, Kept | None]) -> None:
        """Go back to what was there."""
        self._known = before

    def put(self, number: int, one: Kept | None) -> None:
        """Take one in."""
        self._known[number] = one
        if len(self._known) > _MOST:
            self._known.popitem(last=False)


class _Pickler(pickle.Pickler):
    """Names what the worker has."""

    def __init__(
        self, file: io.BytesIO, take: Callable[[pickle.PickleBuffer], Any], known: KeptByWorker
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=take)
        self._worker = known
        self._whole: Kept | None = None

    @override
    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Kept) or obj is self._whole:
            return None
        number = obj.kept_number
        if self._worker.has(number):
            return number, None
        self._worker.put(number, None)
        self._whole = obj
        return number, obj


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, buffers: Iterable[Any], known: KeptByWorker) -> None:
        super().__init__(file, buffers=buffers)
        self._known = known

    @override
    def persistent_load(self, pid: Any) -> Kept | None:
        number, one = pid
        if one is None:
            return self._known.get(number)
        self._known.put(number, one)
        return one  # type: ignore[no-any-return]


def dumps(
    value: object, take: Callable[[pickle.PickleBuffer], Any], known: KeptByWorker
) -> bytes | memoryview:
    """Pickle a value but for what the worker has.

    Parameters
    ----------
    value
        Holds `Kept` objects anywhere.
    take
        Takes the large buffers that go beside the pickle.
    known
        What the worker has; brought up to date.
    """
    file, before = io.BytesIO(), known.copy()
    try:
        _Pickler(file, take, known).dump(value)
    except BaseException:
        # Nothing will be sent.
        known.restore(before)
        raise
    return file.getbuffer()


def loads(data: bytes | bytearray, buffers: Iterable[Any], known: KeptByWorker) -> Any:
    """Undo `dumps` in the worker, with what it has."""
    return _Unpickler(io.BytesIO(data), buffers, known).load()
