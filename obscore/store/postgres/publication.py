"""What a store in PostgreSQL has published, read from its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, delete, insert, select

from obscore.declared.publication import Publication, publication_of
from obscore.store import schema
from obscore.store.postgres import tables
from obscore.store.postgres.pool import Connection
from obscore.tap.metadata import tap_schema_rows

__all__ = ["read_publication", "read_revision", "stale_tap_schema", "update_tap_schema"]

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


def read_revision(connection: Connection) -> int:
    """Tell how often the publication has changed."""
    row = connection.execute(_SQL_REVISION).fetchone()
    return 0 if row is None else int(str(row[0]))


def read_publication(connection: Connection) -> Publication:
    """Read what is published; in a transaction, so that it is of one moment."""
    revision = read_revision(connection)
    schemas = connection.execute(_SQL_SCHEMAS).fetchall()
    return publication_of(revision, schemas, connection.execute(_SQL_TABLES).fetchall())


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
