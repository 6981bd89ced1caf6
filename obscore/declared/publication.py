"""What a store has published beside the tables of the program, at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from obscore.adql.schema import ColumnDef
from obscore.adql.tokens import delimited
from obscore.declared.check import check_schema
from obscore.declared.names import split_name
from obscore.declared.tables import DeclaredIndex, DeclaredSchema, DeclaredTable
from obscore.store.extra import StoredColumn, stored_columns
from vodal.errors import NotFoundError, UsageError

__all__ = [
    "NOTHING",
    "Publication",
    "PublishedTable",
    "column_defs",
    "counted_after",
    "merged",
    "publication_of",
    "refuse_loose_keys",
    "refuse_other_rows",
    "row_of",
    "same_values",
    "table_from_text",
    "table_to_text",
]

_DECLARATIONS: TypeAdapter[DeclaredTable] = TypeAdapter(DeclaredTable)


def table_to_text(table: DeclaredTable) -> str:
    """Give a declaration as the store keeps it."""
    return _DECLARATIONS.dump_json(table).decode()


def table_from_text(text: str) -> DeclaredTable:
    """Read a declaration as the store keeps it."""
    return _DECLARATIONS.validate_json(text)


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table and its rows."""

    schema: str
    table: DeclaredTable
    number: int
    """Of its rows: another one, once they are others."""
    rows: int
    loaded: str
    """When, UTC."""
    token: str
    """Tells its rows from others, in copies too."""

    @property
    def names(self) -> tuple[str, str]:
        """Schema and table as they are spelt."""
        return self.schema, self.table.name

    @property
    def full_name(self) -> str:
        """Schema and table as a query writes them."""
        return f"{delimited(self.schema)}.{delimited(self.table.name)}"


@dataclass(frozen=True, slots=True)
class Publication:
    """All published tables."""

    revision: int = 0
    """Raised by each change."""
    schemas: tuple[DeclaredSchema, ...] = ()
    tables: tuple[PublishedTable, ...] = ()
    """Of all schemas, in their order."""
    extra: tuple[StoredColumn, ...] = ()
    """Columns that were added to ``ivoa.obscore``, in their order."""

    def find(self, schema: str, table: str) -> PublishedTable | None:
        """Give a table, by its names as they are spelt."""
        for item in self.tables:
            if item.names == (schema, table):
                return item
        return None

    def kept(self, schema: str, table: DeclaredTable) -> PublishedTable | None:
        """Give a table under a new declaration, if its rows serve that as they are."""
        former = self.find(schema, table.name)
        if former is None or not table.is_kept_like(former.table):
            return None
        return replace(former, table=table)

    def named(self, text: str) -> PublishedTable:
        """Give the table that an operator names, in any case if that is clear.

        Raises
        ------
        UsageError
            If there is none.
        """
        parts = split_name(text)
        names = [item.names for item in self.tables]
        wanted = [tuple(part.lower() for part in name) for name in names]
        if len(parts) == 2:
            for number, name in enumerate(names):
                if name == parts or (
                    wanted[number] == tuple(part.lower() for part in parts) and parts not in names
                ):
                    return self.tables[number]
        there = ", ".join(item.full_name for item in self.tables[:12]) or "none"
        raise NotFoundError(f"there is no published table '{text[:80]}'; there is {there}")

    def schema(self, name: str) -> DeclaredSchema | None:
        """Give a schema, by its name as it is spelt."""
        return next((item for item in self.schemas if item.name == name), None)


NOTHING = Publication()
"""What a store has published where there is nothing."""


def publication_of(
    revision: int,
    schemas: Iterable[Sequence[Any]],
    tables: Iterable[Sequence[Any]],
    extra: Iterable[Sequence[Any]],
) -> Publication:
    """Make a publication of the rows of the store's tables.

    Parameters
    ----------
    revision
        Of it.
    schemas
        Name, description and utype.
    tables
        Schema, number, declaration, rows, loaded, token.
    extra
        Number and declaration of the columns added to ``ivoa.obscore``.
    """
    made = [
        PublishedTable(
            str(schema), table_from_text(text), int(number), int(rows), str(loaded), str(token)
        )
        for schema, number, text, rows, loaded, token in tables
    ]
    groups = [
        DeclaredSchema(
            str(name),
            tuple(sorted((item.table for item in made if item.schema == name), key=_order)),
            description,
            utype,
        )
        for name, description, utype in sorted(schemas, key=lambda row: str(row[0]))
    ]
    by_name = {item.names: item for item in made}
    ordered = tuple(by_name[group.name, table.name] for group in groups for table in group.tables)
    return Publication(revision, tuple(groups), ordered, stored_columns(extra))


def _order(table: DeclaredTable) -> tuple[bool, int, str]:
    return table.table_index is None, table.table_index or 0, table.name


def merged(before: Publication, schema: DeclaredSchema) -> DeclaredSchema:
    """Put new declarations in place of former ones of the same names.

    Raises
    ------
    UsageError
        If they do not go together with the schema's other tables.
    """
    for other in before.schemas:
        if other.name.lower() == schema.name.lower() and other.name != schema.name:
            raise UsageError(
                f"there is a schema {other.name}; names of schemas differ by more than case"
            )
    there = before.schema(schema.name)
    new = {table.name for table in schema.tables}
    rest = () if there is None else tuple(item for item in there.tables if item.name not in new)
    whole = replace(schema, tables=(*rest, *schema.tables))
    check_schema(whole)
    return whole


def refuse_loose_keys(before: Publication, names: Sequence[tuple[str, str]]) -> None:
    """See that no key of another table leads nowhere once tables are gone.

    Parameters
    ----------
    before
        What is published.
    names
        Schema and name of each table that is to go.

    Raises
    ------
    UsageError
        If one would; names it.
    """
    for schema in before.schemas:
        for table in schema.tables:
            if (schema.name, table.name) in names:
                continue
            for key in table.foreign_keys:
                if (schema.name, key.target_table) in names:
                    raise UsageError(
                        f"the table {table.name} refers to {key.target_table} by its foreign key"
                        f" {key.name}; drop it too, or publish it without the key"
                    )


def column_defs(table: DeclaredTable) -> tuple[ColumnDef, ...]:
    """Say how queries find the columns of a table whose rows are kept as ``c1``, ``c2`` ..."""
    return tuple(
        ColumnDef(
            item.column,
            sql=f'{{alias}}."c{at}"',
            renamed=True,
            indexed=table.is_indexed(item.name),
            nullable=item.nullable,
            principal=item.principal,
            std=item.std,
        )
        for at, item in enumerate(table.columns, 1)
    )


def refuse_other_rows(
    before: Publication, schema: DeclaredSchema, loaded: Mapping[str, object]
) -> None:
    """See that rows which are kept serve the new declaration.

    Parameters
    ----------
    before
        What is published.
    schema
        What is to be.
    loaded
        Tables that get new rows, by name.

    Raises
    ------
    UsageError
        If columns, keys or indices of a table with rows have changed.
    """
    for table in schema.tables:
        former = before.find(schema.name, table.name)
        if former is None or table.name in loaded or not former.rows:
            continue
        if not table.is_kept_like(former.table):
            raise UsageError(
                f"table {table.name}: columns, keys or indices are not those that its"
                f" {former.rows:,} rows were loaded for; give the rows too (--data FILE)"
            )


def row_of(item: PublishedTable) -> dict[str, object]:
    """Give a table as the store keeps it, by the columns of ``published_tables``."""
    return {
        "schema_name": item.schema,
        "table_name": item.table.name,
        "number": item.number,
        "declaration": table_to_text(item.table),
        "rows": item.rows,
        "loaded": item.loaded,
        "token": item.token,
    }


def counted_after(
    done: int, total: int, progress: Callable[[int, int], None] | None
) -> Callable[[int], None]:
    """Make what counts the rows of one table after those of others."""
    return lambda count: None if progress is None else progress(done + count, total)


def same_values(table: DeclaredTable, index: DeclaredIndex, values: Sequence[object]) -> UsageError:
    """Make the error of rows that share what no two may share.

    Parameters
    ----------
    table, index
        What says so.
    values
        The columns' values that come twice.
    """
    what = f"constraint {index.name}" if index.name else "primary key"
    shown = ", ".join(str(value)[:40] for value in values)
    return UsageError(
        f"table {table.name}, {what}: two rows have the same {', '.join(index.columns)}: {shown}"
    )
