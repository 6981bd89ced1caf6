"""Schemas, tables and columns as values, and the VOSI-tables documents (VOSI 1.1 section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from vodal.tables.columns import Column

__all__ = [
    "Detail",
    "ForeignKey",
    "TableColumn",
    "TableDescription",
    "TableSchema",
    "schema_elements",
    "table_document",
    "tableset_document",
]

Detail = Literal["min", "max"]
"""``min`` leaves out columns and foreign keys."""

_NAMESPACES = {
    "xmlns:vosi": "http://www.ivoa.net/xml/VOSITables/v1.0",
    "xmlns:vs": "http://www.ivoa.net/xml/VODataService/v1.1",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column and its flags."""

    column: Column
    principal: bool = False
    indexed: bool = False
    std: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns of a table that point to columns of another."""

    key_id: str
    target_table: str
    columns: tuple[tuple[str, str], ...]
    """Pairs of own and target column."""
    description: str | None = None


@dataclass(frozen=True, slots=True)
class TableDescription:
    """One table."""

    name: str
    """With its schema: ``ivoa.obscore``."""
    columns: tuple[TableColumn, ...]
    description: str | None = None
    utype: str | None = None
    kind: Literal["table", "view"] = "table"
    foreign_keys: tuple[ForeignKey, ...] = ()


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A named group of tables."""

    name: str
    tables: tuple[TableDescription, ...]
    description: str | None = None
    utype: str | None = None


def _texts(parent: Element, **texts: str | None) -> None:
    """Append the texts that are there, each as an element."""
    for tag, text in texts.items():
        if text:
            SubElement(parent, tag).text = text


def _column_element(item: TableColumn) -> Element:
    column = item.column
    element = Element("column")
    _texts(
        element,
        name=column.name,
        description=column.description,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
    )
    kind = SubElement(element, "dataType", {"xsi:type": "vs:VOTableType"})
    if column.arraysize is not None:
        kind.set("arraysize", column.arraysize)
    if column.xtype is not None:
        kind.set("extendedType", column.xtype)
    kind.text = column.datatype
    for flag in ("indexed", "principal", "std"):
        if getattr(item, flag):
            SubElement(element, "flag").text = flag
    return element


def _fill_table(element: Element, table: TableDescription, detail: Detail) -> None:
    element.set("type", table.kind)
    _texts(element, name=table.name, description=table.description, utype=table.utype)
    if detail == "min":
        return
    element.extend(_column_element(item) for item in table.columns)
    for key in table.foreign_keys:
        foreign = SubElement(element, "foreignKey")
        SubElement(foreign, "targetTable").text = key.target_table
        for own, target in key.columns:
            pair = SubElement(foreign, "fkColumn")
            _texts(pair, fromColumn=own, targetColumn=target)
        _texts(foreign, description=key.description)


def schema_elements(schemas: Sequence[TableSchema], detail: Detail = "max") -> list[Element]:
    """Make the ``schema`` elements of a ``vs:TableSet``."""
    made = []
    for schema in schemas:
        group = Element("schema")
        _texts(group, name=schema.name, description=schema.description, utype=schema.utype)
        for table in schema.tables:
            _fill_table(SubElement(group, "table"), table, detail)
        made.append(group)
    return made


def tableset_document(schemas: Sequence[TableSchema], detail: Detail = "max") -> bytes:
    """Write the document of all tables as UTF-8 XML."""
    root = Element("vosi:tableset", _NAMESPACES)
    root.extend(schema_elements(schemas, detail))
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def table_document(table: TableDescription, detail: Detail = "max") -> bytes:
    """Write the document of one table as UTF-8 XML."""
    root = Element("vosi:table", _NAMESPACES)
    _fill_table(root, table, detail)
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document
