"""What the TAP service publishes: the tables for the translator, TAP_SCHEMA and VOSI.

All three are made from one list of table definitions (`PUBLISHED`) and from what the site has
published beside them, so that they always agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from sqlalchemy import Table

from obscore.adql.schema import ColumnDef, FacetTable, Schema, SpatialIndex, TableDef
from obscore.adql.tokens import delimited
from obscore.columns import COLUMNS, ObsCoreColumn
from obscore.declared.publication import NOTHING, Publication, column_defs
from obscore.declared.tables import DeclaredKey, DeclaredSchema, DeclaredTable
from obscore.store import schema as store
from obscore.store.extra import column_def
from obscore.tap.tap_schema import KEYS, TAP_TABLES
from vodal.tables.columns import Column
from vodal.vosi.tableset import ForeignKey, TableColumn, TableDescription, TableSchema

__all__ = ["LINKS_PATH", "PUBLISHED", "encode_id", "own_tables", "tableset", "tap_schema_rows"]

DATALINK_FORMAT = "application/x-votable+xml;content=datalink"
"""Media type of a DataLink document, spelt as pyvo compares it: without a blank."""

LINKS_PATH = "/datalink/links?ID="
"""What stands between the site's address and an identifier in ``access_url``."""

_ENCODED = {code: quote(chr(code), safe="") for code in range(128)}


def encode_id(did: str) -> str:
    """Percent-encode an identifier as a parameter's value."""
    return did.translate(_ENCODED) if did.isascii() else quote(did, safe="")


_MADE_COLUMNS = {
    # The base URL is that of the request, so that a site can move.
    "access_url": (
        f"({{base_url}} || '{LINKS_PATH}' || {{adql}}encode_id({{alias}}.obs_publisher_did))"
    ),
    "access_format": f"'{DATALINK_FORMAT}'",
}


def _obscore_column(item: ObsCoreColumn) -> ColumnDef:
    return ColumnDef(
        item.column,
        sql=_MADE_COLUMNS.get(item.name),
        made_of="obs_publisher_did" if item.name == "access_url" else None,
        indexed=item.indexed or item.name in {"s_ra", "s_dec", "s_region"},
        any_case=item.name == "obs_publisher_did",
        nullable=item.nullable,
        principal=item.mandatory,
        std=item.mandatory,
    )


_OBSCORE = TableDef(
    schema="ivoa",
    name="obscore",
    physical=store.obscore.name,
    columns=tuple(_obscore_column(item) for item in COLUMNS),
    description="Observations of this archive: one row for each image or cube, as ObsCore 1.1",
    utype="ivo://ivoa.net/std/obscore#table-1.1",
    spatial=SpatialIndex(
        region_column="s_region",
        region_sql="s_region_shape",
        point_columns=("s_ra", "s_dec"),
        rtree=store.RTREE,
        key="id",
    ),
    facets=FacetTable(
        store.facets.name, frozenset(item.name for item in store.FACET_COLUMNS), "products"
    ),
)


def _told(name: str, ucd: str | None, description: str, **more: Any) -> ColumnDef:
    xtype = more.pop("xtype", None)
    column = Column(name, "char", "*", ucd=ucd, xtype=xtype, description=description)
    return ColumnDef(column, **more)


_TOMBSTONES = TableDef(
    schema="skylane",
    name="tombstones",
    physical=store.tombstones.name,
    columns=(
        _told(
            "obs_publisher_did", "meta.ref.ivoid", "Identifier that the product had",
            indexed=True, nullable=False, principal=True,
        ),
        _told("obs_collection", "meta.id", "Collection it was in", nullable=False, principal=True),
        _told(
            "deleted", "time.processing", "When it went, UTC; as ivoa.obscore's last_modified",
            indexed=True, nullable=False, principal=True, xtype="timestamp",
        ),
        _told(
            "kind", "meta.code",
            "retracted by the publisher; vanished with its file; or withdrawn, as its file does not"
            " give it any more",
            nullable=False,
        ),
        _told("reason", "meta.note", "Why, in words"),
    ),
    description="Products that were in ivoa.obscore and are not any more",
)  # fmt: skip

PUBLISHED = Schema((_OBSCORE, *TAP_TABLES, _TOMBSTONES))
"""The tables of the program that a query can name, as they are where a site adds no column."""

_SCHEMAS = {
    "ivoa": "Tables whose form the International Virtual Observatory Alliance defines",
    "TAP_SCHEMA": "Tables that describe the tables of this service",
    "skylane": "What this service tells of itself",
}


def own_tables(beside: Publication = NOTHING) -> Schema:
    """Give the tables of the program, with the columns that the site has added to them."""
    if not beside.extra:
        return PUBLISHED
    columns = (*_OBSCORE.columns, *map(column_def, beside.extra))
    return Schema((replace(_OBSCORE, columns=columns), *PUBLISHED.tables[1:]))


def tap_schema_rows(beside: Publication = NOTHING) -> dict[Table, Sequence[dict[str, object]]]:
    """Make the content of TAP_SCHEMA: rows by table, each with all columns of its table.

    Parameters
    ----------
    beside
        What the site has published beside the program's own tables.
    """
    schemas, tables, columns = _own_rows(own_tables(beside))
    keys: list[dict[str, object]] = [
        {
            "key_id": key,
            "from_table": f"TAP_SCHEMA.{source}",
            "target_table": f"TAP_SCHEMA.{target}",
            "utype": None,
            "description": None,
        }
        for key, source, target, _, _ in KEYS
    ]
    pairs: list[dict[str, object]] = [
        {"key_id": key, "from_column": own, "target_column": other}
        for key, _, _, own, other in KEYS
    ]
    for group in beside.schemas:
        schemas.append(_schema_row(group.name, group.description, group.utype, len(schemas)))
        for table in group.tables:
            name = _full_name(group, table.name)
            place = len(tables) if table.table_index is None else table.table_index
            tables.append(_table_row(group.name, name, table.description, table.utype, place))
            for at, (item, declared) in enumerate(
                zip(column_defs(table), table.columns, strict=True)
            ):
                index = declared.column_index
                columns.append(_column_row(name, item, at if index is None else index))
            for key_id, key in _key_ids(group, table):
                keys.append(
                    {
                        "key_id": key_id,
                        "from_table": name,
                        "target_table": _full_name(group, key.target_table),
                        "utype": key.utype,
                        "description": key.description,
                    }
                )
                pairs += [
                    {"key_id": key_id, "from_column": own, "target_column": target}
                    for own, target in _key_pairs(key)
                ]
    return {
        store.tap_schemas: schemas,
        store.tap_tables: tables,
        store.tap_columns: columns,
        store.tap_keys: keys,
        store.tap_key_columns: pairs,
    }


def _own_rows(
    own: Schema,
) -> tuple[list[dict[str, object]], list[dict[str, object]], list[dict[str, object]]]:
    """Make the rows of schemas, tables and columns for the program's own tables."""
    schemas = [
        _schema_row(name, text, None, place) for place, (name, text) in enumerate(_SCHEMAS.items())
    ]
    tables = [
        _table_row(table.schema, table.full_name, table.description, table.utype, place)
        for place, table in enumerate(own.tables)
    ]
    columns = [
        _column_row(table.full_name, item, place)
        for table in own.tables
        for place, item in enumerate(table.columns)
    ]
    return schemas, tables, columns


def _schema_row(
    name: str, description: str | None, utype: str | None, place: int
) -> dict[str, object]:
    return {
        "schema_name": delimited(name),
        "utype": utype,
        "description": description,
        "schema_index": place,
    }


def _table_row(
    schema: str, name: str, description: str | None, utype: str | None, place: int
) -> dict[str, object]:
    return {
        "schema_name": delimited(schema),
        "table_name": name,
        "table_type": "table",
        "utype": utype,
        "description": description,
        "table_index": place,
    }


def _column_row(table: str, item: ColumnDef, place: int) -> dict[str, object]:
    column = item.column
    size = column.arraysize if column.arraysize and column.arraysize.isdigit() else None
    return {
        "table_name": table,
        "column_name": delimited(column.name),
        "datatype": column.datatype,
        "arraysize": column.arraysize,
        "xtype": column.xtype,
        "size": None if size is None else int(size),
        "description": column.description,
        "utype": column.utype,
        "unit": column.unit,
        "ucd": column.ucd,
        "indexed": int(item.indexed),
        "principal": int(item.principal),
        "std": int(item.std),
        "column_index": place,
    }


def _full_name(schema: DeclaredSchema, table: str) -> str:
    return f"{delimited(schema.name)}.{delimited(table)}"


def _key_ids(schema: DeclaredSchema, table: DeclaredTable) -> Iterator[tuple[str, DeclaredKey]]:
    """Name the foreign keys of a table as no other is named."""
    for key in table.foreign_keys:
        # Names of keys are unique within a schema, and no key of the program's has a dot.
        yield f"{delimited(schema.name)}.{delimited(key.name)}", key


def _key_pairs(key: DeclaredKey) -> tuple[tuple[str, str], ...]:
    return tuple(
        (delimited(own), delimited(target))
        for own, target in zip(key.columns, key.target_columns, strict=True)
    )


def tableset(beside: Publication = NOTHING) -> tuple[TableSchema, ...]:
    """Describe the published tables for VOSI.

    Parameters
    ----------
    beside
        What the site has published beside the program's own tables.
    """
    own = tuple(
        TableSchema(
            name=name,
            description=text,
            tables=tuple(
                _table_description(table.full_name, table, table.columns, _own_keys(table))
                for table in own_tables(beside).tables
                if table.schema == name
            ),
        )
        for name, text in _SCHEMAS.items()
    )
    return own + tuple(
        TableSchema(
            name=delimited(group.name),
            description=group.description,
            utype=group.utype,
            tables=tuple(
                _table_description(
                    _full_name(group, table.name),
                    table,
                    column_defs(table),
                    tuple(
                        ForeignKey(
                            key_id,
                            _full_name(group, key.target_table),
                            _key_pairs(key),
                            key.description,
                        )
                        for key_id, key in _key_ids(group, table)
                    ),
                )
                for table in group.tables
            ),
        )
        for group in beside.schemas
    )


def _own_keys(table: TableDef) -> tuple[ForeignKey, ...]:
    return tuple(
        ForeignKey(key, f"TAP_SCHEMA.{target}", ((own, other),))
        for key, source, target, own, other in KEYS
        if table.full_name == f"TAP_SCHEMA.{source}"
    )


def _table_description(
    name: str,
    table: TableDef | DeclaredTable,
    columns: Sequence[ColumnDef],
    foreign_keys: tuple[ForeignKey, ...],
) -> TableDescription:
    return TableDescription(
        name=name,
        description=table.description,
        utype=table.utype,
        columns=tuple(
            TableColumn(
                replace(item.column, name=delimited(item.name)),
                item.principal,
                item.indexed,
                item.std,
            )
            for item in columns
        ),
        foreign_keys=foreign_keys,
    )
