"""Where to look at a HiPS first."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["View"]


@dataclass(frozen=True, slots=True)
class View:
    """Where to look first, in ICRS."""

    ra_deg: float
    dec_deg: float
    fov_deg: float
    """Width of the field."""
