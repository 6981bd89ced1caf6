"""Declared tables as the YAML of Felis."""

from __future__ import annotations

from typing import Any

import yaml

from obscore.declared.reading import FELIS_TYPES
from obscore.declared.tables import DeclaredColumn, DeclaredSchema, DeclaredTable
from vodal.tables.columns import Column

__all__ = ["write_declaration"]

_BY_DATATYPE = {
    "boolean": "boolean",
    "bit": "boolean",
    "unsignedByte": "byte",
    "short": "short",
    "int": "int",
    "long": "long",
    "float": "float",
    "double": "double",
    "floatComplex": "float",
    "doubleComplex": "double",
}
"""Felis' type for a datatype of VOTable that is no text."""


def write_declaration(schema: DeclaredSchema, comments: tuple[str, ...] = ()) -> str:
    """Write tables as a schema of Felis.

    Parameters
    ----------
    schema
        The tables.
    comments
        Lines for the beginning.
    """
    text: str = yaml.safe_dump(
        _Writer(schema).document(), sort_keys=False, allow_unicode=True, width=100
    )
    return "".join(f"# {line}\n" for line in comments) + text


class _Writer:
    """Makes a document of one schema, and the ids in it."""

    def __init__(self, schema: DeclaredSchema) -> None:
        self._schema = schema
        self._taken: set[str] = set()
        self._rules: set[str] = set()
        self._schema_id = self._id(schema.name)
        self._tables = {table.name: self._id(table.name) for table in schema.tables}
        self._columns = {
            (table.name, item.name): self._id(f"{table.name}.{item.name}")
            for table in schema.tables
            for item in table.columns
        }

    def _id(self, stem: str) -> str:
        """Make an id that nothing else has."""
        key, number = f"#{stem}", 2
        while key in self._taken:
            key = f"#{stem}_{number}"
            number += 1
        self._taken.add(key)
        return key

    def _rule(self, name: str, table: str) -> dict[str, Any]:
        """Name an index or a constraint; tables declared apart may have given one name twice."""
        given, number = name or f"{table}_key", 2
        while given.lower() in self._rules:
            given = f"{table}_{name}" if number == 2 else f"{table}_{name}_{number}"
            number += 1
        self._rules.add(given.lower())
        return {"name": given, "@id": self._id(given)}

    def document(self) -> dict[str, Any]:
        """Make the document."""
        return {
            "name": self._schema.name,
            "@id": self._schema_id,
            **_given(
                {
                    "description": self._schema.description,
                    "votable:utype": self._schema.utype,
                }
            ),
            "tables": [self._table(table) for table in self._schema.tables],
        }

    def _table(self, table: DeclaredTable) -> dict[str, Any]:
        key = [self._columns[table.name, name] for name in table.primary_key]
        return {
            "name": table.name,
            "@id": self._tables[table.name],
            **_given(
                {
                    "description": table.description,
                    "votable:utype": table.utype,
                    "tap:table_index": table.table_index,
                    "primaryKey": key[0] if len(key) == 1 else key or None,
                }
            ),
            "columns": [
                {
                    "name": item.name,
                    "@id": self._columns[table.name, item.name],
                    **_column(item),
                }
                for item in table.columns
            ],
            **_given(
                {
                    "constraints": self._constraints(table) or None,
                    "indexes": self._indexes(table) or None,
                }
            ),
        }

    def _constraints(self, table: DeclaredTable) -> list[dict[str, Any]]:
        unique = [
            {
                **self._rule(index.name, table.name),
                "@type": "Unique",
                **_given({"description": index.description}),
                "columns": [self._columns[table.name, name] for name in index.columns],
            }
            for index in table.indices
            if index.unique
        ]
        keys = [
            {
                **self._rule(key.name, table.name),
                "@type": "ForeignKey",
                **_given({"description": key.description, "votable:utype": key.utype}),
                "columns": [self._columns[table.name, name] for name in key.columns],
                "referencedColumns": [
                    self._columns[key.target_table, name] for name in key.target_columns
                ],
            }
            for key in table.foreign_keys
            # A part of a schema is written without the keys to the rest.
            if key.target_table in self._tables
        ]
        return unique + keys

    def _indexes(self, table: DeclaredTable) -> list[dict[str, Any]]:
        return [
            {
                **self._rule(index.name, table.name),
                **_given({"description": index.description}),
                "columns": [self._columns[table.name, name] for name in index.columns],
            }
            for index in table.indices
            if not index.unique
        ]


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _column(item: DeclaredColumn) -> dict[str, Any]:
    column = item.column
    kind = _felis_type(column)
    written: dict[str, Any] = {"datatype": kind}
    if kind in {"char", "string", "unicode"}:
        written["length"] = int((column.arraysize or "1").removesuffix("*"))
    if FELIS_TYPES[kind] != column.datatype:
        written["votable:datatype"] = column.datatype
    if column.arraysize is not None:
        written["votable:arraysize"] = column.arraysize
    if not item.nullable:
        written["nullable"] = False
    return written | _given(
        {
            "description": column.description,
            "ivoa:ucd": column.ucd,
            "ivoa:unit": column.unit,
            "votable:utype": column.utype,
            "votable:xtype": column.xtype,
            "tap:principal": 1 if item.principal else None,
            "tap:std": 1 if item.std else None,
            "tap:column_index": item.column_index,
        }
    )


def _felis_type(column: Column) -> str:
    """Choose the type of Felis that says most; the rest is in keys of their own."""
    if column.datatype not in {"char", "unicodeChar"}:
        return _BY_DATATYPE[column.datatype]
    size = column.arraysize or "1"
    if size.isdigit():
        return "char"
    if column.xtype == "timestamp":
        return "timestamp"
    if not size.removesuffix("*").isdigit():
        return "text"
    return "unicode" if column.datatype == "unicodeChar" else "string"
