"""The tables of `obscore.store.schema` as PostgreSQL has them.

They are the same tables with the same columns; ``obscore`` has two more, for the functions and the
index that do in PostgreSQL what the R*Tree does in SQLite. Tables and functions lie in a schema of
their own, which each connection has first in its search path, so that statements name them
without it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Executable, Index, MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import UserDefinedType
from typing_extensions import override

from obscore.store import schema

__all__ = [
    "METADATA",
    "PUBLISHED_TABLES",
    "SCircle",
    "facets",
    "files",
    "footprint_blocks",
    "installed",
    "obscore",
    "sql",
]


class SCircle(UserDefinedType[str]):
    """A circle of pg_sphere, in radians."""

    cache_ok = True

    @override
    def get_col_spec(self, **_: Any) -> str:
        """Give the type's name in DDL."""
        return "scircle"

    @property
    @override
    def python_type(self) -> type[str]:
        return str


METADATA = MetaData()
for _table in schema.METADATA.sorted_tables:
    _table.to_metadata(METADATA)

files = METADATA.tables["files"]
facets = METADATA.tables["facets"]
footprint_blocks = METADATA.tables["footprint_blocks"]
obscore = METADATA.tables["obscore"]

# NULL comes first in users' queries, and so in the indexes that give their order.
for _index in sorted(obscore.indexes, key=lambda index: str(index.name)):
    (_column,) = _index.columns
    if _column.nullable:
        obscore.indexes.remove(_index)
        Index(_index.name, _column.nulls_first())

# The footprint as the SQL functions read it (`obscore.adql.postgres.shapes.shape_array`), and
# the cap that the spatial index keeps (`row_cap` there).
obscore.append_column(Column("s_region_array", postgresql.ARRAY(postgresql.DOUBLE_PRECISION())))
obscore.append_column(Column("s_cap", SCircle()))
Index("ix_obscore_s_cap", obscore.c.s_cap, postgresql_using="gist")

# A column of a later layout stands behind them in a store that was brought up.
_later = obscore.c.last_modified
obscore._columns.remove(_later)  # noqa: SLF001 - SQLAlchemy has no public way
obscore._columns.add(_later)  # noqa: SLF001

installed = Table(
    "installed",
    METADATA,
    Column("name", postgresql.TEXT(), primary_key=True),
    Column("digest", postgresql.TEXT(), nullable=False),
)
"""What was put into the database beside the tables, by the digest of its text."""

PUBLISHED_TABLES: tuple[str, ...] = tuple(
    sorted(schema.PUBLISHED_TABLES & frozenset(METADATA.tables))
)
"""What a user's query may read."""

_DIALECT = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]


def sql(statement: ClauseElement | Executable) -> str:
    """Compile a statement to SQL with named parameters as psycopg takes them, bound later."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=_DIALECT)
    assert not any(value is not None for value in (compiled.params or {}).values())
    return str(compiled)
