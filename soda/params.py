"""The parameters of a cutout request, as frozen values (SODA 1.0 section 3)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from soda.extensions import parse_hdus, parse_pixels
from soda.formats import FITS, Format
from soda.output import Output, parse_output
from soda.parameters import STATES
from soda.selection import HduChoice, Interval, PixelRange, Selection
from soda.values import flag, word
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.params import Params
from vodal.regions import Region, parse_circle, parse_numbers, parse_polygon, parse_pos

__all__ = ["MOST_VERTICES", "CutoutParams", "parse_params"]

_STENCILS = {"POS": parse_pos, "CIRCLE": parse_circle, "POLYGON": parse_polygon}

MOST_VERTICES = 10_000
"""Of a polygon. Where its sides cross each other all of them are looked at for each place; the
search of the pixels takes about 1.5 s then."""


@dataclass(frozen=True, slots=True)
class CutoutParams:
    """What is asked for: each combination of the values is one cutout."""

    dids: tuple[str, ...]
    """The datasets, opaque; at least one."""
    stencils: tuple[Region, ...] = ()
    """Of POS, CIRCLE and POLYGON, in this order."""
    bands_m: tuple[Interval, ...] = ()
    times_mjd: tuple[Interval, ...] = ()
    pol: tuple[str, ...] = ()
    """States, all of which go into each cutout."""
    pixels: tuple[tuple[PixelRange | None, ...], ...] = ()
    hdus: tuple[HduChoice, ...] = ()
    """HDUs, all of which go into each cutout."""
    tables: bool = False
    header_only: bool = False
    output: Output = field(default_factory=Output)
    """What is made of the pixels of each."""

    def single(self) -> tuple[str, Selection]:
        """Give the one dataset and the part of it that is wanted.

        Raises
        ------
        MultiValuedParamNotSupported
            If there are several combinations.
        """
        if len(self.dids) > 1:
            raise MultiValuedParamNotSupported("ID may be given only once")
        return self.dids[0], self.selection()

    def selection(self) -> Selection:
        """Give the one part that is wanted of each dataset.

        Raises
        ------
        MultiValuedParamNotSupported
            If there are several.
        """
        for name, values in (
            ("BAND", self.bands_m),
            ("TIME", self.times_mjd),
            ("PIXELS", self.pixels),
        ):
            if len(values) > 1:
                raise MultiValuedParamNotSupported(f"{name} may be given only once")
        if len(self.stencils) > 1:
            raise MultiValuedParamNotSupported("give one of POS, CIRCLE and POLYGON, and once")
        _, selection = next(self.combinations())
        return selection

    def combinations(self) -> Iterator[tuple[str, Selection]]:
        """Give the dataset and the part of each cutout, the last parameter varying first."""
        for did, stencil, band, time, pixels in itertools.product(
            self.dids,
            self.stencils or (None,),
            self.bands_m or (None,),
            self.times_mjd or (None,),
            self.pixels or ((),),
        ):
            yield (
                did,
                Selection(
                    stencil,
                    band,
                    time,
                    self.pol,
                    pixels,
                    self.hdus,
                    self.tables,
                    self.header_only,
                ),
            )


def parse_params(
    params: Params,
    default: Format | None = None,
    max_side: int = 4096,
    *,
    needs_id: bool = True,
) -> CutoutParams:
    """Read the parameters of a request; names that are not known are passed over.

    A value that is given twice counts once.

    Parameters
    ----------
    params
        Of the request.
    default
        The format where no parameter names one; by default FITS.
    max_side
        The largest side of a picture in pixels.
    needs_id
        Whether a request without ID is refused.

    Raises
    ------
    UsageError
        If ID is missing, a value is malformed or the format is not served.
    """
    output = parse_output(params, default, max_side)
    header_only = word(params, "KIND") == "HEADER"
    if header_only and output.format.kind in {"rice", "gzip"}:
        # There is nothing to compress.
        output = replace(output, format=FITS)
    dids = tuple(params.all("ID"))
    if not output.color:
        dids = tuple(dict.fromkeys(dids))
    if needs_id and not dids:
        raise UsageError("the parameter ID is missing")
    if output.color and len(dids) != 3:
        raise UsageError("COMBINE=rgb takes ID three times, in the order red, green, blue")
    return CutoutParams(
        dids=dids,
        stencils=_stencils(params),
        bands_m=_intervals(params, "BAND", "metres"),
        times_mjd=_intervals(params, "TIME", "days (MJD)"),
        pol=_states(params),
        pixels=parse_pixels(params),
        hdus=parse_hdus(params),
        tables=flag(params, "TABLES"),
        header_only=header_only,
        output=output,
    )


def _stencils(params: Params) -> tuple[Region, ...]:
    found = []
    for name, parse in _STENCILS.items():
        for text in params.all(name):
            # Before anything is made of it; the word POLYGON may come first.
            if len(text.split(None, 2 * MOST_VERTICES + 1)) > 2 * MOST_VERTICES + 1:
                raise UsageError(
                    f"{name} has more numbers than a polygon of {MOST_VERTICES} vertices, the most"
                    " that is taken; leave some out, or give a simpler shape around them"
                )
            found.append(parse(text, name))
    return tuple(dict.fromkeys(found))


def _intervals(params: Params, name: str, unit: str) -> tuple[Interval, ...]:
    found = (_interval(text, name, unit) for text in params.all(name))
    return tuple(dict.fromkeys(found))


def _interval(text: str, name: str, unit: str) -> Interval:
    takes = f"two numbers 'low high' in {unit}; -Inf and +Inf are ends"
    numbers = parse_numbers(text, name, infinite=True, takes=takes)
    if len(numbers) != 2:
        raise UsageError(f"{name} takes {takes}")
    low, high = numbers
    if not low <= high or low == math.inf or high == -math.inf:
        raise UsageError(f"{name}: the interval from {low!r} to {high!r} is empty; low comes first")
    return Interval(low, high)


def _states(params: Params) -> tuple[str, ...]:
    states = tuple(dict.fromkeys(value.upper() for value in params.all("POL")))
    for state in states:
        if state not in STATES:
            raise UsageError(f"POL takes states like I, Q, U, V or XX, not '{state[:20]}'")
    return states
