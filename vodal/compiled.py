"""How inner loops are compiled: once, and kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

__all__ = ["compiled", "kernel", "uncounted"]

Function = TypeVar("Function", bound=Callable[..., object])

_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Without ``nnan`` and ``ninf``: a blank pixel is a NaN and must stay one."""


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
