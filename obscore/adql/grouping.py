"""Whether a query with groups uses only what a group has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from obscore.adql import bound as b

__all__ = ["check_groups", "has_aggregate", "substituted", "uses", "values_in"]


def has_aggregate(value: b.Value) -> bool:
    """Tell whether an aggregate is anywhere in a value."""
    if isinstance(value, b.Use | b.Literal):  # most values are
        return False
    return isinstance(value, b.Aggregate) or any(map(has_aggregate, b.children(value)))


def uses(value: b.Value) -> Iterator[b.Use]:
    """Give the columns that a value is computed from."""
    if isinstance(value, b.Use):
        yield value
    for child in b.children(value):
        yield from uses(child)


def substituted(value: b.Value, given: Sequence[tuple[b.Value, b.Use]]) -> b.Value:
    """Put columns of a query in the place of the values that they hold.

    Parameters
    ----------
    value
        Where to look.
    given
        Values with the columns that hold them.
    """
    for held, use in given:
        if value == held:
            return use
    match value:
        case b.Function(arguments=arguments):
            return replace(value, arguments=tuple(substituted(item, given) for item in arguments))
        case b.Operation(first=first, rest=rest):
            return replace(
                value,
                first=substituted(first, given),
                rest=tuple((sign, substituted(item, given)) for sign, item in rest),
            )
        case b.Minus(operand=operand) | b.Cast(operand=operand):
            return replace(value, operand=substituted(operand, given))
        case _:
            return value


def check_groups(
    item: b.Value | b.Condition, groups: Sequence[b.Value], local: Sequence[b.Relation]
) -> b.Use | None:
    """Give a column that is neither grouped by nor within an aggregate.

    Parameters
    ----------
    item
        Value or condition to look at.
    groups
        What GROUP BY names.
    local
        Relations of the query; columns of an outer query are constants here.
    """
    values = [item] if isinstance(item, b.Value) else list(values_in(item))
    for value in values:
        stray = _stray(value, groups, local)
        if stray is not None:
            return stray
    return None


def _stray(value: b.Value, groups: Sequence[b.Value], local: Sequence[b.Relation]) -> b.Use | None:
    if value in groups or isinstance(value, b.Aggregate):
        return None
    if isinstance(value, b.Use):
        return value if value.relation in local else None
    for child in b.children(value):
        stray = _stray(child, groups, local)
        if stray is not None:
            return stray
    return None


def values_in(condition: b.Condition) -> Iterator[b.Value]:
    """Give the values of a condition; those of its sub-queries are theirs."""
    match condition:
        case b.Compare(_, one, two) | b.Like(one, two):
            yield from (one, two)
        case b.Between(operand, low, high):
            yield from (operand, low, high)
        case b.InValues(operand, values):
            yield from (operand, *(values if isinstance(values, tuple) else ()))
        case b.InQuery(operand) | b.IsNull(operand):
            yield operand
        case b.NotThat(inner):
            yield from values_in(inner)
        case b.AllOf(operands) | b.AnyOf(operands):
            yield from chain.from_iterable(map(values_in, operands))
        case b.Exists() | b.Nearby():
            return
