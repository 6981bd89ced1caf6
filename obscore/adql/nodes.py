"""The tree of a query as written: what the parser makes and the resolver reads.

``at`` is the offset of a node in the text, for errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Between",
    "BoolList",
    "Call",
    "CastTo",
    "Chain",
    "ColumnName",
    "Comparison",
    "Condition",
    "DerivedTable",
    "Exists",
    "Expression",
    "InList",
    "InQuery",
    "IsNull",
    "Join",
    "JoinKind",
    "Like",
    "Name",
    "NamedTable",
    "Negation",
    "Not",
    "Null",
    "Number",
    "OrderItem",
    "PlainList",
    "Query",
    "Select",
    "SelectItem",
    "SetOperation",
    "Star",
    "String",
    "TableRef",
    "WithQuery",
]


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier, without its quotes."""

    text: str
    quoted: bool
    at: int

    def meets(self, other: str) -> bool:
        """Compare by ADQL's rule: any case unless delimited."""
        return self.text == other if self.quoted else self.text.lower() == other.lower()


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric literal; whole numbers that fit 64 bits are int."""

    value: int | float
    at: int


@dataclass(frozen=True, slots=True)
class String:
    """A text literal."""

    value: str
    at: int


@dataclass(frozen=True, slots=True)
class Null:
    """The word NULL as a value."""

    at: int


@dataclass(frozen=True, slots=True)
class ColumnName:
    """A column with its qualifiers: ``[[[catalog.]schema.]table.]column``."""

    parts: tuple[Name, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Star:
    """``*`` or ``table.*`` in a select list."""

    qualifier: tuple[Name, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Negation:
    """A value with a minus before it."""

    operand: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one rank from left to right: ``+ -``, ``* /`` or ``||``."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an aggregate; ``star`` is ``COUNT(*)``."""

    name: str
    """Upper case."""
    arguments: tuple[Expression, ...]
    at: int
    distinct: bool = False
    star: bool = False


@dataclass(frozen=True, slots=True)
class CastTo:
    """``CAST(operand AS target(length))``."""

    operand: Expression
    target: str
    length: int | None
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values and ``= <> < <= > >=``."""

    operator: str
    left: Expression
    right: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Between:
    """``operand [NOT] BETWEEN low AND high``."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class PlainList:
    """A list of literals that was read in one go."""

    values: list[int | float | str]
    at: int


@dataclass(frozen=True, slots=True)
class InList:
    """``operand [NOT] IN (values)``."""

    operand: Expression
    values: tuple[Expression, ...] | PlainList
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class InQuery:
    """``operand [NOT] IN (query)``."""

    operand: Expression
    query: Query
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class Like:
    """``operand [NOT] LIKE|ILIKE pattern``."""

    operand: Expression
    pattern: Expression
    negated: bool
    any_case: bool
    at: int


@dataclass(frozen=True, slots=True)
class IsNull:
    """``operand IS [NOT] NULL``."""

    operand: Expression
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class Exists:
    """``EXISTS (query)``."""

    query: Query
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """A condition turned round."""

    operand: Condition
    at: int


@dataclass(frozen=True, slots=True)
class BoolList:
    """Conditions joined by AND, or by OR."""

    operator: Literal["AND", "OR"]
    operands: tuple[Condition, ...]
    at: int


Expression = Number | String | Null | ColumnName | Negation | Chain | Call | CastTo
Condition = Comparison | Between | InList | InQuery | Like | IsNull | Exists | Not | BoolList


@dataclass(frozen=True, slots=True)
class SelectItem:
    """A value of the select list and the name it is given."""

    value: Expression
    alias: Name | None
    at: int


@dataclass(frozen=True, slots=True)
class NamedTable:
    """A table by name: ``[[catalog.]schema.]table [AS alias]``."""

    parts: tuple[Name, ...]
    alias: Name | None
    at: int


@dataclass(frozen=True, slots=True)
class DerivedTable:
    """``(query) AS alias``."""

    query: Query
    alias: Name
    at: int


JoinKind = Literal["INNER", "LEFT", "RIGHT", "FULL"]


@dataclass(frozen=True, slots=True)
class Join:
    """Two tables joined; at most one of ``natural``, ``on`` and ``using`` is given."""

    kind: JoinKind
    left: TableRef
    right: TableRef
    natural: bool
    on: Condition | None
    using: tuple[Name, ...]
    at: int


TableRef = NamedTable | DerivedTable | Join


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One term of ORDER BY; a bare whole number is the position of an output column."""

    value: Expression
    descending: bool
    at: int


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT."""

    distinct: bool
    top: int | None
    items: tuple[SelectItem | Star, ...]
    tables: tuple[TableRef, ...]
    where: Condition | None
    group_by: tuple[Expression, ...]
    having: Condition | None
    at: int


@dataclass(frozen=True, slots=True)
class SetOperation:
    """Operands joined from left to right by UNION, EXCEPT or INTERSECT."""

    first: Query
    rest: tuple[tuple[str, bool, Query], ...]
    """Operator, whether ALL, and operand."""
    at: int


@dataclass(frozen=True, slots=True)
class WithQuery:
    """One named query of WITH."""

    name: Name
    query: Query


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT or a set of them, in order and from an offset."""

    body: Select | SetOperation | Query
    order_by: tuple[OrderItem, ...]
    offset: int | None
    named: tuple[WithQuery, ...]
    at: int
