"""What part of a dataset is wanted, as frozen values: one combination of a request's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from vodal.regions import Region

__all__ = ["Interval", "Selection"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval; either end may be infinite."""

    low: float
    high: float


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
