"""Columns that follow from those that are given: the steps of `obscore.assembly.told`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np

from obscore.assembly.access import DATALINK
from obscore.assembly.columnwise.block import Block, Column
from obscore.assembly.columnwise.outlines import Outlines
from obscore.assembly.identity import identifiers, path_without_end
from obscore.assembly.kind import ucd_of_unit
from obscore.assembly.spectrum import resolving_power
from obscore.observation import Value
from obscore.sources.base import UNKNOWN_SIZE

__all__ = ["STEPS"]


def _filled(given: Column, made: Sequence[Value]) -> Column:
    return [other if one is None else one for one, other in zip(given, made, strict=True)]


def _needed(given: Column, make: Callable[[int], Value]) -> Column:
    """Fill a column where nothing is given."""
    return [make(at) if one is None else one for at, one in enumerate(given)]


def _identity(block: Block, _: Outlines) -> None:
    columns, relatives = block.columns, block.relatives
    columns["obs_collection"] = _filled(
        block.column("obs_collection"), [block.collection] * len(block)
    )
    columns["obs_id"] = _needed(block.column("obs_id"), lambda at: path_without_end(relatives[at]))
    label = identifiers(block.rules.authority, block.collection)
    columns["obs_publisher_did"] = _needed(
        block.column("obs_publisher_did"), lambda at: label(relatives[at], block.hdus[at] or None)
    )
    names = ("target_name", "filter", "instrument_name", "facility_name")
    words = [block.columns[name] for name in names if name in block.columns]
    titles = [
        ", ".join([str(word) for word in some if word is not None])
        for some in zip(*words, strict=True)
    ] or [""] * len(block)
    for at, (title, hdu) in enumerate(zip(titles, block.hdus, strict=True)):
        if hdu or not title:
            name = title or PurePosixPath(relatives[at]).name
            titles[at] = f"{name} [{hdu}]" if hdu else name
    columns["obs_title"] = _filled(block.column("obs_title"), [title[:250] for title in titles])


def _access(block: Block, _: Outlines) -> None:
    sizes = (one.size_bytes for one in block.stats)
    made = [None if size == UNKNOWN_SIZE else -(-size // 1000) for size in sizes]
    block.columns["access_format"] = [DATALINK] * len(block)
    block.columns["access_estsize"] = _filled(block.column("access_estsize"), made)


def _kind(block: Block, _: Outlines) -> None:
    columns, units = block.columns, block.column("o_unit")
    level = block.rules.calib_level
    columns["dataproduct_type"] = _filled(block.column("dataproduct_type"), ["image"] * len(block))
    columns["calib_level"] = _filled(block.column("calib_level"), [level] * len(block))
    ucds = {unit: ucd_of_unit(unit) for unit in set(units) if isinstance(unit, str)}
    columns["o_ucd"] = _filled(block.column("o_ucd"), [ucds.get(str(unit)) for unit in units])


def _position(block: Block, found: Outlines) -> None:
    block.columns["s_region"] = list(found.texts)
    made = [None if value != value else value for value in found.s_fov.tolist()]  # noqa: PLR0124
    block.columns["s_fov"] = _filled(block.column("s_fov"), made)


def _single(block: Block) -> list[bool]:
    """Tell of which rows it is known that they are images."""
    if "dataproduct_type" not in block.columns:
        return [True] * len(block)
    return [one in {None, "image"} for one in block.columns["dataproduct_type"]]


def _time(block: Block, _: Outlines) -> None:
    start, exposure_s = block.number("t_min"), block.number("t_exptime")
    follows = exposure_s >= 0.0
    ends = np.where(follows, start + exposure_s / 86400.0, math.nan).tolist()
    made = [None if end != end else end for end in ends]  # noqa: PLR0124
    columns, single = block.columns, _single(block)
    columns["t_max"] = _filled(block.column("t_max"), made)
    exposures = block.column("t_exptime")
    columns["t_resolution"] = _filled(
        block.column("t_resolution"),
        [one if is_one else None for one, is_one in zip(exposures, single, strict=True)],
    )
    is_known = (~np.isnan(start) | ~np.isnan(exposure_s)).tolist()
    columns["t_xel"] = _filled(
        block.column("t_xel"),
        [1 if a and b else None for a, b in zip(single, is_known, strict=True)],
    )


_SPECTRAL = ("em_min", "em_max", "filter", "instrument_name", "facility_name", "em_xel")


def _spectrum(block: Block, _: Outlines) -> None:
    known: dict[tuple[object, ...], tuple[Value, ...]] = {}
    rows: list[tuple[Value, ...]] = []
    cells = zip(*(block.column(name) for name in _SPECTRAL), _single(block), strict=True)
    for key in cells:
        found = known.get(key)
        if found is None:
            found = known[key] = _band(block, *key)
        rows.append(found)
    names = ("em_min", "em_max", "em_xel", "em_res_power", "filter")
    for name, made in zip(names, map(list, zip(*rows, strict=True)), strict=True):
        is_made = name == "filter"
        block.columns[name] = made if is_made else _filled(block.column(name), made)


def _band(
    block: Block, low: Value, high: Value, name: Value, instrument: Value, facility: Value,
    xel: Value, single: Value,
) -> tuple[Value, ...]:  # fmt: skip
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    assert not isinstance(xel, str)
    if isinstance(name, str):
        words = " ".join(str(word) for word in (instrument, facility) if word)
        band = block.bands.find(name, words)
        name = band.name
        if low is None and high is None and band.known:
            low, high = band.em_min_m, band.em_max_m
    samples = xel or (1.0 if single else None)
    whole = samples is not None and samples >= 1.0
    one = 1 if low is not None and high is not None and single else None
    return low, high, one, resolving_power(low, high, round(samples or 1)) if whole else None, name


def _polarization(block: Block, _: Outlines) -> None:
    made = [
        len(states.strip("/").split("/")) if isinstance(states, str) else None
        for states in block.column("pol_states")
    ]
    block.columns["pol_xel"] = _filled(block.column("pol_xel"), made)


STEPS: tuple[Callable[[Block, Outlines], None], ...] = (
    _identity,
    _access,
    _time,
    _spectrum,
    _polarization,
    _position,
    _kind,
)
"""Each sets the columns that follow from what is given. The kind goes last: what others need to
know of it is what is given."""
