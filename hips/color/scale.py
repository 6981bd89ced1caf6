"""How values of bands become colours: chosen once, from the settings or the data, and kept.

Black, the bands' balance and the stretch are kept beside the tiles in ``color.json``, so that a
later build of the same HiPS has the same colours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from hips.color.settings import ColorSettings
from vodal.pictures.levels import StretchName, find_cuts
from vodal.pictures.lupton import SOFTENING, Balance, balance_apart, choose_balance

__all__ = ["COLOR_FILE", "ColorScale", "Mix", "Samples", "choose_scale", "kept_scale"]

Pixels = NDArray[np.float32]
Row = tuple[float, ...]
Samples = Iterable[Sequence[Pixels | None]]
"""Of each of some tiles: of each band, the tile or None."""

COLOR_FILE: Final = "color.json"
_STEP: Final = 3
"""Every third pixel of every third row is looked at."""
_WHITE_PERCENT: Final = 99.8
_ONE_EACH: Final[tuple[Row, Row, Row]] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_DEFAULTS: Final[dict[str, Any]] = {"weights": _ONE_EACH, "curve": "asinh", "asked": ""}


@dataclass(frozen=True, slots=True)
class Mix:
    """Which bands make red, green and blue."""

    bands: tuple[str, ...]
    weights: tuple[Row, Row, Row] = _ONE_EACH
    """Of red, green and blue: the part of each band, one together."""

    @classmethod
    def of(cls, settings: ColorSettings) -> Self | None:
        """Give the one that is set; None if it is to be chosen from what bands there are."""
        if not settings.bands:
            return None
        red, green, blue = settings.weights
        return cls(settings.bands, (red, green, blue))

    @property
    def plain(self) -> bool:
        """Whether it is one band for each colour, in order."""
        return self.weights == _ONE_EACH

    def words(self) -> tuple[str, str, str]:
        """Say what red, green and blue are made of: ``i``, or ``0.75 i + 0.25 z``."""
        red, green, blue = (self._word(row) for row in self.weights)
        return red, green, blue

    def _word(self, row: Row) -> str:
        parts = [(weight, band) for weight, band in zip(row, self.bands, strict=True) if weight]
        if len(parts) == 1:
            return parts[0][1]
        return " + ".join(f"{weight:.3g} {band}" for weight, band in parts)


@dataclass(frozen=True, slots=True)
class ColorScale:
    """How the values of bands become red, green and blue; `black` and `gain` by band."""

    bands: tuple[str, ...]
    black: Row
    """Subtracted from the band's values."""
    gain: Row
    """Multiplies what is left."""
    stretch: float
    """With ``asinh`` the brightness up to which the picture is about linear, else the one that is
    white."""
    softening: float = SOFTENING
    weights: tuple[Row, Row, Row] = _ONE_EACH
    """As of `Mix`."""
    curve: StretchName = "asinh"
    asked: str = ""
    """What was set when it was chosen (`ColorSettings.mark`)."""

    @property
    def mix(self) -> Mix:
        """The bands' parts of the colours."""
        return Mix(self.bands, self.weights)

    def to_json(self) -> str:
        """Write as JSON; what is as it is without settings is left out."""
        values = asdict(self)
        told = {k: v for k, v in values.items() if k not in _DEFAULTS or v != _DEFAULTS[k]}
        return json.dumps(told, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ColorScale:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            values = {**_DEFAULTS, **json.loads(text)}
            bands, black, gain = (tuple(values[key]) for key in ("bands", "black", "gain"))
            red, green, blue = (tuple(row) for row in values["weights"])
            scale = cls(
                bands, black, gain, float(values["stretch"]), float(values["softening"]),
                (red, green, blue), values["curve"], str(values["asked"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no colour scale: {error}") from None
        lengths = {len(row) for row in (bands, black, gain, red, green, blue)}
        if len(lengths) != 1 or scale.curve not in get_args(StretchName):
            raise ValueError("no colour scale: black, gain and weights are not of the same bands")
        if not scale.stretch > 0.0:
            raise ValueError("no colour scale: it needs a stretch above 0")
        return scale


def kept_scale(folder: Path, mix: Mix | None, asked: str) -> ColorScale | None:
    """Give the scale that is kept in a HiPS's folder; None if there is none, or it is of others.

    Parameters
    ----------
    folder
        Of the HiPS.
    mix
        Of which bands it has to be; of any by default.
    asked
        By which settings it has to be chosen.
    """
    try:
        scale = ColorScale.from_json((folder / COLOR_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return scale if scale.asked == asked and mix in {None, scale.mix} else None


def choose_scale(mix: Mix, settings: ColorSettings | None, samples: Samples) -> ColorScale:
    """Choose black, balance and stretch.

    Parameters
    ----------
    mix
        The bands, in the order of the samples.
    settings
        What is set; by default all is chosen from the samples.
    samples
        Some of the deepest tiles.
    """
    values, together = _values(samples, len(mix.bands))
    cuts = [settings.cuts_of(band) for band in mix.bands] if settings else []
    known = [cut for cut in cuts if cut is not None]
    if settings is None or not known:
        balance = _balanced(mix, values, together=together)
        return _automatic(mix, settings, balance, values if together else [])
    black, gain = [], []
    for cut, band in zip(known, values, strict=True):
        low, high = find_cuts(band, cut)
        if not high > low:
            high = low + max(abs(low), 1.0) * 1e-3
        black.append(low)
        gain.append(1.0 / (high - low))
    stretch = 1.0
    if settings.stretch == "asinh":
        # So that asinh(Q / stretch) / Q, the level of the upper cut, is one.
        stretch = settings.width or settings.softening / math.sinh(settings.softening)
    return ColorScale(
        mix.bands, tuple(black), tuple(gain), stretch, settings.softening, mix.weights,
        settings.stretch, settings.mark,
    )  # fmt: skip


def _automatic(
    mix: Mix, settings: ColorSettings | None, balance: Balance, values: Sequence[Pixels]
) -> ColorScale:
    found = ColorScale(mix.bands, balance.black, balance.gain, balance.stretch, SOFTENING,
                       mix.weights)  # fmt: skip
    if settings is None:
        return found
    stretch = settings.width or balance.stretch
    if settings.stretch != "asinh" and values and values[0].size:
        bands = np.stack(values).astype(np.float64)
        light = (bands - np.array(balance.black)[:, None]) * np.array(balance.gain)[:, None]
        brightness = np.array(_shares(mix)) @ light / 3.0
        stretch = max(stretch, float(np.percentile(brightness, _WHITE_PERCENT)))
    return ColorScale(
        mix.bands, balance.black, balance.gain, stretch, settings.softening, mix.weights,
        settings.stretch, settings.mark,
    )  # fmt: skip


def _balanced(mix: Mix, values: Sequence[Pixels], *, together: bool) -> Balance:
    shares = None if mix.plain else _shares(mix)
    return choose_balance(values, shares) if together else balance_apart(values, shares)


def _shares(mix: Mix) -> list[float]:
    """Give what each band has of the three colours together."""
    return [sum(parts) for parts in zip(*mix.weights, strict=True)]


def _values(samples: Samples, count: int) -> tuple[list[Pixels], bool]:
    """Give values of each band, and whether they are of the same places."""
    common: list[list[Pixels]] = [[] for _ in range(count)]
    own: list[list[Pixels]] = [[] for _ in range(count)]
    for tiles in samples:
        thin = [None if tile is None else tile[::_STEP, ::_STEP].ravel() for tile in tiles]
        there = [band for band in thin if band is not None]
        if len(there) == count:
            stacked = np.stack(there)
            valid = np.isfinite(stacked).all(axis=0)
            for band, some in enumerate(stacked[:, valid]):
                common[band].append(some)
        for band, values in enumerate(thin):
            if values is not None:
                own[band].append(values[np.isfinite(values)])
    together = any(part.size for part in common[0])
    return [_joined(parts) for parts in (common if together else own)], together


def _joined(parts: Sequence[Pixels]) -> Pixels:
    return np.concatenate(parts) if parts else np.empty(0, np.float32)
