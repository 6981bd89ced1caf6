"""Parameters beyond SODA 1.0 that are more than words and numbers: PIXELS, PIXEL_n and HDU.

PIXEL_n is named as DaCHS names it; PIXELS is written as a section of CFITSIO, and HDU
as its EXTNAME,EXTVER.
"""

from __future__ import annotations

import math
import re

from soda.selection import HduChoice, PixelRange
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.params import Params
from vodal.regions import parse_numbers

__all__ = ["parse_hdus", "parse_pixels"]

Pixels = tuple[PixelRange | None, ...]

_AXIS = re.compile(r"PIXEL_(0|[1-9]\d{0,2})$")
_MOST = 1 << 62
_MOST_AXES = 99


def parse_pixels(params: Params) -> tuple[Pixels, ...]:
    """Read PIXELS, each value one cutout, or PIXEL_n, one cutout.

    Raises
    ------
    UsageError
        If a value is malformed or both are given.
    """
    found = tuple(dict.fromkeys(_section(text) for text in params.all("PIXELS")))
    axes = {int(match[1]): match[0] for name in params if (match := _AXIS.match(name))}
    if not axes:
        return found
    if found:
        raise UsageError("give PIXELS or PIXEL_n, not both")
    if not 1 <= min(axes) <= max(axes) <= _MOST_AXES:
        wrong = ", ".join(axes.values())
        raise UsageError(f"{wrong}: axes are counted from 1 to {_MOST_AXES}, as in PIXEL_1")
    ranges = {axis: _interval(params, name) for axis, name in axes.items()}
    return (tuple(ranges.get(axis) for axis in range(1, max(ranges) + 1)),)


def _section(text: str) -> Pixels:
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    return tuple(_range(part.strip(), text) for part in inner.split(","))


def _range(part: str, text: str) -> PixelRange | None:
    if part == "*":
        return None
    match = re.fullmatch(r"(-?\d{1,18})(?:\s*:\s*(-?\d{1,18}))?", part)
    if match is None:
        raise UsageError(
            "PIXELS takes a range of each axis, counted from 1, such as [101:200,51:150,*], not "
            f"'{text[:40]}'"
        )
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise UsageError(f"PIXELS: the range {first}:{last} runs backwards; write {last}:{first}")
    return PixelRange(first, last)


def _interval(params: Params, name: str) -> PixelRange:
    values = params.all(name)
    if len(set(values)) > 1:
        raise MultiValuedParamNotSupported(f"{name} may be given only once")
    takes = "the first and the last pixel, counted from 1, such as '101 200'"
    numbers = parse_numbers(values[0], name, infinite=True, takes=takes)
    if len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise UsageError(f"{name} takes {takes}; not '{values[0][:40]}'")
    low, high = (max(-_MOST, min(_MOST, number)) for number in numbers)
    # Of a pixel that is met in part the whole is taken.
    return PixelRange(math.ceil(low - 0.5), math.floor(high + 0.5))


def parse_hdus(params: Params) -> tuple[HduChoice, ...]:
    """Read HDU; all values go into each cutout.

    Raises
    ------
    UsageError
        If a value is malformed.
    """
    return tuple(dict.fromkeys(_choice(text) for text in params.all("HDU")))


def _choice(text: str) -> HduChoice:
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1].strip()
    if re.fullmatch(r"\d{1,6}", inner):
        return HduChoice(number=int(inner))
    name, comma, version = inner.rpartition(",")
    if not comma:
        name, version = inner, ""
    name, version = name.strip(), version.strip()
    if not name or (comma and not re.fullmatch(r"\d{1,9}", version)):
        raise UsageError(
            "HDU takes a number (0 is the primary HDU), EXTNAME or EXTNAME,EXTVER, such as 1, "
            f"MASK or SCI,2, not '{text[:40]}'"
        )
    return HduChoice(name=name.upper(), extver=int(version) if comma else None)
