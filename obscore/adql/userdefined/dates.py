"""Dates as texts to days as numbers."""

from __future__ import annotations

import re
from datetime import date

from vodal.errors import UsageError

__all__ = ["julian_date", "modified_julian_date", "timestamp"]

_TIMESTAMP = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?::(?P<second>(?:[0-5][0-9]|60)(?:\.[0-9]{1,12})?))?Z?)?"
)
_MJD_OF_YEAR_0 = -678_576
"""MJD of the day before 0001-01-01, from which `date.toordinal` counts."""


def _read(text: str) -> tuple[int, re.Match[str]]:
    found = _TIMESTAMP.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"'{text[:40]}' is no date as DALI writes it, YYYY-MM-DDThh:mm:ss")
    try:
        return date.fromisoformat(found["date"]).toordinal(), found
    except ValueError:
        raise UsageError(f"there is no day {found['date']}") from None


def timestamp(text: str) -> str:
    """Write a date in one form, so that texts are in the order of the times.

    It is ``YYYY-MM-DDThh:mm:ss`` with as many decimals as are not 0 (DALI 1.1 section 3.3.3).

    Raises
    ------
    UsageError
        If the text is none.
    """
    _, found = _read(text)
    second = found["second"] or "00"
    if "." in second:
        second = second.rstrip("0").rstrip(".")
    return f"{found['date']}T{found['hour'] or '00'}:{found['minute'] or '00'}:{second}"


def modified_julian_date(text: str) -> float:
    """Give the days since 1858-11-17, taking the text's clock as it is.

    Raises
    ------
    UsageError
        If the text is no date.
    """
    day, found = _read(text)
    seconds = int(found["hour"] or 0) * 3600 + int(found["minute"] or 0) * 60
    return day + _MJD_OF_YEAR_0 + (seconds + float(found["second"] or 0)) / 86400.0


def julian_date(text: str) -> float:
    """Give the Julian date, taking the text's clock as it is.

    Raises
    ------
    UsageError
        If the text is no date.
    """
    day, found = _read(text)
    seconds = int(found["hour"] or 0) * 3600 + int(found["minute"] or 0) * 60
    return day + (_MJD_OF_YEAR_0 + 2_400_000.5) + (seconds + float(found["second"] or 0)) / 86400.0
