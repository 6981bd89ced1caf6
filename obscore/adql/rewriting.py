"""Rules by which every SELECT of a resolved query becomes one that is quicker to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from obscore.adql import bound as b
from obscore.adql.extremes import with_single_extremes
from obscore.adql.facets import with_kept_counts

__all__ = ["RULES", "Rule", "rewritten"]

Rule = Callable[[b.Query, b.Select], b.Query]
"""Gives a query whose body is a SELECT as a quicker one with the same rows, or as it is."""

RULES: tuple[Rule, ...] = (with_single_extremes, with_kept_counts)
"""In the order in which they are used: what one makes, the next ones see."""


def rewritten(query: b.Query, rules: tuple[Rule, ...] = RULES) -> b.Query:
    """Use the rules on a query.

    They see the query itself, its sub-queries in FROM, those of WITH and the operands of UNION,
    EXCEPT and INTERSECT; not the sub-queries of conditions, which see the rows around them.
    """
    for rule in rules:
        query = _each_select(query, rule)
    return query


def _each_select(query: b.Query, rule: Rule) -> b.Query:
    for named in query.named:
        named.query = _each_select(named.query, rule)
    match query.body:
        case b.Select() as select:
            for table in select.tables:
                _within(table, rule)
            return rule(query, select)
        case b.SetQuery(first, rest):
            operands = tuple((operator, _each_select(item, rule)) for operator, item in rest)
            return replace(query, body=b.SetQuery(_each_select(first, rule), operands))
        case b.Query() as inner:
            return replace(query, body=_each_select(inner, rule))


def _within(table: b.From, rule: Rule) -> None:
    match table:
        case b.Relation(source=b.Query() as source):
            table.source = _each_select(source, rule)
        case b.Joined(left=left, right=right):
            _within(left, rule)
            _within(right, rule)
        case _:
            return
