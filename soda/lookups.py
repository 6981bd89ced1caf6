"""Tables in other HDUs that an image's coordinates refer to, carried along with a cutout.

Lookup-table distortions (FITS paper IV as astropy and HST use it: CPDISn with WCSDVARR, D2IMDISn
with D2IMARR) hold offsets at places of the image; their CRVALn are such places and move with the
cut. The tables of -TAB axes do not speak of pixels and are copied.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from soda.plan import Section
from vodal.errors import DataError
from vodal.fits.index import FileIndex, HduIndex

__all__ = ["Lookup", "find_lookups"]

_RECORD = re.compile(r"(DP|D2IM)\d *= *'(EXTVER): *(\d+)(?:\.\d*)?")
_TABLE_NAME = re.compile(r"PS\d_0[A-Z]? *= *'([^']*)'")
_UNSUPPORTED = re.compile(r"AXISCORR *=|CPDIS\d *= *'(?!LOOKUP)|CQDIS\d *= *'LOOKUP", re.IGNORECASE)
"""The first form of D2IM; polynomials in pixels; tables after the linear terms."""
_IMAGES = {"DP": "WCSDVARR", "D2IM": "D2IMARR"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """An HDU that is carried along."""

    hdu: int
    shift: tuple[int, int]
    """By which its CRVAL1 and CRVAL2 move down; (0, 0) for a copy."""
    of_coordinates: bool = True
    """Whether an image's coordinates need it, rather than the user."""


def find_lookups(index: FileIndex, sections: Sequence[Section]) -> tuple[Lookup, ...]:
    """Find what the coordinates of the cut planes refer to.

    Raises
    ------
    DataError
        If a distortion is of a kind that cannot be cut right, or two planes that are cut
        differently share a table.
    """
    found: dict[int, Lookup] = {}
    for section in sections:
        hdu = index.hdus[section.hdu]
        for lookup in _of_plane(index, hdu, section):
            known = found.setdefault(lookup.hdu, lookup)
            if known != lookup:
                raise DataError(
                    f"HDU {lookup.hdu} holds a distortion that planes share which are cut "
                    "differently; this cannot be cut right"
                )
    return tuple(found[number] for number in sorted(found))


def _of_plane(index: FileIndex, hdu: HduIndex, section: Section) -> list[Lookup]:
    cards = [hdu.cards[start : start + 80] for start in range(0, len(hdu.cards), 80)]
    found = []
    for card in cards:
        if _UNSUPPORTED.match(card):
            raise DataError(
                f"HDU {hdu.number} has a distortion by {card[:8].strip()}, which cannot be cut"
            )
        record = _RECORD.match(card)
        if record is not None:
            name, version = _IMAGES[record[1]], int(record[3])
            found += [
                Lookup(other.number, (section.shift[0], section.shift[1]))
                for other in index.hdus
                if other.name == name
                and other.extver == version
                and other.kind in {"image", "compressed"}
            ]
        table = _TABLE_NAME.match(card)
        if table is not None:
            name = table[1].strip().upper()
            found += [
                Lookup(other.number, (0, 0))
                for other in index.hdus
                if other.name == name and other.kind == "table"
            ]
    return found
