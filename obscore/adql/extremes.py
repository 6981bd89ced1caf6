"""The smallest and largest values of a whole table, each by one look at its index.

Databases find one `MIN` or `MAX` at the end of an index; asked for several at once, as in
`SELECT COUNT(*), MIN(t_min), MAX(t_max) FROM ivoa.obscore`, SQLite reads every row. Each becomes a
query of its own here, whose one row is joined with those of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from obscore.adql import bound as b
from obscore.adql.grouping import substituted
from obscore.adql.schema import TableDef

__all__ = ["with_single_extremes"]


def with_single_extremes(query: b.Query, select: b.Select) -> b.Query:
    """Let each aggregate over a whole table be a query of its own, where that is quicker."""
    relation = select.tables[0]
    if len(select.tables) > 1 or select.where is not None or select.groups or select.hidden:
        return query
    if select.having is not None or not isinstance(relation, b.Relation):
        return query
    table = relation.source
    if not isinstance(table, TableDef):
        return query
    values = [item.value for item in select.outputs]
    values += [term.by for term in query.order if not isinstance(term.by, int)]
    found = list(dict.fromkeys(item for value in values for item in _aggregates(value)))
    quick = [_by_index(item, table) for item in found]
    if len(found) < 2 or not any(quick):
        return query
    if not all(one or _counts(item, table) for one, item in zip(quick, found, strict=True)):
        return query
    parts = [_alone(item, relation, number) for number, item in enumerate(found, 1)]
    given = [(item, b.Use(part, part.fields[0])) for item, part in zip(found, parts, strict=True)]
    outputs = tuple(replace(item, value=substituted(item.value, given)) for item in select.outputs)
    order = tuple(
        term if isinstance(term.by, int) else replace(term, by=substituted(term.by, given))
        for term in query.order
    )
    body = replace(select, outputs=outputs, tables=tuple(parts), grouped=False)
    return replace(query, body=body, order=order)


def _aggregates(value: b.Value) -> Iterator[b.Aggregate]:
    if isinstance(value, b.Aggregate):
        yield value
    else:
        for child in b.children(value):
            yield from _aggregates(child)


def _by_index(item: b.Aggregate, table: TableDef) -> bool:
    """Whether an ordered index of the database has the value at its end."""
    if item.name not in {"MIN", "MAX"} or not isinstance(item.argument, b.Use):
        return False
    field = item.argument.field
    spatial = table.spatial
    if spatial is not None and field.name in {spatial.region_column, *spatial.point_columns}:
        return False
    return field.definition is not None and field.definition.indexed


def _counts(item: b.Aggregate, table: TableDef) -> bool:
    """Whether the value needs no look into the rows."""
    if item.argument is None:
        return True
    if item.delimiter is not None:
        return False
    kept = frozenset[str]() if table.facets is None else table.facets.columns
    return isinstance(item.argument, b.Use) and item.argument.field.name in kept


def _alone(item: b.Aggregate, relation: b.Relation, number: int) -> b.Relation:
    """Make a query of one aggregate, as a table of one row."""
    source = b.Relation(
        f"{relation.alias}_{number}",
        relation.source,
        relation.fields,
        relation.spatial,
        relation.name,
    )
    if isinstance(item.argument, b.Use):
        item = replace(item, argument=b.Use(source, item.argument.field))
    output = b.Output("value", item)
    select = b.Select((output,), (source,), None, (), None, distinct=False, top=None, grouped=True)
    column = replace(item.column, name=output.name)
    field = b.Field(output.name, column, item.kind, None, 1)
    query = b.Query(select, (column,), (item.kind,))
    return b.Relation(f"{relation.alias}v{number}", query, (field,))
