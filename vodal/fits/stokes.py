"""Polarization states by their codes on a Stokes axis (FITS 4.0, table 29)."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["CANONICAL", "STATES", "state_of"]

STATES: Final = {1: "I", 2: "Q", 3: "U", 4: "V", -1: "RR", -2: "LL", -3: "RL", -4: "LR",
                 -5: "XX", -6: "YY", -7: "XY", -8: "YX"}  # fmt: skip
CANONICAL: Final = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI",
                    "POLA")  # fmt: skip
"""All states, in the order of ObsCore 1.1 section 3.3.6."""
_TOLERANCE: Final = 0.01
"""What rounding may have done to a code."""


def state_of(code: float | None) -> str | None:
    """Name the state of a coordinate; None if it names none."""
    if code is None or not math.isfinite(code) or abs(code - round(code)) > _TOLERANCE:
        return None
    return STATES.get(round(code))
