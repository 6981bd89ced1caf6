"""The tables of TAP_SCHEMA as they can be queried (TAP 1.1 section 4); `metadata` fills them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table

from obscore.adql.schema import ColumnDef, TableDef
from obscore.store import schema as store
from vodal.tables.columns import Column

__all__ = ["KEYS", "TAP_TABLES"]


def _tap_table(table: Table, description: str, columns: Mapping[str, str]) -> TableDef:
    """Declare a table of TAP_SCHEMA; ``columns`` describes each, in order."""
    keys = {column.name for column in table.primary_key}
    return TableDef(
        schema="TAP_SCHEMA",
        name=table.name.removeprefix("tap_schema_"),
        physical=table.name,
        columns=tuple(
            ColumnDef(
                Column(
                    name=name,
                    datatype="int" if str(table.c[name].type) == "INTEGER" else "char",
                    arraysize=None if str(table.c[name].type) == "INTEGER" else "*",
                    description=text,
                ),
                indexed=name in keys,
                principal=True,
                std=True,
            )
            for name, text in columns.items()
        ),
        description=description,
    )


TAP_TABLES = (
    _tap_table(
        store.tap_schemas,
        "The schemas of this service",
        {
            "schema_name": "Name of the schema",
            "utype": "Identifier in a data model",
            "description": "What the schema holds",
            "schema_index": "Recommended order of the schemas",
        },
    ),
    _tap_table(
        store.tap_tables,
        "The tables of this service",
        {
            "schema_name": "Schema the table belongs to",
            "table_name": "Name of the table, with its schema, as used in queries",
            "table_type": "table or view",
            "utype": "Identifier in a data model",
            "description": "What the table holds",
            "table_index": "Recommended order of the tables",
        },
    ),
    _tap_table(
        store.tap_columns,
        "The columns of this service's tables",
        {
            "table_name": "Table the column belongs to",
            "column_name": "Name of the column",
            "datatype": "Type, as VOTable names it",
            "arraysize": "Length of arrays and texts, as VOTable writes it",
            "xtype": "Finer type of the values",
            "size": "Length of arrays; deprecated in favour of arraysize",
            "description": "What the column holds",
            "utype": "Identifier in a data model",
            "unit": "Unit of the values",
            "ucd": "Unified content descriptor",
            "indexed": "1 if conditions on the column are fast",
            "principal": "1 if the column is one of the important ones",
            "std": "1 if a standard defines the column",
            "column_index": "Recommended order of the columns",
        },
    ),
    _tap_table(
        store.tap_keys,
        "Pairs of tables that can be joined",
        {
            "key_id": "Identifier of the pair",
            "from_table": "Table that refers",
            "target_table": "Table that is referred to",
            "utype": "Identifier in a data model",
            "description": "What the relation means",
        },
    ),
    _tap_table(
        store.tap_key_columns,
        "The columns by which the tables of keys are joined",
        {
            "key_id": "Identifier of the pair of tables",
            "from_column": "Column that refers",
            "target_column": "Column that is referred to",
        },
    ),
)

KEYS: tuple[tuple[str, str, str, str, str], ...] = (
    ("tables_schemas", "tables", "schemas", "schema_name", "schema_name"),
    ("columns_tables", "columns", "tables", "table_name", "table_name"),
    ("keys_from_tables", "keys", "tables", "from_table", "table_name"),
    ("keys_target_tables", "keys", "tables", "target_table", "table_name"),
    ("key_columns_keys", "key_columns", "keys", "key_id", "key_id"),
)
"""Key, referring table and target table of TAP_SCHEMA, own column and target column."""
