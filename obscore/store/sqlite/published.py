"""Tables that a site publishes itself, in the embedded store: made, loaded, dropped.

The rows of a table are loaded beside those that it had, in short transactions, so that an ingest
goes on meanwhile. One more transaction then puts the new ones in the place of the old; until then
readers see those, and so they do if the loading process dies. What it left is removed by the next
one, which can tell because one process at a time does this.
"""

# ruff: noqa: S608 - the names in the SQL are made by this program

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
from sqlalchemy import insert
from typing_extensions import override

from obscore.declared.publication import (
    Publication,
    PublishedTable,
    merged,
    refuse_loose_keys,
    refuse_other_rows,
    row_of,
    same_values,
)
from obscore.declared.rows import DeclaredRows
from obscore.declared.tables import DeclaredIndex, DeclaredSchema, DeclaredTable
from obscore.store import schema
from obscore.store.base import TableStore
from obscore.store.publishing import loaded_tables
from obscore.store.sqlite.loading import TableLoader
from obscore.store.sqlite.publication import read_publication, update_tap_schema
from obscore.store.sqlite.readers import fetch
from obscore.store.sqlite.writing import open_writer, transaction, translated
from vodal.errors import ServiceUnavailable

__all__ = ["SqliteTables"]

_TRANSACTION_ROWS = 50_000
"""Rows that are loaded in one transaction: about half a second."""

_PAUSE_S = 0.1
"""Between two transactions, so that a writer that waits gets its turn: SQLite looks again every
100 ms at least."""

_SCHEMAS, _TABLES, _PUBLICATION = (
    schema.published_schemas,
    schema.published_tables,
    schema.publication,
)
_SQL_DELETE_SCHEMA = f"DELETE FROM {_SCHEMAS.name} WHERE schema_name = :schema"
_SQL_INSERT_SCHEMA = schema.sql(insert(_SCHEMAS))
_SQL_DELETE_TABLE = (
    f"DELETE FROM {_TABLES.name} WHERE schema_name = :schema AND table_name = :table"
)
_SQL_INSERT_TABLE = schema.sql(insert(_TABLES))
_ONCE = f"INSERT INTO {_PUBLICATION.name} (id, revision, numbers) VALUES (1, 1, 1) ON CONFLICT (id)"
_SQL_REVISE = f"{_ONCE} DO UPDATE SET revision = revision + 1"
_SQL_NUMBER = f"{_ONCE} DO UPDATE SET numbers = numbers + 1 RETURNING numbers"


class SqliteTables(TableStore):
    """Publishes tables in an embedded store; one process at a time.

    Parameters
    ----------
    path
        The database file; made if it is not there.

    Raises
    ------
    ArchiveError, ServiceUnavailable
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection = open_writer(path)

    @override
    def publication(self) -> Publication:
        with self._lock, translated(self._path):
            return self._read()

    def _read(self) -> Publication:
        self._connection.execute("BEGIN")
        try:
            return read_publication(self._connection)
        finally:
            self._connection.execute("COMMIT")

    @override
    def publish(
        self,
        declared: DeclaredSchema,
        rows: Mapping[str, DeclaredRows],
        *,
        progress: Callable[[int, int], None] | None = None,
        tokens: Mapping[str, str] | None = None,
    ) -> None:
        with self._lock, translated(self._path), self._turn():
            before = self._read()
            merged(before, declared)
            refuse_other_rows(before, declared, rows)
            made = loaded_tables(
                declared, rows, before, self._stage, progress=progress, tokens=tokens
            )
            with transaction(self._connection):
                # Another process may have ingested, but none has published.
                self._put(declared, made)
            self._sweep()

    @override
    def drop(self, names: Sequence[tuple[str, str]]) -> None:
        with self._lock, translated(self._path), self._turn():
            before = self._read()
            refuse_loose_keys(before, names)
            left = [item.schema for item in before.tables if item.names not in names]
            with transaction(self._connection):
                for group, table in names:
                    self._connection.execute(_SQL_DELETE_TABLE, {"schema": group, "table": table})
                    if group not in left:
                        self._connection.execute(_SQL_DELETE_SCHEMA, {"schema": group})
                self._connection.execute(_SQL_REVISE)
                update_tap_schema(self._connection)
            self._sweep()

    @override
    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # Taking turns --------------------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Be the only process that publishes, with nothing left over by another.

        Raises
        ------
        ServiceUnavailable
            If another one does.
        """
        # The file stays: who removes it could remove the one that another has locked.
        path = self._path.with_name(f"{self._path.name}-publish")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ServiceUnavailable(
                    "another process is publishing tables of this site; try again when it is done"
                ) from None
            self._sweep()
            try:
                yield
            except BaseException:
                # What was loaded is of no use; if this fails too, the next one does it.
                with contextlib.suppress(apsw.Error):
                    self._sweep()
                raise
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove rows that belong to no published table."""
        kept = {schema.published_name(item.number) for item in self._read().tables}
        kept |= {f"{name}_rtree" for name in kept}
        found = fetch(self._connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (name,) in found:
            if schema.PUBLISHED_NAME.fullmatch(name) and name not in kept:
                with transaction(self._connection):
                    self._connection.execute(f"DROP TABLE {name}")

    # Rows ----------------------------------------------------------------------------------------

    def _stage(
        self,
        table: DeclaredTable,
        rows: DeclaredRows | None,
        progress: Callable[[int], None],
    ) -> int:
        """Load rows where nobody sees them; gives their number."""
        with transaction(self._connection):
            ((number,),) = fetch(self._connection, _SQL_NUMBER)
        name = schema.published_name(int(number))
        columns = [item.column for item in table.columns]
        place = table.spatial
        spatial = place.region is not None or place.point is not None
        loader = TableLoader(self._connection, name, columns, place, rtree=spatial)
        with transaction(self._connection):
            loader.create()
        if rows is not None:
            batches = rows.batches()
            ended = False
            while not ended:
                with transaction(self._connection):
                    until = loader.rows + _TRANSACTION_ROWS
                    while loader.rows < until and not ended:
                        batch = next(batches, None)
                        ended = batch is None
                        if batch is not None:
                            loader.insert(batch)
                progress(loader.rows)
                if not ended:
                    time.sleep(_PAUSE_S)
        for index in table.plain_indices:
            with transaction(self._connection):
                self._index(name, table, index)
        return int(number)

    def _index(self, name: str, table: DeclaredTable, index: DeclaredIndex) -> None:
        columns = [f"c{table.place(column) + 1}" for column in index.columns]
        unique = "UNIQUE " if index.unique else ""
        try:
            # Named as those of the program's own tables, by which explanations know them.
            self._connection.execute(
                f"CREATE {unique}INDEX ix_{name}_{'_'.join(columns)} ON {name}"
                f" ({', '.join(columns)})"
            )
        except apsw.ConstraintError:
            present = " AND ".join(f"{column} IS NOT NULL" for column in columns)
            twice = fetch(
                self._connection,
                f"SELECT {', '.join(columns)} FROM {name} WHERE {present}"
                f" GROUP BY {', '.join(columns)} HAVING count(*) > 1 LIMIT 1",
            )
            raise same_values(table, index, twice[0]) from None

    def _put(self, declared: DeclaredSchema, made: Sequence[PublishedTable]) -> None:
        """Publish what was loaded; in a transaction."""
        connection = self._connection
        connection.execute(_SQL_DELETE_SCHEMA, {"schema": declared.name})
        connection.execute(
            _SQL_INSERT_SCHEMA,
            {
                "schema_name": declared.name,
                "description": declared.description,
                "utype": declared.utype,
            },
        )
        for item in made:
            named = dict(zip(("schema", "table"), item.names, strict=True))
            connection.execute(_SQL_DELETE_TABLE, named)
            connection.execute(_SQL_INSERT_TABLE, row_of(item))
        connection.execute(_SQL_REVISE)
        update_tap_schema(connection)
