"""Kinds of values, and the column metadata that expressions get."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from functools import lru_cache

from vodal.tables.columns import Column

__all__ = [
    "Kind",
    "is_geometry_column",
    "is_point_column",
    "kind_of",
    "mix",
    "result_column",
    "widened",
]


class Kind(Enum):
    """What can be done with a value."""

    INTEGER = "a whole number"
    REAL = "a number"
    TEXT = "a text"
    GEOMETRY = "a geometry"
    NULL = "NULL"
    OTHER = "an array"

    @property
    def numeric(self) -> bool:
        """Whether the value can be computed with; NULL can."""
        return self in {Kind.INTEGER, Kind.REAL, Kind.NULL}

    @property
    def textual(self) -> bool:
        """Whether the value can stand where a text is asked for; NULL can."""
        return self in {Kind.TEXT, Kind.NULL}


_KINDS = {
    "boolean": Kind.INTEGER,
    "bit": Kind.INTEGER,
    "unsignedByte": Kind.INTEGER,
    "short": Kind.INTEGER,
    "int": Kind.INTEGER,
    "long": Kind.INTEGER,
    "float": Kind.REAL,
    "double": Kind.REAL,
    "char": Kind.TEXT,
    "unicodeChar": Kind.TEXT,
}

_POINTS = {"point", "adql:point"}
_SHAPES = _POINTS | {
    "adql:region",
    "circle",
    "polygon",
    "range",
    "shape",
    "region",
    "adql:circle",
    "adql:polygon",
    "stc",
    "stc-s",
}


def kind_of(column: Column) -> Kind:
    """Give the kind of a column's values."""
    return _kind(column.datatype, column.arraysize)


@lru_cache(maxsize=1024)
def _kind(datatype: str, arraysize: str | None) -> Kind:
    kind = _KINDS.get(datatype, Kind.OTHER)
    return kind if kind is Kind.TEXT or arraysize in {None, "1"} else Kind.OTHER


def is_geometry_column(column: Column) -> bool:
    """Tell whether the texts, or the arrays, of a column are shapes."""
    return _is_geometry(column.xtype)


def _is_geometry(xtype: str | None) -> bool:
    return xtype is not None and xtype.lower() in _SHAPES


def is_point_column(column: Column) -> bool:
    """Tell whether the shapes of a column are points."""
    return column.xtype is not None and column.xtype.lower() in _POINTS


def result_column(kind: Kind, like: Column | None = None, **meta: str | None) -> Column:
    """Make the metadata of an expression's value.

    Parameters
    ----------
    kind
        Of the value.
    like
        Column whose unit is kept.
    **meta
        Fields of `Column` that are known better.
    """
    fields: dict[str, str | None] = {"unit": like.unit if like is not None else None, **meta}
    datatype = {
        Kind.INTEGER: "long",
        Kind.REAL: "double",
    }.get(kind, "char")
    arraysize = "*" if datatype == "char" else None
    if kind is Kind.GEOMETRY:
        fields.setdefault("xtype", "adql:REGION")
    return Column(name="", datatype=datatype, arraysize=arraysize, frame=None, **fields)


_BY_WIDTH = ("unsignedByte", "short", "int", "long", "float", "double")


def widened(first: Column, second: Column, kind: Kind) -> Column:
    """Give the first column's metadata with a type that holds the values of both.

    Parameters
    ----------
    first, second
        Columns that meet in a set operation.
    kind
        Of both.
    """
    if first.frame != second.frame:
        first = replace(first, frame=None)
    same = first.arraysize == second.arraysize
    if first.datatype == second.datatype:
        return first if same else replace(first, arraysize="*")
    if kind is Kind.OTHER:
        wider = max(first.datatype, second.datatype, key=_width)
        if _width(wider) == _BY_WIDTH.index("float"):
            # Whole numbers of 32 bits have digits that it has not.
            wider = "double"
        return replace(first, datatype=wider, arraysize=first.arraysize if same else "*")
    wide = result_column(kind)
    if kind is Kind.TEXT:
        wide = replace(wide, datatype="unicodeChar")
    return replace(first, datatype=wide.datatype, arraysize=wide.arraysize)


def mix(first: Column, second: Column, first_kind: Kind, second_kind: Kind) -> bool:
    """Tell whether arrays can meet in a set operation; anything else is told by its kind."""
    if not first_kind is second_kind is Kind.OTHER or first.datatype == second.datatype:
        return True
    return {first.datatype, second.datatype} <= set(_BY_WIDTH)


def _width(datatype: str) -> int:
    return _BY_WIDTH.index(datatype) if datatype in _BY_WIDTH else -1
