"""What a query can see: tables, their columns and how each is kept in the database.

Frozen values that whoever owns the database makes once; the resolver looks names up in them by
ADQL's rules: an unquoted name meets any case, a delimited one only its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from obscore.adql.tokens import delimited
from vodal.tables.columns import Column

__all__ = ["Among", "ColumnDef", "FacetTable", "RowFilter", "Schema", "SpatialIndex", "TableDef"]


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """One column that a query can name."""

    column: Column
    sql: str | None = None
    """SQL expression for a column that is not kept under its own name, as both databases take it.
    ``{alias}`` stands for the table, ``{base_url}`` for the one parameter that it may use, which
    the caller binds, and ``{adql}`` for what comes before the name of a function of ours."""
    renamed: bool = False
    """Whether ``sql`` is no more than the column under the name that the database has for it."""
    made_of: str | None = None
    """Column of the table of whose values alone ``sql`` makes this one's, for who would rather
    make them of a whole column of a result (`Translated.made`)."""
    indexed: bool = False
    any_case: bool = False
    """Whether there is an index of ``LOWER`` of it too."""
    nullable: bool = True
    """Whether a row may be without a value."""
    principal: bool = False
    std: bool = False

    @property
    def name(self) -> str:
        """The column's name, as its table declares it."""
        return self.column.name


@dataclass(frozen=True, slots=True)
class SpatialIndex:
    """How a table keeps its geometry, and the spatial index over it.

    In SQLite the R*Tree ``<rtree>(id, xmin, xmax, ymin, ymax, zmin, zmax)`` holds for each row the
    box (`vodal.sphere.cap_box`) of its footprint united with that of its point. In PostgreSQL the
    table has a column of caps around both, with an index. A row without a box or cap has neither
    footprint nor point, and is found by no spatial predicate.
    """

    region_column: str = "s_region"
    """Column whose text is the footprint."""
    region_sql: str = "s_region_shape"
    """Physical column of the footprint as the database's functions read it: packed by
    `vodal.regions.shape_to_bytes`, or the numbers of `obscore.adql.postgres.shapes`."""
    point_columns: tuple[str, str] = ("s_ra", "s_dec")
    """Columns of the position, ICRS degrees."""
    rtree: str = "obscore_rtree"
    """Empty in PostgreSQL."""
    key: str = "id"
    """Physical column that is the rowid and the R*Tree's ``id``, or the cap."""


@dataclass(frozen=True, slots=True)
class FacetTable:
    """Where the database keeps how many rows a table has of each combination of some columns.

    It has one row for each combination that occurs, whose columns have the names and types of the
    table's.
    """

    physical: str
    columns: frozenset[str]
    """Names of the columns, each kept under its own name in the table too."""
    count: str
    """Physical column of the number of rows, which is never 0."""


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows of a table there are for who asks, by a column with names of kinds of rows.

    The rows of the kinds ``whole`` are there, of ``dated`` those whose date is over; of kinds that
    are named nowhere those that ``others`` says. A row without a date has none that is over, nor
    has one whose date is no ISO date.
    """

    kind_column: str
    """Physical column, never NULL."""
    date_column: str
    """Physical column of ISO dates as texts."""
    now: str
    """The moment up to which dates are over."""
    whole: tuple[str, ...] = ()
    dated: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    others: Literal["whole", "dated", "hidden"] = "whole"

    @property
    def by_date(self) -> bool:
        """Whether any row is there by its date."""
        return bool(self.dated) or self.others == "dated"


@dataclass(frozen=True, slots=True)
class Among:
    """Which rows of a table there are for who asks, by the values that one of its columns may have.

    It names what is there, and not what is hidden: what comes into the table later is not seen
    before it is looked at.
    """

    column: str
    """Physical column, never NULL."""
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableDef:
    """One table that a query can name."""

    schema: str
    name: str
    """Without the schema: ``obscore`` of ``ivoa.obscore``."""
    physical: str
    """Name of the table or view in the database."""
    columns: tuple[ColumnDef, ...]
    description: str | None = None
    utype: str | None = None
    kind: Literal["table", "view"] = "table"
    spatial: SpatialIndex | None = None
    facets: FacetTable | None = None
    counted: bool = False
    """Whether each of its rows stands for several of the table's, as a `FacetTable` keeps them."""
    rows: RowFilter | Among | None = None
    """Which of its rows there are; all by default. No printer gives others to any query."""

    @property
    def full_name(self) -> str:
        """Schema and name with a dot between, as TAP_SCHEMA and queries write it."""
        name = delimited(self.name)
        return f"{delimited(self.schema)}.{name}" if self.schema else name


@dataclass(frozen=True)
class Schema:
    """All tables of a service, with the uploads of one query where there are any."""

    tables: tuple[TableDef, ...]
    _by_name: dict[str, list[TableDef]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for table in self.tables:
            self._by_name.setdefault(table.name.lower(), []).append(table)

    def with_tables(self, tables: Iterable[TableDef]) -> Schema:
        """Give a schema that has these tables too."""
        return Schema((*self.tables, *tables))

    def find(
        self,
        name: str,
        *,
        quoted: bool = False,
        schema: str | None = None,
        schema_quoted: bool = False,
    ) -> list[TableDef]:
        """Give the tables a name can mean; without a schema those of every schema.

        Parameters
        ----------
        name, schema
            As written, without the double quotes.
        quoted, schema_quoted
            Whether the name was delimited and so must agree in case.
        """
        return [
            table
            for table in self._by_name.get(name.lower(), ())
            if (not quoted or table.name == name)
            and (
                schema is None
                or (
                    table.schema == schema
                    if schema_quoted
                    else table.schema.lower() == schema.lower()
                )
            )
        ]
