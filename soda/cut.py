"""A whole cutout: plan, read, put the headers right, encode.

The same function serves the service's workers and files on the command line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from soda.encode import Allocate, Part, encode, padded
from soda.hdus import chosen_tables
from soda.header import Provenance, cut_cards, moved_cards, primary_cards, rowless_cards
from soda.lookups import Lookup, find_lookups
from soda.origin import earlier_did
from soda.output import Output
from soda.outside import apply_outside
from soda.plan import PlaneSky, Section, image_planes, plan_sections, plane_skies
from soda.reading import (
    allocate_plain,
    has_steps,
    read_arrays,
    read_table,
    stored_bytes,
    write_directly,
)
from soda.selection import Selection
from soda.skies import SkyCache
from soda.source import Source
from soda.stopwatch import Stopwatch
from vodal.errors import TooLargeError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.opening import open_pixels, open_scanned
from vodal.fits.pixels import Tally
from vodal.fits.planes import group_planes
from vodal.storage import LOCAL, RangeReader, Storage

__all__ = ["Cutout", "color_picture", "cutout", "cutout_file", "cutout_from", "file_source"]

_PLAIN = Output()


@dataclass(frozen=True, slots=True)
class Cutout:
    """A cutout and how long its making took."""

    body: bytearray | memoryview
    """A FITS file or a picture."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By step: index (coordinates and plan), read, decode, resample, encode."""
    read_bytes: int = 0
    """Of the file, for pixels."""
    needed_bytes: int = 0
    """Of these, those of the pixels themselves, and of the tiles that hold them."""
    changed: tuple[tuple[str, str], ...] = ()
    """URI and version of files that were not of that version any more."""


def cutout(
    source: Source,
    selection: Selection,
    *,
    output: Output = _PLAIN,
    limit_bytes: int | None = None,
    skies: SkyCache | None = None,
    allocate: Allocate = allocate_plain,
) -> Cutout | None:
    """Cut a part out of all planes of a product.

    Parameters
    ----------
    source
        What to cut from.
    selection
        What part of it.
    output
        What is made of the pixels.
    limit_bytes
        The largest cutout that is made, counted as plain FITS.
    skies
        Where to look for coordinates and keep them.
    allocate
        Gives the memory of the body, unless it is compressed.

    Returns
    -------
    Cutout or None
        None if the selection meets no pixel.

    Raises
    ------
    TooLargeError
        If the cutout would be larger than the limit; nothing has been read then.
    DataError
        If the file is damaged, or has coordinates that cannot be cut.
    ChangedError
        If the file is not the one that was indexed.
    NotFoundError
        If the file is not there.
    """
    with open_pixels(source.uri, source.index, source.hdus, storage=source.storage) as reader:
        return cutout_from(
            reader,
            source,
            selection,
            output=output,
            limit_bytes=limit_bytes,
            skies=skies,
            allocate=allocate,
        )


def cutout_from(
    reader: RangeReader,
    source: Source,
    selection: Selection,
    *,
    output: Output = _PLAIN,
    limit_bytes: int | None = None,
    skies: SkyCache | None = None,
    allocate: Allocate = allocate_plain,
) -> Cutout | None:
    """Cut with a reader that is open; else as `cutout`."""
    begin = time.perf_counter()
    cache = SkyCache() if skies is None else skies
    index = source.index
    if output.format.kind == "picture":
        # Decoders of pictures are loaded by who asks for them.
        from soda.picture import draw  # noqa: PLC0415

        watch = Stopwatch()
        picture = draw(
            reader, source, selection, output, lambda hdu: cache.get(source, hdu, reader),
            limit_bytes, watch,
        )  # fmt: skip
        return None if picture is None else _picture(picture, watch)
    sections = plan_sections(
        index,
        source.hdus,
        selection,
        lambda hdu: cache.get(source, hdu, reader),
        source.extent,
    )
    lookups = _carried(source, selection, sections)
    if not sections and not (selection.hdus and lookups):
        return None
    if not selection.header_only:
        _check_size(index, sections, lookups, limit_bytes)
    planned = time.perf_counter()
    tally = Tally()
    did = source.did or earlier_did(index, source.hdus)
    origin = Provenance.now(did, selection)
    if _is_plain(selection, output) and not any(map(has_steps, sections)):
        cards = _all_cards(source, sections, lookups, origin, output, header_only=False)
        encoded = time.perf_counter()
        body = write_directly(reader, index, sections, lookups, cards, allocate, tally)
        end = time.perf_counter()
        return _made(body, tally, planned - begin, end - encoded, encoded - planned)
    arrays = {} if selection.header_only else read_arrays(reader, index, sections, tally)
    tables = {
        one.hdu: read_table(reader, index.hdus[one.hdu])
        for one in lookups
        if one.of_coordinates or not selection.header_only
    }
    has_read = time.perf_counter()
    cards = _all_cards(source, sections, lookups, origin, output, selection.header_only)
    parts = {
        number: Part(part, arrays[number] if number in arrays else tables.get(number, b""))
        for number, part in cards
    }
    treated: Sequence[Part] = list(parts.values())
    if selection.stencil is not None and output.outside != "keep" and arrays:
        planes = plane_skies(
            image_planes(index, source.hdus), lambda hdu: cache.get(source, hdu, reader)
        )
        treated = apply_outside(parts, planes, sections, selection.stencil, output.outside)
    if output.format.kind in {"rice", "gzip"} and arrays:
        # Its compiled parts are loaded by who asks for it.
        from soda.compress import compress  # noqa: PLC0415

        treated = compress(treated, output.format.kind, output.compression)
    whole = encode(treated)
    end = time.perf_counter()
    return _made(whole, tally, planned - begin, has_read - planned, end - has_read)


def _made(
    body: bytearray | memoryview, tally: Tally, index_s: float, read_s: float, encode_s: float
) -> Cutout:
    """Put a cutout together with what it took; the reading with the decoding."""
    seconds = {"index": index_s, "read": max(0.0, read_s - tally.decode_s)}
    seconds |= {"decode": tally.decode_s, "encode": encode_s}
    return Cutout(body, seconds, tally.read_bytes, tally.needed_bytes)


def _is_plain(selection: Selection, output: Output) -> bool:
    """Tell whether pixels are given as they are stored."""
    outside = selection.stencil is not None and output.outside != "keep"
    packed = output.format.kind in {"rice", "gzip"}
    return not (outside or packed or selection.header_only)


def _carried(
    source: Source, selection: Selection, sections: Sequence[Section]
) -> tuple[Lookup, ...]:
    """Find the tables that go along: those of the coordinates, and those that are asked for."""
    lookups = {one.hdu: one for one in find_lookups(source.index, sections)}
    asked = chosen_tables(
        source.index, source.hdus, selection.hdus, belonging=selection.tables and bool(sections)
    )
    for number in asked:
        lookups.setdefault(number, Lookup(number, (0, 0), of_coordinates=False))
    return tuple(lookups[number] for number in sorted(lookups))


def color_picture(
    readers: Sequence[RangeReader],
    sources: Sequence[Source],
    selection: Selection,
    *,
    output: Output,
    limit_bytes: int | None = None,
    skies: SkyCache | None = None,
) -> Cutout | None:
    """Make one picture of three datasets: red, green, blue; see `soda.color.draw_color`."""
    from soda.color import draw_color  # noqa: PLC0415

    watch = Stopwatch()
    cache = SkyCache() if skies is None else skies
    sky_of = [
        partial(_sky_from, cache, source, reader)
        for source, reader in zip(sources, readers, strict=True)
    ]
    picture = draw_color(readers, sources, selection, output, sky_of, limit_bytes, watch)
    return None if picture is None else _picture(picture, watch)


def _picture(picture: bytes, watch: Stopwatch) -> Cutout:
    tally = watch.tally
    return Cutout(bytearray(picture), watch.seconds, tally.read_bytes, tally.needed_bytes)


def _sky_from(cache: SkyCache, source: Source, reader: RangeReader, hdu: HduIndex) -> PlaneSky:
    return cache.get(source, hdu, reader)


def file_source(file: Path | str, storage: Storage = LOCAL) -> Source:
    """Give all images of a file as one source.

    Parameters
    ----------
    file
        Its path, or its URI.
    storage
        Opens a URI.

    Raises
    ------
    DataError
        If the file is no FITS, damaged, or has no image.
    """
    source, reader = _scanned(file, storage)
    reader.__exit__(None, None, None)
    return source


def _scanned(file: Path | str, storage: Storage) -> tuple[Source, RangeReader]:
    uri = file.resolve().as_uri() if isinstance(file, Path) else file
    index, reader = open_scanned(uri, storage=storage)
    hdus = tuple(number for group in group_planes(index) for number in group.hdus)
    return Source(uri, index, hdus, storage=storage), reader


def _check_size(
    index: FileIndex,
    sections: Iterable[Section],
    lookups: Iterable[Lookup],
    limit_bytes: int | None,
) -> None:
    if limit_bytes is None:
        return
    total = 0
    for section in sections:
        hdu = index.hdus[section.hdu]
        total += padded(stored_bytes(hdu, section)) + len(hdu.cards)
    for lookup in lookups:
        total += index.hdus[lookup.hdu].data_length
    if total > limit_bytes:
        raise TooLargeError(
            f"the cutout would take {total / 1e6:.3g} MB, over the limit of "
            f"{limit_bytes / 1e6:.3g} MB; ask for a smaller region or fetch the whole file"
        )


def _all_cards(
    source: Source,
    sections: Sequence[Section],
    lookups: Sequence[Lookup],
    provenance: Provenance,
    output: Output,
    header_only: bool,  # noqa: FBT001
) -> list[tuple[int, list[str]]]:
    """Write the headers, in the order of the file and a primary first."""
    index = source.index
    headers: dict[int, list[str]] = {}
    for section in sections:
        hdu = index.hdus[section.hdu]
        primary = section.hdu == 0
        headers[section.hdu] = cut_cards(
            hdu,
            section,
            provenance if primary else None,
            primary=primary,
            extend=len(sections) + len(lookups) > 1 or output.outside == "mask",
            header_only=header_only,
            inherit=not source.did,
        )
    if 0 not in headers:
        headers[0] = primary_cards(index.hdus[0], provenance)
    for lookup in lookups:
        moved = moved_cards(index.hdus[lookup.hdu], lookup.shift)
        rowless = header_only and not lookup.of_coordinates
        headers[lookup.hdu] = rowless_cards(moved) if rowless else moved
    return sorted(headers.items())


def cutout_file(
    file: Path | str,
    selection: Selection,
    *,
    output: Output = _PLAIN,
    limit_bytes: int | None = None,
    allocate: Allocate = allocate_plain,
    storage: Storage = LOCAL,
) -> Cutout | None:
    """Cut a part out of all images of a file.

    Parameters
    ----------
    file
        A FITS file, plain, tile-compressed or in a whole-file gzip: its path, or its URI.
    selection
        What part of it.
    output
        What is made of the pixels.
    limit_bytes
        The largest cutout that is made, counted as plain FITS.
    allocate
        Gives the memory of the body, unless it is compressed.
    storage
        Opens a URI.

    Returns
    -------
    Cutout or None
        None if the selection meets no pixel. Of a file with several fields (the chips of a camera)
        those that it meets are cut.

    Raises
    ------
    DataError
        If the file is no FITS, damaged, or has no image with coordinates.
    TooLargeError
        If the cutout would be larger than the limit.
    """
    source, reader = _scanned(file, storage)
    with reader:
        return cutout_from(
            reader, source, selection, output=output, limit_bytes=limit_bytes, allocate=allocate
        )
