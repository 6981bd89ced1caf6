"""Which way up a picture lies on another: by the ranks of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["likeness", "turned"]

Values = NDArray[np.float32]
_Ranks = NDArray[np.float64]

_SIDE: Final = 128
_MARGIN: Final = 0.2
"""By how much another way has to fit better, before it is said to be the right one."""
_ENOUGH: Final = 0.5

_WAYS: Final[dict[str, Callable[[_Ranks], _Ranks]]] = {
    "as it is": lambda a: a,
    "upside down": lambda a: a[::-1],
    "mirrored left to right": lambda a: a[:, ::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "with rows and columns exchanged": lambda a: a.T,
    "turned by 90 degrees": lambda a: a.T[::-1],
    "turned by 270 degrees": lambda a: a.T[:, ::-1],
    "with rows and columns exchanged, turned by 180 degrees": lambda a: a[::-1, ::-1].T,
}


def _coarse(values: Values) -> _Ranks:
    """Average to at most 128 pixels a side, blank where all are."""
    factor = max(1, len(values) // _SIDE)
    side = len(values) // factor
    blocks = values[: side * factor, : side * factor].reshape(side, factor, side, factor)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(1, 3))
    total = np.where(valid, blocks, 0.0).sum(axis=(1, 3), dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _ranks(values: _Ranks, *, dark: bool) -> _Ranks:
    """Give each value's place among all, the same for equal ones, blank being the lowest."""
    sign = -1.0 if dark else 1.0
    filled = np.where(np.isfinite(values), sign * values, -np.inf)
    _, inverse, counts = np.unique(filled, return_inverse=True, return_counts=True)
    places = np.cumsum(counts) - 0.5 * counts
    ranks = places[inverse.reshape(-1)].reshape(values.shape)
    centred: _Ranks = ranks - ranks.mean()
    return centred


def _agreement(one: _Ranks, other: _Ranks) -> float:
    norm = np.sqrt((one * one).sum() * (other * other).sum())
    return float((one * other).sum() / norm) if norm > 0.0 else 0.0


def likeness(one: Values, other: Values) -> float:
    """Tell how alike two pictures of one size are, whatever their scales.

    1 if one rises with the other, 0 if they have nothing in common. A negative counts as its
    positive.
    """
    if one.shape != other.shape:
        return 0.0
    first = _ranks(_coarse(one), dark=False)
    return max(_agreement(first, _ranks(_coarse(other), dark=dark)) for dark in (False, True))


def turned(one: Values, other: Values) -> str:
    """Name how a picture is turned against another that it should be like; empty if it is not.

    Parameters
    ----------
    one, other
        Square pictures of one size.

    Returns
    -------
    str
        Empty also if the pictures are too dull to tell.
    """
    first = _ranks(_coarse(one), dark=False)
    scores = dict.fromkeys(_WAYS, -1.0)
    for dark in (False, True):
        second = _ranks(_coarse(other), dark=dark)
        for name, way in _WAYS.items():
            scores[name] = max(scores[name], _agreement(first, way(second)))
    best = max(scores, key=scores.__getitem__)
    clear = scores[best] > _ENOUGH and scores[best] > scores["as it is"] + _MARGIN
    return best if clear else ""
