"""From the YAML of Felis to declared tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from typing_extensions import override

from obscore.declared.check import check_schema
from obscore.declared.felis import (
    FelisColumn,
    FelisForeignKey,
    FelisSchema,
    FelisTable,
    FelisUnique,
    validated,
)
from obscore.declared.tables import (
    DeclaredColumn,
    DeclaredIndex,
    DeclaredKey,
    DeclaredSchema,
    DeclaredTable,
)
from vodal.errors import UsageError
from vodal.tables.columns import Column

__all__ = ["FELIS_TYPES", "read_declaration"]

_LARGEST = 32 << 20
"""Characters of a declaration."""

FELIS_TYPES: dict[str, str] = {
    "boolean": "boolean",
    "byte": "unsignedByte",
    "short": "short",
    "int": "int",
    "long": "long",
    "float": "float",
    "double": "double",
    "char": "char",
    "string": "char",
    "unicode": "unicodeChar",
    "text": "char",
    "binary": "unsignedByte",
    "timestamp": "char",
}
"""VOTable's datatype for each of Felis."""

_SIZED = {"char", "string", "unicode", "binary"}


def read_declaration(text: str) -> tuple[DeclaredSchema, tuple[str, ...]]:
    """Read a declaration.

    Parameters
    ----------
    text
        YAML, one schema of Felis.

    Returns
    -------
    schema, notes
        The tables, and sentences about what is in the text and has no meaning here.

    Raises
    ------
    UsageError
        If it is no declaration, or one that cannot be followed; names the place and what is
        accepted.
    """
    document = _loaded(text)
    schema = validated(document)
    if schema.resources or any(table.column_refs for table in schema.tables):
        raise UsageError(
            "resources: columns of other files are not fetched; have them written into this one"
            " ('felis dump --dereference-resources' does)"
        )
    reader = _Reader(schema)
    declared = reader.schema()
    check_schema(declared)
    return declared, tuple(reader.notes)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Loads YAML in which no key comes twice."""

    @override
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                raise UsageError(f"line {line}: the key '{key.value[:40]}' comes twice")
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=True)
        return mapping


def _loaded(text: str) -> Mapping[str, Any]:
    if len(text) > _LARGEST:
        raise UsageError(f"a declaration has {_LARGEST >> 20} MB at most")
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise UsageError(f"{place}this is no YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"this is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise UsageError(
            "this is no declaration: a schema of Felis begins with 'name:' and has 'tables:'"
        )
    return document


@dataclass(slots=True)
class _Reader:
    """Makes values of one schema, looking ids up."""

    felis: FelisSchema
    notes: list[str] = field(default_factory=list)
    _columns: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Table and column by id."""

    def schema(self) -> DeclaredSchema:
        """Make the schema."""
        for table in self.felis.tables:
            for column in table.columns:
                key = column.id or f"#{table.name}.{column.name}"
                if self._columns.setdefault(key, (table.name, column.name)) != (
                    table.name,
                    column.name,
                ):
                    raise UsageError(f"two columns have the @id {key}")
        return DeclaredSchema(
            self.felis.name,
            tuple(self._table(table) for table in self.felis.tables),
            self.felis.description or None,
            self.felis.utype or None,
        )

    def _table(self, table: FelisTable) -> DeclaredTable:
        where = f"table {table.name}"
        if table.column_groups:
            self.notes.append(f"{where}: groups of columns are not kept")
        key = table.primary_key or []
        key = [key] if isinstance(key, str) else key
        indices = []
        for index in table.indexes:
            if index.columns is None:
                self.notes.append(
                    f"{where}: the index {index.name} is on an expression and is not made"
                )
                continue
            columns = self._own(table, index.columns, f"{where}, index {index.name}")
            indices.append(DeclaredIndex(index.name, columns, description=index.description))
        keys = []
        for rule in table.constraints:
            at = f"{where}, constraint {rule.name}"
            match rule:
                case FelisUnique():
                    columns = self._own(table, rule.columns, at)
                    indices.append(DeclaredIndex(rule.name, columns, True, rule.description))
                case FelisForeignKey():
                    keys.append(self._key(table, rule, at))
                case _:
                    self.notes.append(f"{at}: the condition is not looked at")
        return DeclaredTable(
            table.name,
            tuple(_column(item, f"{where}, column {item.name}") for item in table.columns),
            table.description or None,
            table.utype or None,
            self._own(table, key, f"{where}, primaryKey"),
            tuple(indices),
            tuple(keys),
            table.table_index,
        )

    def _key(self, table: FelisTable, rule: FelisForeignKey, where: str) -> DeclaredKey:
        found = [self._found(item, where) for item in rule.referenced_columns]
        if len({name for name, _ in found}) != 1:
            raise UsageError(f"{where}: referencedColumns are of several tables")
        return DeclaredKey(
            rule.name,
            self._own(table, rule.columns, where),
            found[0][0],
            tuple(column for _, column in found),
            rule.description or None,
            rule.utype or None,
        )

    def _own(self, table: FelisTable, ids: list[str], where: str) -> tuple[str, ...]:
        """Give the names of columns of a table."""
        found = [self._found(item, where) for item in ids]
        for name, column in found:
            if name != table.name:
                raise UsageError(f"{where}: {column} is a column of the table {name}")
        return tuple(column for _, column in found)

    def _found(self, key: str, where: str) -> tuple[str, str]:
        if key not in self._columns:
            raise UsageError(
                f"{where}: no column has the @id '{key[:120]}'; without an @id of its own it is"
                " '#table.column'"
            )
        return self._columns[key]


def _column(item: FelisColumn, where: str) -> DeclaredColumn:
    if item.datatype in _SIZED and item.length is None and item.arraysize is None:
        raise UsageError(f"{where}: the datatype {item.datatype} needs a length")
    if item.fits_unit and item.ivoa_unit:
        raise UsageError(f"{where}: give one of fits:tunit and ivoa:unit")
    xtype = item.xtype or ("timestamp" if item.datatype == "timestamp" else None)
    column = Column(
        item.name,
        item.votable_datatype or FELIS_TYPES[item.datatype],
        _arraysize(item),
        unit=item.ivoa_unit or item.fits_unit or None,
        ucd=item.ucd or None,
        utype=item.utype or None,
        xtype=xtype,
        description=item.description or None,
    )
    return DeclaredColumn(
        column, item.nullable, bool(item.principal), bool(item.std), item.column_index
    )


def _arraysize(item: FelisColumn) -> str | None:
    """Give the arraysize, by default the one that Felis takes."""
    if item.arraysize is not None:
        size = str(item.arraysize)
        # An array of one is a scalar (VOTable 1.3 Erratum 3).
        return None if size == "1" else size
    match item.datatype:
        case "text" | "timestamp":
            return "*"
        case "char":
            return None if item.length == 1 else str(item.length)
        case "string" | "unicode" | "binary":
            return f"{item.length}*"
        case _:
            return None
