"""What is made of the pixels of a cutout, as frozen values read from a request's parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from soda.formats import FITS, PNG, Format, requested_format
from soda.parameters import Orientation, Outside
from soda.values import flag, number, whole_number, whole_numbers, word
from vodal.errors import UsageError
from vodal.params import Params
from vodal.pictures.levels import Cuts, StretchName
from vodal.pictures.lupton import SOFTENING
from vodal.regions import parse_numbers
from vodal.resample.block import Sampling

__all__ = ["Compression", "Look", "Output", "parse_output"]


_MAX_SIDE: Final = 4096
_PERCENT: Final = re.compile(r"(\S+)%\s+(\S+)%|(\S+)%")
_CUTS_TAKES: Final = (
    "auto, minmax, zscale, a percentage of the values such as 99.5%, two percentiles such as 1%"
    " 99%, or two values, low before high"
)


@dataclass(frozen=True, slots=True)
class Compression:
    """How tile-compressed FITS is made."""

    quantize: float = 4.0
    """Steps of quantised floats in one standard deviation of the tile's noise; 4 is what fpack
    takes by default, and adds 0.3 % to the noise."""
    tile: tuple[int, int] | None = None
    """Columns and rows of a tile, at most those of the image; None for whole rows. CFITSIO (4.2)
    puts blank pixels of narrower tiles at wrong places."""


@dataclass(frozen=True, slots=True)
class Look:
    """How pixels become a picture."""

    stretch: StretchName = "asinh"
    cuts: Cuts = field(default_factory=Cuts)
    colormap: str = "gray"
    invert: bool = False
    orient: Orientation = "pixels"
    """Rows from the bottom up as FITS has them, or north up and east to the left."""
    sampling: Sampling = "bilinear"
    """How pixels are brought to another grid: of pictures in colour, and with north up."""
    size: int | None = None
    """Pixels of the longer side; None for one pixel each of the image's, up to ``max_side``."""
    max_side: int = _MAX_SIDE
    brightness: float | None = None
    """Of pictures in colour, where the asinh bends; None for automatic."""
    softening: float = SOFTENING
    """Of pictures in colour, Lupton's Q."""


@dataclass(frozen=True, slots=True)
class Output:
    """Format and treatment of the pixels."""

    format: Format = FITS
    outside: Outside = "keep"
    """What becomes of pixels whose centres are outside the stencil."""
    compression: Compression = field(default_factory=Compression)
    color: bool = False
    """Whether three datasets become one picture in colour."""
    look: Look = field(default_factory=Look)


def parse_output(
    params: Params, default: Format | None = None, max_side: int = _MAX_SIDE
) -> Output:
    """Read the parameters that tell the form of the answer.

    Parameters
    ----------
    params
        Of the request; those of other formats than the one asked for are checked all the same.
    default
        The format where no parameter names one.
    max_side
        The largest side of a picture in pixels.

    Raises
    ------
    UsageError
        If a value is malformed or the format is not served.
    """
    color = _combination(params) == "rgb"
    found = requested_format(params) or default or (PNG if color else FITS)
    if color and found.kind != "picture":
        raise UsageError(
            "COMBINE=rgb makes a picture: RESPONSEFORMAT may be png, jpeg or webp, "
            f"not {found.name}"
        )
    return Output(
        format=found,
        outside=cast("Outside", word(params, "OUTSIDE")),
        compression=_compression(params),
        color=color,
        look=_look(params, max_side, color=color),
    )


def _combination(params: Params) -> str:
    if (params.one("COMBINE") or "").lower() == "stitch":
        raise UsageError(
            "COMBINE may be none, rgb here; one image of several datasets is made by /stitched, or"
            " by jobs (/async) with COMBINE=stitch; skylane cut makes it by --stitch"
        )
    return word(params, "COMBINE")


def _compression(params: Params) -> Compression:
    plain = Compression()
    quantize = number(params, "QUANTIZE", "the steps in one standard deviation of the noise")
    return Compression(
        plain.quantize if quantize is None else quantize,
        whole_numbers(params, "TILE", "columns and rows of a tile") or plain.tile,
    )


def _look(params: Params, max_side: int, *, color: bool) -> Look:
    softening = number(params, "Q")
    size = whole_number(params, "SIZE")
    if size is not None and size > max_side:
        raise UsageError(f"SIZE may be up to {max_side} pixels here, not {size}")
    return Look(
        stretch="asinh" if color else cast("StretchName", word(params, "STRETCH")),
        cuts=_cuts(params),
        colormap=word(params, "COLORMAP"),
        invert=flag(params, "INVERT"),
        orient=cast("Orientation", word(params, "ORIENT")),
        sampling=cast("Sampling", word(params, "SAMPLING")),
        size=size,
        max_side=max_side,
        brightness=_brightness(params) if color else None,
        softening=SOFTENING if softening is None else softening,
    )


def _brightness(params: Params) -> float | None:
    """Read STRETCH as pictures in colour take it, which is declared as the word of others."""
    text = params.one("STRETCH")
    if text is None:
        return None
    takes = "one number above 0 with COMBINE=rgb: the brightness where the asinh bends"
    numbers = parse_numbers(text, "STRETCH", takes=takes)
    if len(numbers) != 1 or not numbers[0] > 0.0:
        raise UsageError(f"STRETCH takes {takes}; not '{text[:40]}'")
    return numbers[0]


def _cuts(params: Params) -> Cuts:
    text = params.one("CUTS")
    if text is None:
        return Cuts()
    named: tuple[Literal["auto", "minmax", "zscale"], ...] = ("auto", "minmax", "zscale")
    for kind in named:
        if text.lower() == kind:
            return Cuts(kind)
    percent = _PERCENT.fullmatch(text)
    if percent is not None and percent[3]:
        # The middle part of all values.
        numbers = parse_numbers(percent[3], "CUTS", takes=_CUTS_TAKES)
        if 0.0 < numbers[0] <= 100.0:
            rest = (100.0 - numbers[0]) / 2.0
            return Cuts("percent", rest, 100.0 - rest)
    elif percent is not None:
        numbers = parse_numbers(f"{percent[1]} {percent[2]}", "CUTS", takes=_CUTS_TAKES)
        if 0.0 <= numbers[0] < numbers[1] <= 100.0:
            return Cuts("percent", *numbers)
    elif len(text.split()) == 2:
        numbers = parse_numbers(text, "CUTS", takes=_CUTS_TAKES)
        if numbers[0] < numbers[1]:
            return Cuts("values", *numbers)
    raise UsageError(f"CUTS takes {_CUTS_TAKES}; not '{text[:40]}'")
