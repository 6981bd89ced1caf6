"""What is made of the pixels of a cutout, as frozen values read from a request's parameters."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar, get_args

from soda.formats import FITS, PNG, Format, requested_format
from vodal.errors import UsageError
from vodal.params import Params
from vodal.pictures.colormaps import COLORMAPS
from vodal.pictures.levels import Cuts, StretchName
from vodal.pictures.lupton import SOFTENING
from vodal.regions import parse_numbers
from vodal.resample.block import Sampling

__all__ = ["Compression", "Look", "Orientation", "Output", "Outside", "parse_output"]

Outside = Literal["keep", "nan", "mask"]
Orientation = Literal["pixels", "north"]
_Choice = TypeVar("_Choice", bound=str)

_MAX_QUANTIZE: Final = 1000.0
_MAX_TILE: Final = 1 << 16
_MAX_SIDE: Final = 4096
_MAX_SOFTENING: Final = 1000.0
_PERCENT: Final = re.compile(r"(\S+)%\s+(\S+)%|(\S+)%")
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")


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
    color = _choice(params, "COMBINE", ("none", "rgb"), "none") == "rgb"
    found = requested_format(params) or default or (PNG if color else FITS)
    if color and found.kind != "picture":
        raise UsageError(
            "COMBINE=rgb makes a picture: RESPONSEFORMAT may be png, jpeg or webp, "
            f"not {found.name}"
        )
    return Output(
        format=found,
        outside=_choice(params, "OUTSIDE", get_args(Outside), "keep"),
        compression=_compression(params),
        color=color,
        look=_look(params, max_side, color=color),
    )


def _choice(params: Params, name: str, choices: tuple[_Choice, ...], default: _Choice) -> _Choice:
    text = params.one(name)
    if text is None:
        return default
    for choice in choices:
        if text.lower() == choice:
            return choice
    raise UsageError(f"{name} may be {', '.join(choices)}; not '{text[:40]}'")


def _compression(params: Params) -> Compression:
    plain = Compression()
    quantize, tile = plain.quantize, plain.tile
    text = params.one("QUANTIZE")
    if text is not None:
        numbers = parse_numbers(text, "QUANTIZE")
        if len(numbers) != 1 or not 0.0 < numbers[0] <= _MAX_QUANTIZE:
            raise UsageError(
                f"QUANTIZE takes one number above 0 and up to {_MAX_QUANTIZE:g}: "
                "the steps in one standard deviation of the noise"
            )
        quantize = numbers[0]
    text = params.one("TILE")
    if text is not None:
        numbers = parse_numbers(text, "TILE")
        whole = all(number == math.floor(number) for number in numbers)
        if len(numbers) != 2 or not whole or not all(1 <= n <= _MAX_TILE for n in numbers):
            raise UsageError(
                f"TILE takes two whole numbers from 1 to {_MAX_TILE}: columns and rows of a tile"
            )
        tile = int(numbers[0]), int(numbers[1])
    return Compression(quantize, tile)


def _look(params: Params, max_side: int, *, color: bool) -> Look:
    stretch: StretchName = "asinh"
    brightness = None
    if color:
        brightness = _number(params, "STRETCH", math.inf)
    else:
        stretch = _choice(params, "STRETCH", get_args(StretchName), stretch)
    softening = _number(params, "Q", _MAX_SOFTENING)
    size = params.integer("SIZE", minimum=1)
    if size is not None and size > max_side:
        raise UsageError(f"SIZE may be up to {max_side} pixels here, not {size}")
    return Look(
        stretch=stretch,
        cuts=_cuts(params),
        colormap=_choice(params, "COLORMAP", COLORMAPS, "gray"),
        invert=_flag(params, "INVERT"),
        orient=_choice(params, "ORIENT", get_args(Orientation), "pixels"),
        sampling=_choice(params, "SAMPLING", get_args(Sampling), "bilinear"),
        size=size,
        max_side=max_side,
        brightness=brightness,
        softening=SOFTENING if softening is None else softening,
    )


def _number(params: Params, name: str, most: float) -> float | None:
    text = params.one(name)
    if text is None:
        return None
    numbers = parse_numbers(text, name)
    if len(numbers) != 1 or not 0.0 < numbers[0] <= most:
        upper = "" if math.isinf(most) else f" and up to {most:g}"
        where = "; with COMBINE=rgb it is the brightness where the asinh bends"
        raise UsageError(
            f"{name} takes one number above 0{upper}, not '{text[:40]}'"
            f"{where if name == 'STRETCH' else ''}"
        )
    return numbers[0]


def _flag(params: Params, name: str) -> bool:
    text = (params.one(name) or "0").lower()
    if text not in _TRUE + _FALSE:
        raise UsageError(f"{name} may be {', '.join(_TRUE + _FALSE)}; not '{text[:40]}'")
    return text in _TRUE


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
        numbers = parse_numbers(percent[3], "CUTS")
        if 0.0 < numbers[0] <= 100.0:
            rest = (100.0 - numbers[0]) / 2.0
            return Cuts("percent", rest, 100.0 - rest)
    elif percent is not None:
        numbers = parse_numbers(f"{percent[1]} {percent[2]}", "CUTS")
        if 0.0 <= numbers[0] < numbers[1] <= 100.0:
            return Cuts("percent", *numbers)
    elif len(text.split()) == 2:
        numbers = parse_numbers(text, "CUTS")
        if numbers[0] < numbers[1]:
            return Cuts("values", *numbers)
    raise UsageError(
        "CUTS may be auto, minmax, zscale, a percentage of the values such as 99.5%, two "
        f"percentiles such as 1% 99%, or two values, low before high; not '{text[:40]}'"
    )
