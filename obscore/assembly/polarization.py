"""Polarization: the states on a Stokes axis."""

from __future__ import annotations

from obscore.assembly.axes import Axis, other_axes
from obscore.assembly.context import Context, Values

__all__ = ["CANONICAL", "polarization"]

_STATES = {1: "I", 2: "Q", 3: "U", 4: "V", -1: "RR", -2: "LL", -3: "RL", -4: "LR",
           -5: "XX", -6: "YY", -7: "XY", -8: "YX"}  # fmt: skip
"""Of FITS 4.0 table 29."""
CANONICAL = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI", "POLA")
"""Order of ObsCore 1.1 section 3.3.6."""


def polarization(context: Context) -> Values:
    """Give pol_states and pol_xel."""
    axis = next((axis for axis in other_axes(context) if axis.ctype == "STOKES"), None)
    if axis is None:
        return {}
    codes = [_code(axis, pixel) for pixel in range(min(axis.samples, 64))]
    states = {_STATES[code] for code in codes if code in _STATES}
    if len(states) < axis.samples:
        context.note("the Stokes axis holds values that name no polarization state")
    if not states:
        return {}
    ordered = sorted(states, key=CANONICAL.index)
    return {"pol_states": f"/{'/'.join(ordered)}/", "pol_xel": len(ordered)}


def _code(axis: Axis, pixel: int) -> int | None:
    value = axis.world(pixel)
    return None if value is None or abs(value - round(value)) > 0.01 else round(value)
