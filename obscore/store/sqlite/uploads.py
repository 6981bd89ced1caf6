"""Uploaded tables beside an embedded store: in a file of their own, attached while a query runs.

The reader's connection never writes: another one writes the file, and the reader attaches it
read-only for one query. What users call their tables and columns stays out of the SQL.
"""

# ruff: noqa: S608 - the names in the SQL are made here

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import pyarrow as pa

from obscore.adql.schema import ColumnDef, TableDef
from obscore.store.places import place_of
from obscore.store.sqlite.authorizer import authorize
from obscore.store.sqlite.deadline import Deadline
from obscore.store.sqlite.loading import TableLoader, spatial_index
from vodal.tables.uploads import UploadedTable

__all__ = ["attached", "declare_uploads"]

_SCHEMA = "uploads"
"""Under which the file is attached."""

_STEPS = 10_000


def _name(number: int) -> str:
    return f"tap_upload_{number}"


def declare_uploads(uploads: Sequence[UploadedTable]) -> tuple[TableDef, ...]:
    """Say how uploaded tables are named in SQL."""
    return tuple(_declared(number, table) for number, table in enumerate(uploads, 1))


def _declared(number: int, table: UploadedTable) -> TableDef:
    place = place_of(table.columns)
    return TableDef(
        schema="TAP_UPLOAD",
        name=table.name,
        physical=_name(number),
        columns=tuple(
            ColumnDef(column, sql=f'{{alias}}."c{at}"', renamed=True)
            for at, column in enumerate(table.columns, 1)
        ),
        description="Uploaded with the query",
        spatial=spatial_index(_name(number), table.columns, place),
    )


@contextmanager
def attached(
    connection: apsw.Connection,
    deadline: Deadline,
    uploads: Sequence[UploadedTable],
    sql: str,
    *,
    filled: bool = True,
) -> Iterator[None]:
    """Load tables and let a guarded connection read them within the block.

    The block must not leave a cursor open.

    Parameters
    ----------
    connection
        Of the pool.
    deadline
        Of the query, for which the loading counts.
    uploads
        The tables.
    sql
        The query: an index is made only where it asks for one.
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
    handle, name = tempfile.mkstemp(".sqlite", "upload-", uploads[0].path.parent)
    os.close(handle)
    path = Path(name)
    try:
        with deadline.running():
            tables = _build(path, uploads, sql, deadline, filled=filled)
        connection.authorizer = None
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            connection.execute(f"ATTACH :uri AS {_SCHEMA}", {"uri": uri})
            path.unlink()
            for table in tables:
                # Connects an R*Tree while nothing is forbidden yet.
                connection.execute(f"SELECT 1 FROM {_SCHEMA}.{table} LIMIT 0").close()
        finally:
            connection.authorizer = _authorizer(tables)
        try:
            yield
        finally:
            # If this fails, the pool throws the connection away.
            connection.authorizer = None
            connection.execute(f"DETACH {_SCHEMA}")
            connection.authorizer = authorize
    finally:
        path.unlink(missing_ok=True)


def _authorizer(
    tables: Sequence[str],
) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Allow reads of the uploaded tables beside what is allowed anyway."""
    readable = frozenset(tables)
    shadows = frozenset(
        f"{table}_{part}" for table in tables for part in ("node", "rowid", "parent")
    )
    changes = {apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE}

    def allow(
        operation: int,
        first: str | None,
        second: str | None,
        database: str | None,
        trigger: str | None,
    ) -> int:
        if operation == apsw.SQLITE_READ and first in readable and database is None:
            # As SQLite asks for a table of which no column is read.
            return apsw.SQLITE_OK
        if database == _SCHEMA:
            if operation == apsw.SQLITE_READ and first in readable | shadows:
                return apsw.SQLITE_OK
            if operation in changes and first in shadows:
                # Prepared by the R*Tree for itself; the file being read-only, never run.
                return apsw.SQLITE_OK
            if operation == apsw.SQLITE_CREATE_VTABLE and first in readable:
                return apsw.SQLITE_OK
            return apsw.SQLITE_DENY
        return authorize(operation, first, second, database, trigger)

    return allow


# Loading --------------------------------------------------------------------------------------


def _build(
    path: Path,
    uploads: Sequence[UploadedTable],
    sql: str,
    deadline: Deadline,
    *,
    filled: bool,
) -> list[str]:
    """Write the file; give the names of its tables and R*Trees."""
    connection = apsw.Connection(str(path))
    tables = []
    try:
        # Nobody else sees the file, and it does not outlive the query.
        connection.pragma("journal_mode", "off")
        connection.pragma("synchronous", "off")
        connection.pragma("locking_mode", "exclusive")
        connection.set_progress_handler(deadline, _STEPS)
        connection.execute("BEGIN")
        for number, table in enumerate(uploads, 1):
            name = _name(number)
            rtree = f"{name}_rtree"
            tables.append(name)
            place = place_of(table.columns)
            loader = TableLoader(connection, name, table.columns, place, rtree=rtree in sql)
            loader.create()
            if filled:
                _load(loader, table, deadline)
            if rtree in sql:
                tables.append(rtree)
        connection.execute("COMMIT")
    finally:
        connection.close(True)
    return tables


def _load(loader: TableLoader, table: UploadedTable, deadline: Deadline) -> None:
    with pa.memory_map(str(table.path)) as source, pa.ipc.open_file(source) as file:
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            for start in range(0, batch.num_rows, 5_000):
                if deadline():
                    raise apsw.InterruptError
                loader.insert(batch.slice(start, 5_000))
