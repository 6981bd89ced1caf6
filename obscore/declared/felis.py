"""The form in which a declaration is written: a schema of Felis, as models.

Felis (https://felis.lsst.io) describes a schema of tables in YAML: each object has a ``name`` and
an ``@id``, which is made of the names where it is not given; indices and keys point to columns by
these. Keys that say how some database is to make a table (``mysql:engine``, ``autoincrement``) are
read and have no meaning here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vodal.errors import UsageError

__all__ = [
    "FelisColumn",
    "FelisForeignKey",
    "FelisSchema",
    "FelisTable",
    "FelisUnique",
    "validated",
]

FelisType = Literal[
    "boolean",
    "byte",
    "short",
    "int",
    "long",
    "float",
    "double",
    "char",
    "string",
    "unicode",
    "text",
    "binary",
    "timestamp",
]

Flag = Annotated[int, Field(ge=0, le=1)]


class _Felis(BaseModel):
    """What all objects share."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: str
    id: str | None = Field(None, alias="@id")
    description: str | None = None
    utype: str | None = Field(None, alias="votable:utype")


class FelisColumn(_Felis):
    """A column."""

    datatype: FelisType
    length: int | None = Field(None, gt=0)
    precision: int | None = None
    nullable: bool = True
    value: str | int | float | bool | None = None
    autoincrement: bool | None = None
    ucd: str | None = Field(None, alias="ivoa:ucd")
    fits_unit: str | None = Field(None, alias="fits:tunit")
    ivoa_unit: str | None = Field(None, alias="ivoa:unit")
    column_index: int | None = Field(None, alias="tap:column_index")
    principal: Flag | None = Field(0, alias="tap:principal")
    std: Flag | None = Field(0, alias="tap:std")
    arraysize: int | str | None = Field(None, alias="votable:arraysize")
    xtype: str | None = Field(None, alias="votable:xtype")
    votable_datatype: str | None = Field(None, alias="votable:datatype")
    mysql_datatype: str | None = Field(None, alias="mysql:datatype")
    postgresql_datatype: str | None = Field(None, alias="postgresql:datatype")


class _FelisConstraint(_Felis):
    deferrable: bool = False
    initially: str | None = None


class FelisCheck(_FelisConstraint):
    """A condition on each row."""

    type: Literal["Check"] = Field(alias="@type")
    expression: str


class FelisUnique(_FelisConstraint):
    """Columns whose values no two rows share."""

    type: Literal["Unique"] = Field(alias="@type")
    columns: list[str] = Field(min_length=1)


class FelisForeignKey(_FelisConstraint):
    """Columns that hold the values of columns of another table."""

    type: Literal["ForeignKey"] = Field(alias="@type")
    columns: list[str] = Field(min_length=1)
    referenced_columns: list[str] = Field(alias="referencedColumns", min_length=1)
    on_delete: str | None = None
    on_update: str | None = None


FelisConstraint = Annotated[FelisCheck | FelisUnique | FelisForeignKey, Field(discriminator="type")]


class FelisIndex(_Felis):
    """An index."""

    columns: list[str] | None = None
    expressions: list[str] | None = None


class FelisTable(_Felis):
    """A table."""

    primary_key: str | list[str] | None = Field(None, alias="primaryKey")
    table_index: int | None = Field(None, alias="tap:table_index")
    mysql_engine: str | None = Field(None, alias="mysql:engine")
    mysql_charset: str | None = Field(None, alias="mysql:charset")
    column_refs: dict[str, Any] = Field(default_factory=dict, alias="columnRefs")
    columns: list[FelisColumn] = Field(default_factory=list)
    column_groups: list[Any] = Field(default_factory=list, alias="columnGroups")
    constraints: list[FelisConstraint] = Field(default_factory=list)
    indexes: list[FelisIndex] = Field(default_factory=list)


class FelisSchema(_Felis):
    """A schema."""

    version: str | dict[str, Any] | None = None
    resources: dict[str, Any] = Field(default_factory=dict)
    tables: list[FelisTable]


def validated(document: Mapping[str, Any]) -> FelisSchema:
    """See that a document has the form of a schema.

    Raises
    ------
    UsageError
        If it has not; names each key and what is accepted.
    """
    try:
        return FelisSchema.model_validate(document)
    except ValidationError as error:
        faults = [
            f"{_place(fault['loc'], document)}: {_reason(fault['type'], fault['msg'])}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise UsageError("; ".join(faults[:5]) + more) from None


def _reason(kind: str, message: str) -> str:
    match kind:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "is not given"
        case _:
            return message[:1].lower() + message[1:]


def _place(loc: tuple[int | str, ...], document: object) -> str:
    """Write where a fault is, with names in place of numbers."""
    words: list[str] = []
    value = document
    for part in loc:
        if isinstance(part, int) and isinstance(value, list) and part < len(value):
            value = value[part]
            name = value.get("name") if isinstance(value, dict) else None
            words[-1:] = [f"{words[-1]}[{part if name is None else name}]"] if words else []
        elif isinstance(value, dict) and part in value:
            value = value[part]
            words.append(str(part))
        elif isinstance(value, dict) and part not in {"Check", "Unique", "ForeignKey"}:
            words.append(str(part))
    return ".".join(words) or "the document"
