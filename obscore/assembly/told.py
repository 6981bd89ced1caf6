"""Rows made of what a source tells, without opening the file.

The mapping goes first, and columns that facts name; the rest follows from these as far as that is
sound: the centre of a footprint, the wavelengths of a filter, the end of an exposure. Nothing is
guessed: what a header would say stays empty. The rules of `obscore.assembly.check` hold as for
any row.
"""

from __future__ import annotations

import logging
import math
import mimetypes
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from obscore.assembly.access import DATALINK
from obscore.assembly.bands import band_table
from obscore.assembly.check import check
from obscore.assembly.context import Subject, Values
from obscore.assembly.doubts import doubts
from obscore.assembly.identity import path_without_end, publisher_did
from obscore.assembly.kind import ucd_of_unit
from obscore.assembly.mapping import apply_mapping
from obscore.assembly.outcome import Outcome
from obscore.assembly.refusal import Refusal
from obscore.assembly.rules import Rules
from obscore.assembly.spectrum import resolving_power
from obscore.assembly.trace import Trace
from obscore.observation import CataloguedFile, Observation
from obscore.sources.base import UNKNOWN_SIZE, Candidate, Part
from vodal.canonical import REVERSED, RegionFaultError, canonical, canonical_text
from vodal.convex import Convex, convex
from vodal.regions import Polygon, Region, shape_text
from vodal.sphere import bounding_cap, centroid, contains, distance_deg

__all__ = ["catalogued", "make_rows", "media_type", "plain_polygon"]

_log = logging.getLogger(__name__)

_NUMBERS = re.compile(r"[-+0-9.eE ]{1,4000}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Told(Subject):
    """A product that was not read."""

    several: bool
    """Whether the source tells of more products of the file."""
    region: Region | None = None
    plain: Convex | None = None


def make_rows(candidate: Candidate, rules: Rules, traces: list[Trace] | None = None) -> Outcome:
    """Make the rows of a file of its source's facts alone.

    Never raises for what a source tells; a product costs itself alone.

    Parameters
    ----------
    candidate
        The file, with its parts if it has several.
    rules
        Of its collection.
    traces
        For an explanation: gets one for each product, those that are refused too.
    """
    parts = candidate.parts or (Part(),)
    observations: list[Observation] = []
    refusals: list[tuple[Part, Refusal]] = []
    notes: list[str] = []
    for part in parts:
        trace = None if traces is None else Trace(part.hdu)
        try:
            made = _product(candidate, part, rules, trace, several=len(parts) > 1)
        except Exception as error:  # noqa: BLE001 - one bad row must never stop a run
            _log.exception("the assembly line failed on what is told of %s", candidate.uri)
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            made = Refusal("internal", text)
        if traces is not None and trace is not None:
            trace.refusal = made if isinstance(made, Refusal) else None
            traces.append(trace)
        if isinstance(made, Refusal):
            refusals.append((part, made))
        else:
            observations.append(made[0])
            notes += (f"{part.hdu}: {note}" if len(parts) > 1 else note for note in made[1])
    if not observations:
        part, refusal = refusals[0]
        return Outcome(refusal=replace(refusal, message=_at(part, refusal.message)))
    notes += (
        _at(part, f"left out ({refusal.reason}): {refusal.message}") for part, refusal in refusals
    )
    return Outcome(catalogued(candidate, rules, tuple(observations), notes))


def catalogued(
    candidate: Candidate, rules: Rules, observations: tuple[Observation, ...], notes: Iterable[str]
) -> CataloguedFile:
    """Give a file that was not opened, with its products."""
    size = candidate.stat.size_bytes
    name = candidate.relative.rsplit("/", maxsplit=1)[-1]
    return CataloguedFile(
        uri=candidate.uri,
        file_name=name,
        collection=candidate.collection,
        content_type=media_type(name),
        modified_unix_s=candidate.stat.modified_unix_s,
        index=None,
        observations=observations,
        mapping_digest=rules.digest_of(candidate),
        notes=tuple(dict.fromkeys(notes)),
        told_version=candidate.stat.version,
        told_size_bytes=None if size == UNKNOWN_SIZE else size,
    )


def _at(part: Part, message: str) -> str:
    return f"{part.where}: {message}" if part.where else message


def media_type(name: str) -> str:
    """Give the media type that a file's name tells."""
    lower = name.lower()
    if re.search(r"\.(fits?|fts)(\.fz)?$|\.fz$", lower):
        return "image/fits"
    if lower.endswith(".gz"):
        return "application/gzip"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _product(
    candidate: Candidate, part: Part, rules: Rules, trace: Trace | None, *, several: bool
) -> tuple[Observation, list[str]] | Refusal:
    """Make one row, or say why there is none."""
    told = Told(
        candidate=candidate, rules=rules, bands=band_table(*rules.bands), part=part,
        several=several, trace=trace,
    )  # fmt: skip
    told = replace(told, given=apply_mapping(told, rules.mapping_for(candidate.relative)))
    try:
        with told.of("s_region"):
            region, plain = _region(told)
    except RegionFaultError as error:
        return Refusal(f"row:region:{error.fault}", error.message)
    told = replace(told, region=region, plain=plain)
    row: dict[str, str | int | float | None] = {}
    for step in STEPS:
        row |= step(told)
    given = dict(told.given)
    for done in ("obs_publisher_did", "filter", "s_region"):
        given.pop(done, None)  # steps have used these
    row |= given
    if trace is not None:
        trace.row, trace.given, trace.notes = row, dict(told.given), told.notes
    broken = check(rules.core(row), None if _is_inside(row, plain) else region)
    if broken is not None:
        return Refusal(f"row:{broken.rule}", broken.message)
    return Observation(row, region, (), part.hdu), [*told.notes, *doubts(row)]


def _is_inside(row: Values, plain: Convex | None) -> bool:
    """Tell whether the position is clearly within the footprint, as the rules want it."""
    ra, dec = row.get("s_ra"), row.get("s_dec")
    if plain is None or not isinstance(ra, float) or not isinstance(dec, float):
        return False
    return plain.holds(ra, dec)


def _region(told: Told) -> tuple[Region | None, Convex | None]:
    """Give the canonical footprint: that of the mapping, else that of the source.

    With it what is known of it, if it is clearly convex.

    Raises
    ------
    RegionFaultError
        If it is none.
    """
    text, region = told.given_text("s_region"), told.part.region
    if text is not None:
        region = plain_polygon(text)
    elif region is None:
        return None, None
    plain = convex(region) if isinstance(region, Polygon) else None
    if plain is not None:
        if plain.was_reversed:
            told.note(f"s_region: {REVERSED}")
        return plain.polygon, plain
    found = canonical(region) if text is None and region is not None else canonical_text(str(text))
    for note in found.notes:
        told.note(f"s_region: {note}")
    return found.region, None


def plain_polygon(text: str) -> Polygon | None:
    """Read a polygon as most tables write it; None for any other text.

    Raises
    ------
    ValueError
        If what stands there for a number is none.
    UsageError
        If it has fewer than three vertices that differ.
    """
    word, _, numbers = text.partition(" ")
    if word.upper() != "POLYGON":
        return None
    numbers = numbers.removeprefix("ICRS ")
    if not _NUMBERS.fullmatch(numbers):
        return None
    values = [float(number) for number in numbers.split()]
    if len(values) < 6 or len(values) % 2 or any(not -90.0 <= dec <= 90.0 for dec in values[1::2]):
        return None
    return Polygon(tuple(zip(values[::2], values[1::2], strict=True)))


def _identity(told: Told) -> Values:
    candidate, part = told.candidate, told.part
    with told.of("obs_collection"):
        told.used(how="the collection's name")
    with told.of("obs_id"):
        told.used(how="the file's path")
    with told.of("obs_publisher_did"):
        did = told.given_text("obs_publisher_did")
        if did is None:
            told.used(how="authority, collection and path of the file")
            did = publisher_did(
                told.rules.authority, candidate.collection, candidate.relative, part.hdu or None
            )
    with told.of("obs_title"):
        words = ("target_name", "filter", "instrument_name", "facility_name")
        title = ", ".join(text for name in words if (text := told.given_text(name)) is not None)
        if not title:
            title = PurePosixPath(candidate.relative).name
            told.used(how="the file's name")
    if part.hdu:
        title = f"{title} [{part.hdu}]"
    return {
        "obs_collection": candidate.collection,
        "obs_id": path_without_end(candidate.relative),
        "obs_publisher_did": did,
        "obs_title": title[:250],
    }


def _access(told: Told) -> Values:
    size = told.candidate.stat.size_bytes
    with told.of("access_format"):
        told.used(how="every row gives its DataLink document")
    with told.of("access_estsize"):
        told.used(how="" if size == UNKNOWN_SIZE else f"the file has {size} bytes")
    return {
        "access_format": DATALINK,
        "access_estsize": None if size == UNKNOWN_SIZE else -(-size // 1000),
    }


def _kind(told: Told) -> Values:
    with told.of("dataproduct_type"):
        told.used(how="what is not told otherwise")
    with told.of("calib_level"):
        told.used(how="that of the collection")
    with told.of("o_ucd"):
        unit = told.given_text("o_unit")
    return {
        "dataproduct_type": "image",
        "calib_level": told.rules.calib_level,
        "o_ucd": None if unit is None else ucd_of_unit(unit),
    }


def _position(told: Told) -> Values:
    region = told.region
    if region is None:
        return {}
    with told.of("s_ra", "s_dec", "s_fov"):
        told.say("s_region")
        ra, dec = told.given_number("s_ra"), told.given_number("s_dec")
    if ra is None or dec is None:
        centre = centroid(region)
        # The middle of a footprint that is bent may be outside it.
        if (ra, dec) == (None, None) and contains(region, centre):
            ra, dec = centre.ra_deg, centre.dec_deg
    with told.of("s_region"):
        told.say("the outline, brought to one form")
    return {
        "s_ra": ra,
        "s_dec": dec,
        "s_fov": _fov_deg(region, ra, dec),
        "s_region": shape_text(region),
    }


def _fov_deg(region: Region, ra_deg: float | None, dec_deg: float | None) -> float:
    """Give the diameter of the circle around the position that holds the region."""
    if isinstance(region, Polygon) and ra_deg is not None and dec_deg is not None:
        farthest = max(distance_deg(ra_deg, dec_deg, *vertex) for vertex in region.vertices)
        if farthest < 90.0:
            return 2.0 * farthest
    return min(360.0, 2.0 * bounding_cap(region)[1])


def _time(told: Told) -> Values:
    with told.of("t_max", "t_xel"):
        start = told.given_number("t_min")
    with told.of("t_max"):
        end = told.given_number("t_max")
    with told.of("t_max", "t_resolution", "t_xel"):
        exposure_s = told.given_number("t_exptime")
    if end is None and start is not None and exposure_s is not None and exposure_s >= 0.0:
        end = start + exposure_s / 86400.0
    single = told.given.get("dataproduct_type", "image") == "image"
    known = start is not None or exposure_s is not None
    return {
        "t_max": end,
        "t_resolution": exposure_s if single else None,
        "t_xel": 1 if single and known else None,
    }


def _spectrum(told: Told) -> Values:
    with told.of("em_min", "em_xel", "em_res_power"):
        low = told.given_number("em_min")
    with told.of("em_max", "em_xel", "em_res_power"):
        high = told.given_number("em_max")
    with told.of("filter", "em_min", "em_max", "em_xel", "em_res_power"):
        name = told.given_text("filter")
        if name is not None:
            instrument = (told.given_text("instrument_name"), told.given_text("facility_name"))
            band = told.bands.find(name, " ".join(text for text in instrument if text))
            told.say(band.told)
            name = band.name
            if low is None and high is None and band.known:
                low, high = band.em_min_m, band.em_max_m
    single = told.given.get("dataproduct_type", "image") == "image"
    with told.of("em_res_power"):
        samples = told.given_number("em_xel") or (1.0 if single else None)
    known = low is not None and high is not None
    whole = samples is not None and math.isfinite(samples) and samples >= 1.0
    return {
        "em_min": low,
        "em_max": high,
        "em_xel": 1 if known and single else None,
        "em_res_power": resolving_power(low, high, round(samples or 1)) if whole else None,
        "filter": name,
    }


def _polarization(told: Told) -> Values:
    with told.of("pol_xel"):
        states = told.given_text("pol_states")
    return {} if states is None else {"pol_xel": len(states.strip("/").split("/"))}


STEPS: tuple[Callable[[Told], Values], ...] = (
    _identity,
    _access,
    _kind,
    _position,
    _time,
    _spectrum,
    _polarization,
)
"""Each gives the columns that follow from what is given."""
