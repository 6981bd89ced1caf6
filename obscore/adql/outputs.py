"""Columns of results: their names and kinds, and what two columns become that are joined to one."""

from __future__ import annotations

from obscore.adql import bound as b
from obscore.adql import nodes as n
from obscore.adql.types import Kind, widened

__all__ = ["joint_kind", "kept_kind", "merged_by_using", "output_name", "query_fields"]


def merged_by_using(kind: n.JoinKind, left: b.Value, right: b.Value) -> b.Value:
    """Give the one column that two joined by USING become."""
    match kind:
        case "INNER" | "LEFT":
            return left
        case "RIGHT":
            return right
        case "FULL":
            joint = joint_kind(left.kind, right.kind) or left.kind
            column = widened(left.column, right.column, joint)
            return b.Function("COALESCE", (left, right), joint, column)


def kept_kind(kind: Kind) -> Kind:
    """Kind of a column of a result: geometries leave a query as text."""
    return Kind.TEXT if kind is Kind.GEOMETRY else kind


def query_fields(query: b.Query) -> tuple[b.Field, ...]:
    """Give the columns of a query's result as fields of a relation."""
    return tuple(
        b.Field(column.name, column, kind, None, number)
        for number, (column, kind) in enumerate(zip(query.columns, query.kinds, strict=True), 1)
    )


def output_name(item: n.SelectItem, number: int) -> str:
    """Give the name of a column of SELECT: its alias, or what it shows; else by its number."""
    if item.alias is not None:
        return item.alias.text
    match item.value:
        case n.ColumnName(parts):
            return parts[-1].text
        case n.Call(name):
            return name.lower()
        case n.CastTo():
            return "cast"
        case _:
            return f"column_{number}"


def joint_kind(left: Kind, right: Kind) -> Kind | None:
    """Give the kind of what may be one of two; None if they do not go together."""
    if Kind.NULL in {left, right} or left is right:
        return right if left is Kind.NULL else left
    if left.numeric and right.numeric:
        return Kind.REAL
    return None
