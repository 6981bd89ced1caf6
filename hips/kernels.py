"""How inner loops over pixels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vodal.compiled import compiled

__all__ = ["kernel"]

Function = TypeVar("Function", bound=Callable[..., object])

_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Without ``nnan`` and ``ninf``: a blank pixel is a NaN and must stay one."""


def kernel(function: Function) -> Function:
    """Compile a function of pixels as `vodal.compiled.compiled` does."""
    return compiled(function, fastmath=_FASTMATH)
