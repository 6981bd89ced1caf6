"""The channels of a collection's cubes: numbered once, and kept beside the HiPS.

The first cube, by identifier, gives the numbers, as its file counts them. Channels of others are
the same if their coordinates are; those that are new get the numbers that follow.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from hips.properties import obs_regime
from vodal.constants import LIGHT_M_S
from vodal.errors import DataError
from vodal.fits.cubes import WAVELENGTH, ChannelAxis

__all__ = ["ChannelList"]

Floats = NDArray[np.float64]

_SAME: Final = 0.5
"""Part of a channel by which another may be off and still be the same."""
_WIDER: Final = 1.5
"""Times that a channel may be wider than another and still be the same."""
_SCALES: Final = {
    "Hz": ((1e12, "THz"), (1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz"), (1.0, "Hz")),
    "m": ((1e-3, "mm"), (1e-6, "um"), (1e-9, "nm")),
    "m/s": ((1e3, "km/s"),),
}
"""Units that values of a size are told in."""


@dataclass(slots=True)
class ChannelList:
    """What the cubes' channels are, by number."""

    plain: str = ""
    """The polarization state that names do not tell, as the first cubes have no other."""
    kind: str | None = None
    """As of `ChannelAxis`; None while no cube has channels."""
    unit: str = ""
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    """Ends of each channel."""

    def __len__(self) -> int:
        return len(self.low)

    def number(self, axis: ChannelAxis) -> list[int]:
        """Give the numbers of a cube's channels; those that are new are added.

        Raises
        ------
        DataError
            If its channels are others than those that are known.
        """
        if self.kind is None:
            self.kind, self.unit = axis.kind, axis.unit
        if (axis.kind, axis.unit) != (self.kind, self.unit):
            raise DataError(
                f"its channels are told by {_what(axis.kind, axis.unit)}, those of the other "
                f"cubes by {_what(self.kind, self.unit)}"
            )
        found = self._find(axis) if self.low else np.zeros(len(axis.low), np.int64)
        new = np.flatnonzero(found == 0)
        if self.low:
            new = new[np.argsort(axis.low[new] * self._direction, kind="stable")]
        for place in new.tolist():
            self.low.append(float(axis.low[place]))
            self.high.append(float(axis.high[place]))
            found[place] = len(self.low)
        return [int(number) for number in found]

    @property
    def _direction(self) -> float:
        """Which way the channels of the first cube run."""
        return -1.0 if len(self.low) > 1 and self.low[1] < self.low[0] else 1.0

    def _find(self, axis: ChannelAxis) -> NDArray[np.int64]:
        """Give the numbers of the channels that are known, 0 for those that are not."""
        low, high = np.array(self.low), np.array(self.high)
        order = np.argsort(low)
        low, high = low[order], high[order]
        middle, width = (axis.low + axis.high) / 2.0, axis.high - axis.low
        known = (low + high) / 2.0
        right = np.clip(np.searchsorted(known, middle), 0, len(known) - 1)
        left = np.maximum(right - 1, 0)
        nearest = np.where(
            np.abs(known[left] - middle) <= np.abs(known[right] - middle), left, right
        )
        size = (high - low)[nearest]
        same = np.abs(known[nearest] - middle) < _SAME * size * (1.0 - 1e-6)
        numbers = np.where(same, order[nearest] + 1, 0)
        ratio = width / size
        if (same & ((ratio > _WIDER) | (ratio < 1.0 / _WIDER))).any() or (
            len(np.unique(nearest[same])) < np.count_nonzero(same)
        ):
            raise DataError(
                f"its channels are {self._size(width)} wide, those of the other cubes there "
                f"{self._size(size[same])}"
            )
        if self._covered(axis.low[~same], axis.high[~same], low, high):
            raise DataError(
                "its channels lie between those of the other cubes, half a channel off or more"
            )
        return numbers.astype(np.int64)

    @staticmethod
    def _covered(low: Floats, high: Floats, known_low: Floats, known_high: Floats) -> bool:
        """Tell whether known channels cover more than half of one that is none of them."""
        for a, b in zip(low, high, strict=True):
            shared = np.minimum(b, known_high) - np.maximum(a, known_low)
            if np.maximum(shared, 0.0).sum() > _SAME * (b - a) * (1.0 + 1e-9):
                return True
        return False

    def _size(self, widths: Floats) -> str:
        text = f"{float(np.median(widths)):.4g}"
        return f"{text} {self.unit}" if self.unit else text

    def words(self, number: int) -> str:
        """Tell a channel in words: its number and the middle of it."""
        low, high, unit = self.low[number - 1], self.high[number - 1], self.unit
        if not self.kind:
            return f"channel {number}"
        if self.kind == WAVELENGTH and obs_regime(low, high) in {"Millimeter", "Radio"}:
            low, high, unit = LIGHT_M_S / low, LIGHT_M_S / high, "Hz"
        middle = (low + high) / 2.0
        scales = _SCALES.get(unit.replace(" ", ""), ((1.0, unit),))
        scale = next((one for one in scales if abs(middle) >= one[0]), scales[-1])
        return f"channel {number}, {middle / scale[0]:.8g} {scale[1]}".rstrip()

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read what `save` wrote; None if there is none."""
        try:
            values = json.loads(path.read_text("utf-8"))
            found = cls(**values)
        except (OSError, ValueError, TypeError):
            return None
        return found if len(found.low) == len(found.high) else None

    def save(self, path: Path) -> None:
        """Keep it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(asdict(self)) + "\n", "utf-8")
        partial.replace(path)


def _what(kind: str, unit: str) -> str:
    return f"{kind} ({unit})" if unit else kind or "numbers alone"
