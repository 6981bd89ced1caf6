"""Polarization: the states on a Stokes axis."""

from __future__ import annotations

from obscore.assembly.axes import other_axes
from obscore.assembly.context import Context, Values
from vodal.fits.stokes import CANONICAL, state_of

__all__ = ["polarization"]


def polarization(context: Context) -> Values:
    """Give pol_states and pol_xel."""
    axis = next((axis for axis in other_axes(context) if axis.ctype == "STOKES"), None)
    if axis is None:
        return {}
    with context.of("pol_states", "pol_xel"):
        context.used(how="the Stokes axis")
    found = [state_of(axis.world(pixel)) for pixel in range(min(axis.samples, 64))]
    states = {state for state in found if state is not None}
    if len(states) < axis.samples:
        context.note("the Stokes axis holds values that name no polarization state")
    if not states:
        return {}
    ordered = sorted(states, key=CANONICAL.index)
    return {"pol_states": f"/{'/'.join(ordered)}/", "pol_xel": len(ordered)}
