"""What can be set about a HiPS in colour: which bands make it, and how values become levels."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from vodal.pictures.levels import Cuts, StretchName
from vodal.pictures.lupton import SOFTENING
from vodal.settings import Settings

__all__ = ["ColorSettings", "checked_names"]

BandCuts = str | tuple[float, float]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s+(\d+(?:\.\d+)?)\s*%\s*")
_LARGEST: Final = 3e38
"""Of the numbers that tiles hold."""
_MILD: Final = 3.0
_CHANNELS: Final = ("red", "green", "blue")
_CUTS: Final = (
    'takes "auto", percentiles such as "0.5% 99.5%", values such as [0.0, 20.0], or a table of'
    " percentiles or values by band; the first is the lower"
)


class ColorSettings(Settings):
    """A HiPS in colour of a collection's bands, below its own name."""

    collection: str = Field(min_length=1)
    """Whose bands. A collection that has HiPS in colour set has these, and no other of its own."""
    red: dict[str, float] = Field(default_factory=dict)
    """The bands that make red, and the weight of each: ``{i = 1, z = 1, y = 0.5}``, or
    ``["i", "z"]`` for bands that count alike. Weights of a colour are brought to a sum of one. A
    band may have a part in several colours. Where none of the three colours is given, the reddest,
    a middle and the bluest of the three bands with the most images make one each."""
    green: dict[str, float] = Field(default_factory=dict)
    """Those that make green."""
    blue: dict[str, float] = Field(default_factory=dict)
    """Those that make blue."""
    cuts: Literal["auto"] | BandCuts | dict[str, BandCuts] = "auto"
    """Which values of the bands become black and white. ``auto``: from the bands' sky, noise and
    objects, so that sky and typical objects are grey. ``"0.5% 99.5%"``: percentiles of each band.
    ``[0.0, 20.0]``: these values, in the tiles' unit. ``{g = [0.0, 12.0], r = [0.0, 20.0]}``: by
    band. Values look the same in each HiPS that they are set for."""
    stretch: StretchName = "asinh"
    """Between black and white, of the brightness (the mean of red, green and blue); the ratios of
    the colours stay. ``asinh`` is that of Lupton et al. 2004."""
    q: float | None = Field(default=None, gt=0.0, le=100.0)
    """Of ``asinh``: the larger, the more bright parts are held back (Lupton's Q). By default 8; 3
    where cuts are given and no width."""
    width: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """Of ``asinh``: brightness above black up to which the picture is about linear (Lupton's
    stretch), as a part of the range between the cuts; with ``cuts = "auto"`` in the tiles' unit. By
    default it is chosen: so that the upper cut is white, or 15 times the noise."""

    @field_validator("red", "green", "blue", mode="before")
    @classmethod
    def _by_band(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {value: 1.0}
        if isinstance(value, list | tuple) and all(isinstance(band, str) for band in value):
            if len(set(value)) < len(value):
                raise ValueError("names a band twice; give it a weight: {i = 2, z = 1}")
            return dict.fromkeys(value, 1.0)
        return value

    @field_validator("red", "green", "blue")
    @classmethod
    def _weighted(cls, value: dict[str, float]) -> dict[str, float]:
        for band, weight in value.items():
            if not (math.isfinite(weight) and weight > 0.0):
                raise ValueError(f"the weight of band '{band}' takes a number above 0")
        return value

    @field_validator("cuts", mode="plain")
    @classmethod
    def _cut(cls, value: Any) -> str | BandCuts | dict[str, BandCuts]:
        if value == "auto":
            return "auto"
        if isinstance(value, Mapping):
            return {str(band): _band_cuts(one) for band, one in value.items()}
        return _band_cuts(value)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = [bool(getattr(self, channel)) for channel in _CHANNELS]
        if any(given) and not all(given):
            absent = ", ".join(c for c, there in zip(_CHANNELS, given, strict=True) if not there)
            raise ValueError(f"{absent}: needs a band; red, green and blue go together")
        if all(given) and len(self.bands) < 2:
            raise ValueError("red, green and blue are of one band; a HiPS in colour needs two")
        if isinstance(self.cuts, dict) and set(self.cuts) != set(self.bands):
            raise ValueError(
                "cuts: a table has cuts for each band of red, green and blue and for no other:"
                f" {', '.join(self.bands) or 'these have to be given'}"
            )
        unused = {"q", "width"} & self.model_fields_set
        if unused and self.stretch != "asinh":
            raise ValueError(f'{", ".join(sorted(unused))}: only with stretch = "asinh"')
        return self

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that are named, each once, those of red first."""
        return tuple(dict.fromkeys([*self.red, *self.green, *self.blue]))

    @property
    def weights(self) -> tuple[tuple[float, ...], ...]:
        """Of each of red, green and blue: the part of each of `bands`, one together."""
        rows = []
        for channel in (self.red, self.green, self.blue):
            total = sum(channel.values()) or 1.0
            rows.append(tuple(channel.get(band, 0.0) / total for band in self.bands))
        return tuple(rows)

    @property
    def softening(self) -> float:
        """Lupton's Q, given or not."""
        if self.q is not None:
            return self.q
        # As strong as the suite's other asinh between cuts: linear up to a tenth of the range.
        return SOFTENING if self.cuts == "auto" or self.width is not None else _MILD

    def cuts_of(self, band: str) -> Cuts | None:
        """Give a band's cuts; None if they are chosen with those of the others."""
        cuts = self.cuts[band] if isinstance(self.cuts, dict) else self.cuts
        if cuts == "auto":
            return None
        if isinstance(cuts, str):
            low, high = _percentiles(cuts)
            return Cuts("percent", low, high)
        return Cuts("values", *cuts)

    @property
    def mark(self) -> str:
        """Tells settings apart by which colours differ; empty for those of no settings at all."""
        fields = ColorSettings.model_fields.items()
        values = {
            name: (getattr(self, name), field.get_default(call_default_factory=True))
            for name, field in fields
            if name != "collection"
        }
        told = {name: value for name, (value, default) in values.items() if value != default}
        return json.dumps(told, sort_keys=True) if told else ""


def checked_names(colors: dict[str, ColorSettings]) -> dict[str, ColorSettings]:
    """Check the names of HiPS in colour.

    Raises
    ------
    ValueError
        If one cannot name a HiPS.
    """
    for name in colors:
        if not _NAME.fullmatch(name) or name in {"list", "live"}:
            raise ValueError(
                f"'{name[:80]}' cannot name a HiPS; it takes letters, digits, dots, hyphens and"
                " underscores"
            )
    return colors


def _band_cuts(value: Any) -> BandCuts:
    if isinstance(value, str):
        low, high = _percentiles(value)
        return f"{low}% {high}%"
    pair = tuple(value) if isinstance(value, list | tuple) else ()
    numbers = [v for v in pair if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(pair) != 2 or len(numbers) != 2 or not -_LARGEST < pair[0] < pair[1] < _LARGEST:
        raise ValueError(_CUTS)
    return float(pair[0]), float(pair[1])


def _percentiles(text: str) -> tuple[float, float]:
    match = _PERCENT.fullmatch(text)
    low, high = (float(match[1]), float(match[2])) if match else (1.0, 0.0)
    if not 0.0 <= low < high <= 100.0:
        raise ValueError(_CUTS)
    return low, high
