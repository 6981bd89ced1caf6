"""Values of header cards, facts and tables as numbers and as texts."""

from __future__ import annotations

import math
import re

__all__ = ["as_number", "plain"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def as_number(value: object) -> float | None:
    """Read a number; None if it is none or not finite."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
    elif isinstance(value, str):
        # Fortran's D exponent is written by some pipelines within quotes.
        text = re.sub(r"[dD](?=[+-]?\d+$)", "e", value.strip())
        if not _NUMBER.fullmatch(text):
            return None
        number = float(text)
    else:
        return None
    return number if math.isfinite(number) else None


def plain(value: object) -> str:
    """Write a value as text; a whole number without a decimal point."""
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)
