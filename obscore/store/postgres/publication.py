"""What a store in PostgreSQL has published, read from its tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

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
from obscore.store.postgres import tables
from obscore.store.postgres.loading import spatial_index
from obscore.store.postgres.pool import Address, Connection, connect, translated
from obscore.tap.metadata import tap_schema_rows
from vodal.errors import ServiceUnavailable

__all__ = [
    "CAP",
    "SHAPE",
    "PublicationLook",
    "read_publication",
    "read_revision",
    "stale_tap_schema",
    "table_def",
    "update_tap_schema",
]

SHAPE, CAP = "row_shape", "row_cap"
"""Columns of a published table for the spatial functions and the spatial index."""

_FRESH_S = 0.5
"""How long an answer is good. What a query does not find in it is looked for at once."""

_SQL_REVISION = tables.sql(select(schema.publication.c.revision))
_SCHEMAS = schema.published_schemas
_SQL_SCHEMAS = tables.sql(select(_SCHEMAS.c.schema_name, _SCHEMAS.c.description, _SCHEMAS.c.utype))
_TABLES = schema.published_tables
_SQL_TABLES = tables.sql(
    select(
        _TABLES.c.schema_name,
        _TABLES.c.number,
        _TABLES.c.declaration,
        _TABLES.c.rows,
        _TABLES.c.loaded,
        _TABLES.c.token,
    )
)
_SQL_EXTRA = tables.sql(SELECT_EXTRA)


def read_revision(connection: Connection) -> int:
    """Tell how often the publication has changed."""
    row = connection.execute(_SQL_REVISION).fetchone()
    return 0 if row is None else int(str(row[0]))


def read_publication(connection: Connection) -> Publication:
    """Read what is published; in a transaction, so that it is of one moment."""
    revision = read_revision(connection)
    found = (connection.execute(sql).fetchall() for sql in (_SQL_SCHEMAS, _SQL_TABLES, _SQL_EXTRA))
    return publication_of(revision, *found)


def table_def(item: PublishedTable) -> TableDef:
    """Say how queries find a published table."""
    table = item.table
    columns = [column.column for column in table.columns]
    return TableDef(
        schema=item.schema,
        name=table.name,
        physical=schema.published_name(item.number),
        columns=column_defs(table),
        description=table.description,
        utype=table.utype,
        spatial=spatial_index(columns, table.spatial, shape=SHAPE, cap=CAP),
    )


class PublicationLook:
    """Reads what is published, again only if it has changed. Safe to use from several threads.

    Asking takes a round trip to the server, and so is done now and then.

    Parameters
    ----------
    address
        Of the store, as the role of users' queries.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._last: Publication | None = None
        self._asked = -_FRESH_S
        self._closed = False

    def current(self, *, renewed: bool = False) -> Publication:
        """Give what is published; the same value as long as it is the same.

        Parameters
        ----------
        renewed
            Whether it must be what is published at this moment.

        Raises
        ------
        ArchiveError
            If there is no store.
        ServiceUnavailable
            If the server does not answer.
        """
        with self._lock:
            if self._last is None or renewed or time.monotonic() - self._asked > _FRESH_S:
                self._last = self._read(self._last)
                self._asked = time.monotonic()
            return self._last

    def _read(self, last: Publication | None) -> Publication:
        try:
            return self._ask(last)
        except ServiceUnavailable:
            # The connection may have been lost since the last time.
            return self._ask(last)

    def _ask(self, last: Publication | None) -> Publication:
        if self._closed:
            raise ServiceUnavailable("the service is shutting down")
        with translated(self._address):
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._address, read_only=True, name="skylane tables")
            if last is not None and last.revision == read_revision(self._connection):
                return last
            with self._connection.transaction():
                self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                return read_publication(self._connection)

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None


# TAP_SCHEMA ---------------------------------------------------------------------------------------


def stale_tap_schema(connection: Connection) -> list[tuple[Table, Sequence[dict[str, Any]]]]:
    """Give the tables of TAP_SCHEMA that tell something else than they should, with their rows."""
    stale = []
    for table, rows in tap_schema_rows(read_publication(connection)).items():
        wanted = [tuple(row.values()) for row in rows]
        columns = [table.c[name] for name in rows[0]]
        kept = connection.execute(tables.sql(select(*columns))).fetchall()
        if sorted(kept, key=repr) != sorted(wanted, key=repr):
            stale.append((table, rows))
    return stale


def update_tap_schema(connection: Connection) -> None:
    """Bring TAP_SCHEMA up to date with what program and site declare; in a transaction."""
    for table, rows in stale_tap_schema(connection):
        connection.execute(tables.sql(delete(table)))
        with connection.cursor() as cursor:
            cursor.executemany(tables.sql(insert(table)), rows)
