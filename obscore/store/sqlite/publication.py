"""What an embedded store has published, read from its file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
from sqlalchemy import Table, delete, insert, select

from obscore.adql.schema import TableDef
from obscore.declared.publication import (
    Publication,
    PublishedTable,
    column_defs,
    publication_of,
)
from obscore.store import schema
from obscore.store.extra import SELECT_EXTRA
from obscore.store.sqlite.loading import spatial_index
from obscore.store.sqlite.readers import fetch, file_id, open_reader
from obscore.tap.metadata import tap_schema_rows
from vodal.errors import ServiceUnavailable

__all__ = [
    "PublicationLook",
    "read_publication",
    "read_revision",
    "stale_tap_schema",
    "table_def",
    "update_tap_schema",
]

_SQL_REVISION = schema.sql(select(schema.publication.c.revision))
_SQL_SCHEMAS = schema.sql(
    select(
        schema.published_schemas.c.schema_name,
        schema.published_schemas.c.description,
        schema.published_schemas.c.utype,
    )
)
_TABLES = schema.published_tables
_SQL_TABLES = schema.sql(
    select(
        _TABLES.c.schema_name,
        _TABLES.c.number,
        _TABLES.c.declaration,
        _TABLES.c.rows,
        _TABLES.c.loaded,
        _TABLES.c.token,
    )
)
_SQL_EXTRA = schema.sql(SELECT_EXTRA)


def read_revision(connection: apsw.Connection) -> int:
    """Tell how often the publication has changed."""
    rows = fetch(connection, _SQL_REVISION)
    return int(rows[0][0]) if rows else 0


def read_publication(connection: apsw.Connection) -> Publication:
    """Read what is published; in a transaction, so that it is of one moment."""
    revision = read_revision(connection)
    found = (fetch(connection, sql) for sql in (_SQL_SCHEMAS, _SQL_TABLES, _SQL_EXTRA))
    return publication_of(revision, *found)


def table_def(item: PublishedTable) -> TableDef:
    """Say how queries find a published table."""
    name = schema.published_name(item.number)
    table = item.table
    return TableDef(
        schema=item.schema,
        name=table.name,
        physical=name,
        columns=column_defs(table),
        description=table.description,
        utype=table.utype,
        spatial=spatial_index(name, [column.column for column in table.columns], table.spatial),
    )


class PublicationLook:
    """Reads what is published, again only if it has changed. Safe to use from several threads.

    Parameters
    ----------
    path
        The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._file = (0, 0)
        self._last: Publication | None = None
        self._closed = False

    def current(self) -> Publication:
        """Give what is published now; the same value as long as it is the same.

        Raises
        ------
        ArchiveError
            If there is no store.
        """
        with self._lock:
            connection = self._opened()
            if self._last is None or self._last.revision != read_revision(connection):
                connection.execute("BEGIN")
                try:
                    self._last = read_publication(connection)
                finally:
                    connection.execute("COMMIT")
            return self._last

    def _opened(self) -> apsw.Connection:
        if self._closed:
            raise ServiceUnavailable("the service is shutting down")
        file = file_id(self._path)
        # The file may have been replaced by another.
        if self._connection is None or file != self._file:
            if self._connection is not None:
                self._connection.close(True)
            self._connection, self._last = None, None
            self._connection = open_reader(self._path, published_only=False)
            self._file = file
        return self._connection

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close(True)
                self._connection = None


# TAP_SCHEMA ---------------------------------------------------------------------------------------


def stale_tap_schema(
    connection: apsw.Connection,
) -> list[tuple[Table, Sequence[dict[str, Any]]]]:
    """Give the tables of TAP_SCHEMA that tell something else than they should, with their rows."""
    stale = []
    for table, rows in tap_schema_rows(read_publication(connection)).items():
        wanted = [tuple(row.values()) for row in rows]
        columns = [table.c[name] for name in rows[0]]
        kept = fetch(connection, schema.sql(select(*columns)))
        if sorted(kept, key=repr) != sorted(wanted, key=repr):
            stale.append((table, rows))
    return stale


def update_tap_schema(connection: apsw.Connection) -> None:
    """Bring TAP_SCHEMA up to date with what program and site declare; in a transaction."""
    for table, rows in stale_tap_schema(connection):
        connection.execute(schema.sql(delete(table)))
        connection.executemany(schema.sql(insert(table)), rows)
