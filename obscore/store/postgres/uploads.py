"""Uploaded tables in PostgreSQL: temporary ones, gone with the transaction of their query.

They are filled by COPY. What users call their tables and columns stays out of the SQL: the columns
are ``c1``, ``c2`` ..., with a column of shapes and one of caps, which has the spatial index, where
the query asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
from psycopg.pq import TransactionStatus

from obscore.adql.schema import ColumnDef, TableDef
from obscore.store.places import place_of
from obscore.store.postgres.deadline import Deadline
from obscore.store.postgres.loading import (
    cap_sql,
    copied_lines,
    made_column,
    shape_sql,
    spatial_index,
    type_of,
)
from obscore.store.postgres.pool import Connection
from vodal.tables.uploads import UploadedTable

__all__ = ["declare_uploads", "loaded"]

_ROWS = 10_000
"""Sent at once."""


def _name(number: int) -> str:
    return f"tap_upload_{number}"


def _shape(name: str) -> str:
    return f"{name}_shape"


def _cap(name: str) -> str:
    return f"{name}_cap"


def declare_uploads(uploads: Sequence[UploadedTable]) -> tuple[TableDef, ...]:
    """Say how uploaded tables are named in SQL."""
    return tuple(_declared(_name(number), table) for number, table in enumerate(uploads, 1))


def _declared(name: str, table: UploadedTable) -> TableDef:
    place = place_of(table.columns)
    return TableDef(
        schema="TAP_UPLOAD",
        name=table.name,
        physical=name,
        columns=tuple(
            ColumnDef(column, sql=f'{{alias}}."c{at}"', renamed=True)
            for at, column in enumerate(table.columns, 1)
        ),
        description="Uploaded with the query",
        spatial=spatial_index(table.columns, place, shape=_shape(name), cap=_cap(name)),
    )


_SETTINGS = "SET LOCAL cpu_index_tuple_cost = 0.15"
"""What of a second index is read is read again for each uploaded row: dearer than in one table."""


@contextmanager
def loaded(
    connection: Connection,
    deadline: Deadline,
    uploads: Sequence[UploadedTable],
    sql: str,
    *,
    filled: bool = True,
) -> Iterator[None]:
    """Load tables for a query that runs within the block, in a transaction of its own.

    Parameters
    ----------
    connection
        Outside of a transaction.
    deadline
        Of the query, for which the loading counts.
    uploads
        The tables.
    sql
        The query: shapes are read and an index is made only where it asks for them.
    filled
        Whether the tables have their rows; to plan a query, they need none.

    Raises
    ------
    DeadlineError, ServiceUnavailable
        If the time is over, or the query was cancelled.
    """
    if not uploads:
        yield
        return
    try:
        with deadline.running():
            connection.execute(f"BEGIN READ WRITE; {_SETTINGS}".encode())
        for number, table in enumerate(uploads, 1):
            _load(connection, deadline, _name(number), table, sql, filled=filled)
        with deadline.running():
            connection.execute("SET TRANSACTION READ ONLY")
        yield
    finally:
        if connection.info.transaction_status in {
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }:
            connection.rollback()


def _load(
    connection: Connection,
    deadline: Deadline,
    name: str,
    table: UploadedTable,
    sql: str,
    *,
    filled: bool,
) -> None:
    place = place_of(table.columns)
    kinds = [f"c{at} {type_of(column)}" for at, column in enumerate(table.columns, 1)]
    if _shape(name) in sql:
        kinds.append(made_column(_shape(name), "float8[]", shape_sql(table.columns, place)))
    if _cap(name) in sql:
        kinds.append(made_column(_cap(name), "scircle", cap_sql(table.columns, place)))
    with deadline.running():
        connection.execute(
            f"CREATE TEMPORARY TABLE {name} ({', '.join(kinds)}) ON COMMIT DROP".encode()
        )
        if filled:
            _fill(connection, name, table)
        if _cap(name) in sql:
            connection.execute(f"CREATE INDEX ON {name} USING gist ({_cap(name)})".encode())
        # Nobody else would count its rows, and plans without are poor.
        connection.execute(f"ANALYZE {name}".encode())


def _fill(connection: Connection, name: str, table: UploadedTable) -> None:
    columns = ", ".join(f"c{at}" for at in range(1, len(table.columns) + 1))
    statement = f"COPY {name} ({columns}) FROM STDIN (FORMAT csv)"
    with (
        pa.memory_map(str(table.path)) as source,
        pa.ipc.open_file(source) as file,
        connection.cursor().copy(statement.encode()) as copy,
    ):
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            for start in range(0, batch.num_rows, _ROWS):
                copy.write(copied_lines(batch.slice(start, _ROWS)))
