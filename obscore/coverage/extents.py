"""What many images cover of time and wavelengths, and what took them, beside the sky.

Kept for each block of rows beside its map (`obscore.coverage.kept`), so that nobody has to look
through all rows for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

from obscore.store.blocks import Placed

__all__ = ["NO_EXTENT", "Extent", "extent_of", "united", "united_intervals"]

Interval = tuple[float, float]

_INTERVALS: Final = 20
"""Of wavelengths at most; beyond, those that are nearest to each other become one."""
_NAMES: Final = 20
"""Facilities and instruments at most, in alphabetic order."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What some images cover together."""

    time_mjd: Interval | None = None
    """From the first ``t_min`` to the last ``t_max``, MJD, UTC."""
    wavelengths_m: tuple[Interval, ...] = ()
    """Intervals that do not meet, in order; wavelengths in vacuum."""
    facilities: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()

    def to_json(self) -> list[Any]:
        """Give a value that JSON can hold."""
        return [self.time_mjd, self.wavelengths_m, self.facilities, self.instruments]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> Self:
        """Give the extent of such a value.

        Raises
        ------
        ValueError, TypeError
            If it is none.
        """
        time, wavelengths, facilities, instruments = value
        return cls(
            None if time is None else (float(time[0]), float(time[1])),
            tuple((float(low), float(high)) for low, high in wavelengths),
            tuple(map(str, facilities)),
            tuple(map(str, instruments)),
        )


NO_EXTENT: Final = Extent()


def extent_of(rows: Iterable[Placed]) -> Extent:
    """Give what some rows cover; a row that tells one end of an interval alone is passed over."""
    times: set[Interval] = set()
    bands: set[Interval] = set()
    facilities: set[str] = set()
    instruments: set[str] = set()
    for row in rows:
        times.update(_interval(*row.time_mjd))
        bands.update(_interval(*row.wavelength_m))
        facility, instrument = row.origin
        if facility:
            facilities.add(facility)
        if instrument:
            instruments.add(instrument)
    return _extent(times, bands, facilities, instruments)


def united(extents: Iterable[Extent]) -> Extent:
    """Give what images of several extents cover together."""
    every = list(extents)
    return _extent(
        [one.time_mjd for one in every if one.time_mjd is not None],
        (band for one in every for band in one.wavelengths_m),
        {name for one in every for name in one.facilities},
        {name for one in every for name in one.instruments},
    )


def _extent(
    times: Iterable[Interval],
    bands: Iterable[Interval],
    facilities: Iterable[str],
    instruments: Iterable[str],
) -> Extent:
    return Extent(
        _hull(times),
        united_intervals(bands),
        tuple(sorted(facilities)[:_NAMES]),
        tuple(sorted(instruments)[:_NAMES]),
    )


def united_intervals(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Join intervals that meet; of too many those whose ends have the smallest ratio are joined.

    Parameters
    ----------
    intervals
        Of positive numbers, in any order.
    """
    made: list[Interval] = []
    for low, high in sorted(set(intervals)):
        if made and low <= made[-1][1]:
            made[-1] = made[-1][0], max(made[-1][1], high)
        else:
            made.append((low, high))
    while len(made) > _INTERVALS:
        gaps = [later[0] / earlier[1] for earlier, later in pairwise(made)]
        at = gaps.index(min(gaps))
        made[at : at + 2] = [(made[at][0], made[at + 1][1])]
    return tuple(made)


def _interval(low: float | None, high: float | None) -> tuple[Interval, ...]:
    """Give an interval, or none if an end is not there, not finite or not positive."""
    if low is None or high is None or not 0.0 < low <= high or not math.isfinite(high):
        return ()
    return ((low, high),)


def _hull(intervals: Iterable[Interval]) -> Interval | None:
    every = list(intervals)
    if not every:
        return None
    return min(low for low, _ in every), max(high for _, high in every)
