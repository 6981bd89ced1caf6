"""One file: from its headers to its products, all or none.

Runs in the reading processes; imports neither the store nor the web.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import groupby

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from obscore.assembly.access import access
from obscore.assembly.ahead import Scan, scan
from obscore.assembly.bands import band_table
from obscore.assembly.check import check
from obscore.assembly.columnwise import make_rows_of
from obscore.assembly.context import Cards, Context, Values
from obscore.assembly.doubts import doubts
from obscore.assembly.identity import identity
from obscore.assembly.kind import kind
from obscore.assembly.lazyreader import LazyReader
from obscore.assembly.mapping import apply_mapping
from obscore.assembly.outcome import Outcome
from obscore.assembly.parts import part_of
from obscore.assembly.polarization import polarization
from obscore.assembly.position import position
from obscore.assembly.refusal import UNFILLED, Refusal, of_scan, of_world
from obscore.assembly.rules import Rules
from obscore.assembly.spectrum import spectrum
from obscore.assembly.time import time
from obscore.assembly.told import make_rows
from obscore.assembly.trace import Trace
from obscore.observation import CataloguedFile, Observation
from obscore.sources.base import Candidate, Part
from vodal.canonical import RegionFaultError, canonical, canonical_text
from vodal.errors import BlankError, DataError, NotFoundError, ServiceUnavailable, SkylaneError
from vodal.fits.footprint import Footprint, footprint
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.plainoutline import plain_footprint
from vodal.fits.planes import PlaneGroup, group_planes
from vodal.fits.quiet import quiet
from vodal.fits.tangent import tangent_plane
from vodal.fits.wcs import celestial_axes, claims_sky, load_wcs
from vodal.regions import Region, shape_text
from vodal.storage import LOCAL, RangeReader, Storage, is_local

__all__ = ["STEPS", "read_each", "read_file"]

Step = Callable[[Context], Values]

STEPS: tuple[Step, ...] = (
    identity,
    access,
    kind,
    position,
    time,
    spectrum,
    polarization,
)
"""Each gives the columns it knows; the mapping of the settings goes over all of them."""

_log = logging.getLogger(__name__)


def read_file(
    candidate: Candidate,
    rules: Rules,
    storage: Storage = LOCAL,
    traces: list[Trace] | None = None,
    *,
    scan: Scan = scan,
) -> Outcome:
    """Make a file's rows: of its headers, or of what its source tells, as the settings say.

    Never raises for a fault of the file, nor for one of the line: a file costs itself alone.

    Parameters
    ----------
    candidate
        The file.
    rules
        Of its collection.
    storage
        Opens it if it lies on a server.
    traces
        For an explanation: gets one for each product, those that are refused too.
    scan
        Indexes it.
    """
    if not rules.headers:
        return make_rows(candidate, rules, traces)
    try:
        # What a library would warn of is either in the notes or of no consequence here.
        with quiet():
            return _read(candidate, rules, storage, traces, scan)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - one bad file must never stop a run
        _log.exception("the assembly line failed on %s", candidate.uri)
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Outcome(refusal=Refusal("internal", text))


def read_each(
    wanted: Sequence[tuple[Candidate, Rules]], storage: Storage = LOCAL
) -> Iterator[Outcome]:
    """Make the rows of files one after the other; of what sources tell, of many at once.

    Parameters
    ----------
    wanted
        The files, with the rules of their collections.
    storage
        Opens those that lie on servers.
    """
    for _, some in groupby(wanted, key=lambda one: id(one[1])):
        files = list(some)
        rules = files[0][1]
        if rules.headers:
            yield from (read_file(candidate, rules, storage) for candidate, _ in files)
        else:
            yield from make_rows_of([candidate for candidate, _ in files], rules)


def _read(
    candidate: Candidate,
    rules: Rules,
    storage: Storage,
    traces: list[Trace] | None,
    scan: Scan,
) -> Outcome:
    try:
        index = scan(candidate.uri, storage)
    except (NotFoundError, ServiceUnavailable) as error:
        return Outcome(refusal=Refusal("unreadable", error.message))
    except DataError as error:
        return Outcome(refusal=of_scan(error.message))
    if _is_hips_tile(candidate, index):
        return Outcome(refusal=Refusal("hips-tile", "the file is a tile of a HiPS"))
    groups = group_planes(index)
    if not groups:
        return Outcome(refusal=Refusal("no-image", _what_is_there(index)))
    observations: list[Observation] = []
    refusals: list[tuple[PlaneGroup, Refusal]] = []
    notes: list[str] = []
    with LazyReader(candidate.uri, index, storage) as reader:
        for group in groups:
            part = part_of(group, candidate.parts, index)
            trace = None if traces is None else Trace(group.label)
            made = _product(
                candidate, part, rules, index, group, reader, storage, len(groups) > 1, trace
            )
            if traces is not None and trace is not None:
                trace.refusal = made if isinstance(made, Refusal) else None
                traces.append(trace)
            if isinstance(made, Refusal):
                refusals.append((group, made))
                continue
            observations.append(made[0])
            notes += (note if len(groups) == 1 else f"{group.label}: {note}" for note in made[1])
    if not observations:
        return Outcome(refusal=refusals[0][1])
    notes += _passed_over(index, groups)
    if _is_unfilled(index):
        notes.append(UNFILLED)
    notes += (f"{group.label} left out: {refusal.message}" for group, refusal in refusals)
    modified_unix_s = _modified_unix_s(candidate, index, storage)
    return Outcome(_catalogued(candidate, rules, index, observations, notes, modified_unix_s))


def _modified_unix_s(candidate: Candidate, index: FileIndex, storage: Storage) -> float:
    """Give the time of change of the state that was read, which may be later than the one met."""
    met = candidate.stat
    if index.version == met.version or not is_local(candidate.uri):
        return met.modified_unix_s
    try:
        now = storage.stat(candidate.uri)
    except (NotFoundError, ServiceUnavailable):
        return met.modified_unix_s
    return now.modified_unix_s if now.version == index.version else met.modified_unix_s


def _is_unfilled(index: FileIndex) -> bool:
    last = index.hdus[-1]
    end = last.data_offset + -(-last.data_length // 2880) * 2880
    return not index.encoding and index.size_bytes < end


def _is_hips_tile(candidate: Candidate, index: FileIndex) -> bool:
    """Tell whether a file is a HiPS tile; their headers have no or dummy coordinates."""
    folder, _, name = candidate.relative.rpartition("/")
    if not re.fullmatch(r"Npix\d+\.fits(\.fz)?", name):
        return False
    header = index.hdus[0].values
    return bool(re.search(r"Dir\d+$", folder)) or {"ORDER", "NPIX"} <= set(header)


def _passed_over(index: FileIndex, groups: Sequence[PlaneGroup]) -> Iterator[str]:
    """Name the images that belong to no product, tables of distortions apart."""
    taken = {number for group in groups for number in group.hdus}
    for hdu in index.hdus:
        is_table = hdu.name in {"D2IMARR", "WCSDVARR"}
        if hdu.kind in {"image", "compressed"} and hdu.number not in taken and not is_table:
            name = f" ({hdu.name})" if hdu.name else ""
            yield f"HDU {hdu.number}{name} has no celestial coordinates and was left out"


def _what_is_there(index: FileIndex) -> str:
    kinds = [hdu.kind for hdu in index.hdus]
    told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    return f"the file has no image of two or more axes with pixels (its HDUs: {told})"


def _catalogued(
    candidate: Candidate,
    rules: Rules,
    index: FileIndex,
    observations: Sequence[Observation],
    notes: Sequence[str],
    modified_unix_s: float,
) -> CataloguedFile:
    return CataloguedFile(
        uri=candidate.uri,
        file_name=candidate.relative.rsplit("/", maxsplit=1)[-1],
        collection=candidate.collection,
        content_type=index.content_type,
        modified_unix_s=modified_unix_s,
        index=index,
        observations=tuple(observations),
        mapping_digest=rules.digest_of(candidate),
        notes=tuple(dict.fromkeys(notes)),
    )


def _product(
    candidate: Candidate,
    part: Part,
    rules: Rules,
    index: FileIndex,
    group: PlaneGroup,
    reader: RangeReader,
    storage: Storage,
    several: bool,  # noqa: FBT001
    trace: Trace | None,
) -> tuple[Observation, list[str]] | Refusal:
    """Make the row of one product, or say why there is none."""
    hdu = index.hdus[group.hdus[0]]
    if not claims_sky(hdu.image_values):
        return Refusal("no-position", f"HDU {hdu.number} has no celestial coordinates")
    read_wcs = cache(partial(load_wcs, hdu, index, reader))
    try:
        within = None
        if rules.outlines_valid:
            read_wcs()  # before any pixel, as what is broken there costs less to find
            within = _valid(candidate.uri, index, group, rules, storage)
        sky_axes, outline = _outline(hdu, read_wcs, within)
    except BlankError as error:
        return Refusal("blank", f"HDU {hdu.number}: {error.message}")
    except SkylaneError as error:
        return of_world(f"HDU {hdu.number}: {error.message}")
    headers = [hdu.image_values] if hdu.number == 0 else [hdu.image_values, index.hdus[0].values]
    cards = Cards(headers, (hdu.number, 0), trace)
    context = Context(
        candidate=candidate, rules=rules, bands=band_table(*rules.bands), part=part,
        cards=cards, index=index, group=group, several=several,
        sky_axes=sky_axes, footprint=outline, read_wcs=read_wcs, trace=trace,
    )  # fmt: skip
    context = replace(context, given=apply_mapping(context, rules.mapping_for(candidate.relative)))
    row = assemble(context)
    if trace is not None:
        trace.row, trace.given, trace.notes = row, dict(context.given), context.notes
    try:
        with context.of("s_region"):
            region = _region(context)
    except RegionFaultError as error:
        return Refusal(f"row:region:{error.fault}", error.message)
    row["s_region"] = shape_text(region)
    broken = check(rules.core(row), region)
    if broken is not None:
        return Refusal(f"row:{broken.rule}", broken.message)
    return Observation(row, region, group.hdus), [*context.notes, *doubts(row)]


def _outline(
    hdu: HduIndex, read_wcs: Callable[[], WCS], within: NDArray[np.float64] | None
) -> tuple[tuple[int, int], Footprint]:
    """Give an image's celestial axes and its outline, of the header alone where that suffices.

    Raises
    ------
    DataError
        If the coordinates are broken, or give no outline.
    """
    tangent = tangent_plane(hdu) if within is None else None
    if tangent is not None:
        ny, nx = hdu.shape
        plain = plain_footprint(tangent, nx, ny)
        if plain is not None:
            return (0, 1), plain
    wcs = read_wcs()
    first, second = celestial_axes(wcs)
    sizes = hdu.shape[len(hdu.shape) - 1 - first], hdu.shape[len(hdu.shape) - 1 - second]
    return (first, second), footprint(wcs, *sizes, within)


def assemble(context: Context) -> dict[str, str | int | float | None]:
    """Go through the steps and lay the mapping over what they give."""
    row: dict[str, str | int | float | None] = {}
    for step in STEPS:
        row |= step(context)
    given = dict(context.given)
    given.pop("obs_publisher_did", None)  # `identity` has used it, with the product's label
    given.pop("filter", None)  # `spectrum` has brought it to the name in the table of bands
    return row | given


def _valid(
    uri: str, index: FileIndex, group: PlaneGroup, rules: Rules, storage: Storage
) -> NDArray[np.float64]:
    """Outline the pixels that have a value.

    Raises
    ------
    SkylaneError
        If there is none, or they cannot be read.
    """
    # Pixels are read where a collection asks for it; other lines do without this.
    from vodal.fits.valid import open_whole, valid_outline  # noqa: PLC0415

    image = open_whole(uri, index, group.hdus, storage)
    try:
        return valid_outline(image, rules.no_data)
    finally:
        image.close()


def _region(context: Context) -> Region:
    """Give the canonical footprint: that of the mapping, else that of the coordinates.

    Raises
    ------
    RegionFaultError
        If it is none.
    """
    text = context.given_text("s_region")
    if text is None:
        context.used(how=f"the outline of the pixels of HDU {context.hdu.number}")
    found = canonical(context.footprint.region) if text is None else canonical_text(text)
    for note in found.notes:
        context.note(f"s_region: {note}")
    return found.region
