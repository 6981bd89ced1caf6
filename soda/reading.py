"""The pixels and tables of a cutout: read as arrays, or to where they belong in the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soda.encode import Allocate, lay_out
from soda.lookups import Lookup
from soda.plan import Section
from vodal.fits.compressed import pixel_type
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.pixels import Tally, read_section, read_sections
from vodal.storage import RangeReader

__all__ = [
    "allocate_plain",
    "has_steps",
    "read_arrays",
    "read_table",
    "stored_bytes",
    "write_directly",
]


def allocate_plain(length: int) -> memoryview:
    """Give memory of this process alone."""
    return memoryview(bytearray(length))


def stored_bytes(hdu: HduIndex, section: Section) -> int:
    """Give the size of a section's pixels as a plain image."""
    return math.prod(section.shape) * abs(hdu.bitpix) // 8


def has_steps(section: Section) -> bool:
    """Tell whether an axis is cut by steps."""
    return any((part.step or 1) > 1 for part in section.slices)


def write_directly(
    reader: RangeReader,
    index: FileIndex,
    sections: Sequence[Section],
    lookups: Sequence[Lookup],
    cards: Sequence[tuple[int, list[str]]],
    allocate: Allocate,
    tally: Tally,
) -> memoryview:
    """Read pixels and tables to where they belong in the file that is made.

    Does the same as `read_arrays` and `encode`, without arrays between them.
    """
    by_hdu = {section.hdu: section for section in sections}
    tables = {one.hdu: _bytes_of(read_table(reader, index.hdus[one.hdu])) for one in lookups}
    sizes = {number: len(data) for number, data in tables.items()}
    sizes |= {
        number: stored_bytes(index.hdus[number], section) for number, section in by_hdu.items()
    }
    rooms = lay_out([(part, sizes.get(number, 0)) for number, part in cards])
    body = allocate(rooms[-1].end)
    wanted, into = [], []
    for (number, _), room in zip(cards, rooms, strict=True):
        room.write_header(body)
        if number in by_hdu:
            section = by_hdu[number]
            wanted.append((index.hdus[number], section.slices))
            kind = pixel_type(index.hdus[number].bitpix).newbyteorder(">")
            pixels = math.prod(section.shape)
            into.append(np.frombuffer(body, kind, pixels, room.data_at).reshape(section.shape))
        elif number in tables:
            body[room.data_at : room.data_at + room.length] = tables[number]
    read_sections(reader, wanted, into, tally)
    return body


def read_arrays(
    reader: RangeReader, index: FileIndex, sections: Sequence[Section], tally: Tally
) -> dict[int, NDArray[Any]]:
    """Read the pixels by HDU; where there are steps, one place of that axis after the other."""
    wanted = [(index.hdus[one.hdu], part) for one in sections for part in _without_steps(one)]
    found = iter(read_sections(reader, wanted, tally=tally))
    arrays = {}
    for section in sections:
        parts = [next(found) for _ in _without_steps(section)]
        stepped = next((k for k, part in enumerate(section.slices) if (part.step or 1) > 1), 0)
        arrays[section.hdu] = parts[0] if len(parts) == 1 else np.concatenate(parts, stepped)
    return arrays


def read_table(reader: RangeReader, hdu: HduIndex) -> NDArray[Any] | bytes:
    """Read the data of an HDU that is carried along; an image is not compressed any more."""
    if hdu.kind == "compressed":
        return read_section(reader, hdu, tuple(slice(0, size) for size in hdu.shape))
    return reader.read(hdu.data_offset, hdu.data_length)


def _bytes_of(data: NDArray[Any] | bytes) -> bytes:
    if isinstance(data, bytes):
        return data
    return data.astype(data.dtype.newbyteorder(">")).tobytes()


def _without_steps(section: Section) -> list[tuple[slice, ...]]:
    """Give sections without steps that make up one together; no more than one axis has any."""
    for axis, part in enumerate(section.slices):
        if (part.step or 1) > 1:
            return [
                (*section.slices[:axis], slice(place, place + 1), *section.slices[axis + 1 :])
                for place in range(part.start, part.stop, part.step)
            ]
    return [tuple(slice(part.start, part.stop) for part in section.slices)]
