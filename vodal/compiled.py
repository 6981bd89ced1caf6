"""How inner loops are compiled: once, and kept on disk for the next process."""

from __future__ import annotations

import fcntl
import functools
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import compiler, errors

__all__ = ["compiled", "in_turn", "kernel", "uncounted"]

Function = TypeVar("Function", bound=Callable[..., object])

_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Without ``nnan`` and ``ninf``: a blank pixel is a NaN and must stay one."""

_TURN_S = 300.0
"""Seconds after which a process no longer waits for another to compile, which may hang."""
_LOOK_S = 0.05


class _Unswapped:
    """The module `warnings` for the compiler, but for what changes filters of the process.

    numba 0.68 swaps them some thousand times while it compiles, to tell no warning of its own
    twice. Other threads would lose the filters that they set meanwhile, or get back old ones.
    """

    def catch_warnings(self, **_: object) -> AbstractContextManager[list[Any]]:
        return nullcontext([])

    def simplefilter(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)


for _module in (compiler, errors):
    vars(_module)["warnings"] = _Unswapped()


def compiled(function: Function, **options: Any) -> Function:
    """Compile a function of arrays and numbers to machine code that runs beside other threads.

    For functions at module level only: those made inside another would be compiled anew in
    each run. Where neither the package's folder nor the user's cache can be written, the code is
    compiled in each process.

    Parameters
    ----------
    function
        What is compiled.
    **options
        More of numba's, such as ``fastmath``.
    """
    try:
        return cast(Function, njit(cache=True, nogil=True, **options)(function))
    except RuntimeError:
        return cast(Function, njit(nogil=True, **options)(function))


def kernel(function: Function) -> Function:
    """Compile a function of pixels; its sums may be taken in any order."""
    return compiled(function, fastmath=_FASTMATH)


def uncounted(function: Function) -> Function:
    """Compile a function that makes no arrays, and need not count who uses those it gets.

    Counting takes an atomic operation for each array and call of another function.
    """
    return compiled(function, _nrt=False)


def in_turn(last: Callable[..., object]) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Have one process at a time compile what a function ``load`` of a module loads.

    Of several that are started after an installation one compiles; the others read from the disk
    what it made, where each would need as long as it, and all together longer. A process that ends
    while it waits loads nothing.

    Parameters
    ----------
    last
        The compiled function that calls the others: when it is kept, they all are.
    """

    def decorate(load: Callable[[], None]) -> Callable[[], None]:
        @functools.wraps(load)
        def loading() -> None:
            with _turn(last) as is_ours:
                if is_ours:
                    load()

        return loading

    return decorate


@contextmanager
def _turn(function: Any) -> Iterator[bool]:
    """Wait until no other process compiles; gives whether this one still wants to."""
    folder, name = function.stats.cache_path, function.py_func.__qualname__
    if folder is None or _is_kept(Path(folder), name, Path(function.py_func.__code__.co_filename)):
        yield True
        return
    try:
        lock = (Path(folder) / f"{name}.lock").open("ab")
    except OSError:
        yield True
        return
    with lock:
        until = time.monotonic() + _TURN_S
        while not _locked(lock.fileno()) and time.monotonic() < until:
            if not threading.main_thread().is_alive():
                yield False
                return
            time.sleep(_LOOK_S)
        yield True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: whoever compiles, compiles
        return True
    return True


def _is_kept(folder: Path, name: str, source: Path) -> bool:
    """Tell whether a function was compiled since its source was written."""
    with suppress(OSError):
        written = source.stat().st_mtime
        return any(one.stat().st_mtime >= written for one in folder.glob(f"*.{name}-*.nbi"))
    return False
