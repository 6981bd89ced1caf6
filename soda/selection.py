"""What part of a dataset is wanted, as frozen values: one combination of a request's parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vodal.regions import Region

__all__ = ["HduChoice", "Interval", "PixelRange", "Selection"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval; either end may be infinite."""

    low: float
    high: float

    @property
    def is_unbounded(self) -> bool:
        """Whether it leaves nothing out."""
        return self.low == -math.inf and self.high == math.inf

    def meets(self, other: Interval) -> bool:
        """Tell whether two intervals have a point in common."""
        return self.low <= other.high and self.high >= other.low


@dataclass(frozen=True, slots=True)
class PixelRange:
    """Pixels along one axis, 1-based as FITS counts them; both ends belong to it."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class HduChoice:
    """An HDU by its number or its name."""

    number: int | None = None
    """0 is the primary."""
    name: str = ""
    """EXTNAME in upper case, where there is no number."""
    extver: int | None = None
    """None for all of that name."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a dataset; what is not restricted is wanted whole."""

    stencil: Region | None = None
    """Where on the sky; None for all of it."""
    band_m: Interval | None = None
    """Wavelength in vacuum, metres."""
    time_mjd: Interval | None = None
    """Modified Julian Date, UTC."""
    pol: tuple[str, ...] = ()
    """Polarization states; empty for all."""
    pixels: tuple[PixelRange | None, ...] = ()
    """Of each axis in FITS order (NAXIS1 first), None for all of it; empty for all of the image."""
    hdus: tuple[HduChoice, ...] = ()
    """HDUs; empty for all planes of the dataset."""
    tables: bool = False
    """Whether tables that belong to the image go along."""
    header_only: bool = False
    """Whether the headers are wanted without the data."""
