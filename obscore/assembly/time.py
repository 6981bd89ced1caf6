"""Times: from the many ways of writing them to MJD in UTC.

ObsCore's ``t_min`` and ``t_max`` are MJD; ours are UTC. A header's times are on the scale of its
TIMESYS card (FITS 4.0 section 9.2.1; UTC if there is none), except where the keyword says
otherwise by its name: UT, UTC-OBS ... are UTC, TAIHMS is TAI. TAI, TT, TDB, TCG, TCB and GPS are
converted, UT1 is taken as UTC. A time axis of several samples goes before the cards. A date
without time of day makes an interval of that whole day. Dates that cannot be (before 1850, after
2100, the zero points of clocks) are left out with a note.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from obscore.assembly.context import Context, Subject, Values
from obscore.assembly.timeaxis import TimeAxis, time_axis
from obscore.mapping.dates import read_clock, read_date
from obscore.mapping.values import as_number
from vodal.fits.timescale import scale_named, to_utc

__all__ = ["possible_mjd", "time", "time_scale"]

_FIRST_MJD, _LAST_MJD = -3199.0, 88069.0
"""1850 and 2100: the first photographs of the sky, and far enough."""
_ZERO_POINTS = {0.0: "MJD 0", 40587.0: "1970-01-01", 51544.5: "J2000", 44244.0: "1980-01-06"}
"""What clocks show that were never set; each within a few minutes, whatever the scale."""
_ZERO_WIDTH_D = 0.0015

_IN_THE_MIDDLE = re.compile(r"\bmid(dle|point|-|\b)|\bmedian\b|\bmean\b")


@dataclass(frozen=True, slots=True)
class _Moment:
    mjd: float
    exact: bool
    """Whether the time of day is known."""
    scale: str
    cards: tuple[str, ...] = ()
    """Keywords that give it."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of writing a moment."""

    keyword: str
    kind: str
    """mjd, jd, date, or seconds (since MJD 0)."""
    clock: tuple[str, ...] = ()
    """Keywords of the time of day, for a date without one."""
    scale: str = ""
    """The scale that the keyword's name says."""


_CLOCKS = ("TIME-OBS", "UTC-OBS", "UT-STR", "UTSTART", "UT-OBS", "UTSHUT", "UT", "UTIME", "UTC",
           "TAIHMS", "TIME_OBS", "TIME-BEG", "TIMEOBS", "STARTUT")  # fmt: skip
_END_CLOCKS = ("TIME-END", "UTC-END", "UT-END", "UTEND", "UTCEND", "TIME_END")

_START = (
    _Way("MJD-BEG", "mjd"),
    _Way("DATE-BEG", "date"),
    _Way("EXPSTART", "mjd"),
    _Way("MJD-STR", "mjd", scale="utc"),
    _Way("MJDSTART", "mjd"),
    _Way("MJDMIN", "mjd"),
    _Way("MJD-OBS", "mjd"),
    _Way("DATE-OBS", "date", _CLOCKS),
    _Way("DATE_OBS", "date", _CLOCKS),
    _Way("DATEOBS", "date", _CLOCKS),
    _Way("MJD_OBS", "mjd"),
    _Way("MJDATE", "mjd"),
    _Way("JD-OBS", "jd"),
    _Way("JD_OBS", "jd"),
    _Way("TAI", "seconds", scale="tai"),
    _Way("DATEOBS1", "date"),
    _Way("UTDATE", "date", _CLOCKS),
    _Way("MJD", "mjd"),
    _Way("JD", "jd"),
)
_MIDDLE = (
    _Way("MJD-AVG", "mjd"),
    _Way("DATE-AVG", "date"),
    _Way("MJD-MID", "mjd"),
    _Way("TIME-MID", "date"),
)
_MIDDLE_OR_START = _MIDDLE + _START
_END = (
    _Way("MJD-END", "mjd"),
    _Way("DATE-END", "date", _END_CLOCKS),
    _Way("EXPEND", "mjd"),
    _Way("MJDEND", "mjd"),
    _Way("MJDMAX", "mjd"),
    _Way("DATE_END", "date", _END_CLOCKS),
    _Way("DATEEND", "date", _END_CLOCKS),
    _Way("DATEOBS2", "date"),
)
_EXPOSURE = ("EXPTIME", "EXPOSURE", "XPOSURE", "EXP_TIME", "EXPOSED", "ITIME", "INTTIME",
             "TEXPTIME", "ONTIME", "LIVETIME", "DURATION", "EXPDUR", "TELAPSE")  # fmt: skip


def time(context: Context) -> Values:
    """Give t_min, t_max, t_exptime, t_resolution and t_xel, of the time axis if there is one."""
    with context.of("t_exptime", "t_resolution"):
        exposure_s = context.given_number("t_exptime")
        if exposure_s is None:
            exposure_s = _exposure(context)
    with context.of("t_min"):
        start = context.given_number("t_min")
    with context.of("t_max"):
        end = context.given_number("t_max")
    with context.of("t_min", "t_max"):
        axis = _time_axis(context)
    if axis is not None and axis.samples > 1:
        return _of_axis(context, axis, start, end, exposure_s)
    if start is None:
        with context.of("t_min", "t_max"):
            start, known_end = _interval(context, exposure_s)
        end = known_end if end is None else end
    elif end is None:
        with context.of("t_max"):
            end = _end(context, start, exposure_s)
    if start is None and axis is not None:
        start, end = axis.start_mjd, axis.end_mjd if end is None else end
        with context.of("t_min", "t_max"):
            context.used(how="the time axis")
    with context.of("t_xel"):
        context.used(how="one for an image")
    single = context.hdu.shape[:-2] == () or math.prod(context.hdu.shape[:-2]) == 1
    return {
        "t_min": start,
        "t_max": end,
        "t_exptime": exposure_s,
        "t_resolution": exposure_s if single else None,
        "t_xel": 1 if single and (start is not None or exposure_s is not None) else None,
    }


def _of_axis(
    context: Context,
    axis: TimeAxis,
    start: float | None,
    end: float | None,
    exposure_s: float | None,
) -> Values:
    """Give the columns of a time axis of several samples."""
    with context.of("t_min", "t_max"):
        context.say("the time axis")
    with context.of("t_resolution", "t_xel"):
        context.used(how="the pixels of the time axis")
    return {
        "t_min": axis.start_mjd if start is None else start,
        "t_max": axis.end_mjd if end is None else end,
        "t_exptime": exposure_s,
        "t_resolution": axis.step_s,
        "t_xel": axis.samples,
    }


def _time_axis(context: Context) -> TimeAxis | None:
    """Give the time axis, unless its times are none of an observation."""
    axis = time_axis(context)
    if axis is None:
        return None
    ends = (axis.start_mjd, axis.end_mjd)
    possible = all(_possible(context, "the time axis", end) for end in ends)
    return axis if possible else None


def _interval(context: Context, exposure_s: float | None) -> tuple[float | None, float | None]:
    """Give start and end, MJD in UTC."""
    start = _first(context, _START)
    middle = _first(context, _MIDDLE_OR_START, middle=True)
    # The midpoint is the more exact where the start is but a date; LSST's stack writes it beside
    # the cards of the camera.
    if middle is not None and middle.exact and (start is None or not start.exact):
        half = (exposure_s or 0.0) / 2.0 / 86400.0
        context.used(*middle.cards, how="the middle of t_exptime")
        return middle.mjd - half, middle.mjd + half
    start = middle if start is None else start
    if start is None:
        context.used()
        return None, None
    context.used(*start.cards)
    if not start.exact:
        context.say("a date without time of day: the whole day")
        context.note("the time of day of the observation is not known")
        with context.of("t_max"):
            end = _first(context, _END)
            if end is not None and end.mjd > start.mjd + 1.0:
                context.used(*end.cards)
        last = start.mjd + 1.0
        return start.mjd, last if end is None else max(last, end.mjd)
    with context.of("t_max"):
        return start.mjd, _end(context, start.mjd, exposure_s)


def _end(context: Context, start: float, exposure_s: float | None) -> float:
    """Give the end of what starts at a moment."""
    end = _first(context, _END)
    if end is not None:
        last = end.mjd if end.exact else end.mjd + 1.0
        if last >= start:
            context.used(*end.cards)
            return last
        context.note("the end of the observation is before its start; the exposure time serves")
    elapsed = context.cards.number("TELAPSE")
    if elapsed is None or elapsed < 0:
        elapsed = exposure_s
        context.say("t_min + t_exptime")
    else:
        context.used("TELAPSE", how="t_min + TELAPSE", also=True)
    return start + (elapsed or 0.0) / 86400.0


def _first(context: Context, ways: tuple[_Way, ...], *, middle: bool = False) -> _Moment | None:
    """Give the first moment that has a time of day, or else the first date, in UTC.

    WISE and others give the midpoint of the exposure under a keyword of the start; the comment
    tells, and such a card counts among the midpoints only.
    """
    dates = []
    for way in ways:
        found = context.cards.card(way.keyword)
        if found is None:
            continue
        if middle != (way in _MIDDLE or _IN_THE_MIDDLE.search(found[1].lower()) is not None):
            continue
        moment = _read(context, way)
        if moment is None:
            continue
        if moment.exact:
            return _to_utc(moment)
        dates.append(moment)
    return dates[0] if dates else None


def _read(context: Context, way: _Way) -> _Moment | None:
    found = context.cards.card(way.keyword)
    if found is None:
        return None
    scale, cards = way.scale, [way.keyword]
    value = found[0]
    if way.kind == "date":
        parts = read_date(str(value)) if isinstance(value, str | int) else None
        if parts is None:
            context.note(f"{way.keyword} '{str(value)[:40]}' is no date")
            return None
        mjd, exact = parts
        clock = None if exact else _with_clock(context, way)
        if clock is not None:
            mjd, exact, scale = mjd + clock[0], True, clock[2] or scale
            cards.append(clock[1])
    else:
        number = as_number(value)
        if number is None:
            return None
        mjd = {"mjd": number, "jd": number - 2400000.5, "seconds": number / 86400.0}[way.kind]
        exact = mjd != int(mjd)
    if not scale:
        scale = time_scale(context)
        cards.append("TIMESYS")
    if not _possible(context, way.keyword, mjd):
        return None
    return _Moment(mjd, exact, scale, tuple(cards))


def _with_clock(context: Context, way: _Way) -> tuple[float, str, str] | None:
    """Find the time of day that another card has.

    Returns
    -------
    tuple or None
        Part of the day, keyword, and the scale that the keyword's name says.
    """
    for keyword in way.clock:
        text = context.cards.text(keyword)
        part = None if text is None else read_clock(text)
        if part is not None:
            scale = "utc" if keyword.startswith("UT") else "tai" if keyword[:3] == "TAI" else ""
            return part, keyword, scale
    return None


def _possible(context: Context, keyword: str, mjd: float) -> bool:
    """Tell whether an observation may have been then; say so if not."""
    for zero, name in _ZERO_POINTS.items():
        if abs(mjd - zero) < _ZERO_WIDTH_D:
            context.note(f"{keyword} is the zero point {name}, which is no date of an observation")
            return False
    if not possible_mjd(mjd):
        context.note(f"{keyword} is MJD {mjd:g}, outside 1850 to 2100")
        return False
    return True


def possible_mjd(mjd: float) -> bool:
    """Tell whether a moment is of the years 1850 to 2100."""
    return _FIRST_MJD <= mjd <= _LAST_MJD


def time_scale(context: Subject) -> str:
    """Give the time scale of the header, UTC by default, as `vodal.fits.timescale` names it."""
    text = context.cards.text("TIMESYS") or "UTC"
    scale = scale_named(text)
    if scale is None:
        context.note(f"TIMESYS '{text[:20]}' is not known; UTC is taken")
        return "utc"
    return scale


def _to_utc(moment: _Moment) -> _Moment:
    mjd = to_utc(moment.mjd, moment.scale)
    return replace(moment, mjd=mjd, scale="utc")


def _exposure(context: Context) -> float | None:
    for keyword in _EXPOSURE:
        value = context.cards.number(keyword)
        if value is None:
            continue
        seconds = value * _seconds_in(context.cards.comment(keyword))
        if seconds == 1.0:
            # Images in units a second are told to be of one second; TEXPTIME has the truth.
            seconds = max(seconds, context.cards.number("TEXPTIME") or 0.0)
        if seconds > 0.0:
            context.used(keyword)
            return seconds
        # Zero is what an unset card says; a sky image of no exposure there is not.
        if seconds < 0.0:
            context.note(f"{keyword} is {value:g}, no exposure time")
    context.used()
    return None


def _seconds_in(comment: str) -> float:
    """Give the unit that a comment names, in seconds; 1 if it names none."""
    text = comment.lower()
    unit = re.match(r"\s*[\[(]\s*([a-z]+)", text)
    word = unit[1] if unit else ""
    if word in {"ms", "msec"} or re.search(r"\bmilli-?sec", text):
        return 1e-3
    if word in {"min", "mins", "minute", "minutes"} or re.search(r"\bminutes?\b", text):
        return 60.0
    if word in {"h", "hr", "hour", "hours"} or re.search(r"\bhours?\b", text):
        return 3600.0
    if word in {"d", "day", "days"}:
        return 86400.0
    return 1.0
