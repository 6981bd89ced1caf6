"""The time axis of an image: when its samples begin and end (FITS paper IV).

Values of the axis count from MJDREF (or JDREF, DATEREF) and TIMEOFFS, in the unit of CUNIT or else
of TIMEUNIT, on the scale that CTYPE names or else TIMESYS. Where they were taken (TREFPOS) is not
reckoned with: times at the barycentre of the solar system are up to 8.3 minutes off ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from obscore.assembly.axes import Axis, other_axes
from obscore.assembly.context import Context
from vodal.fits.timescale import (
    read_reference,
    scale_named,
    time_axis_name,
    time_unit_days,
    to_utc,
)

__all__ = ["TimeAxis", "time_axis"]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """What the samples cover."""

    start_mjd: float
    """Begin of the earliest sample, UTC."""
    end_mjd: float
    samples: int
    step_s: float
    """From sample to sample, on average; of a single one its length."""


def time_axis(context: Context) -> TimeAxis | None:
    """Read the time axis; None if there is none, or none that can be read, which is noted."""
    for axis in other_axes(context):
        name = time_axis_name(axis.ctype)
        if name:
            return _read(context, axis, name)
    return None


def _read(context: Context, axis: Axis, name: str) -> TimeAxis | None:
    cards = context.cards
    scale_text = (cards.text("TIMESYS") or "UTC") if name == "TIME" else name
    scale = scale_named(scale_text)
    time_unit = cards.text("TIMEUNIT") or "s"
    # As the header has it, since astropy takes cy for cycles.
    unit = cards.text(f"CUNIT{axis.number}") or time_unit
    days, offset_days = time_unit_days(unit), time_unit_days(time_unit)
    if scale is None or days is None or offset_days is None:
        what = f"scale '{scale_text[:20]}'" if scale is None else f"unit '{unit[:20]}'"
        context.note(f"the {what} of the time axis is not known")
        return None
    edges = [axis.world(-0.5), axis.world(axis.samples - 0.5)]
    is_table = None in edges
    if is_table:
        # A table may end with the centres of its first and last sample.
        edges = [axis.world(0.0), axis.world(axis.samples - 1.0)]
    if edges[0] is None or edges[1] is None:
        context.note("the time axis gives no times")
        return None
    zero = read_reference(cards.number, lambda keyword: cards.text(keyword) or "")
    zero += (cards.number("TIMEOFFS") or 0.0) * offset_days
    low, high = sorted((zero + edges[0] * days, zero + edges[1] * days))
    steps = max(1, axis.samples - 1 if is_table else axis.samples)
    return TimeAxis(
        to_utc(low, scale), to_utc(high, scale), axis.samples, (high - low) / steps * 86400.0
    )
