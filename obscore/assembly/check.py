"""The rules of ObsCore 1.1 that every row must keep; a row that breaks one is not published."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from obscore.assembly.context import Values
from obscore.columns import COLUMNS
from obscore.mapping.rules import DATAPRODUCT_TYPES
from vodal.fits.stokes import CANONICAL
from vodal.regions import Point, Region
from vodal.sphere import contains

__all__ = ["COUNTS", "NEEDED", "NOT_NEGATIVE", "ORDERED", "RULES", "TEXT_RULES", "Broken", "check"]


class Broken(NamedTuple):
    """A rule that a row breaks."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    """Short and stable; ends the reason code in the report."""
    test: Callable[[Values, Region | None], str | None]
    """Gives a sentence if the rule is broken."""


_IVOID = re.compile(r"ivo://[A-Za-z0-9][A-Za-z0-9._~*'()+=-]{2,}/[!-~]+")
_RIGHTS = {"public", "secure", "proprietary"}
_UCD = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(;[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)*")
_MIME = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;\s*[\w.+-]+=[^;]+)*")
_TIMESTAMP = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]([0-9:.]+)Z?)?")
_TIMESTAMPS = tuple(item.name for item in COLUMNS if item.column.xtype == "timestamp")
ORDERED = (("t_min", "t_max"), ("em_min", "em_max"))
NOT_NEGATIVE = ("t_exptime", "t_resolution", "em_min", "em_res_power", "s_fov", "s_resolution",
                 "s_pixel_scale", "access_estsize")  # fmt: skip
_NOTHING = frozenset({None, ""})
COUNTS = ("s_xel1", "s_xel2", "t_xel", "em_xel", "pol_xel")
_PYTHON = {"char": str, "int": int, "long": int, "double": float}


def _number(row: Values, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


_KINDS = {item.name: _PYTHON[item.column.datatype] for item in COLUMNS}
NEEDED = tuple(item.name for item in COLUMNS if not (item.nullable or item.by_store))


def _are_plain(row: Values) -> bool:
    """Tell whether all values are of just the types of their columns, as nearly always."""
    for name, value in row.items():
        kind = _KINDS.get(name)
        if value is None:
            if kind is None:
                return False
            continue
        if type(value) is not kind:
            return False
        if isinstance(value, str):
            if not value.isprintable():
                return False
        elif isinstance(value, float):
            if not math.isfinite(value):
                return False
        elif not -(2**63) <= value < 2**63:
            return False
    return True


def _types(row: Values, _: Region | None) -> str | None:
    if _are_plain(row):
        return None
    for item in COLUMNS:
        value, kind = row.get(item.name), _PYTHON[item.column.datatype]
        if value is None:
            continue
        fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
        if not fits or isinstance(value, bool):
            return f"{item.name} is {value!r}, which is no {item.column.datatype}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{item.name} is not finite"
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return f"{item.name} does not fit 64 bits"
        if isinstance(value, str) and not value.isprintable():
            return f"{item.name} holds characters that cannot be printed"
    unknown = set(row) - {item.name for item in COLUMNS}
    return f"{min(unknown)} is no column" if unknown else None


def _not_null(row: Values, _: Region | None) -> str | None:
    for name in NEEDED:
        if row.get(name) in _NOTHING:
            return f"{name} has no value"
    return None


def _did(row: Values, _: Region | None) -> str | None:
    did = str(row.get("obs_publisher_did"))
    return None if _IVOID.fullmatch(did) else f"obs_publisher_did '{did[:80]}' is no IVOID"


def _dataproduct_type(row: Values, _: Region | None) -> str | None:
    value = row.get("dataproduct_type")
    return None if value is None or value in DATAPRODUCT_TYPES else f"'{value}' is no product type"


def _calib_level(row: Values, _: Region | None) -> str | None:
    value = row.get("calib_level")
    return None if value in range(5) else f"calib_level is {value}, not 0 to 4"


def _data_rights(row: Values, _: Region | None) -> str | None:
    value = row.get("data_rights")
    return None if value is None or value in _RIGHTS else f"'{value}' is none of {sorted(_RIGHTS)}"


def _ordered(row: Values, _: Region | None) -> str | None:
    for low, high in ORDERED:
        a, b = _number(row, low), _number(row, high)
        if a is not None and b is not None and a > b:
            return f"{low} {a:g} is more than {high} {b:g}"
    return None


def _not_negative(row: Values, _: Region | None) -> str | None:
    for name in NOT_NEGATIVE:
        value = _number(row, name)
        if value is not None and value < 0.0:
            return f"{name} is {value:g}, less than 0"
    return None


def _counts(row: Values, _: Region | None) -> str | None:
    for name in COUNTS:
        value = _number(row, name)
        # -1 stands for data that has no pixels along the axis (ObsCore 1.1 section 4.23).
        if value is not None and value < 1 and value != -1:
            return f"{name} is {value:g}; it is 1 or more, or -1"
    return None


def _pol_states(row: Values, _: Region | None) -> str | None:
    value = row.get("pol_states")
    if value is None:
        return None
    states = str(value).strip("/").split("/")
    ranks = [CANONICAL.index(state) if state in CANONICAL else -1 for state in states]
    sound = str(value) == f"/{'/'.join(states)}/" and -1 not in ranks
    if not sound or ranks != sorted(set(ranks)):
        return f"pol_states '{value}' is not like /I/Q/U/V/, in this order"
    if row.get("pol_xel") not in {None, len(states)}:
        return f"pol_xel is {row.get('pol_xel')} for {len(states)} states"
    return None


def _position(row: Values, region: Region | None) -> str | None:
    ra, dec = _number(row, "s_ra"), _number(row, "s_dec")
    if (ra is None) != (dec is None):
        return "s_ra and s_dec go together"
    if ra is None or dec is None:
        return None
    if not 0.0 <= ra < 360.0 or not -90.0 <= dec <= 90.0:
        return f"the position {ra:g}, {dec:g} is outside [0, 360) and [-90, 90]"
    if region is not None and not contains(region, Point(ra, dec)):
        return f"the position {ra:g}, {dec:g} is outside s_region"
    return None


def _fov(row: Values, _: Region | None) -> str | None:
    value = _number(row, "s_fov")
    return None if value is None or value <= 360.0 else f"s_fov is {value:g}, more than 360 degrees"


def _ucd(row: Values, _: Region | None) -> str | None:
    """Section 4.20 (o_ucd): a UCD, by the grammar of UCD 1.1 section 2."""
    value = row.get("o_ucd")
    return None if value is None or _UCD.fullmatch(str(value)) else f"o_ucd '{value}' is no UCD"


def _format(row: Values, _: Region | None) -> str | None:
    """Section 4.7 (access_format): a media type."""
    value = row.get("access_format")
    if value is None or _MIME.fullmatch(str(value)):
        return None
    return f"access_format '{str(value)[:60]}' is no media type"


def _timestamps(row: Values, _: Region | None) -> str | None:
    """Timestamps are those of DALI 1.1 section 3.3.3."""
    for name in _TIMESTAMPS:
        value = row.get(name)
        if value is None:
            continue
        match = _TIMESTAMP.fullmatch(str(value))
        try:
            sound = match is not None and bool(dt.datetime.fromisoformat(str(value).rstrip("Z")))
        except ValueError:
            sound = False
        if not sound:
            return f"{name} '{str(value)[:40]}' is not like 2026-03-04T05:06:07"
    return None


def _states_counted(row: Values, _: Region | None) -> str | None:
    value = _number(row, "pol_xel")
    # One state that has no name is what pipelines write of unpolarized light.
    if value is not None and value > 1 and row.get("pol_states") is None:
        return f"pol_xel is {value:g}, and pol_states has no value"
    return None


RULES: tuple[_Rule, ...] = (
    _Rule("types", _types),
    _Rule("not-null", _not_null),
    _Rule("publisher-did", _did),
    _Rule("dataproduct-type", _dataproduct_type),
    _Rule("calib-level", _calib_level),
    _Rule("data-rights", _data_rights),
    _Rule("order", _ordered),
    _Rule("not-negative", _not_negative),
    _Rule("counts", _counts),
    _Rule("pol-states", _pol_states),
    _Rule("pol-count", _states_counted),
    _Rule("ucd", _ucd),
    _Rule("format", _format),
    _Rule("timestamps", _timestamps),
    _Rule("position", _position),
    _Rule("fov", _fov),
)


TEXT_RULES: tuple[
    tuple[tuple[str, ...], tuple[Callable[[Values, Region | None], str | None], ...]], ...
] = (
    (("obs_publisher_did",), (_did,)),
    (("dataproduct_type",), (_dataproduct_type,)),
    (("calib_level",), (_calib_level,)),
    (("data_rights",), (_data_rights,)),
    (("pol_states", "pol_xel"), (_pol_states, _states_counted)),
    (("o_ucd",), (_ucd,)),
    (("access_format",), (_format,)),
    *(((name,), (_timestamps,)) for name in _TIMESTAMPS),
)
"""Rules that look at few values, with the columns of these."""


def check(row: Values, region: Region | None) -> Broken | None:
    """Give the first rule that a row breaks; None if it keeps them all.

    Parameters
    ----------
    row
        By column.
    region
        Of ``s_region``, in which the position must lie.
    """
    for rule in RULES:
        message = rule.test(row, region)
        if message is not None:
            return Broken(rule.name, message)
    return None
