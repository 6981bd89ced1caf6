"""How inner loops are compiled: once, and kept on disk for the next process."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import compiler, errors

__all__ = ["compiled", "kernel", "uncounted"]

Function = TypeVar("Function", bound=Callable[..., object])

_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Without ``nnan`` and ``ninf``: a blank pixel is a NaN and must stay one."""


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
