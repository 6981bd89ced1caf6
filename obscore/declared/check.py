"""What a declaration must keep to.

UCDs and units are looked at with astropy's rules, which are those of Felis too.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence

from obscore.adql.types import is_geometry_column
from obscore.declared.names import check_name, check_schema_name
from obscore.declared.tables import DeclaredColumn, DeclaredSchema, DeclaredTable
from vodal.errors import UsageError
from vodal.tables.columns import Column

__all__ = ["MAX_COLUMNS", "check_schema", "clean_text", "is_ucd", "is_unit"]

MAX_COLUMNS = 1000
"""Of one table; a query's result holds 1500."""

_DATATYPES = (
    "boolean",
    "bit",
    "unsignedByte",
    "short",
    "int",
    "long",
    "float",
    "double",
    "char",
    "unicodeChar",
    "floatComplex",
    "doubleComplex",
)
_ARRAYSIZE = re.compile(r"(?:[1-9][0-9]{0,8}x)*(?:[1-9][0-9]{0,8}\*?|\*)")


_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 or UTF-8 cannot carry."""


def check_schema(schema: DeclaredSchema) -> None:
    """See that tables can be published as they are declared.

    Raises
    ------
    UsageError
        If they cannot; names the table, the column and what is accepted.
    """
    check_schema_name(schema.name)
    if not schema.tables:
        raise UsageError(f"schema {schema.name}: there are no tables")
    _check_distinct([table.name for table in schema.tables], f"schema {schema.name}", "tables")
    indices = [index.name for table in schema.tables for index in table.indices if not index.unique]
    rules = [key.name for table in schema.tables for key in table.foreign_keys]
    rules += [index.name for table in schema.tables for index in table.indices if index.unique]
    _check_distinct(indices, f"schema {schema.name}", "indices")
    _check_distinct(rules, f"schema {schema.name}", "constraints")
    _check_texts(f"schema {schema.name}", schema.description, schema.utype)
    for table in schema.tables:
        check_name(table.name, f"schema {schema.name}, a table")
        _check_table(table, {other.name: other for other in schema.tables})


def _check_distinct(names: Iterable[str], where: str, what: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise UsageError(
                f"{where}: two {what} are called {other} and {name}; names differ by more than case"
            )


def _check_table(table: DeclaredTable, tables: dict[str, DeclaredTable]) -> None:
    where = f"table {table.name}"
    if not 0 < len(table.columns) <= MAX_COLUMNS:
        raise UsageError(f"{where}: there are {len(table.columns)} columns; 1 to {MAX_COLUMNS} do")
    _check_distinct([item.name for item in table.columns], where, "columns")
    for item in table.columns:
        check_name(item.name, f"{where}, a column")
        _check_column(item, f"{where}, column {item.name}")
    _check_texts(where, table.description, table.utype)
    _check_columns(table, table.primary_key, f"{where}, primary key")
    for name in table.primary_key:
        if table.columns[table.place(name)].nullable:
            raise UsageError(
                f"{where}, primary key: the column {name} may be NULL; give it 'nullable: false'"
            )
    _check_indices(table, where)
    for key in table.foreign_keys:
        at = f"{where}, foreign key {key.name}"
        check_name(key.name, f"{where}, a foreign key")
        _check_texts(at, key.description, key.utype)
        _check_columns(table, key.columns, at)
        target = tables.get(key.target_table)
        if target is None:
            raise UsageError(f"{at}: there is no table {key.target_table} in this schema")
        _check_columns(target, key.target_columns, at)
        if len(key.columns) != len(key.target_columns):
            raise UsageError(f"{at}: there are not as many columns as those it refers to")


def _check_indices(table: DeclaredTable, where: str) -> None:
    spatial = []
    for index in table.indices:
        what = "constraint" if index.unique else "index"
        check_name(index.name, f"{where}, an index")
        _check_texts(f"{where}, {what} {index.name}", index.description)
        _check_columns(
            table, index.columns, f"{where}, {what} {index.name}", geometry=not index.unique
        )
        if table.is_spatial(index):
            spatial.append(len(index.columns))
    if len(spatial) != len(set(spatial)):
        raise UsageError(
            f"{where}: a table has one spatial index on a position and one on a column of geometry"
        )


def _check_columns(
    table: DeclaredTable, names: Sequence[str], where: str, *, geometry: bool = False
) -> None:
    known = {item.name: item.column for item in table.columns}
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: the table {table.name} has no column {name}")
    if len(set(names)) < len(names):
        raise UsageError(f"{where}: a column comes twice")
    columns = [known[name] for name in names]
    if geometry and len(columns) == 1 and is_geometry_column(columns[0]):
        return
    for column in columns:
        if _is_array(column):
            raise UsageError(f"{where}: the column {column.name} is an array, which has no order")


def _is_array(column: Column) -> bool:
    if column.datatype in {"char", "unicodeChar"}:
        return False
    return column.arraysize is not None or column.datatype.endswith("Complex")


def _check_texts(where: str, *texts: str | None) -> None:
    for text in texts:
        found = _NO_TEXT.search(text or "")
        if found is not None:
            raise UsageError(
                f"{where}: the text {(text or '')[:40]!r} has the character"
                f" U+{ord(found[0]):04X}, which no document can hold"
            )


def _check_column(item: DeclaredColumn, where: str) -> None:
    column = item.column
    _check_texts(where, column.description, column.utype, column.xtype, column.unit, column.ucd)
    if column.datatype not in _DATATYPES:
        raise UsageError(
            f"{where}: the datatype '{column.datatype[:40]}' is none of VOTable's:"
            f" {', '.join(_DATATYPES)}"
        )
    if column.arraysize is not None and not _ARRAYSIZE.fullmatch(column.arraysize):
        raise UsageError(
            f"{where}: the arraysize '{column.arraysize[:40]}' is not written like 3, 2x3, *, 10*"
            " or 2x*"
        )
    if column.ucd and not is_ucd(column.ucd):
        raise UsageError(
            f"{where}: '{column.ucd[:80]}' is no UCD1+ (https://www.ivoa.net/documents/UCD1+)"
        )
    if column.unit and not is_unit(column.unit):
        raise UsageError(
            f"{where}: '{column.unit[:80]}' is no unit; write it like deg, mJy or km.s**-1"
        )


def clean_text(text: str | None) -> str | None:
    """Leave out of a text what no document can hold; None if nothing is left."""
    return _NO_TEXT.sub("", text or "").strip() or None


def is_ucd(text: str) -> bool:
    """Tell whether a text is a UCD of words of the IVOA's vocabulary."""
    from astropy.io.votable.ucd import parse_ucd  # noqa: PLC0415 - takes time to load

    try:
        parse_ucd(text, check_controlled_vocabulary=True, has_colon=";" in text)
    except ValueError:
        return False
    return True


def is_unit(text: str) -> bool:
    """Tell whether a text is a unit that programs understand."""
    from astropy import units  # noqa: PLC0415 - takes time to load

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            units.Unit(text)
    except (ValueError, TypeError):
        return False
    return True
