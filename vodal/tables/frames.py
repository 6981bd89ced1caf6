"""Frames that the values of columns refer to: COOSYS and TIMESYS (VOTable 1.4 section 3).

A frame goes with its column through a query; what is computed of the column keeps it where the
result is a place or a time in the same frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["ICRS", "MJD_UTC", "Frame", "SpaceFrame", "TimeFrame", "frame_ids"]


@dataclass(frozen=True, slots=True)
class SpaceFrame:
    """Of positions and footprints on the sky."""

    system: str
    """As COOSYS names it: ``ICRS``, ``eq_FK5``, ``galactic`` ..."""
    equinox: str | None = None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class TimeFrame:
    """Of times."""

    timescale: str
    """Of the IVOA's vocabulary: ``UTC``, ``TT``, ``TDB`` ..."""
    refposition: str
    """Of the IVOA's vocabulary: ``TOPOCENTER``, ``BARYCENTER``, ``UNKNOWN`` ..."""
    timeorigin: str | None = None
    """Julian date of zero, or ``MJD-origin`` or ``JD-origin``; none for ISO 8601."""


Frame = SpaceFrame | TimeFrame

ICRS: Final = SpaceFrame("ICRS")

MJD_UTC: Final = TimeFrame("UTC", "UNKNOWN", "MJD-origin")
"""Of ObsCore's times as the assembly line makes them. Headers seldom say where a time was taken."""

_NAMES: dict[Frame, str] = {ICRS: "frame-icrs", MJD_UTC: "frame-mjd"}


def frame_ids(frames: Iterable[Frame | None]) -> dict[Frame, str]:
    """Give the frames that there are, each with an XML ID, in the order in which they come.

    The IDs hold a ``-``, which those of columns never do.
    """
    found = dict.fromkeys(frame for frame in frames if frame is not None)
    return {frame: _NAMES.get(frame, f"frame-{number}") for number, frame in enumerate(found, 1)}
