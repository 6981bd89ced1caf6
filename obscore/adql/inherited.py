"""Sub-queries that pass on the footprints of their table, with the spatial index over them.

A column of a sub-query is text, as every result is. Where it is a table's footprint as it is, the
packed form and the table's key go along unseen, so that a spatial condition outside is as exact and
as fast as inside.
"""

from __future__ import annotations

from dataclasses import replace

from obscore.adql import bound as b
from obscore.adql.grouping import has_aggregate
from obscore.adql.schema import SpatialIndex

__all__ = ["spatial_columns", "with_hidden_columns"]

_KEY = "hidden_key"
_SHAPE = "hidden_shape"


def with_hidden_columns(query: b.Query) -> b.Query:
    """Give a sub-query that passes on the key and the packed footprint of a table, if it can.

    A query that groups or leaves out equal rows cannot: more columns would change its rows.
    """
    select = query.body
    if not isinstance(select, b.Select) or select.distinct or select.groups:
        return query
    if any(has_aggregate(output.value) for output in select.outputs):
        return query
    for output in select.outputs:
        match output.value:
            case b.Use(relation, item) if relation.spatial is not None:
                spatial = relation.spatial
                if item.name not in {spatial.region_column, *spatial.point_columns}:
                    continue
                hidden = (
                    b.Hidden(relation, spatial.key, _KEY),
                    b.Hidden(relation, spatial.region_sql, _SHAPE),
                )
                return replace(query, body=replace(select, hidden=hidden))
            case _:
                continue
    return query


def spatial_columns(source: b.Query | b.Named) -> SpatialIndex | None:
    """Give the spatial index that a sub-query's columns have by way of its hidden ones."""
    query = source.query if isinstance(source, b.Named) else source
    if not isinstance(query.body, b.Select) or not query.body.hidden:
        return None
    relation = query.body.hidden[0].relation
    spatial = relation.spatial
    assert spatial is not None
    names = {name: _passed_on(query.body, relation, name) for name in _geometry(spatial)}
    return SpatialIndex(
        region_column=names[spatial.region_column],
        region_sql=_SHAPE,
        point_columns=(names[spatial.point_columns[0]], names[spatial.point_columns[1]]),
        rtree=spatial.rtree,
        key=_KEY,
    )


def _geometry(spatial: SpatialIndex) -> tuple[str, str, str]:
    return (spatial.region_column, *spatial.point_columns)


def _passed_on(select: b.Select, relation: b.Relation, name: str) -> str:
    """Give the name under which a column leaves a query; empty if it does not, or not alone."""
    given = [
        output.name
        for output in select.outputs
        if isinstance(output.value, b.Use)
        and output.value.relation is relation
        and output.value.field.name == name
    ]
    names = [output.name.lower() for output in select.outputs]
    return given[0] if len(given) == 1 and names.count(given[0].lower()) == 1 else ""
