"""The parameters of a cutout request, as frozen values (SODA 1.0 section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.params import Params
from vodal.regions import Region, parse_circle, parse_numbers, parse_polygon, parse_pos

__all__ = ["CutoutParams", "Interval", "parse_params"]

_STENCILS = {"POS": parse_pos, "CIRCLE": parse_circle, "POLYGON": parse_polygon}
_FORMATS = {"image/fits", "application/fits", "fits"}
_STATES = frozenset(
    ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI", "POLA")
)
"""Polarization states of ObsCore 1.1 section B.6.6.2."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval; either end may be infinite."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CutoutParams:
    """What is asked for."""

    did: str
    """The dataset, opaque."""
    stencil: Region | None = None
    """Where on the sky; None for all of it."""
    band_m: Interval | None = None
    """Wavelength in vacuum, metres."""
    time_mjd: Interval | None = None
    """Modified Julian Date, UTC."""
    pol: tuple[str, ...] = ()
    """Polarization states; empty for all."""


def parse_params(params: Params) -> CutoutParams:
    """Read the parameters of a request; names that SODA does not know are passed over.

    Raises
    ------
    MultiValuedParamNotSupported
        If there is more than one ID, stencil, BAND or TIME.
    UsageError
        If ID is missing, a value is malformed or the format is not served.
    """
    _check_format(params)
    return CutoutParams(
        did=params.required("ID"),
        stencil=_stencil(params),
        band_m=_interval(params, "BAND", "metres"),
        time_mjd=_interval(params, "TIME", "days (MJD)"),
        pol=_states(params),
    )


def _check_format(params: Params) -> None:
    for name in ("RESPONSEFORMAT", "FORMAT"):
        for value in params.all(name):
            if value.partition(";")[0].strip().lower() not in _FORMATS:
                raise UsageError(
                    f"{name} may be image/fits or application/fits, not '{value[:60]}'"
                )


def _stencil(params: Params) -> Region | None:
    given = [name for name in _STENCILS if name in params]
    if not given:
        return None
    if len(given) > 1:
        raise MultiValuedParamNotSupported(f"give one of {' and '.join(given)}, not both")
    text = cast(str, params.one(given[0]))
    return _STENCILS[given[0]](text, given[0])


def _interval(params: Params, name: str, unit: str) -> Interval | None:
    text = params.one(name)
    if text is None:
        return None
    numbers = parse_numbers(text, name, infinite=True)
    if len(numbers) != 2:
        raise UsageError(f"{name} takes two numbers 'low high' in {unit}; -Inf and +Inf are ends")
    low, high = numbers
    if not low <= high or low == math.inf or high == -math.inf:
        raise UsageError(f"{name}: the interval from {low:g} to {high:g} is empty")
    return Interval(low, high)


def _states(params: Params) -> tuple[str, ...]:
    states = tuple(dict.fromkeys(value.upper() for value in params.all("POL")))
    for state in states:
        if state not in _STATES:
            raise UsageError(f"POL takes states like I, Q, U, V or XX, not '{state[:20]}'")
    return states
