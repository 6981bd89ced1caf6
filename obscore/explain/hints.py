"""What would make a query quicker, said to the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from obscore.adql import bound as b
from obscore.adql.grouping import uses, values_in
from obscore.adql.schema import TableDef
from obscore.adql.tokens import delimited
from obscore.adql.wording import Wording
from obscore.explain.demands import Demand, Parts, lowered
from obscore.explain.explanation import Finding, Reading

__all__ = ["hints"]

_SMALL = 100
"""Rows of a table that are read in no time."""

_LONGEST_LIST = 16
"""Columns that a hint names."""

_SKY = frozenset({"CONTAINS", "INTERSECTS", "DISTANCE"})


def hints(
    parts: Parts,
    readings: Sequence[tuple[Reading, tuple[Demand, ...]]],
    words: Wording,
) -> tuple[str, ...]:
    """Give sentences without a full stop, the most useful first.

    Parameters
    ----------
    parts
        Of the query.
    readings
        How each table is read, with the conditions that are checked row by row.
    words
        Writes parts of the query.
    """
    found: list[str] = []
    joins: list[str] = []
    tables = [item for item in parts.relations.values() if isinstance(item.source, TableDef)]
    for place, (reading, demands) in enumerate(readings):
        if reading.finding is not Finding.ALL or (reading.table_rows or _SMALL) < _SMALL:
            continue
        if reading.loop and place:
            joins.append(_of_pairs(readings[place - 1][0], reading))
        relation = next((item for item in tables if _is_read(item, reading)), None)
        for demand in demands:
            # One whose index the database would rather not use is written well already.
            if words.condition(demand.condition) not in reading.passed_over:
                found += _of_test(demand.condition, words)
        if relation is not None:
            found += _of_counts(parts, relation)
            found += _indexes(relation)
    return tuple(dict.fromkeys(joins + found))


def _of_pairs(outer: Reading, inner: Reading) -> str:
    forms = (
        f"JOIN ... ON {outer.name}.column = {inner.name}.column, or"
        f" ON CONTAINS(POINT({outer.name}.ra, {outer.name}.dec), {inner.name}.s_region) = 1"
    )
    if inner.joins:
        return f"join {outer.name} and {inner.name} by a condition that an index answers: {forms}"
    return f"join {outer.name} and {inner.name} by a condition: {forms}"


def _is_read(relation: b.Relation, reading: Reading) -> bool:
    assert isinstance(relation.source, TableDef)
    return relation.source.full_name == reading.table and relation.name == reading.name


def _of_test(condition: b.Condition, words: Wording) -> Iterator[str]:
    """Say why no index answers a condition."""
    if isinstance(condition, b.NotThat):
        yield "NOT (...) looks at every row: a condition that says what is wanted can use an index"
        return
    if isinstance(condition, b.AnyOf):
        for operand in condition.operands:
            yield from _of_test(operand, words)
        yield "OR is answered by indexes only if each of its conditions is"
        return
    if _is_of_sky(condition):
        yield from _of_sky(condition, words)
        return
    match condition:
        case b.Like(operand=b.Use() as use, any_case=True) if _has_index(use):
            yield f"ILIKE uses no index: LIKE 'beginning%' uses that of {_named(use)}"
        case b.Like(operand=b.Use() as use) if _has_index(use):
            yield "LIKE uses an index only if the pattern begins with other signs than % and _"
        case b.Compare("<>", left=b.Use() as use) if _has_index(use):
            yield "<> uses no index: say which values are wanted, by = or IN"
        case b.Compare() | b.Between() | b.InValues():
            yield from _of_values(condition, words)
        case _:
            return


def _is_of_sky(condition: b.Condition) -> bool:
    return any(
        isinstance(value, b.Function) and value.name in _SKY for value in values_in(condition)
    )


def _of_sky(condition: b.Condition, words: Wording) -> Iterator[str]:
    match condition:
        case b.Compare("=", b.Function(name), b.Literal(0)) | b.Compare(
            "=", b.Literal(0), b.Function(name)
        ):
            yield f"{name}(...) = 0 looks at every row; only {name}(...) = 1 uses the spatial index"
        case b.Compare(">" | ">=", b.Function("DISTANCE"), _):
            yield "DISTANCE(...) > ... looks at every row; only DISTANCE(...) < ... uses the index"
        case _:
            yield (
                f"{words.condition(condition)} does not name the position or the footprint that the"
                " spatial index has"
            )


def _of_values(condition: b.Condition, words: Wording) -> Iterator[str]:
    for value in values_in(condition):
        if isinstance(value, b.Use):
            spatial = value.relation.spatial
            if spatial is not None and _is_position(value):
                ra, dec = map(delimited, spatial.point_columns)
                yield (
                    f"a range of {ra} or {dec} uses no index; a region does:"
                    f" CONTAINS(POINT('ICRS', {ra}, {dec}), CIRCLE('ICRS', ra, dec, radius)) = 1"
                )
            continue
        if lowered(value) is not None:
            continue
        indexed = [use for use in uses(value) if _has_index(use)]
        if indexed and not isinstance(value, b.Literal):
            yield (
                f"compare {_named(indexed[0])} itself: its index has the column's values, not those"
                f" of {words.value(value)}"
            )


def _named(use: b.Use) -> str:
    return delimited(use.field.name)


def _has_index(use: b.Use) -> bool:
    definition = use.field.definition
    return definition is not None and definition.indexed and not _is_position(use)


def _is_position(use: b.Use) -> bool:
    table = use.relation.source
    if not isinstance(table, TableDef) or table.spatial is None:
        return False
    return use.field.name in table.spatial.point_columns


def _of_counts(parts: Parts, relation: b.Relation) -> Iterator[str]:
    """Say which columns keep a query from being answered by the kept counts."""
    table = relation.source
    assert isinstance(table, TableDef)
    for select in parts.selects:
        if table.facets is None or select.tables != (relation,):
            continue
        if not (select.distinct or select.grouped):
            continue
        values = [output.value for output in select.outputs]
        values += select.groups
        values += [] if select.where is None else values_in(select.where)
        others = {use.field.name for value in values for use in uses(value)} - table.facets.columns
        if others:
            names = ", ".join(map(delimited, sorted(others)))
            yield (
                "counts are kept of the columns with few values, and answer DISTINCT, GROUP BY and"
                f" COUNT(*) at once if no other column is needed; this query needs {names}"
            )


def _indexes(relation: b.Relation) -> Iterator[str]:
    """Say what of a table has an index."""
    table = relation.source
    assert isinstance(table, TableDef)
    geometry: set[str] = set()
    if table.spatial is not None:
        geometry = {table.spatial.region_column, *table.spatial.point_columns} - {""}
        ra, dec = table.spatial.point_columns
        point = f"POINT('ICRS', {delimited(ra)}, {delimited(dec)})" if ra else ""
        region = table.spatial.region_column
        shape = point or delimited(region)
        test = "CONTAINS" if point else "INTERSECTS"
        yield (
            f"the spatial index of {table.full_name} answers"
            f" {test}({shape}, CIRCLE('ICRS', ra, dec, radius)) = 1"
            + (f" and INTERSECTS({delimited(region)}, ...) = 1" if point and region else "")
        )
    names = [item.name for item in table.columns if item.indexed and item.name not in geometry]
    if names:
        shown = ", ".join(map(delimited, names[:_LONGEST_LIST]))
        more = ", ..." if len(names) > _LONGEST_LIST else ""
        yield (
            f"comparisons (=, <, >, BETWEEN, IN) of these columns of {table.full_name} use an"
            f" index: {shown}{more}"
        )
