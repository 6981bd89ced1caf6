"""What is asked for of a cutout of a HiPS, read from the parameters of CDS's hips2fits service."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from vodal.errors import TooLargeError, UsageError
from vodal.params import Params
from vodal.pictures.colormaps import COLORMAPS
from vodal.pictures.levels import StretchName
from vodal.projections import CYLINDRICAL, ZENITHAL, GridFrame

__all__ = [
    "FORMATS",
    "PROJECTIONS",
    "Cut",
    "CutoutFormat",
    "CutoutRequest",
    "parse_cutout",
]

CutoutFormat = Literal["fits", "png", "jpg", "webp"]

FORMATS: Final = ("fits", "png", "jpg", "webp")
PROJECTIONS: Final = (*ZENITHAL, *CYLINDRICAL, "HPX")
"""Of FITS paper II (HPX of Calabretta and Roukema 2007)."""
_STRETCHES: Final = ("linear", "sqrt", "log", "asinh")
_FRAMES: Final = ("icrs", "galactic")
_WIDE: Final = (*CYLINDRICAL, "HPX", "ZEA", "ARC")
_DEFAULT_SIDE: Final = 512
_CARD: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,7}")
_LARGEST_WCS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Cut:
    """A value that becomes black or white."""

    value: float
    percent: bool
    """Whether it is a percentile of the values of the cutout."""


@dataclass(frozen=True, slots=True)
class CutoutRequest:
    """The cutout that is wanted."""

    width: int
    """Columns."""
    height: int
    """Rows."""
    ra_deg: float | None = None
    """ICRS, of the middle; None for that of the HiPS's first view."""
    dec_deg: float | None = None
    fov_deg: float | None = None
    """Of the longer side; None for that of the HiPS's first view."""
    projection: str = "TAN"
    rotation_deg: float = 0.0
    """Position angle of the upward direction, from north through east."""
    frame: GridFrame = "icrs"
    """Of the coordinates of the grid."""
    wcs: Mapping[str, str | float] | None = None
    """Cards of the grid's coordinates, in place of all before but the size."""
    format: CutoutFormat = "fits"
    low: Cut | None = None
    high: Cut | None = None
    stretch: StretchName = "linear"
    colormap: str = "gray"


def parse_cutout(params: Params, max_pixels: int) -> CutoutRequest:
    """Read a request.

    Parameters
    ----------
    params
        ``ra``, ``dec``, ``fov``, ``width``, ``height``, ``projection``, ``rotation_angle``,
        ``coordsys``, ``wcs``, ``format``, ``min_cut``, ``max_cut``, ``stretch``, ``cmap``.
    max_pixels
        Limit of width times height.

    Raises
    ------
    UsageError
        If a value is not one that is taken; the message names the parameter and what it takes.
    TooLargeError
        If the cutout has too many pixels.
    """
    wcs = _wcs(params)
    ra, dec = _number(params, "ra", -360.0, 360.0), _number(params, "dec", -90.0, 90.0)
    if (ra is None) != (dec is None):
        raise UsageError("ra and dec go together")
    projection = _word(params, "projection", PROJECTIONS)
    fov = _number(params, "fov", 0.0, 360.0, open_low=True)
    limit = 360.0 if projection in _WIDE else 179.0
    if fov is not None and fov > limit:
        raise UsageError(
            f"fov of projection {projection} may be up to {limit:g} degrees; "
            f"{', '.join(_WIDE)} show the whole sky"
        )
    width = params.integer("width", _size(wcs, 1), minimum=1) or 1
    height = params.integer("height", _size(wcs, 2), minimum=1) or 1
    if width * height > max_pixels:
        raise TooLargeError(
            f"{width} x {height} pixels are more than the {max_pixels} that are given at once; "
            "ask for a smaller width or height"
        )
    return CutoutRequest(
        width=width,
        height=height,
        ra_deg=None if ra is None else ra % 360.0,
        dec_deg=dec,
        fov_deg=fov,
        projection=projection,
        rotation_deg=_number(params, "rotation_angle", -360.0, 360.0) or 0.0,
        frame=cast(GridFrame, _word(params, "coordsys", _FRAMES)),
        wcs=wcs,
        format=cast(CutoutFormat, _word(params, "format", FORMATS, jpeg="jpg")),
        low=_cut(params, "min_cut"),
        high=_cut(params, "max_cut"),
        stretch=cast(StretchName, _word(params, "stretch", _STRETCHES)),
        colormap=_word(params, "cmap", COLORMAPS),
    )


def _word(params: Params, name: str, options: tuple[str, ...], **others: str) -> str:
    text = params.one(name)
    if text is None:
        return options[0]
    lower = others.get(text.lower(), text).lower()
    for option in options:
        if option.lower() == lower:
            return option
    raise UsageError(f"{name} may be {', '.join(options)}; not '{text[:40]}'")


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _number(
    params: Params, name: str, low: float, high: float, *, open_low: bool = False
) -> float | None:
    text = params.one(name)
    if text is None:
        return None
    value = _finite(text)
    if value is None or not low <= value <= high or (open_low and value == low):
        above = f"above {low:g} and up to" if open_low else f"from {low:g} to"
        raise UsageError(f"{name} takes degrees {above} {high:g}, not '{text[:40]}'")
    return value


def _cut(params: Params, name: str) -> Cut | None:
    text = params.one(name)
    if text is None:
        return None
    percent = text.endswith("%")
    value = _finite(text.removesuffix("%"))
    if value is None or (percent and not 0.0 <= value <= 100.0):
        raise UsageError(f"{name} takes a value or a percentile such as 99.5%, not '{text[:40]}'")
    return Cut(value, percent)


def _wcs(params: Params) -> dict[str, str | float] | None:
    text = params.one("wcs")
    if text is None:
        return None
    try:
        cards = json.loads(text) if len(text) <= _LARGEST_WCS else None
    except (json.JSONDecodeError, RecursionError):
        cards = None
    if not isinstance(cards, dict) or not all(
        _CARD.fullmatch(str(key))
        and isinstance(value, str | int | float)
        and (isinstance(value, str) or math.isfinite(value))
        for key, value in cards.items()
    ):
        raise UsageError(
            "wcs takes a JSON object of FITS keywords and values, such as "
            '{"CTYPE1": "RA---TAN", "CRVAL1": 10.0, ...}'
        )
    return {str(key): value for key, value in cards.items()}


def _size(wcs: Mapping[str, str | float] | None, axis: int) -> int:
    value = (wcs or {}).get(f"NAXIS{axis}", _DEFAULT_SIDE)
    if not isinstance(value, int | float) or value != int(value) or value < 1:
        raise UsageError(f"NAXIS{axis} in wcs takes a whole number of pixels")
    return int(value)
