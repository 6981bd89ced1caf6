"""Columns that a site adds to ``ivoa.obscore``, as the store keeps them.

Each is a column of the table ``obscore``: conditions on it cost what those on ObsCore's own do, and
an index serves it like one of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, literal_column, select, text, update

from obscore.adql.schema import ColumnDef
from obscore.columns import ObsCoreColumn
from obscore.store import schema
from obscore.store.session import Session
from vodal.tables.columns import Column

__all__ = [
    "SELECT_EXTRA",
    "Dialect",
    "ExtraChanges",
    "StoredColumn",
    "column_def",
    "declare_columns",
    "read_extra",
    "stored_columns",
]

_EXTRA, _FILES, _PUBLICATION = schema.extra_columns, schema.files, schema.publication
_OBSCORE = schema.obscore.name
SELECT_EXTRA = select(_EXTRA.c.number, _EXTRA.c.declaration).order_by(_EXTRA.c.place)
"""The statement whose rows `stored_columns` takes."""
_FORGET, _PUT = delete(_EXTRA), insert(_EXTRA)
_REVISE = text(
    f"INSERT INTO {_PUBLICATION.name} AS held (id, revision, numbers) VALUES (1, 1, 0)"  # noqa: S608
    " ON CONFLICT (id) DO UPDATE SET revision = held.revision + 1"
)
_TAKE_NUMBER = update(_PUBLICATION).values(numbers=_PUBLICATION.c.numbers + literal_column("1"))
_NUMBER = select(_PUBLICATION.c.numbers)
_UNSURE = update(_FILES).values(mapping_digest=_FILES.c.mapping_digest + literal_column("'+'"))
"""Has the next run make the rows of all files anew."""
_FIELDS = tuple(field.name for field in fields(Column) if field.init and field.name != "frame")


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column that was added."""

    number: int
    item: ObsCoreColumn

    @property
    def name(self) -> str:
        """As queries have it."""
        return self.item.name

    @property
    def physical(self) -> str:
        """As the database has it."""
        return schema.extra_name(self.number)


class Dialect(NamedTuple):
    """What the two databases write otherwise."""

    types: Mapping[str, str]
    """By VOTable's datatype."""
    order: str
    """Behind a column in an index."""


class ExtraChanges(NamedTuple):
    """What declaring columns did, by their names."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """With all their values."""
    described: tuple[str, ...] = ()
    """Whose values stay, and that are described or indexed otherwise."""


def stored_columns(rows: Iterable[Sequence[Any]]) -> tuple[StoredColumn, ...]:
    """Make columns of the rows of `SELECT_EXTRA`."""
    return tuple(StoredColumn(int(number), _item_of(str(text))) for number, text in rows)


def read_extra(session: Session) -> tuple[StoredColumn, ...]:
    """Give the columns that were added, in their order."""
    return stored_columns(session(SELECT_EXTRA))


def column_def(stored: StoredColumn) -> ColumnDef:
    """Say how queries find a column that was added."""
    return ColumnDef(
        stored.item.column,
        sql=f'{{alias}}."{stored.physical}"',
        renamed=True,
        indexed=stored.item.indexed,
    )


def declare_columns(
    session: Session, wanted: Sequence[ObsCoreColumn], dialect: Dialect
) -> ExtraChanges:
    """Bring the added columns to what is wanted.

    A column whose values would be others, by its type or unit, is removed and added anew. Where one
    is added, the next run makes the rows of all files anew, so that it gets its values.

    Parameters
    ----------
    session
        Of a writer who has the turn.
    wanted
        All of them, in their order; of names that differ.
    dialect
        Of the database.

    Returns
    -------
    ExtraChanges
        What was changed; TAP_SCHEMA is to be brought up to date if anything was.
    """
    stored = {one.name: one for one in read_extra(session)}
    kept = {
        item.name: stored[item.name]
        for item in wanted
        if item.name in stored and _values(stored[item.name].item) == _values(item)
    }
    gone = [one for one in stored.values() if one.name not in kept]
    new = [item for item in wanted if item.name not in kept]
    described = [item for item in wanted if item.name in kept and kept[item.name].item != item]
    if not (gone or new or described) and list(stored) == [item.name for item in wanted]:
        return ExtraChanges()
    session(_REVISE)
    for one in gone:
        _drop_index(session, one)
        session(text(f"ALTER TABLE {_OBSCORE} DROP COLUMN {one.physical}"))
    made = [kept.get(item.name) or _added(session, item, dialect) for item in wanted]
    for one, item in zip(made, wanted, strict=True):
        if item.name in kept and one.item.indexed and not item.indexed:
            _drop_index(session, one)
        if item.indexed and not (item.name in kept and one.item.indexed):
            _make_index(session, one, dialect)
    session(_FORGET)
    for place, (one, item) in enumerate(zip(made, wanted, strict=True)):
        session(_PUT, number=one.number, place=place, declaration=_text_of(item))
    if new:
        session(_UNSURE)
    return ExtraChanges(
        tuple(item.name for item in new),
        tuple(one.name for one in gone),
        tuple(item.name for item in described),
    )


def _values(item: ObsCoreColumn) -> tuple[object, ...]:
    """Tell columns apart whose values are not the same."""
    column = item.column
    return column.datatype, column.arraysize, column.unit, column.xtype


def _added(session: Session, item: ObsCoreColumn, dialect: Dialect) -> StoredColumn:
    session(_TAKE_NUMBER)
    made = StoredColumn(int(session(_NUMBER)[0][0]), item)
    kind = dialect.types[item.column.datatype]
    session(text(f"ALTER TABLE {_OBSCORE} ADD COLUMN {made.physical} {kind}"))
    return made


def _index_name(one: StoredColumn) -> str:
    # As the schema names the indexes of single columns, by which explanations know them.
    return f"ix_{_OBSCORE}_{one.physical}"


def _make_index(session: Session, one: StoredColumn, dialect: Dialect) -> None:
    keys = f"{one.physical} {dialect.order}".rstrip()
    session(text(f"CREATE INDEX {_index_name(one)} ON {_OBSCORE} ({keys})"))


def _drop_index(session: Session, one: StoredColumn) -> None:
    session(text(f"DROP INDEX IF EXISTS {_index_name(one)}"))


def _text_of(item: ObsCoreColumn) -> str:
    column = {name: value for name in _FIELDS if (value := getattr(item.column, name)) is not None}
    return json.dumps({"column": column, "indexed": item.indexed})


def _item_of(text: str) -> ObsCoreColumn:
    told = json.loads(text)
    return ObsCoreColumn(
        Column(**told["column"]), mandatory=False, nullable=True, indexed=told["indexed"]
    )
