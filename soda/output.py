"""What is made of the pixels of a cutout, as frozen values read from a request's parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar, get_args

from soda.formats import FITS, Format, requested_format
from vodal.errors import UsageError
from vodal.params import Params
from vodal.regions import parse_numbers

__all__ = ["Compression", "Output", "Outside", "parse_output"]

Outside = Literal["keep", "nan", "mask"]
_Choice = TypeVar("_Choice", bound=str)

_MAX_QUANTIZE: Final = 1000.0
_MAX_TILE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Compression:
    """How tile-compressed FITS is made."""

    quantize: float = 4.0
    """Steps of quantised floats in one standard deviation of the tile's noise; 4 is what fpack
    takes by default, and adds 0.3 % to the noise."""
    tile: tuple[int, int] = (256, 256)
    """Columns and rows of a tile, at most those of the image."""


@dataclass(frozen=True, slots=True)
class Output:
    """Format and treatment of the pixels."""

    format: Format = FITS
    outside: Outside = "keep"
    """What becomes of pixels whose centres are outside the stencil."""
    compression: Compression = field(default_factory=Compression)


def parse_output(params: Params, default: Format | None = None) -> Output:
    """Read the parameters that tell the form of the answer.

    Parameters
    ----------
    params
        Of the request; those of other formats than the one asked for are checked all the same.
    default
        The format where no parameter names one.

    Raises
    ------
    UsageError
        If a value is malformed or the format is not served.
    """
    return Output(
        format=requested_format(params) or default or FITS,
        outside=_choice(params, "OUTSIDE", get_args(Outside), "keep"),
        compression=_compression(params),
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
