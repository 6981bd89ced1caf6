"""Pictures made smaller by averaging areas, and larger by repeating pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shrinker", "enlarged"]

Floats = NDArray[np.float64]


class Shrinker:
    """Averages an image to fewer pixels, from rows that come one group after the other.

    Each pixel of the result is the mean of the finite pixels under it, weighted by the area that
    it covers of each.

    Parameters
    ----------
    shape
        Of the image: rows, columns.
    target
        Of the result; not larger along either axis.
    """

    def __init__(self, shape: tuple[int, int], target: tuple[int, int]) -> None:
        self._shape, self._target = shape, target
        self._total = np.zeros(target)
        self._weight = np.zeros(target)
        self._row = 0
        edges = np.arange(target[1] + 1) * (shape[1] / target[1])
        edges[-1] = shape[1]
        self._columns = edges.astype(np.intp)
        self._parts = edges - self._columns

    def add(self, rows: NDArray[Any]) -> None:
        """Take in the next rows, physical values of any type."""
        values = rows.astype(np.float64)
        finite = np.isfinite(values)
        values[~finite] = 0.0
        total, weight = self._across(values), self._across(finite.astype(np.float64))
        step = self._shape[0] / self._target[0]
        begin = np.arange(self._row, self._row + len(rows)) / step
        end = np.arange(self._row + 1, self._row + len(rows) + 1) / step
        last = self._target[0] - 1
        first = np.minimum(begin.astype(np.intp), last)
        second = np.minimum(first + 1, last)
        # A row lies in one row of the result or across the border of two.
        beyond = np.maximum(0.0, end - (first + 1)) * step
        beyond[first == last] = 0.0
        within = (1.0 - beyond)[:, None]
        for out, part in ((self._total, total), (self._weight, weight)):
            np.add.at(out, first, part * within)
            np.add.at(out, second, part * beyond[:, None])
        self._row += len(rows)

    def _across(self, values: Floats) -> Floats:
        """Sum over the columns of each pixel of the result."""
        if self._shape[1] == self._target[1]:
            return values
        # Not by differences of a running sum, in which a huge value would drown all after it.
        sums = np.add.reduceat(values, self._columns[:-1], axis=1)
        padded = np.concatenate([values, np.zeros((len(values), 1))], axis=1)
        parts = self._parts * padded[:, self._columns]
        return np.asarray(sums - parts[:, :-1] + parts[:, 1:], np.float64)

    def result(self) -> NDArray[np.float32]:
        """Give the averages; NaN where nothing finite lies under a pixel."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            mean = self._total / self._weight
            # Of a sliver only rounding is left.
            return np.where(self._weight > 1e-6, mean, np.nan).astype(np.float32)


def enlarged(pixels: NDArray[Any], target: tuple[int, int]) -> NDArray[Any]:
    """Repeat pixels, each as the nearest of those of the result.

    Parameters
    ----------
    pixels
        Rows and columns first.
    target
        Rows and columns of the result.
    """
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.intp), old - 1)
        for new, old in zip(target, pixels.shape[:2], strict=True)
    )
    larger: NDArray[Any] = pixels[rows[:, None], columns]
    return larger
