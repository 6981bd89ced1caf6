"""A declaration made from a file of data, to be looked through by who publishes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from obscore.adql.types import is_geometry_column
from obscore.declared.check import clean_text, is_ucd, is_unit
from obscore.declared.tables import (
    DeclaredColumn,
    DeclaredIndex,
    DeclaredSchema,
    DeclaredTable,
    is_position,
)
from obscore.store.places import Place, place_of
from vodal.tables.columns import Column

__all__ = ["draft"]

_FORMER_UCDS = {
    "pos_eq_ra_main": "pos.eq.ra;meta.main",
    "pos_eq_dec_main": "pos.eq.dec;meta.main",
    "pos_eq_ra": "pos.eq.ra",
    "pos_eq_dec": "pos.eq.dec",
    "id_main": "meta.id;meta.main",
}
"""UCDs of the first generation for what the rest of the declaration depends on."""

_POSITION = ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main")


def draft(
    schema: str, table: str, columns: Sequence[Column], description: str | None = None
) -> tuple[DeclaredSchema, tuple[str, ...]]:
    """Declare a table with the columns of a file.

    A position gets a spatial index, and so does a column of geometry; columns that a file marks as
    main are principal.

    Parameters
    ----------
    schema, table
        The names it gets.
    columns
        Of the file.
    description
        Of the table.

    Returns
    -------
    schema, notes
        The declaration, and sentences about what of the file could not be kept.
    """
    notes: list[str] = []
    kept = [_kept(column, notes) for column in columns]
    place = place_of(kept)
    if place.point is not None:
        for number, ucd in zip(place.point, _POSITION, strict=True):
            if kept[number].ucd is None:
                kept[number] = replace(kept[number], ucd=ucd)
    indices = _spatial_indices(table, kept, place)
    main = {number for number, column in enumerate(kept) if "meta.main" in (column.ucd or "")}
    declared = DeclaredTable(
        table,
        tuple(
            DeclaredColumn(column, principal=number in (main or {0}))
            for number, column in enumerate(kept)
        ),
        description,
        indices=indices,
    )
    return DeclaredSchema(schema, (declared,)), tuple(notes)


def _kept(column: Column, notes: list[str]) -> Column:
    """Leave out of a column what no declaration may hold."""
    ucd = _FORMER_UCDS.get((column.ucd or "").lower(), column.ucd)
    if ucd and not is_ucd(ucd):
        notes.append(f"column {column.name}: '{ucd}' is no UCD1+ and was left out")
        ucd = None
    unit = column.unit
    if unit and not is_unit(unit):
        notes.append(f"column {column.name}: '{unit}' is no unit of the VO and was left out")
        unit = None
    return replace(
        column,
        ucd=ucd or None,
        unit=unit or None,
        utype=clean_text(column.utype),
        xtype=clean_text(column.xtype),
        description=clean_text(column.description),
        id=None,
    )


def _spatial_indices(
    table: str, columns: Sequence[Column], place: Place
) -> tuple[DeclaredIndex, ...]:
    indices = []
    if place.point is not None:
        pair = [columns[number] for number in place.point]
        if is_position(pair):
            names = (pair[0].name, pair[1].name)
            indices.append(DeclaredIndex(f"{table}_position", names))
    if place.region is not None and is_geometry_column(columns[place.region]):
        indices.append(DeclaredIndex(f"{table}_region", (columns[place.region].name,)))
    return tuple(indices)
