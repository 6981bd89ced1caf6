"""How inner loops are compiled: once, and kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

__all__ = ["kernel"]

Function = TypeVar("Function", bound=Callable[..., object])

_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Without ``nnan`` and ``ninf``: a blank pixel is a NaN and must stay one."""


def kernel(function: Function) -> Function:
    """Compile a function of arrays and numbers to machine code.

    For functions at module level only: those made inside another would be compiled anew in
    each run. Where neither the package's folder nor the user's cache can be written, the code is
    compiled in each process.
    """
    try:
        return cast(Function, njit(cache=True, nogil=True, fastmath=_FASTMATH)(function))
    except RuntimeError:
        return cast(Function, njit(nogil=True, fastmath=_FASTMATH)(function))
