"""The conditions of a query one by one, and what an index has to do with each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from obscore.adql import bound as b
from obscore.adql.grouping import uses, values_in
from obscore.adql.schema import TableDef

__all__ = ["Demand", "Parts", "grounded", "indexed_part", "lowered", "parts_of", "physical_name"]

_RANGES = frozenset({"=", "<", ">", "<=", ">="})


@dataclass(frozen=True, slots=True)
class Demand:
    """One condition that must hold."""

    condition: b.Condition
    look_up: b.Condition | None = None
    """What the spatial index is asked for before."""


@dataclass(slots=True)
class Parts:
    """All that a query and its sub-queries are made of."""

    relations: dict[str, b.Relation] = field(default_factory=dict)
    """By our alias, in the order in which they are written."""
    names: dict[str, str] = field(default_factory=dict)
    """What our aliases of sub-queries and of queries of WITH are called in the query."""
    demands: list[Demand] = field(default_factory=list)
    selects: list[b.Select] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    """UNION, EXCEPT and the like."""
    ordered: bool = False
    """Whether there is an ORDER BY anywhere."""


def parts_of(query: b.Query) -> Parts:
    """Take a query to pieces."""
    parts = Parts()
    _take_query(query, parts)
    return parts


def _take_query(query: b.Query, parts: Parts) -> None:
    parts.ordered = parts.ordered or bool(query.order)
    for named in query.named:
        parts.names[named.alias] = named.name
        _take_query(named.query, parts)
    match query.body:
        case b.Select() as select:
            parts.selects.append(select)
            for table in select.tables:
                _take_table(table, parts)
            for condition in (select.where, select.having):
                if condition is not None:
                    _take_sub_queries(condition, parts)
            if select.where is not None:
                parts.demands += _conjuncts(select.where)
        case b.SetQuery(first, rest):
            parts.sets += [operator for operator, _ in rest]
            for item in (first, *(operand for _, operand in rest)):
                _take_query(item, parts)
        case b.Query() as inner:
            _take_query(inner, parts)


def _take_table(table: b.From, parts: Parts) -> None:
    match table:
        case b.Relation(alias, source):
            parts.relations[alias] = table
            parts.names[alias] = table.name
            if isinstance(source, b.Query):
                _take_query(source, parts)
        case b.Joined(left=left, right=right, condition=condition):
            _take_table(left, parts)
            _take_table(right, parts)
            if condition is not None:
                _take_sub_queries(condition, parts)
                parts.demands += _conjuncts(condition)


def _take_sub_queries(condition: b.Condition, parts: Parts) -> None:
    match condition:
        case b.InQuery(query=query) | b.Exists(query):
            _take_query(query, parts)
        case b.NotThat(operand):
            _take_sub_queries(operand, parts)
        case b.AllOf(operands) | b.AnyOf(operands):
            for operand in operands:
                _take_sub_queries(operand, parts)
        case _:
            return


def _conjuncts(condition: b.Condition) -> Iterator[Demand]:
    match condition:
        case b.AllOf((first, second)) if _is_look_up(first):
            yield Demand(second, first)
        case b.AllOf(operands):
            for operand in operands:
                yield from _conjuncts(operand)
        case b.AnyOf():
            yield Demand(condition, _any_look_up(condition))
        case b.Nearby():
            return
        case _:
            yield Demand(condition)


def _is_look_up(condition: b.Condition) -> bool:
    match condition:
        case b.Nearby():
            return True
        case b.AnyOf(operands):
            return all(map(_is_look_up, operands))
        case _:
            return False


def _any_look_up(condition: b.AnyOf) -> b.Condition | None:
    """Give the look-ups of conditions of which one must hold, if each has one."""
    found = []
    for operand in condition.operands:
        look_ups = [demand.look_up for demand in _conjuncts(operand) if demand.look_up is not None]
        if not look_ups:
            return None
        found.append(look_ups[0])
    return b.AnyOf(tuple(found))


# Relations -----------------------------------------------------------------------------------


def grounded(
    item: b.Value | b.Condition | b.Relation, known: Collection[str]
) -> Iterator[tuple[b.Relation, b.Field | None]]:
    """Give the relations, and of columns these too, on which something depends.

    Parameters
    ----------
    item
        Value, condition or relation.
    known
        Aliases that the database reads by; a sub-query that is not among them was made part of
        the query around it, and its columns stand for what they are made of.
    """
    match item:
        case b.Relation():
            yield from _ground_relation(item, known)
        case b.Nearby(relation, shape, margin):
            yield from _ground_relation(relation, known)
            for value in (shape, *(() if margin is None else (margin,))):
                yield from grounded(value, known)
        case b.Exists(query) | b.InQuery(query=query):
            yield from _ground_outside(query, known)
        case _:
            pass
    if isinstance(item, b.Condition):
        for value in values_in(item):
            yield from grounded(value, known)
        for operand in _look_ups_in(item):
            yield from grounded(operand, known)
    elif not isinstance(item, b.Relation):
        for use in uses(item):
            yield from _ground_use(use, known)


def _look_ups_in(condition: b.Condition) -> Iterator[b.Condition]:
    """Give what `values_in` passes over within a condition."""
    match condition:
        case b.NotThat(operand):
            operands: tuple[b.Condition, ...] = (operand,)
        case b.AllOf(operands) | b.AnyOf(operands):
            pass
        case _:
            operands = ()
    for operand in operands:
        if isinstance(operand, b.Nearby | b.Exists | b.InQuery):
            yield operand
        else:
            yield from _look_ups_in(operand)


def _ground_outside(
    query: b.Query, known: Collection[str]
) -> Iterator[tuple[b.Relation, b.Field | None]]:
    """Give what a sub-query uses of the queries around it."""
    inner = parts_of(query)
    for demand in inner.demands:
        for relation, column in grounded(demand.condition, known):
            if relation.alias not in inner.relations:
                yield relation, column


def _ground_relation(
    relation: b.Relation, known: Collection[str]
) -> Iterator[tuple[b.Relation, b.Field | None]]:
    select = _merged(relation, known)
    if select is None:
        yield relation, None
    elif select.hidden:
        yield from _ground_relation(select.hidden[0].relation, known)


def _ground_use(use: b.Use, known: Collection[str]) -> Iterator[tuple[b.Relation, b.Field | None]]:
    select = _merged(use.relation, known)
    number = use.field.number
    if select is None or not 0 < number <= len(select.outputs):
        yield use.relation, use.field
        return
    yield from grounded(select.outputs[number - 1].value, known)


def _merged(relation: b.Relation, known: Collection[str]) -> b.Select | None:
    """Give the SELECT that stands in the place of a relation."""
    if relation.alias in known or isinstance(relation.source, TableDef):
        return None
    source = relation.source
    query = source.query if isinstance(source, b.Named) else source
    return query.body if isinstance(query.body, b.Select) else None


# Indexes -------------------------------------------------------------------------------------


def physical_name(item: b.Field) -> str:
    """Give the database's name of a table's column; that of what is computed is never met."""
    sql = None if item.definition is None else item.definition.sql
    if sql is not None and sql.startswith('{alias}."'):
        return sql.removeprefix('{alias}."').removesuffix('"')
    return item.name


def indexed_part(
    demand: Demand, relation: b.Relation, columns: Collection[str], known: Collection[str]
) -> b.Condition | None:
    """Give what of a condition an index answers; None if it answers nothing of it.

    Parameters
    ----------
    demand
        The condition.
    relation
        Whose rows are found.
    columns
        Its physical columns that have the index which is used; ``*`` for the spatial one.
    known
        As for `grounded`.
    """
    if (
        demand.look_up is not None
        and "*" in columns
        and relation.alias in {item.alias for item, _ in grounded(demand.look_up, known)}
    ):
        return demand.look_up
    match demand.condition:
        case b.AnyOf(operands):
            found: list[b.Condition] = []
            for operand in operands:
                parts = (indexed_part(one, relation, columns, known) for one in _conjuncts(operand))
                found += [part for part in parts if part is not None][:1]
            return b.AnyOf(tuple(found)) if len(found) == len(operands) else None
        case condition if any(
            _by_index(use, others, relation, columns, known) for use, others in _sought(condition)
        ):
            return condition
        case _:
            return None


def _by_index(
    use: b.Use,
    others: Iterable[b.Value],
    relation: b.Relation,
    columns: Collection[str],
    known: Collection[str],
) -> bool:
    """Whether a column has an index that is used, and is compared with what is known before."""
    found = any(
        owner is relation and column is not None and physical_name(column) in columns
        for owner, column in grounded(use, known)
    )
    return found and not any(
        owner is relation for other in others for owner, _ in grounded(other, known)
    )


def _sought(condition: b.Condition) -> Iterator[tuple[b.Use, tuple[b.Value, ...]]]:
    """Give the columns whose index can find the rows for which a condition holds.

    With each what it is compared with, which must not depend on the row itself.
    """
    candidates: tuple[tuple[b.Value, tuple[b.Value, ...]], ...] = ()
    match condition:
        case b.Compare(operator, left, right) if operator in _RANGES:
            candidates = ((left, (right,)), (right, (left,)))
        case b.Between(operand, low, high, False):
            candidates = ((operand, (low, high)),)
        case b.InValues(operand, values, False):
            candidates = ((operand, values if isinstance(values, tuple) else ()),)
        case b.InQuery(operand=operand, negated=False) | b.IsNull(operand, False):
            candidates = ((operand, ()),)
        case b.Like(operand, b.Literal(str(pattern)), False, False) if pattern[:1] not in "%_":
            candidates = ((operand, ()),)
        case _:
            pass
    for value, others in candidates:
        if isinstance(value, b.Use):
            yield value, others
        elif (use := lowered(value)) is not None:
            yield use, others


def lowered(value: b.Value) -> b.Use | None:
    """Give the column of which a value is ``LOWER``, if there is an index of that."""
    match value:
        case b.Function("LOWER", (b.Use() as use,)):
            definition = use.field.definition
            return use if definition is not None and definition.any_case else None
        case _:
            return None
