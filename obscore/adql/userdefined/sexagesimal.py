"""Angles in hours or degrees, minutes and seconds."""

from __future__ import annotations

import re

__all__ = ["degrees_of_dms", "degrees_of_hms"]

_SECONDS = r"(?P<s{0}>[0-9]{{1,2}}(?:\.[0-9]{{0,12}})?)"
_HMS = re.compile(
    rf"(?P<a0>[0-9]{{1,2}}):(?P<m0>[0-9]{{1,2}}):{_SECONDS.format(0)}"
    rf"|(?P<a1>[0-9]{{1,2}})[hH](?P<m1>[0-9]{{1,2}})[mM]{_SECONDS.format(1)}[sS]"
    r"|(?P<a2>[0-9]{2})(?P<m2>[0-9]{2})(?P<s2>[0-9]{2}(?:\.[0-9]{0,12})?)"
)
_DMS = re.compile(
    rf"(?P<a0>[0-9]{{1,3}}):(?P<m0>[0-9]{{1,2}}):{_SECONDS.format(0)}"
    rf"|(?P<a1>[0-9]{{1,3}})[dD](?P<m1>[0-9]{{1,2}})[mM]{_SECONDS.format(1)}[sS]"
    r"|(?P<a2>[0-9]{2})(?P<m2>[0-9]{2})(?P<s2>[0-9]{2}(?:\.[0-9]{0,12})?)"
)


def _read(pattern: re.Pattern[str], text: str, most: int) -> float | None:
    found = pattern.fullmatch(text)
    if found is None:
        return None
    for form in "012":
        if (whole := found[f"a{form}"]) is None:
            continue
        minutes, seconds = int(found[f"m{form}"]), float(found[f"s{form}"])
        if int(whole) > most or minutes >= 60 or seconds >= 60.0:
            return None
        return int(whole) + (minutes + seconds / 60.0) / 60.0
    return None


def degrees_of_hms(text: str) -> float | None:
    """Read ``h:m:s``, ``hhmmss`` or ``hHmMsS``, up to 24 hours; None for anything else."""
    hours = _read(_HMS, text.strip(), 23)
    return None if hours is None else 15.0 * hours


def degrees_of_dms(text: str) -> float | None:
    """Read ``d:m:s``, ``ddmmss`` or ``dDmMsS`` with or without a sign; None for anything else."""
    text = text.strip()
    sign = -1.0 if text.startswith("-") else 1.0
    degrees = _read(_DMS, text[1:] if text[:1] in {"+", "-"} else text, 359)
    return None if degrees is None else sign * degrees
