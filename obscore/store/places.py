"""Which columns of an uploaded table tell where on the sky a row lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from obscore.adql.types import is_geometry_column
from vodal.tables.columns import Column

__all__ = ["Place", "place_of"]

_UCDS = (
    ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main"),
    ("pos_eq_ra_main", "pos_eq_dec_main"),
    ("pos.eq.ra", "pos.eq.dec"),
)

_NAMES = (
    ("ra", "dec"),
    ("s_ra", "s_dec"),
    ("raj2000", "dej2000"),
    ("_raj2000", "_dej2000"),
    ("ra_icrs", "de_icrs"),
    ("ra_deg", "dec_deg"),
    ("radeg", "dedeg"),
    ("radeg", "decdeg"),
    ("ra_j2000", "dec_j2000"),
    ("alpha", "delta"),
    ("lon", "lat"),
)
"""Names of positions, lower case, the commonest first."""

_NUMBERS = {"unsignedByte", "short", "int", "long", "float", "double"}


@dataclass(frozen=True, slots=True)
class Place:
    """The places of columns in their table, from 0."""

    region: int | None
    """Of a geometry."""
    point: tuple[int, int] | None
    """Of right ascension and declination."""


def place_of(columns: Sequence[Column]) -> Place:
    """Give the geometry and the position of a table.

    The geometry is the first column whose xtype says so. The position is told by UCDs, those
    marked as main before others, and else by names.
    """
    regions = (
        number
        for number, column in enumerate(columns)
        if is_geometry_column(column)
        and (column.datatype in {"char", "unicodeChar", "float", "double"})
    )
    return Place(next(regions, None), _point_of(columns))


def _point_of(columns: Sequence[Column]) -> tuple[int, int] | None:
    numbers = [
        (number, column)
        for number, column in enumerate(columns)
        if column.arraysize is None and column.datatype in _NUMBERS
    ]
    ucds: dict[str, int] = {}
    names: dict[str, int] = {}
    for number, column in numbers:
        ucds.setdefault((column.ucd or "").lower().replace(" ", ""), number)
        names.setdefault(column.name.lower(), number)
    for known, pairs in ((ucds, _UCDS), (names, _NAMES)):
        for ra, dec in pairs:
            if ra in known and dec in known:
                return known[ra], known[dec]
    return None
