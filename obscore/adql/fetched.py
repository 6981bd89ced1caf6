"""Columns whose values are made of another column's after the rows were fetched.

Making them row by row in the database costs a good part of a long answer; column by column
afterwards it costs little.
"""

from __future__ import annotations

from dataclasses import replace

from obscore.adql import bound as b

__all__ = ["with_sources"]


def with_sources(query: b.Query) -> tuple[b.Query, tuple[int, ...]]:
    """Let a query give the source of each made column, where nothing in it needs the made value.

    Returns
    -------
    query, made
        The query, and the places (from 0) of the result's columns that are still to be made.
    """
    select = query.body
    if not isinstance(select, b.Select) or select.distinct or select.grouped or select.groups:
        return query, ()
    ordered = {term.by for term in query.order if isinstance(term.by, int)}
    outputs, made = list(select.outputs), []
    for place, output in enumerate(outputs):
        source = None if place + 1 in ordered else _source(output.value)
        if source is not None:
            outputs[place] = replace(output, value=source)
            made.append(place)
    if not made:
        return query, ()
    return replace(query, body=replace(select, outputs=tuple(outputs))), tuple(made)


def _source(value: b.Value) -> b.Use | None:
    match value:
        case b.Use(relation, b.Field(definition=definition)) if (
            definition is not None and definition.made_of is not None
        ):
            for item in relation.fields:
                if item.name == definition.made_of:
                    return b.Use(relation, item)
            return None
        case _:
            return None
