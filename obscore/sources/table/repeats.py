"""What a walk has met before: 8 bytes for each, so that memory stays small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Met"]


class Met:
    """Texts that were met, by their hashes; sorted runs that are merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []

    def had(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which of some texts were met before."""
        sought = _hashes(texts)
        found = np.zeros(len(sought), np.bool_)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, sought), len(run) - 1)
            found |= run[places] == sought
        return found

    def add(self, texts: Sequence[str]) -> None:
        """Remember texts."""
        if not texts:
            return
        self._runs.append(np.sort(_hashes(texts)))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate([before, last])))


def _hashes(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, texts), np.int64, len(texts))
