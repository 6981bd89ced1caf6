"""What queries can name and read for who asks: tables that they may know of, and rows in these."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from obscore.adql.schema import Among, RowFilter, Schema, TableDef
from obscore.adql.tokens import delimited
from obscore.declared.publication import Publication
from obscore.declared.tables import DeclaredSchema
from obscore.store import schema as store
from obscore.store.engine import Published
from obscore.tap.metadata import tap_schema_rows
from obscore.tap.rights import row_filter
from vodal.access.rules import Rights

__all__ = ["Visible", "VisibleTables", "listed", "visible_to"]

_KEPT: Final = 64

_OF_IMAGES: Final = {store.obscore.name, store.tombstones.name}
"""Tables whose rows are of images; in both the filter's columns are called the same."""

_LISTS: Final = {
    store.tap_schemas.name: (store.tap_schemas, "schema_name"),
    store.tap_tables.name: (store.tap_tables, "table_name"),
    store.tap_columns.name: (store.tap_tables, "table_name"),
    store.tap_keys.name: (store.tap_keys, "key_id"),
    store.tap_key_columns.name: (store.tap_keys, "key_id"),
}
"""Tables of TAP_SCHEMA: where the names are that their rows may have, in which column of both."""


@dataclass(frozen=True, slots=True)
class Visible:
    """What there is for who asks, where that is not all."""

    rows: RowFilter | None
    """Of tables of images."""
    unlisted: tuple[tuple[str, str], ...] = ()
    """Tables that there are not, as `Rights` have them."""

    def hides_from(self, tables: tuple[str, ...]) -> bool:
        """Tell whether rows of some tables may be hidden, of which a plan of the database tells.

        Parameters
        ----------
        tables
            Full names.
        """
        if self.rows is not None:
            return True
        return bool(self.unlisted) and any(
            name.lower().startswith("tap_schema.") for name in tables
        )


def visible_to(rights: Rights, *, had: bool = False) -> Visible | None:
    """Give what somebody may see; None if that is all.

    Parameters
    ----------
    rights
        Of who asks.
    had
        Whether to leave out images that somebody may know of but not have, too.
    """
    rows = row_filter(rights, had=had)
    return None if rows is None and not rights.unlisted else Visible(rows, rights.unlisted)


def listed(beside: Publication, rights: Rights) -> Publication:
    """Leave out the tables that somebody may not know of, and what tells of them.

    Parameters
    ----------
    beside
        What the site has published; given as it is where nothing is hidden.
    rights
        Of who asks.
    """
    if not rights.unlisted:
        return beside
    schemas = tuple(
        found for group in beside.schemas if (found := _listed_in(group, rights)) is not None
    )
    tables = tuple(item for item in beside.tables if rights.may_know_table(item.full_name))
    return replace(beside, schemas=schemas, tables=tables)


def _listed_in(group: DeclaredSchema, rights: Rights) -> DeclaredSchema | None:
    """Leave tables of a schema out; give None for a schema of which all are."""
    names = {
        table.name
        for table in group.tables
        if rights.may_know_table(f"{delimited(group.name)}.{delimited(table.name)}")
    }
    if len(names) == len(group.tables):
        return group
    tables = tuple(
        replace(
            table,
            foreign_keys=tuple(key for key in table.foreign_keys if key.target_table in names),
        )
        for table in group.tables
        if table.name in names
    )
    return replace(group, tables=tables) if tables else None


class VisibleTables:
    """What is published as it is for who asks; keeps the last ones. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[Visible, tuple[Published, Published]] = OrderedDict()

    def of(self, known: Published, visible: Visible | None) -> Published:
        """Give what there is; the same value while that and what is published are the same."""
        if visible is None:
            return known
        with self._lock:
            found = self._kept.get(visible)
            if found is not None and found[0] is known:
                return found[1]
            made = _seen(known, visible)
            self._kept[visible] = known, made
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return made


def _seen(known: Published, visible: Visible) -> Published:
    rights = Rights(unlisted=visible.unlisted)
    beside = listed(known.beside, rights)
    lists = _lists(beside) if visible.unlisted else {}

    def seen(table: TableDef) -> TableDef:
        if table.physical in _OF_IMAGES:
            return replace(table, rows=visible.rows)
        return replace(table, rows=lists[table.physical]) if table.physical in lists else table

    tables = (table for table in known.schema.tables if rights.may_know_table(table.full_name))
    return Published(beside, Schema(tuple(map(seen, tables))))


def _lists(beside: Publication) -> dict[str, Among]:
    """Say which rows of TAP_SCHEMA there are where nothing more is published."""
    rows = tap_schema_rows(beside)
    return {
        name: Among(column, tuple(str(row[column]) for row in rows[source]))
        for name, (source, column) in _LISTS.items()
    }
