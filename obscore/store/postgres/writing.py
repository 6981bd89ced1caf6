"""What a writer puts into the tables of PostgreSQL in its turn, and takes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias, cast

import pyarrow as pa
from sqlalchemy import TEXT, Table, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from obscore.store.blocks import note
from obscore.store.extra import StoredColumn
from obscore.store.facets import FACET_NAMES, Combination, changes
from obscore.store.postgres import tables
from obscore.store.postgres.loading import copied_lines
from obscore.store.postgres.pool import Connection
from obscore.store.postgres.spheres import sphere_values_of
from obscore.store.put import put
from obscore.store.turn import Turn
from vodal.errors import UsageError

__all__ = ["copy_by_column", "copy_by_row", "count_products", "delete_files", "replace_files"]

Columns: TypeAlias = Mapping[str, Sequence[Any]]
"""Values of rows, by column."""

_FILES, _OBSCORE, _FACETS = tables.files, tables.obscore, tables.facets
_BY_COLUMN = 100
"""Rows from which it pays to make arrays of their columns."""
_SLICE = 1000
"""Rows that are written at a time."""

_URIS = any_(bindparam("uris", type_=ARRAY(TEXT)))
_FILE_IDS = select(_FILES.c.id).where(_FILES.c.uri == _URIS)
_COUNTED = tuple(_OBSCORE.c[name] for name in FACET_NAMES)
_SQL_DOOMED_FACETS = tables.sql(
    select(*_COUNTED, func.count()).where(_OBSCORE.c.file_id.in_(_FILE_IDS)).group_by(*_COUNTED)
)
_SQL_DELETE_ROWS = tables.sql(delete(_OBSCORE).where(_OBSCORE.c.file_id.in_(_FILE_IDS)))
_SQL_DELETE_FILES = tables.sql(delete(_FILES).where(_FILES.c.uri == _URIS))
_SQL_LAST_FILE = tables.sql(select(func.max(_FILES.c.id)))
_SQL_LAST_ROW = tables.sql(select(func.max(_OBSCORE.c.id)))
_SQL_TAKEN = tables.sql(
    select(_OBSCORE.c.obs_publisher_did, _FILES.c.uri)
    .join(_FILES, _OBSCORE.c.file_id == _FILES.c.id)
    .where(_OBSCORE.c.obs_publisher_did == any_(bindparam("dids", type_=ARRAY(TEXT))))
)
_ADDED = insert_or_update(_FACETS)
_SQL_ADD_FACET = tables.sql(
    _ADDED.on_conflict_do_update(
        index_elements=[_FACETS.c.key],
        set_={"products": _FACETS.c.products + _ADDED.excluded.products},
    )
)
_SQL_DROP_FACET = tables.sql(
    delete(_FACETS).where(
        _FACETS.c.key == bindparam("key"), _FACETS.c.products == bindparam("none")
    )
)


def replace_files(connection: Connection, turn: Turn) -> frozenset[str]:
    """Write the files of a turn; gives what was withheld."""
    removed = delete_files(connection, list(turn.replaced))
    count_products(connection, removed, _insert(connection, turn))
    return turn.withheld


def delete_files(connection: Connection, uris: Sequence[str]) -> Counter[Combination]:
    """Delete files with all that belongs to them; gives how many products of each kind went."""
    if not uris:
        return Counter()
    named = {"uris": uris}
    counted = connection.execute(_SQL_DOOMED_FACETS, named).fetchall()
    connection.execute(_SQL_DELETE_ROWS, named)
    connection.execute(_SQL_DELETE_FILES, named)
    return Counter({cast("Combination", row[:-1]): cast("int", row[-1]) for row in counted})


def _insert(connection: Connection, turn: Turn) -> Counter[Combination]:
    """Insert files; gives how many products of each kind came."""
    first_row = _last(connection, _SQL_LAST_ROW) + 1
    new = put(turn, _last(connection, _SQL_LAST_FILE) + 1, first_row)
    # Where the table is in partitions, no index holds an identifier to be in one of them only.
    _check_untaken(connection, new.dids)
    _copy(connection, _FILES, _cut(new.files))
    _copy(connection, _OBSCORE, map(_with_spheres, _cut(new.rows)), turn.extra)
    note(turn.session, new.rows["id"])
    return new.combinations


def _cut(columns: Columns) -> Iterator[Columns]:
    """Give some rows at a time: the server reads them while the next are made and written."""
    for start in range(0, len(columns["id"]), _SLICE):
        yield {name: cells[start : start + _SLICE] for name, cells in columns.items()}


def _with_spheres(rows: Columns) -> Columns:
    spheres = sphere_values_of(rows["s_region_shape"], rows["s_ra"], rows["s_dec"])
    arrays, caps = [array for array, _ in spheres], [cap for _, cap in spheres]
    return {**rows, "s_region_array": arrays, "s_cap": caps}


def _check_untaken(connection: Connection, dids: list[str]) -> None:
    taken = connection.execute(_SQL_TAKEN, {"dids": dids}).fetchone()
    if taken is not None:
        raise UsageError(f"the identifier {taken[0]} is already taken by {taken[1]}")


def _copy(
    connection: Connection,
    table: Table,
    parts: Iterable[Columns],
    extra: Sequence[StoredColumn] = (),
) -> None:
    names = [*(column.name for column in table.columns), *(one.physical for one in extra)]
    chosen = ({name: part[name] for name in names} for part in parts)
    first = next(chosen, None)
    if first is not None:
        many = len(first["id"]) >= _BY_COLUMN
        copy = copy_by_column if many else copy_by_row
        copy(connection, table.name, names, chain([first], chosen))


def copy_by_row(
    connection: Connection, table: str, names: Sequence[str], parts: Iterable[Columns]
) -> None:
    """Put rows into a table.

    Parameters
    ----------
    connection
        In a transaction.
    table
        Its name.
    names
        Of the columns.
    parts
        Some rows at a time: their values, by column, in this order.
    """
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {_columns_of(table, names)} FROM STDIN") as copy,
    ):
        for part in parts:
            for row in zip(*part.values(), strict=True):
                copy.write_row(row)


def copy_by_column(
    connection: Connection, table: str, names: Sequence[str], parts: Iterable[Columns]
) -> None:
    """Put rows into a table as `copy_by_row` does; many in less time."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {_columns_of(table, names)} FROM STDIN (FORMAT csv)") as copy,
    ):
        for part in parts:
            arrays = list(map(_array, part.values()))
            copy.write(copied_lines(pa.RecordBatch.from_arrays(arrays, list(part))))


def _columns_of(table: str, names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f'"{table}" ({quoted})'


def _array(values: Sequence[Any]) -> pa.Array:
    """Give values of one type as an array, bytes as PostgreSQL writes them."""
    array = pa.array(values)
    if not pa.types.is_binary(array.type):
        return array
    return pa.array([None if value is None else f"\\x{value.hex()}" for value in values])


def count_products(
    connection: Connection, removed: Mapping[Combination, int], added: Mapping[Combination, int]
) -> None:
    """Keep the number of products of each kind."""
    changed = changes(removed, added)
    if not changed:
        return
    with connection.cursor() as cursor:
        cursor.executemany(_SQL_ADD_FACET, changed)
        cursor.executemany(
            _SQL_DROP_FACET,
            [{"key": row["key"], "none": 0} for row in changed if row["products"] < 0],
        )


def _last(connection: Connection, sql: str) -> int:
    """Give the highest key in use, 0 for an empty table."""
    row = connection.execute(sql).fetchone()
    assert row is not None
    return cast("int", row[0] or 0)
