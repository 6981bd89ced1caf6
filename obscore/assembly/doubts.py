"""What is odd about a row without breaking a rule of ObsCore: told in the report, and published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from obscore.assembly.context import Values
from obscore.assembly.kind import UCDS
from vodal.fits.quiet import quiet

__all__ = ["DOUBTS", "LONGEST_M", "NOT_ZERO", "SHORTEST_M", "doubts", "is_known_ucd"]

_SECONDS_OF_DOUBT = 5.0
NOT_ZERO = ("s_fov", "s_resolution", "s_pixel_scale", "em_min", "em_res_power", "t_resolution")
LONGEST_M, SHORTEST_M = 1e5, 1e-21
"""A frequency of 3 kHz, and photons of a PeV: none of either has been imaged beyond."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    name: str
    """Short and stable; begins the note."""
    test: Callable[[Values], str | None]
    """Gives a sentence if there is ground for it."""


def _number(row: Values, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


def _zero(row: Values) -> str | None:
    for name in NOT_ZERO:
        if _number(row, name) == 0.0:
            return f"{name} is 0, where NULL would say that it is not known"
    return None


def _wavelength(row: Values) -> str | None:
    for name in ("em_min", "em_max"):
        value = _number(row, name)
        if value and not SHORTEST_M <= value <= LONGEST_M:
            return f"{name} is {value:g} m; is it in metres?"
    return None


def _exposure(row: Values) -> str | None:
    start, end = _number(row, "t_min"), _number(row, "t_max")
    exposure_s = _number(row, "t_exptime")
    if start is None or end is None or not exposure_s or end == start:
        return None
    length_s = (end - start) * 86400.0
    if exposure_s > length_s + _SECONDS_OF_DOUBT:
        return f"t_exptime is {exposure_s:g} s, and from t_min to t_max there are {length_s:g} s"
    return None


def _length(row: Values) -> str | None:
    if _number(row, "t_min") is None or row.get("t_min") != row.get("t_max"):
        return None
    return None if row.get("t_exptime") == 0.0 else "t_max is t_min, as nothing tells of the end"


def _ucd(row: Values) -> str | None:
    text = row.get("o_ucd")
    if not isinstance(text, str) or is_known_ucd(text):
        return None
    return f"o_ucd '{text[:60]}' holds words that are not of UCD1+, or not in their places"


def is_known_ucd(text: str) -> bool:
    """Tell whether the words of a UCD are of UCD1+, in their places."""
    return text in UCDS or _is_known(text)


@lru_cache(maxsize=256)
def _is_known(text: str) -> bool:
    # Only what a mapping says, or a source tells, pays for loading the vocabulary.
    from astropy.io.votable.ucd import check_ucd  # noqa: PLC0415

    with quiet():
        return bool(check_ucd(text, check_controlled_vocabulary=True))


def _subtype(row: Values) -> str | None:
    """ObsCore 1.1 section 3.3.1: what the vocabulary has no word for tells its subtype."""
    if row.get("dataproduct_type") is None and row.get("dataproduct_subtype") is None:
        return "neither dataproduct_type nor dataproduct_subtype has a value"
    return None


DOUBTS: tuple[_Doubt, ...] = (
    _Doubt("no-type", _subtype),
    _Doubt("zero", _zero),
    _Doubt("wavelength", _wavelength),
    _Doubt("length", _length),
    _Doubt("exposure", _exposure),
    _Doubt("unknown-ucd", _ucd),
)


def doubts(row: Values) -> list[str]:
    """Give what is odd about a row that keeps all rules, as ``name: sentence``."""
    told = ((doubt.name, doubt.test(row)) for doubt in DOUBTS)
    return [f"{name}: {sentence}" for name, sentence in told if sentence is not None]
