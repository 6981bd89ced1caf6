"""From a query as written to one whose every name is resolved and every kind checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from obscore.adql import bound as b
from obscore.adql import nodes as n
from obscore.adql.expressions import Expressions
from obscore.adql.geometry import geometry_text
from obscore.adql.grouping import check_groups, has_aggregate, substituted, uses
from obscore.adql.inherited import with_hidden_columns
from obscore.adql.names import Scope, Visible, hint, written
from obscore.adql.outputs import joint_kind, kept_kind, output_name, query_fields
from obscore.adql.passes import with_prefilters
from obscore.adql.relations import Relations
from obscore.adql.schema import Schema, TableDef
from obscore.adql.tokens import place
from obscore.adql.types import Kind, mix, widened
from vodal.errors import QueryError
from vodal.tables.columns import Column

__all__ = ["Resolver"]

MAX_COLUMNS = 1500
"""Of one result; SQLite takes 2000."""

_SET_OPERATORS: dict[tuple[str, bool], b.SetOperator] = {
    ("UNION", False): "UNION",
    ("UNION", True): "UNION ALL",
    ("EXCEPT", False): "EXCEPT",
    ("EXCEPT", True): "EXCEPT ALL",
    ("INTERSECT", False): "INTERSECT",
    ("INTERSECT", True): "INTERSECT ALL",
}


@dataclass(slots=True)
class Resolver:
    """Resolves one query against a schema."""

    text: str
    schema: Schema
    _relations: Relations = field(init=False)

    def __post_init__(self) -> None:
        self._relations = Relations(self.text, self.schema, self.query)

    @property
    def tables(self) -> dict[str, TableDef]:
        """Tables that the query reads, by full name, in order of appearance."""
        return self._relations.read

    def error(self, message: str, at: int) -> QueryError:
        """Make an error that names a place."""
        return QueryError(message, *place(self.text, at))

    def query(self, node: n.Query, parent: Scope | None = None) -> b.Query:
        """Resolve a query.

        Raises
        ------
        QueryError
            If a name is unknown or ambiguous, or a kind does not fit, naming the place.
        """
        named = tuple(self._name_query(item) for item in node.named)
        match node.body:
            case n.Select() as select:
                query = self._select(select, node, parent)
            case n.SetOperation() as operation:
                query = self._ordered(node, self._set(operation, parent))
            case n.Query() as inner:
                query = self.query(inner, parent)
                query = self._ordered(node, b.Query(query, query.columns, query.kinds))
        return replace(query, offset=node.offset, named=named)

    def _name_query(self, item: n.WithQuery) -> b.Named:
        key = item.name.text.lower()
        if key in self._relations.named:
            raise self.error(f"WITH names {item.name.text} twice", item.name.at)
        query = with_hidden_columns(self.query(item.query))
        named = b.Named(f"w{len(self._relations.named) + 1}", query, item.name.text)
        self._relations.named[key] = named
        return named

    # SELECT ------------------------------------------------------------------------------------

    def _select(self, node: n.Select, whole: n.Query, parent: Scope | None) -> b.Query:
        tables, scope = self._relations.scope(node, parent)
        where = None
        if node.where is not None:
            inner = [entry.relation for entry in scope.exposed]
            where = with_prefilters(self._in(scope, "WHERE").condition(node.where), inner)
        groups = tuple(self._group(scope, item) for item in node.group_by)
        values = self._in(scope, "SELECT", aggregates=True)
        outputs, checked = self._outputs(node, values)
        having = None
        if node.having is not None:
            around = replace(scope, groups=groups)
            having = self._in(around, "HAVING", aggregates=True).condition(node.having)
        columns = tuple(output.value.column.called(output.name) for output in outputs)
        kinds = tuple(kept_kind(output.value.kind) for output in outputs)
        order = tuple(self._order_values(whole, outputs, _behind(scope, outputs, checked)))
        # HAVING and aggregates make one group of all rows where GROUP BY makes none (SQL-92 7.8).
        grouped = bool(groups) or having is not None
        grouped = grouped or any(has_aggregate(output.value) for output in outputs)
        grouped = grouped or any(
            not isinstance(term.by, int) and has_aggregate(term.by) for term in order
        )
        local = [entry.relation for entry in scope.exposed]
        if grouped:
            for term, item in zip(order, whole.order_by, strict=True):
                if not isinstance(term.by, int):
                    checked.append((term.by, item.at))
            for value, at in checked:
                self._check_group(value, groups, local, at)
            if having is not None:
                self._check_group(having, groups, local, node.at)
        select = b.Select(
            outputs, tables, where, groups, having, node.distinct, node.top, grouped=grouped
        )
        query = b.Query(select, columns, kinds, order)
        if node.distinct and not all(isinstance(term.by, int) for term in order):
            return self._distinct_ordered(query, select, local, whole)
        return query

    def _in(self, scope: Scope, clause: str, *, aggregates: bool = False) -> Expressions:
        return Expressions(self.text, scope, clause, self.query, aggregates)

    def _group(self, scope: Scope, node: n.Expression) -> b.Value:
        if isinstance(node, n.Number):
            raise self.error("GROUP BY takes columns and expressions, not positions", node.at)
        try:
            return self._in(scope, "GROUP BY").value(node)
        except QueryError as error:
            if isinstance(node, n.ColumnName) and error.message.startswith("unknown column"):
                error = QueryError(
                    f"{error.message}; a name that SELECT gives cannot be used in GROUP BY",
                    error.line,
                    error.column,
                )
            raise error from None

    def _check_group(
        self,
        value: b.Value | b.Condition,
        groups: tuple[b.Value, ...],
        local: list[b.Relation],
        at: int,
    ) -> None:
        stray = check_groups(value, groups, local)
        if stray is not None:
            raise self.error(
                f"the column {stray.field.name} must be in GROUP BY or within an aggregate", at
            )

    def _outputs(
        self, node: n.Select, values: Expressions
    ) -> tuple[tuple[b.Output, ...], list[tuple[b.Value, int]]]:
        """Give the columns, and the values that they were before geometries became texts."""
        outputs: list[b.Output] = []
        written: list[tuple[b.Value, int]] = []
        for item in node.items:
            if isinstance(item, n.Star):
                stars = list(self._star(item, values.scope))
                outputs += stars
                written += [(output.value, item.at) for output in stars]
            else:
                value = values.value(item.value)
                name = output_name(item, len(outputs) + 1)
                outputs.append(b.Output(name, geometry_text(value)))
                written.append((value, item.at))
        if len(outputs) > MAX_COLUMNS:
            raise self.error(f"the result would have more than {MAX_COLUMNS} columns", node.at)
        return tuple(outputs), written

    def _star(self, star: n.Star, scope: Scope) -> Iterator[b.Output]:
        if not star.qualifier:
            return (b.Output(entry.name, entry.value) for entry in scope.visible)
        relations = scope.relation(star.qualifier)
        if len(relations) != 1:
            names = [entry.name for entry in scope.exposed]
            problem = "is ambiguous" if relations else "is no table or alias of this FROM"
            raise self.error(
                f"{written(star.qualifier)} {problem}{hint(star.qualifier[-1], names)}", star.at
            )
        relation = relations[0]
        return (b.Output(item.name, b.Use(relation, item)) for item in relation.fields)

    # ORDER BY ----------------------------------------------------------------------------------

    def _order_values(
        self, whole: n.Query, outputs: tuple[b.Output, ...], scope: Scope
    ) -> Iterator[b.OrderTerm]:
        for item in whole.order_by:
            by: int | b.Value | None = self._output_number(item, outputs)
            if by is None:
                by = self._in(scope, "ORDER BY", aggregates=True).value(item.value)
                for number, output in enumerate(outputs, 1):
                    if output.value == by:
                        by = number
                        break
            kind = outputs[by - 1].value.kind if isinstance(by, int) else by.kind
            self._check_orderable(kind, item.at)
            yield b.OrderTerm(by, item.descending)

    def _distinct_ordered(
        self, query: b.Query, select: b.Select, local: list[b.Relation], whole: n.Query
    ) -> b.Query:
        """Order different rows by expressions over what was selected: a query around them."""
        inner = replace(query, body=replace(select, top=None), order=())
        relation = self._relations.relation(inner, query_fields(inner), whole.at)
        given = [(output.value, b.Use(relation, item)) for output, item in zip(
            select.outputs, relation.fields, strict=True
        )]  # fmt: skip
        order = []
        for term, item in zip(query.order, whole.order_by, strict=True):
            by = term.by
            if not isinstance(by, int):
                by = substituted(by, given)
                if has_aggregate(by) or any(use.relation in local for use in uses(by)):
                    raise self.error(
                        "with SELECT DISTINCT, ORDER BY takes only what is selected", item.at
                    )
            order.append(b.OrderTerm(by, term.descending))
        return self._around(relation, query, tuple(order), top=select.top)

    def _around(
        self,
        relation: b.Relation,
        query: b.Query,
        order: tuple[b.OrderTerm, ...],
        top: int | None = None,
    ) -> b.Query:
        """Make a query that gives all of another in an order."""
        outputs = tuple(b.Output(item.name, b.Use(relation, item)) for item in relation.fields)
        select = b.Select(outputs, (relation,), None, (), None, distinct=False, top=top)
        return b.Query(select, query.columns, query.kinds, order)

    def _check_orderable(self, kind: Kind, at: int) -> None:
        if kind in {Kind.GEOMETRY, Kind.OTHER}:
            raise self.error(f"rows cannot be ordered by {kind.value}", at)

    def _output_number(self, item: n.OrderItem, outputs: Sequence[b.Output | Column]) -> int | None:
        """Give the output column that a position or a name means, from 1."""
        match item.value:
            case n.Number(value, at):
                if isinstance(value, int) and 1 <= value <= len(outputs):
                    return value
                raise self.error(f"ORDER BY {value}: positions go from 1 to {len(outputs)}", at)
            case n.ColumnName((name,), at):
                found = [i for i, output in enumerate(outputs, 1) if name.meets(output.name)]
                # One column that is selected twice under one name is no riddle.
                if any(outputs[i - 1] != outputs[found[0] - 1] for i in found):
                    raise self.error(f"ORDER BY {written((name,))} is ambiguous", at)
                return found[0] if found else None
            case _:
                return None

    def _ordered(self, node: n.Query, query: b.Query) -> b.Query:
        """Resolve ORDER BY behind set operators, which sees the columns of their result alone."""
        if not node.order_by:
            return query
        numbers = [self._output_number(item, query.columns) for item in node.order_by]
        if None not in numbers:
            for number, item in zip(numbers, node.order_by, strict=True):
                self._check_orderable(query.kinds[(number or 1) - 1], item.at)
            terms = [
                b.OrderTerm(number or 1, item.descending)
                for number, item in zip(numbers, node.order_by, strict=True)
            ]
            return replace(query, order=tuple(terms))
        relation = self._relations.relation(query, query_fields(query), node.at)
        visible = [Visible(item.name, b.Use(relation, item)) for item in relation.fields]
        values = self._in(Scope(visible=visible), "ORDER BY of a set of queries")
        order = []
        for number, item in zip(numbers, node.order_by, strict=True):
            by = number if number is not None else self._of_result(values, item)
            kind = by.kind if isinstance(by, b.Value) else query.kinds[by - 1]
            self._check_orderable(kind, item.at)
            order.append(b.OrderTerm(by, item.descending))
        return self._around(relation, query, tuple(order))

    def _of_result(self, values: Expressions, item: n.OrderItem) -> b.Value:
        try:
            return values.value(item.value)
        except QueryError as error:
            raise QueryError(
                f"{error.message}; behind UNION, EXCEPT and INTERSECT, ORDER BY sees the columns "
                "of the result alone",
                error.line,
                error.column,
            ) from None

    # UNION, EXCEPT, INTERSECT ------------------------------------------------------------------

    def _set(self, node: n.SetOperation, parent: Scope | None) -> b.Query:
        first = self.query(node.first, parent)
        columns, kinds = list(first.columns), list(first.kinds)
        rest = []
        for operator, every, operand in node.rest:
            query = self.query(operand, parent)
            if len(query.columns) != len(columns):
                raise self.error(
                    f"{operator} joins queries of as many columns: found {len(query.columns)} "
                    f"after {len(columns)}",
                    operand.at,
                )
            for i, (kind, column) in enumerate(zip(query.kinds, query.columns, strict=True)):
                joint = joint_kind(kinds[i], kind)
                if joint is None or not mix(columns[i], column, kinds[i], kind):
                    raise self.error(
                        f"{operator}: column {i + 1} is {kind.value}, before {kinds[i].value}",
                        operand.at,
                    )
                if kinds[i] is Kind.NULL:
                    columns[i] = column.called(columns[i].name)
                columns[i] = widened(columns[i], column, joint)
                kinds[i] = joint
            name = _SET_OPERATORS[operator, every]
            rest.append((name, query))
        return b.Query(b.SetQuery(first, tuple(rest)), tuple(columns), tuple(kinds))


def _behind(
    scope: Scope, outputs: Sequence[b.Output], values: Sequence[tuple[b.Value, int]]
) -> Scope:
    """Give the names that ORDER BY sees: those of FROM, and behind them those of SELECT."""
    given = [
        Visible(output.name, value) for output, (value, _) in zip(outputs, values, strict=True)
    ]
    return replace(scope, parent=Scope(visible=given, parent=scope.parent))
