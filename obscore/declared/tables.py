"""A declared table as a value: columns, indices, keys.

Names of columns in indices and keys are those of the table's columns, spelt alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from obscore.adql.types import is_geometry_column
from obscore.store.places import Place
from vodal.tables.columns import Column

__all__ = [
    "DeclaredColumn",
    "DeclaredIndex",
    "DeclaredKey",
    "DeclaredSchema",
    "DeclaredTable",
    "is_position",
]

_NUMBERS = frozenset({"unsignedByte", "short", "int", "long", "float", "double"})

_PAIRS = (("ra", "dec"), ("lon", "lat"))
"""Last words of the UCDs of a position's two coordinates."""

_NAMES = frozenset(
    {
        ("ra", "dec"),
        ("s_ra", "s_dec"),
        ("raj2000", "dej2000"),
        ("_raj2000", "_dej2000"),
        ("ra_icrs", "de_icrs"),
        ("ra_deg", "dec_deg"),
        ("radeg", "decdeg"),
        ("coord_ra", "coord_dec"),
        ("lon", "lat"),
    }
)
"""Of a position's two columns, lower case, where they have no UCD."""


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """One column."""

    column: Column
    nullable: bool = True
    principal: bool = False
    std: bool = False
    column_index: int | None = None
    """As TAP_SCHEMA has it; by default the column's place."""

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name


@dataclass(frozen=True, slots=True)
class DeclaredIndex:
    """One index; a spatial one if its columns are a position or a geometry."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False
    """Whether it is there because no two rows may have the same values."""
    description: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredKey:
    """Columns that hold the values of columns of another table of the schema."""

    name: str
    columns: tuple[str, ...]
    target_table: str
    """Without the schema."""
    target_columns: tuple[str, ...]
    description: str | None = None
    utype: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredTable:
    """One table."""

    name: str
    """Without the schema."""
    columns: tuple[DeclaredColumn, ...]
    description: str | None = None
    utype: str | None = None
    primary_key: tuple[str, ...] = ()
    indices: tuple[DeclaredIndex, ...] = ()
    foreign_keys: tuple[DeclaredKey, ...] = ()
    table_index: int | None = None
    """As TAP_SCHEMA has it; by default the table's place."""

    def place(self, name: str) -> int:
        """Give the place of a column, from 0.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        return [item.name for item in self.columns].index(name)

    def is_spatial(self, index: DeclaredIndex) -> bool:
        """Tell whether an index is a spatial one."""
        columns = [self.columns[self.place(name)].column for name in index.columns]
        return not index.unique and (
            (len(columns) == 1 and is_geometry_column(columns[0])) or is_position(columns)
        )

    @property
    def spatial(self) -> Place:
        """The columns over which the table has its spatial index."""
        region, point = None, None
        for index in self.indices:
            if self.is_spatial(index):
                places = [self.place(name) for name in index.columns]
                if len(places) == 1:
                    region = places[0] if region is None else region
                else:
                    point = (places[0], places[1]) if point is None else point
        return Place(region, point)

    @property
    def plain_indices(self) -> tuple[DeclaredIndex, ...]:
        """Those that are not spatial, one for each list of columns; the primary key's first."""
        key = (DeclaredIndex("", self.primary_key, unique=True),) if self.primary_key else ()
        plain = [index for index in self.indices if not self.is_spatial(index)]
        by_columns: dict[tuple[str, ...], DeclaredIndex] = {}
        for index in (*key, *sorted(plain, key=lambda item: not item.unique)):
            by_columns.setdefault(index.columns, index)
        return tuple(by_columns.values())

    def is_indexed(self, name: str) -> bool:
        """Tell whether conditions on a column are fast."""
        return any(
            name in index.columns if self.is_spatial(index) else name == index.columns[0]
            for index in self.indices
        ) or self.primary_key[:1] == (name,)

    def is_kept_like(self, other: DeclaredTable) -> bool:
        """Tell whether rows kept for another declaration serve this one as they are."""
        return self._kept() == other._kept()

    def _kept(self) -> object:
        columns = [
            (
                item.name,
                item.nullable,
                item.column.datatype,
                item.column.arraysize,
                is_geometry_column(item.column) and item.column.xtype,
            )
            for item in self.columns
        ]
        plain = [(index.columns, index.unique) for index in self.plain_indices]
        return columns, plain, self.spatial


@dataclass(frozen=True, slots=True)
class DeclaredSchema:
    """Tables with one name before theirs."""

    name: str
    tables: tuple[DeclaredTable, ...]
    description: str | None = None
    utype: str | None = None

    def only(self, names: Sequence[str]) -> DeclaredSchema:
        """Give the schema with some of its tables."""
        return replace(self, tables=tuple(item for item in self.tables if item.name in names))


def is_position(columns: Sequence[Column]) -> bool:
    """Tell whether two columns are the coordinates of a position, longitude first.

    Their UCDs say so, as ``pos.eq.ra`` and ``pos.eq.dec`` do or ``pos.galactic.lon`` and
    ``pos.galactic.lat``; where neither has one, their names do.
    """
    if len(columns) != 2:
        return False
    if any(item.datatype not in _NUMBERS or item.arraysize is not None for item in columns):
        return False
    words = [(item.ucd or "").lower().partition(";")[0].strip() for item in columns]
    if not any(words):
        return (columns[0].name.lower(), columns[1].name.lower()) in _NAMES
    stems = [word.rpartition(".") for word in words]
    same = stems[0][0] == stems[1][0] and stems[0][0].startswith("pos.")
    return same and (stems[0][2], stems[1][2]) in _PAIRS
