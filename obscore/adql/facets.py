"""Queries on columns with few values are answered by the counts that are kept of them.

`SELECT DISTINCT instrument_name ...` and `SELECT filter, COUNT(*) ... GROUP BY filter` look at
every row of a large table, and clients ask such queries when they start. Where a table declares a
`FacetTable`, a query that needs nothing but its columns reads that one instead: the answer is the
same, since each of its rows stands for as many rows of the table as it counts.
"""

from __future__ import annotations

from dataclasses import replace

from obscore.adql import bound as b
from obscore.adql.functions import VOLATILE
from obscore.adql.grouping import has_aggregate
from obscore.adql.schema import Among, ColumnDef, FacetTable, RowFilter, TableDef
from obscore.adql.types import Kind
from vodal.tables.columns import Column

__all__ = ["with_kept_counts"]


class _NotKeptError(Exception):
    """The kept counts do not tell what is asked."""


def with_kept_counts(query: b.Query, select: b.Select) -> b.Query:
    """Let a SELECT read the kept counts of its table, if they tell all that it asks."""
    relation = select.tables[0]
    if len(select.tables) > 1 or not isinstance(relation, b.Relation):
        return query
    table = relation.source
    if not isinstance(table, TableDef) or table.facets is None or select.hidden:
        return query
    if table.rows is not None and not _keeps(table.facets, table.rows):
        return query
    # Rows of a kept count differ, and so do those of the table only where equal ones are one.
    if not (select.distinct or _grouped(query, select)):
        return query
    try:
        counted = _Counted(relation, table.facets)
        order = tuple(
            term if isinstance(term.by, int) else replace(term, by=counted.value(term.by))
            for term in query.order
        )
        body = replace(
            select,
            outputs=tuple(
                replace(item, value=counted.value(item.value)) for item in select.outputs
            ),
            where=None if select.where is None else counted.condition(select.where),
            groups=tuple(map(counted.value, select.groups)),
            having=None if select.having is None else counted.condition(select.having),
        )
    except _NotKeptError:
        return query
    relation.source = replace(
        table, physical=table.facets.physical, spatial=None, facets=None, counted=True
    )
    relation.spatial = None
    return replace(query, body=body, order=order)


def _keeps(facets: FacetTable, rows: RowFilter | Among) -> bool:
    """Tell whether the kept counts know which rows are there for who asks."""
    if isinstance(rows, Among):
        return rows.column in facets.columns
    return rows.kind_column in facets.columns and not rows.by_date


def _grouped(query: b.Query, select: b.Select) -> bool:
    if select.groups or select.having is not None:
        return True
    values = [item.value for item in select.outputs]
    values += [term.by for term in query.order if not isinstance(term.by, int)]
    return any(map(has_aggregate, values))


class _Counted:
    """Rewrites values over a table's rows to values over the kept counts.

    Parameters
    ----------
    relation
        The table in the query.
    facets
        Its kept counts.
    """

    def __init__(self, relation: b.Relation, facets: FacetTable) -> None:
        self._relation = relation
        self._columns = facets.columns
        column = Column(facets.count, "long")
        field = b.Field(column.name, column, Kind.INTEGER, ColumnDef(column))
        self._weight = b.Use(relation, field)

    def value(self, value: b.Value) -> b.Value:
        """Rewrite a value.

        Raises
        ------
        _NotKeptError
            If the kept counts cannot tell it.
        """
        match value:
            case b.Use(relation, field):
                if relation is self._relation and field.name not in self._columns:
                    raise _NotKeptError
                return value
            case b.Aggregate():
                return self._aggregate(value)
            case b.Function(name, arguments):
                if name in VOLATILE:
                    raise _NotKeptError
                return replace(value, arguments=tuple(map(self.value, arguments)))
            case b.Operation(first, rest):
                operands = tuple((operator, self.value(item)) for operator, item in rest)
                return replace(value, first=self.value(first), rest=operands)
            case b.Minus(operand) | b.Cast(operand):
                return replace(value, operand=self.value(operand))
            case b.Literal() | b.ShapeValue() | b.MocValue() | b.Tally():
                return value

    def _aggregate(self, value: b.Aggregate) -> b.Value:
        if value.argument is not None:
            self.value(value.argument)
        if value.distinct or value.name in {"MIN", "MAX"}:
            return value
        if value.name == "COUNT":
            return b.Tally(value.argument, self._weight, value.kind, value.column)
        raise _NotKeptError

    def condition(self, condition: b.Condition) -> b.Condition:
        """Rewrite a condition.

        Raises
        ------
        _NotKeptError
            If the kept counts cannot tell it.
        """
        match condition:
            case b.Compare(operator, left, right):
                return b.Compare(operator, self.value(left), self.value(right))
            case b.Between(operand, low, high):
                return replace(
                    condition,
                    operand=self.value(operand),
                    low=self.value(low),
                    high=self.value(high),
                )
            case b.InValues(operand, values):
                listed = values if isinstance(values, list) else tuple(map(self.value, values))
                return replace(condition, operand=self.value(operand), values=listed)
            case b.Like(operand, pattern):
                return replace(condition, operand=self.value(operand), pattern=self.value(pattern))
            case b.IsNull(operand):
                return replace(condition, operand=self.value(operand))
            case b.NotThat(operand):
                return b.NotThat(self.condition(operand))
            case b.AllOf(operands):
                return b.AllOf(tuple(map(self.condition, operands)))
            case b.AnyOf(operands):
                return b.AnyOf(tuple(map(self.condition, operands)))
            case b.InQuery() | b.Exists() | b.Nearby():
                # Sub-queries may look at any column of the row that they are asked for.
                raise _NotKeptError
