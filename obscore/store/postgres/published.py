"""Tables that a site publishes itself, in PostgreSQL: made, loaded, dropped.

All happens in one transaction: readers see the old rows until its end, and if the loading process
dies, nothing has happened. Only the old rows are removed after it, since whoever drops a table
waits for those that read it; what could not be removed then is, the next time.
"""

# ruff: noqa: S608 - the names in the SQL are made by this program

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
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
from obscore.store.postgres import tables
from obscore.store.postgres.loading import cap_sql, copied_lines, made_column, shape_sql, type_of
from obscore.store.postgres.pool import Address, connect, translated
from obscore.store.postgres.preparation import SQL_TAKE_TURN, check_layout
from obscore.store.postgres.publication import CAP, SHAPE, read_publication, update_tap_schema
from obscore.store.publishing import loaded_tables
from vodal.errors import ServiceUnavailable, UsageError

__all__ = ["PostgresTables"]

_PATIENCE_S = 3.0
"""How long it waits for its turn: the server takes a second to notice that a process has died."""

_SETTINGS = """
SET maintenance_work_mem = '256MB';
SET idle_in_transaction_session_timeout = 0;
SET statement_timeout = 0
"""

_SCHEMAS, _TABLES, _PUBLICATION = (
    schema.published_schemas.name,
    schema.published_tables.name,
    schema.publication.name,
)
_SQL_ONE_AT_A_TIME = "SELECT pg_try_advisory_lock(hashtextextended('skylane.publish ' || %s, 0))"
_SQL_DONE = "SELECT pg_advisory_unlock(hashtextextended('skylane.publish ' || %s, 0))"
_SQL_DELETE_SCHEMA = f"DELETE FROM {_SCHEMAS} WHERE schema_name = %s"
_SQL_INSERT_SCHEMA = tables.sql(insert(schema.published_schemas))
_SQL_DELETE_TABLE = f"DELETE FROM {_TABLES} WHERE schema_name = %s AND table_name = %s"
_SQL_INSERT_TABLE = tables.sql(insert(schema.published_tables))
_ONCE = (
    f"INSERT INTO {_PUBLICATION} AS held (id, revision, numbers) VALUES (1, 1, 1)"
    " ON CONFLICT (id) DO UPDATE SET"
)
_SQL_REVISE = f"{_ONCE} revision = held.revision + 1"
_SQL_NUMBER = f"{_ONCE} numbers = held.numbers + 1 RETURNING numbers"


class PostgresTables(TableStore):
    """Publishes tables in a store in PostgreSQL; one process at a time.

    Parameters
    ----------
    address
        Of a store that was prepared, as the owner of its tables.
    query_role
        Role that may read what is published; None for none.

    Raises
    ------
    ArchiveError, ServiceUnavailable
        If it cannot be opened.
    """

    def __init__(self, address: Address, query_role: str | None) -> None:
        self._address = address
        self._query_role = query_role
        self._lock = threading.Lock()
        self._connection = connect(address, name="skylane publish")
        try:
            with translated(address):
                check_layout(self._connection, address)
                self._connection.execute(_SETTINGS)
                # Where the server can (PostgreSQL 14, Linux), it notices that a client is gone.
                with contextlib.suppress(psycopg.Error):
                    self._connection.execute("SET client_connection_check_interval = '1s'")
        except BaseException:
            self._connection.close()
            raise

    @override
    def publication(self) -> Publication:
        with self._lock, translated(self._address):
            return self._read()

    def _read(self) -> Publication:
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return read_publication(self._connection)

    @override
    def publish(
        self,
        declared: DeclaredSchema,
        rows: Mapping[str, DeclaredRows],
        *,
        progress: Callable[[int, int], None] | None = None,
        tokens: Mapping[str, str] | None = None,
    ) -> None:
        with self._lock, translated(self._address), self._turn():
            before = self._read()
            merged(before, declared)
            refuse_other_rows(before, declared, rows)
            with self._connection.transaction():
                made = loaded_tables(
                    declared, rows, before, self._stage, progress=progress, tokens=tokens
                )
                self._put(declared, made)
            self._sweep()

    @override
    def drop(self, names: Sequence[tuple[str, str]]) -> None:
        with self._lock, translated(self._address), self._turn():
            before = self._read()
            refuse_loose_keys(before, names)
            left = [item.schema for item in before.tables if item.names not in names]
            with self._connection.transaction():
                for group, table in names:
                    self._connection.execute(_SQL_DELETE_TABLE, (group, table))
                    if group not in left:
                        self._connection.execute(_SQL_DELETE_SCHEMA, (group,))
                self._revise()
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
        until = time.monotonic() + _PATIENCE_S
        while not self._is_mine():
            if time.monotonic() > until:
                raise ServiceUnavailable(
                    "another process is publishing tables of this site; try again when it is done"
                )
            time.sleep(0.1)
        try:
            self._sweep()
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute(_SQL_DONE, (self._address.schema,))

    def _is_mine(self) -> bool:
        row = self._connection.execute(_SQL_ONE_AT_A_TIME, (self._address.schema,)).fetchone()
        return row == (True,)

    def _sweep(self) -> None:
        """Remove rows that belong to no published table, but for those that are being read."""
        kept = {schema.published_name(item.number) for item in self._read().tables}
        found = self._connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^published_[0-9]+$'"
            " AND relnamespace = to_regnamespace(quote_ident(%s))",
            (self._address.schema,),
        ).fetchall()
        for (name,) in found:
            if str(name) in kept:
                continue
            try:
                with self._connection.transaction():
                    self._connection.execute("SET LOCAL lock_timeout = '500ms'")
                    self._connection.execute(f"DROP TABLE {name}".encode())
            except psycopg.errors.LockNotAvailable:
                # A query reads it: it is removed the next time.
                continue

    # Rows ----------------------------------------------------------------------------------------

    def _stage(
        self, table: DeclaredTable, rows: DeclaredRows | None, progress: Callable[[int], None]
    ) -> int:
        """Load rows where nobody sees them, in a transaction; gives their number."""
        connection = self._connection
        row = connection.execute(_SQL_NUMBER).fetchone()
        assert row is not None
        number = int(str(row[0]))
        name = schema.published_name(number)
        columns = [item.column for item in table.columns]
        place = table.spatial
        kinds = [f"c{at} {type_of(column)}" for at, column in enumerate(columns, 1)]
        made = {}
        if place.region is not None or place.point is not None:
            made = {
                SHAPE: made_column(SHAPE, "float8[]", shape_sql(columns, place)),
                CAP: made_column(CAP, "scircle", cap_sql(columns, place)),
            }
        self._run(f"CREATE TABLE {name} ({', '.join([*kinds, *made.values()])})")
        if rows is not None:
            self._copy(name, rows, progress)
        for column in made:
            # From here on plain columns: the functions that made them may be installed anew.
            self._run(f"ALTER TABLE {name} ALTER COLUMN {column} DROP EXPRESSION")
        if made:
            self._run(f"CREATE INDEX ix_{name}_{CAP} ON {name} USING gist ({CAP})")
        for index in table.plain_indices:
            self._index(name, table, index)
        self._run(f"ANALYZE {name}")
        if self._query_role is not None:
            connection.execute(
                sql.SQL("GRANT SELECT ON {} TO {}").format(
                    sql.Identifier(name), sql.Identifier(self._query_role)
                )
            )
        return number

    def _run(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def _copy(self, name: str, rows: DeclaredRows, progress: Callable[[int], None]) -> None:
        columns = ", ".join(f"c{at}" for at in range(1, len(rows.table.columns) + 1))
        statement = f"COPY {name} ({columns}) FROM STDIN (FORMAT csv)"
        done = 0
        with self._connection.cursor().copy(statement.encode()) as copy:
            for batch in rows.batches():
                copy.write(copied_lines(batch))
                done += batch.num_rows
                progress(done)

    def _index(self, name: str, table: DeclaredTable, index: DeclaredIndex) -> None:
        places = [table.place(column) for column in index.columns]
        columns = [f"c{at + 1}" for at in places]
        listed = ", ".join(columns)
        unique = "UNIQUE " if index.unique else ""
        try:
            with self._connection.transaction():
                # Of several columns, the database makes one that is not too long.
                called = f"ix_{name}_{listed}" if len(columns) == 1 else ""
                # In the order that users' queries ask for.
                keys = ", ".join(
                    f"{column} NULLS FIRST" if table.columns[at].nullable else column
                    for column, at in zip(columns, places, strict=True)
                )
                self._run(f"CREATE {unique}INDEX {called} ON {name} ({keys})")
        except psycopg.errors.UniqueViolation:
            present = " AND ".join(f"{column} IS NOT NULL" for column in columns)
            twice = self._connection.execute(
                f"SELECT {listed} FROM {name} WHERE {present}"
                f" GROUP BY {listed} HAVING count(*) > 1 LIMIT 1".encode()
            ).fetchone()
            assert twice is not None
            raise same_values(table, index, twice) from None
        except psycopg.errors.ProgramLimitExceeded:
            raise UsageError(
                f"table {table.name}, index on {', '.join(index.columns)}: PostgreSQL indexes texts"
                " of up to some 2,700 bytes; leave the index out"
            ) from None

    def _put(self, declared: DeclaredSchema, made: Sequence[PublishedTable]) -> None:
        """Publish what was loaded; in a transaction."""
        connection = self._connection
        connection.execute(_SQL_DELETE_SCHEMA, (declared.name,))
        connection.execute(
            _SQL_INSERT_SCHEMA,
            {
                "schema_name": declared.name,
                "description": declared.description,
                "utype": declared.utype,
            },
        )
        for item in made:
            connection.execute(_SQL_DELETE_TABLE, item.names)
            connection.execute(_SQL_INSERT_TABLE, row_of(item))
        self._revise()

    def _revise(self) -> None:
        # Who prepares the store at this moment brings TAP_SCHEMA up to date too.
        self._connection.execute(SQL_TAKE_TURN)
        self._connection.execute(_SQL_REVISE)
        update_tap_schema(self._connection)
