"""The tree of a query after its names are resolved: what the printers read.

Every value knows its kind and the metadata that it gives to an output column. Two values that
are equal here compute the same, so that GROUP BY can be checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as Choice

from obscore.adql.moc.ranges import Moc
from obscore.adql.nodes import JoinKind
from obscore.adql.schema import ColumnDef, SpatialIndex, TableDef
from obscore.adql.types import Kind
from vodal.regions import Shape
from vodal.tables.columns import Column

__all__ = [
    "Aggregate",
    "AllOf",
    "AnyOf",
    "Between",
    "Cast",
    "Compare",
    "Condition",
    "Exists",
    "Field",
    "From",
    "Function",
    "Hidden",
    "InQuery",
    "InValues",
    "IsNull",
    "Joined",
    "Like",
    "Literal",
    "Minus",
    "MocValue",
    "Named",
    "Nearby",
    "NotThat",
    "Operation",
    "OrderTerm",
    "Output",
    "Query",
    "Relation",
    "Select",
    "SetOperator",
    "SetQuery",
    "ShapeValue",
    "Tally",
    "Use",
    "Value",
    "children",
]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a relation."""

    name: str
    column: Column
    kind: Kind
    definition: ColumnDef | None = None
    """Of a table's column; None for a column of a sub-query."""
    number: int = 0
    """Place in the sub-query, from 1."""


@dataclass(eq=False, slots=True)
class Relation:
    """A table or sub-query in FROM, under an alias of our own."""

    alias: str
    source: TableDef | Query | Named
    fields: tuple[Field, ...]
    spatial: SpatialIndex | None = None
    """Of the table, or what a sub-query passes on of its table's."""
    name: str = ""
    """What qualifies its columns in the query: its alias, or its table's name."""


@dataclass(eq=False, slots=True)
class Named:
    """A query of WITH, under a name of our own."""

    alias: str
    query: Query
    name: str = ""
    """In the query."""


# Values --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, or NULL."""

    value: int | float | str | None
    kind: Kind
    column: Column


@dataclass(frozen=True, slots=True)
class ShapeValue:
    """A geometry that does not depend on the rows."""

    shape: Shape
    column: Column
    kind: Kind = Kind.GEOMETRY


@dataclass(frozen=True, slots=True)
class MocValue:
    """A coverage map, which is always constant."""

    moc: Moc
    column: Column
    kind: Kind = Kind.GEOMETRY


@dataclass(frozen=True, slots=True)
class Use:
    """A column of a relation."""

    relation: Relation
    field: Field

    @property
    def kind(self) -> Kind:
        """Of the column."""
        return self.field.kind

    @property
    def column(self) -> Column:
        """Of the column."""
        return self.field.column


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the standard; ``SHAPE`` makes a geometry of a column's text."""

    name: str
    arguments: tuple[Value, ...]
    kind: Kind
    column: Column


@dataclass(frozen=True, slots=True)
class Operation:
    """Operators of one rank from left to right."""

    first: Value
    rest: tuple[tuple[str, Value], ...]
    kind: Kind
    column: Column


@dataclass(frozen=True, slots=True)
class Minus:
    """A value with its sign changed."""

    operand: Value
    kind: Kind
    column: Column


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function over the rows of a group; no argument is ``COUNT(*)``."""

    name: str
    argument: Value | None
    distinct: bool
    kind: Kind
    column: Column
    delimiter: Value | None = None
    """Between the texts that an aggregate joins."""


@dataclass(frozen=True, slots=True)
class Tally:
    """``COUNT`` over rows that each stand for several: the sum of the weights.

    Where there is an argument, only rows that have it are counted; 0 where there are none.
    """

    argument: Value | None
    weight: Use
    kind: Kind
    column: Column


@dataclass(frozen=True, slots=True)
class Cast:
    """A value as another type."""

    operand: Value
    target: str
    length: int | None
    kind: Kind
    column: Column


Value = (
    Literal | ShapeValue | MocValue | Use | Function | Operation | Minus | Aggregate | Tally | Cast
)


def children(value: Value) -> tuple[Value, ...]:
    """Give the values that a value is computed from."""
    match value:
        case Function(arguments=arguments):
            return arguments
        case Operation(first=first, rest=rest):
            return (first, *(operand for _, operand in rest))
        case Minus(operand=operand) | Cast(operand=operand):
            return (operand,)
        case Aggregate(argument=argument, delimiter=delimiter):
            return tuple(value for value in (argument, delimiter) if value is not None)
        case Tally(argument=argument):
            return () if argument is None else (argument,)
        case Literal() | ShapeValue() | MocValue() | Use():
            return ()


# Conditions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compare:
    """Two values compared."""

    operator: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Between:
    """A value within two others, bounds included."""

    operand: Value
    low: Value
    high: Value
    negated: bool


@dataclass(frozen=True, slots=True)
class InValues:
    """A value that is one of a list; a plain list holds literals as they are."""

    operand: Value
    values: tuple[Value, ...] | list[int | float | str]
    negated: bool


@dataclass(frozen=True, slots=True)
class InQuery:
    """A value that a query gives."""

    operand: Value
    query: Query
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """A text that fits a pattern."""

    operand: Value
    pattern: Value
    negated: bool
    any_case: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    """A value that is absent."""

    operand: Value
    negated: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """A query that gives a row."""

    query: Query


@dataclass(frozen=True, slots=True)
class NotThat:
    """A condition turned round."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conditions that all hold."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions of which one holds."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Nearby:
    """Rows whose box in the spatial index meets that of a shape: needed, not sufficient."""

    relation: Relation
    shape: Value
    margin_deg: Value | None
    """By which the shape's box is widened."""


Condition = (
    Compare
    | Between
    | InValues
    | InQuery
    | Like
    | IsNull
    | Exists
    | NotThat
    | AllOf
    | AnyOf
    | Nearby
)


# Queries -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Joined:
    """Two sides of FROM; no condition joins every row with every row."""

    kind: JoinKind
    left: From
    right: From
    condition: Condition | None


From = Relation | Joined


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a query's result."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """What rows are ordered by: an output column, numbered from 1, or a value."""

    by: int | Value
    descending: bool


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT."""

    outputs: tuple[Output, ...]
    tables: tuple[From, ...]
    where: Condition | None
    groups: tuple[Value, ...]
    having: Condition | None
    distinct: bool
    top: int | None
    hidden: tuple[Hidden, ...] = ()
    """Columns that no name reaches."""
    grouped: bool = False
    """Whether each row of the result stands for a group; without ``groups`` all rows are one."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A physical column of a relation, given on under another name."""

    relation: Relation
    physical: str
    name: str


SetOperator = Choice["UNION", "UNION ALL", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL"]


@dataclass(frozen=True, slots=True)
class SetQuery:
    """Queries joined by UNION, EXCEPT or INTERSECT from left to right."""

    first: Query
    rest: tuple[tuple[SetOperator, Query], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its result's columns."""

    body: Select | SetQuery | Query
    columns: tuple[Column, ...]
    kinds: tuple[Kind, ...]
    order: tuple[OrderTerm, ...] = ()
    offset: int | None = None
    named: tuple[Named, ...] = field(default=())
