"""What FROM reads: tables, named queries, sub-queries and their joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from obscore.adql import bound as b
from obscore.adql import nodes as n
from obscore.adql.expressions import Expressions
from obscore.adql.inherited import spatial_columns, with_hidden_columns
from obscore.adql.names import Exposed, Scope, Visible, find_table, table_fields, written
from obscore.adql.outputs import merged_by_using, query_fields
from obscore.adql.passes import with_prefilters
from obscore.adql.schema import Schema, TableDef
from obscore.adql.tokens import place
from obscore.adql.types import Kind
from vodal.errors import QueryError

__all__ = ["Relations"]

MAX_RELATIONS = 100
"""Tables and sub-queries of a whole query."""


@dataclass(slots=True)
class Relations:
    """The relations of one query."""

    text: str
    schema: Schema
    query: Callable[[n.Query, Scope | None], b.Query]
    """Resolves a sub-query."""
    read: dict[str, TableDef] = field(default_factory=dict)
    """Tables that the query reads, by full name, in order of appearance."""
    named: dict[str, b.Named] = field(default_factory=dict)
    """Queries that WITH names, by their names in lower case."""
    _count: int = 0

    def _error(self, message: str, at: int) -> QueryError:
        return QueryError(message, *place(self.text, at))

    def scope(self, node: n.Select, parent: Scope | None) -> tuple[tuple[b.From, ...], Scope]:
        """Resolve FROM, and give the names that it brings."""
        scope = Scope(parent=parent)
        tables = []
        for item in node.tables:
            table, names = self._table(item, parent)
            scope = self._join_scopes(scope, names, item.at)
            tables.append(table)
        return tuple(tables), scope

    def _join_scopes(self, left: Scope, right: Scope, at: int) -> Scope:
        try:
            return left.joined(right)
        except QueryError as error:
            raise self._error(error.message, at) from None

    def _table(self, node: n.TableRef, parent: Scope | None) -> tuple[b.From, Scope]:
        match node:
            case n.NamedTable():
                relation, exposed = self._named_table(node)
            case n.DerivedTable(query, alias, _):
                inner = with_hidden_columns(self.query(query, parent))
                relation = self.relation(inner, query_fields(inner), node.at)
                relation.name = alias.text
                exposed = Exposed(alias.text, None, relation)
            case n.Join():
                return self._join(node, parent)
        visible = [Visible(item.name, b.Use(relation, item)) for item in relation.fields]
        return relation, Scope([exposed], visible, parent)

    def relation(
        self, source: TableDef | b.Query | b.Named, fields: tuple[b.Field, ...], at: int
    ) -> b.Relation:
        """Make a relation of a source, with a name of its own."""
        self._count += 1
        if self._count > MAX_RELATIONS:
            raise self._error(f"the query reads more than {MAX_RELATIONS} tables", at)
        spatial = source.spatial if isinstance(source, TableDef) else spatial_columns(source)
        return b.Relation(f"t{self._count}", source, fields, spatial)

    def _named_table(self, node: n.NamedTable) -> tuple[b.Relation, Exposed]:
        name = node.parts[-1]
        named = self.named.get(name.text.lower()) if len(node.parts) == 1 else None
        if named is not None:
            relation = self.relation(named, query_fields(named.query), node.at)
            relation.name = (node.alias or name).text
            return relation, Exposed(relation.name, None, relation)
        try:
            table = find_table(self.schema, node)
        except QueryError as error:
            raise self._error(error.message, node.at) from None
        self.read.setdefault(table.full_name, table)
        relation = self.relation(table, table_fields(table), node.at)
        relation.name = table.name if node.alias is None else node.alias.text
        if node.alias is not None:
            return relation, Exposed(node.alias.text, None, relation)
        return relation, Exposed(table.name, table.schema, relation)

    def _join(self, node: n.Join, parent: Scope | None) -> tuple[b.From, Scope]:
        left, left_scope = self._table(node.left, parent)
        right, right_scope = self._table(node.right, parent)
        scope = self._join_scopes(left_scope, right_scope, node.at)
        if node.on is not None:
            # The rows of an outer join's right side are looked for, whichever side is kept.
            side = scope if node.kind == "INNER" else right_scope
            inner = [entry.relation for entry in side.exposed]
            condition = with_prefilters(
                Expressions(self.text, scope, "ON", self.query, aggregates=False).condition(
                    node.on
                ),
                inner,
            )
            return b.Joined(node.kind, left, right, condition), scope
        shared = list(node.using)
        if node.natural:
            theirs = {entry.name.lower() for entry in right_scope.visible}
            shared = [
                n.Name(entry.name, quoted=False, at=node.at)
                for entry in left_scope.visible
                if entry.name.lower() in theirs
            ]
        merged, conditions = [], []
        for name in shared:
            one, two = (self._shared(side, name) for side in (left_scope, right_scope))
            if one.kind.numeric != two.kind.numeric or one.kind is Kind.OTHER:
                raise self._error(f"the columns {name.text} cannot be compared", name.at)
            conditions.append(b.Compare("=", one, two))
            merged.append(Visible(name.text, merged_by_using(node.kind, one, two)))
        rest = [
            entry for entry in scope.visible if not any(name.meets(entry.name) for name in shared)
        ]
        on = b.AllOf(tuple(conditions)) if conditions else None
        joined = b.Joined(node.kind, left, right, on)
        return joined, Scope(scope.exposed, merged + rest, parent)

    def _shared(self, side: Scope, name: n.Name) -> b.Value:
        found = [entry.value for entry in side.visible if name.meets(entry.name)]
        if len(found) == 1:
            return found[0]
        problem = "is ambiguous" if found else "is not in both tables"
        raise self._error(f"the column {written((name,))} {problem}", name.at)
