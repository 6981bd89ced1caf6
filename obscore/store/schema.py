"""The tables of the store, declared once with SQLAlchemy Core.

Statements are compiled to SQL here and run through apsw elsewhere: a server process must hold one
SQLite library only, since two of them on one file break each other's locks.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import Any

from sqlalchemy import (
    BLOB,
    INTEGER,
    REAL,
    TEXT,
    Column,
    Executable,
    ForeignKey,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import TypeEngine

from obscore.columns import COLUMNS, ObsCoreColumn
from obscore.store.expectations import EXPECTATIONS

__all__ = [
    "APPLICATION_ID",
    "BLOCK_ROWS",
    "EXTRA_NAME",
    "FACET_COLUMNS",
    "METADATA",
    "PUBLISHED_NAME",
    "PUBLISHED_TABLES",
    "RTREE",
    "RTREE_SHADOWS",
    "SCHEMA_VERSION",
    "STORED_COLUMNS",
    "ddl",
    "extra_columns",
    "extra_name",
    "facets",
    "files",
    "footprint_blocks",
    "layout_digest",
    "mappings",
    "obscore",
    "publication",
    "published_name",
    "published_schemas",
    "published_tables",
    "runs",
    "sql",
    "tap_columns",
    "tap_key_columns",
    "tap_keys",
    "tap_schemas",
    "tap_tables",
    "tombstones",
]

SCHEMA_VERSION = 7
"""Of the layout below; kept in the file as ``user_version`` and compared when it is opened."""

APPLICATION_ID = 0x534B594C
"""``SKYL``: marks a database file as ours, so that a foreign one is never written to."""

METADATA = MetaData()

# SQLite's types, and beside each what it is in PostgreSQL. Texts are compared there by their
# characters' codes too, so that both sort alike and an index serves a search for a prefix.
_TEXT = TEXT().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INT = INTEGER()
_LONG = INTEGER().with_variant(postgresql.BIGINT(), "postgresql")
_REAL: TypeEngine[float] = REAL().with_variant(postgresql.DOUBLE_PRECISION(), "postgresql")
_BYTES = BLOB().with_variant(postgresql.BYTEA(), "postgresql")

_TYPES: dict[str, TypeEngine[Any]] = {
    "char": _TEXT,
    "int": _INT,
    "long": _LONG,
    "double": _REAL,
}

STORED_COLUMNS: tuple[ObsCoreColumn, ...] = tuple(
    item for item in COLUMNS if item.name != "access_url"
)
"""The columns of ObsCore that are kept; ``access_url`` is made when a row is read."""

files = Table(
    "files",
    METADATA,
    Column("id", _LONG, primary_key=True, autoincrement=False),
    Column("uri", _TEXT, nullable=False, unique=True),
    Column("file_name", _TEXT, nullable=False),
    Column("collection", _TEXT, nullable=False),
    Column("content_type", _TEXT, nullable=False),
    # -1 until the file is opened, if its source does not tell it.
    Column("size", _LONG, nullable=False),
    Column("version", _TEXT, nullable=False),
    Column("modified", _REAL, nullable=False),
    Column("mapping_digest", _TEXT, nullable=False),
    # Behind it are only columns that listing the files need not read: a large value spills to
    # further pages.
    # Empty until the file is opened, if its rows are made of what its source tells.
    Column("byte_index", _BYTES, nullable=False),
    Column("run_id", _LONG),
    sqlite_strict=True,
)

obscore = Table(
    "obscore",
    METADATA,
    Column("id", _LONG, primary_key=True, autoincrement=False),
    Column("file_id", ForeignKey("files.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hdus", _TEXT, nullable=False),
    *(
        Column(item.name, _TYPES[item.column.datatype], nullable=item.nullable)
        for item in STORED_COLUMNS
        if item.name != "last_modified"
    ),
    Column("s_region_shape", _BYTES),
    # A later layout's; the default is for the rows that were there before.
    Column("last_modified", _TEXT, nullable=False, server_default=""),
    UniqueConstraint("obs_publisher_did"),
    sqlite_strict=True,
)
for _item in STORED_COLUMNS:
    if _item.indexed and _item.name != "obs_publisher_did":
        Index(f"ix_obscore_{_item.name}", obscore.c[_item.name])
# Simple Image Access takes identifiers without regard to case.
Index("ix_obscore_lower_obs_publisher_did", func.lower(obscore.c.obs_publisher_did))

FACET_COLUMNS: tuple[ObsCoreColumn, ...] = tuple(item for item in STORED_COLUMNS if item.facet)
"""The columns with few distinct values, which the table ``facets`` counts."""

facets = Table(
    "facets",
    METADATA,
    Column("key", _TEXT, primary_key=True),
    *(Column(item.name, _TYPES[item.column.datatype]) for item in FACET_COLUMNS),
    Column("products", _LONG, nullable=False),
    sqlite_strict=True,
)
"""One row for each combination of values of `FACET_COLUMNS` that rows of ``obscore`` have, with
the number of such rows in ``products``, which is never 0.

Each writer keeps it in the transaction that changes ``obscore`` (see `obscore.store.facets`), so
that it is exact at any time. Values have the types of their columns, NULL included, and the
columns their names; what a query asks of these columns alone has the same answer here, with
``SUM(products)`` for ``COUNT(*)``. There are as many rows as combinations occur, a few hundred on
most sites.
"""

tombstones = Table(
    "tombstones",
    METADATA,
    Column("obs_publisher_did", _TEXT, primary_key=True),
    Column("obs_collection", _TEXT, nullable=False),
    Column("obs_release_date", _TEXT),
    Column("deleted", _TEXT, nullable=False, index=True),
    Column("kind", _TEXT, nullable=False),
    Column("reason", _TEXT),
    Column("who", _TEXT),
    Column("uri", _TEXT, nullable=False, index=True),
    Column("whole_file", _INT, nullable=False),
    sqlite_strict=True,
)
"""One row for each product that was there and is not (`obscore.store.tombstones`): when it went,
and why.

Each writer keeps it in the transaction that changes ``obscore``, so that an identifier that was
ever there is in one of the two, and in one alone. ``whole_file`` is 1 where all that the file
holds, now or later, is withheld.
"""

mappings = Table(
    "mappings",
    METADATA,
    Column("digest", _TEXT, primary_key=True),
    Column("text", _TEXT, nullable=False),
    sqlite_strict=True,
)
"""The settings that have made rows, for people to read, by their digest."""

runs = Table(
    "runs",
    METADATA,
    Column("id", _LONG, primary_key=True, autoincrement=False),
    Column("kind", _TEXT, nullable=False),
    Column("command", _TEXT, nullable=False),
    Column("program", _TEXT, nullable=False),
    Column("begun", _TEXT, nullable=False),
    Column("ended", _TEXT),
    Column("mappings", _TEXT, nullable=False),
    Column("counts", _TEXT, nullable=False),
    sqlite_strict=True,
)
"""Each run of the assembly line (`obscore.store.runs`); ``run_id`` of ``files`` names the one that
wrote a file.

``mappings`` is an object of JSON: the digest in ``mappings`` by collection; ``counts`` another: the
number of files by what became of them. ``ended`` is NULL while it runs, and for ever if it was
killed.
"""

footprint_blocks = Table(
    "footprint_blocks",
    METADATA,
    Column("block", _LONG, primary_key=True, autoincrement=False),
    Column("revision", _LONG, nullable=False),
    sqlite_strict=True,
)
"""When the rows of each block of ``obscore``, those of `BLOCK_ROWS` ids, changed last.

A writer that adds or removes rows raises the revisions of their blocks in the same transaction, so
that what is made of a block (coverage maps) is made anew where it must be and only there. Revisions
grow from one transaction to the next, and are those of no other store: they begin as the time in
nanoseconds (see `obscore.store.blocks`).
"""

BLOCK_ROWS = 4096
"""Rows of a block at most; part of the layout."""

RTREE = "obscore_rtree"
"""Spatial index: the box on the unit sphere around each row's footprint and position.

SQLite keeps the bounds in single precision and rounds them outward, so that the box of a row
always holds its footprint.
"""

_RTREE_DDL = f"CREATE VIRTUAL TABLE {RTREE} USING rtree(id, xmin, xmax, ymin, ymax, zmin, zmax)"

tap_schemas = Table(
    "tap_schema_schemas",
    METADATA,
    Column("schema_name", _TEXT, primary_key=True),
    Column("utype", _TEXT),
    Column("description", _TEXT),
    Column("schema_index", _INT),
)

tap_tables = Table(
    "tap_schema_tables",
    METADATA,
    Column("schema_name", _TEXT, nullable=False),
    Column("table_name", _TEXT, primary_key=True),
    Column("table_type", _TEXT, nullable=False),
    Column("utype", _TEXT),
    Column("description", _TEXT),
    Column("table_index", _INT),
)

tap_columns = Table(
    "tap_schema_columns",
    METADATA,
    Column("table_name", _TEXT, primary_key=True),
    Column("column_name", _TEXT, primary_key=True),
    Column("datatype", _TEXT, nullable=False),
    Column("arraysize", _TEXT),
    Column("xtype", _TEXT),
    Column("size", _INT),
    Column("description", _TEXT),
    Column("utype", _TEXT),
    Column("unit", _TEXT),
    Column("ucd", _TEXT),
    Column("indexed", _INT, nullable=False),
    Column("principal", _INT, nullable=False),
    Column("std", _INT, nullable=False),
    Column("column_index", _INT),
)

tap_keys = Table(
    "tap_schema_keys",
    METADATA,
    Column("key_id", _TEXT, primary_key=True),
    Column("from_table", _TEXT, nullable=False),
    Column("target_table", _TEXT, nullable=False),
    Column("utype", _TEXT),
    Column("description", _TEXT),
)

tap_key_columns = Table(
    "tap_schema_key_columns",
    METADATA,
    Column("key_id", _TEXT, primary_key=True),
    Column("from_column", _TEXT, primary_key=True),
    Column("target_column", _TEXT, nullable=False),
)

publication = Table(
    "publication",
    METADATA,
    Column("id", _INT, primary_key=True, autoincrement=False),
    Column("revision", _LONG, nullable=False),
    Column("numbers", _LONG, nullable=False),
    sqlite_strict=True,
)
"""One row, with the ``id`` 1, once a site has published tables of its own, or added columns: how
often that changed, and the last number that was given to the rows of a table, or to a column."""

published_schemas = Table(
    "published_schemas",
    METADATA,
    Column("schema_name", _TEXT, primary_key=True),
    Column("description", _TEXT),
    Column("utype", _TEXT),
    sqlite_strict=True,
)

published_tables = Table(
    "published_tables",
    METADATA,
    Column("schema_name", _TEXT, primary_key=True),
    Column("table_name", _TEXT, primary_key=True),
    Column("number", _LONG, nullable=False, unique=True),
    Column("declaration", _TEXT, nullable=False),
    Column("rows", _LONG, nullable=False),
    Column("loaded", _TEXT, nullable=False),
    Column("token", _TEXT, nullable=False),
    sqlite_strict=True,
)
"""The tables that a site has published itself (`obscore.declared`).

The rows of one are in the table `published_name` of its ``number``, a new one whenever they are
loaded; ``token`` tells them from any others.
"""

extra_columns = Table(
    "extra_columns",
    METADATA,
    Column("number", _LONG, primary_key=True, autoincrement=False),
    Column("place", _INT, nullable=False),
    Column("declaration", _TEXT, nullable=False),
    sqlite_strict=True,
)
"""The columns that a site has added to ``ivoa.obscore`` (`obscore.store.extra`), by their place.

The values of one are in the column `extra_name` of ``obscore``, which is made and removed with its
row here. No number is given twice, so that no query that was translated before reads another's.
"""


EXTRA_NAME = re.compile(r"\bextra_\d+")
"""Matches an `extra_name` within a text."""


def extra_name(number: int) -> str:
    """Give the name of the column of ``obscore`` that holds the values of an added one."""
    return f"extra_{number}"


PUBLISHED_TABLES: frozenset[str] = frozenset(
    table.name
    for table in (
        obscore,
        facets,
        tombstones,
        tap_schemas,
        tap_tables,
        tap_columns,
        tap_keys,
        tap_key_columns,
        publication,
        published_schemas,
        published_tables,
        extra_columns,
    )
) | {RTREE}
"""What a user's query may read, beside the tables of `PUBLISHED_NAME`."""

PUBLISHED_NAME = re.compile("published_[0-9]+(?:_rtree)?")
"""How the tables are called that hold the rows of published tables, and their R*Trees."""


def published_name(number: int) -> str:
    """Give the name of the table that holds the rows of a published one."""
    return f"published_{number}"


RTREE_SHADOWS: frozenset[str] = frozenset(f"{RTREE}_{part}" for part in ("node", "rowid", "parent"))
"""Where SQLite keeps the R*Tree."""

_DIALECT = sqlite.dialect(paramstyle="named")


def sql(statement: ClauseElement | Executable) -> str:
    """Compile a statement to SQLite's SQL with named parameters, all of them bound later."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=_DIALECT)
    # A value given in the statement would be lost here.
    assert not any(value is not None for value in (compiled.params or {}).values())
    return str(compiled)


@cache
def ddl() -> tuple[str, ...]:
    """Give the statements that make an empty store, in order."""
    statements = []
    for table in METADATA.sorted_tables:
        statements.append(sql(CreateTable(table)))
        statements.extend(
            sql(CreateIndex(index))
            for index in sorted(table.indexes, key=lambda item: str(item.name))
        )
    return (*statements, _RTREE_DDL, *EXPECTATIONS)


def layout_digest() -> str:
    """Give a digest of the layout; a test holds it, so that a change also raises the version."""
    return hashlib.sha256("\n".join(ddl()).encode()).hexdigest()[:16]
