"""Dates and times of day as texts write them."""

from __future__ import annotations

import datetime as dt
import re

from obscore.mapping.values import as_number

__all__ = ["read_clock", "read_date", "read_moment"]

_MJD_ZERO = dt.date(1858, 11, 17)
_HMS = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?")
_YMD = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")
_DMY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})")
_DAY_OF_YEAR = re.compile(r"(\d{4})-(\d{3})")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")


def read_moment(text: str) -> float | None:
    """Read a date and time; a date alone is its midnight.

    Parameters
    ----------
    text
        ISO 8601, also with blanks, slashes or the day of the year, ``YYYYMMDD``, and the old
        ``DD/MM/YY`` of the last century.

    Returns
    -------
    float or None
        MJD on the text's own scale; None if it is no date.
    """
    found = read_date(text)
    return None if found is None else found[0]


def read_date(text: str) -> tuple[float, bool] | None:
    """Read a date, perhaps with a time of day, in the forms that `read_moment` takes.

    Returns
    -------
    tuple or None
        MJD on the text's own scale, and whether the time of day is known.
    """
    text = text.strip().rstrip("Z")
    day, _, clock = re.sub(r"\s+", "T", text, count=1).partition("T")
    number = _day(day)
    if number is None:
        return None
    if not clock:
        return float(number), False
    part = read_clock(clock)
    return None if part is None else (number + part, True)


def _day(text: str) -> int | None:
    try:
        if match := _YMD.fullmatch(text) or _COMPACT.fullmatch(text):
            date = dt.date(int(match[1]), int(match[2]), int(match[3]))
        elif match := _DMY.fullmatch(text):
            # FITS 4.0 section 9.1.1: the old form is of the years 1900 to 1999.
            year = int(match[3]) + (1900 if len(match[3]) == 2 else 0)
            date = dt.date(year, int(match[2]), int(match[1]))
        elif match := _DAY_OF_YEAR.fullmatch(text):
            date = dt.date(int(match[1]), 1, 1) + dt.timedelta(int(match[2]) - 1)
            if date.year != int(match[1]):
                return None
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return (date - _MJD_ZERO).days


def read_clock(text: str) -> float | None:
    """Read a time of day: sexagesimal, or seconds of the day.

    Returns
    -------
    float or None
        As part of a day; None if it is none.
    """
    text = text.strip()
    match = _HMS.fullmatch(text)
    if match:
        hours, minutes, seconds = int(match[1]), int(match[2]), float(match[3] or 0.0)
    else:
        number = as_number(text)
        if number is None:
            return None
        hours, minutes, seconds = 0, 0, number * 3600.0
    if not (0 <= hours <= 24 and 0 <= minutes < 60 and 0.0 <= seconds < (61 if match else 86400)):
        return None
    return (hours * 3600 + minutes * 60 + seconds) / 86400.0
