"""Scopes: which columns a query's names can mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from obscore.adql import bound as b
from obscore.adql.grouping import uses
from obscore.adql.nodes import ColumnName, Name, NamedTable
from obscore.adql.schema import Schema, TableDef
from obscore.adql.types import kind_of
from vodal.errors import QueryError

__all__ = ["Exposed", "Scope", "Visible", "find_table", "hint", "table_fields", "written"]


@dataclass(frozen=True, slots=True)
class Visible:
    """A column that can be named without its table."""

    name: str
    value: b.Value


@dataclass(frozen=True, slots=True)
class Exposed:
    """A relation under the name that qualifies its columns."""

    name: str
    schema: str | None
    """Of a table without an alias, which may be qualified by it too."""
    relation: b.Relation

    def meets(self, qualifier: Sequence[Name]) -> bool:
        """Whether a qualifier means this relation."""
        if not qualifier[-1].meets(self.name):
            return False
        if len(qualifier) == 1:
            return True
        return len(qualifier) == 2 and self.schema is not None and qualifier[0].meets(self.schema)


@dataclass(slots=True)
class Scope:
    """The names of one FROM, and of the queries around it."""

    exposed: list[Exposed] = field(default_factory=list)
    visible: list[Visible] = field(default_factory=list)
    parent: Scope | None = None
    groups: Sequence[b.Value] | None = None
    """What a sub-query within may use, if it stands where there are groups and no rows."""

    def joined(self, other: Scope) -> Scope:
        """Put the names of two sides of a FROM together.

        Raises
        ------
        QueryError
            Without a place, if two tables have one name.
        """
        for one in self.exposed:
            for two in other.exposed:
                if one.name.lower() == two.name.lower() and one.schema == two.schema:
                    raise QueryError(
                        f"two tables of one FROM are called {one.name}; give one another alias"
                    )
        return Scope(self.exposed + other.exposed, self.visible + other.visible, self.parent)

    def relation(self, qualifier: Sequence[Name]) -> list[b.Relation]:
        """Give the relations of this FROM that a qualifier can mean."""
        return [entry.relation for entry in self.exposed if entry.meets(qualifier)]

    def find(self, name: ColumnName) -> b.Value:
        """Give what a column's name means, here or in a query around.

        Raises
        ------
        QueryError
            Without a place, if it means nothing, more than one thing, or what a group has not.
        """
        scope: Scope | None = self
        while scope is not None:
            found = scope.candidates(name)
            if len(found) == 1:
                if scope is not self:
                    scope.check_group(found[0])
                return found[0]
            if found:
                raise QueryError(
                    f"the column {written(name.parts)} is ambiguous: "
                    f"more than one table of this FROM has it; put the table's name before it"
                )
            scope = scope.parent
        raise self._unknown(name)

    def check_group(self, value: b.Value) -> None:
        """See that a sub-query may use a value of this FROM.

        Raises
        ------
        QueryError
            Without a place, if it stands in HAVING and the value is not grouped by.
        """
        if self.groups is None:
            return
        for use in uses(value):
            # PostgreSQL knows columns again within a sub-query, and no expressions.
            if use not in self.groups:
                raise QueryError(
                    f"a sub-query in HAVING sees only the columns of GROUP BY around it, and"
                    f" {use.field.name} is none of them"
                )

    def candidates(self, name: ColumnName) -> list[b.Value]:
        """Give what a column's name can mean in this FROM alone."""
        *qualifier, column = name.parts
        if not qualifier:
            return [entry.value for entry in self.visible if column.meets(entry.name)]
        return [
            b.Use(relation, item)
            for relation in self.relation(qualifier)
            for item in relation.fields
            if column.meets(item.name)
        ]

    def _unknown(self, name: ColumnName) -> QueryError:
        *qualifier, column = name.parts
        exposed, visible = list(self.exposed), list(self.visible)
        scope = self.parent
        while scope is not None:
            exposed += scope.exposed
            visible += scope.visible
            scope = scope.parent
        if not qualifier:
            near = hint(column, [entry.name for entry in visible])
            if column.quoted and not near.startswith("; did"):
                near = "; it is a name, since a text stands in single quotes"
            return QueryError(f"unknown column {written(name.parts)}{near}")
        relations = [entry.relation for entry in exposed if entry.meets(qualifier)]
        if relations:
            names = [item.name for relation in relations for item in relation.fields]
            return QueryError(
                f"{written(qualifier)} has no column {written((column,))}{hint(column, names)}"
            )
        names = [entry.name for entry in exposed]
        return QueryError(
            f"no table or alias {written(qualifier)} in this FROM{hint(qualifier[-1], names)}"
        )


def written(parts: Sequence[Name]) -> str:
    """Give a name as it was written."""
    return ".".join(f'"{part.text}"' if part.quoted else part.text for part in parts)[:120]


def hint(name: Name, known: Iterable[str]) -> str:
    """Give near names as the end of a sentence."""
    by_lower = {text.lower(): text for text in known}
    near = get_close_matches(name.text.lower()[:60], by_lower, 3, 0.6)
    if not near:
        few = sorted(by_lower.values())
        return f"; there is {', '.join(few)}" if 0 < len(few) <= 6 else ""
    return f"; did you mean {' or '.join(by_lower[item] for item in near)}?"


def find_table(schema: Schema, table: NamedTable) -> TableDef:
    """Give the table that a name means.

    Raises
    ------
    QueryError
        Without a place, if there is none or more than one.
    """
    name = table.parts[-1]
    if len(table.parts) > 2:
        raise QueryError(f"unknown table {written(table.parts)}; there are no catalogs here")
    qualifier = table.parts[0] if len(table.parts) == 2 else None
    found = schema.find(
        name.text,
        quoted=name.quoted,
        schema=None if qualifier is None else qualifier.text,
        schema_quoted=qualifier is not None and qualifier.quoted,
    )
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(item.full_name for item in found)
        raise QueryError(f"the table {written(table.parts)} is ambiguous: {names}?")
    names_by_part = [item.full_name for item in schema.tables]
    near = hint(Name(".".join(part.text for part in table.parts), False, 0), names_by_part)
    if not near.startswith("; did"):
        same = [item.full_name for item in schema.tables if name.meets(item.name)]
        near = f"; did you mean {' or '.join(same)}?" if same else near
    if not near.startswith("; did"):
        by_name = {item.name: item.full_name for item in schema.tables}
        close = get_close_matches(name.text.lower()[:60], by_name, 2, 0.6)
        near = f"; did you mean {' or '.join(by_name[item] for item in close)}?" if close else near
    raise QueryError(f"unknown table {written(table.parts)}{near}")


def table_fields(table: TableDef) -> tuple[b.Field, ...]:
    """Give the columns of a table as fields of a relation."""
    return tuple(
        b.Field(item.name, item.column, kind_of(item.column), item) for item in table.columns
    )
