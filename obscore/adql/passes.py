"""Spatial conditions get a look-up in the spatial index beside the exact test."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from obscore.adql import bound as b
from obscore.adql.functions import VOLATILE
from obscore.adql.moc.cover import around
from obscore.adql.schema import TableDef

__all__ = ["with_prefilters"]

_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}

_OPPOSITES = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "=": "<>", "<>": "="}

_LookUp = tuple[b.Relation, b.Condition]
"""What an index can answer, and whose rows it gives."""

# CONTAINS and INTERSECTS give 1 or 0: these comparisons hold for 1 alone.
_HOLDS = {("=", 1), (">", 0), ("<>", 0), (">=", 1)}


def with_prefilters(condition: b.Condition, inner: Collection[b.Relation]) -> b.Condition:
    """Add to each spatial test that must hold what the index can answer.

    Only tests that are not turned round get one: an absent footprint makes the test NULL, which
    NOT keeps NULL, while the index would say no. NOT is moved inwards where it then vanishes.

    Parameters
    ----------
    condition
        Of WHERE or ON.
    inner
        Relations whose rows the database looks for while it has a row of the others: those of the
        right side of an outer join, those of the query itself and not of one around it. Where both
        sides of a test have an index, theirs is asked.
    """
    match condition:
        case b.AllOf(operands):
            return b.AllOf(tuple(with_prefilters(operand, inner) for operand in operands))
        case b.AnyOf(operands):
            return b.AnyOf(tuple(with_prefilters(operand, inner) for operand in operands))
        case b.Compare():
            overlap = _overlap(condition)
            if overlap is not None:
                return overlap
            nearby = _best(_nearby(condition), inner)
        case b.Between(b.Function("DISTANCE") as distance, _, high, False):
            nearby = _best(_within(distance, high), inner)
        case b.NotThat(operand):
            turned = _opposite(operand)
            if isinstance(turned, b.NotThat):
                return condition
            moved = with_prefilters(turned, inner)
            return moved if _looks_up(moved) else condition
        case _:
            nearby = None
    return condition if nearby is None else b.AllOf((nearby, condition))


def _opposite(condition: b.Condition) -> b.Condition:
    """Turn a condition round; what is unknown stays so."""
    match condition:
        case b.Compare(operator, left, right):
            return b.Compare(_OPPOSITES[operator], left, right)
        case b.NotThat(operand):
            return operand
        case b.AllOf(operands):
            return b.AnyOf(tuple(map(_opposite, operands)))
        case b.AnyOf(operands):
            return b.AllOf(tuple(map(_opposite, operands)))
        case b.Between() | b.InValues() | b.InQuery() | b.Like() | b.IsNull():
            return replace(condition, negated=not condition.negated)
        case b.Exists() | b.Nearby():
            return b.NotThat(condition)


def _looks_up(condition: b.Condition) -> bool:
    match condition:
        case b.Nearby():
            return True
        case b.AllOf(operands) | b.AnyOf(operands):
            return any(map(_looks_up, operands))
        case _:
            return False


def _best(found: list[_LookUp], inner: Collection[b.Relation]) -> b.Condition | None:
    """Choose the index to ask: that of an inner relation, then the one of the larger table."""
    if not found:
        return None
    _, look_up = min(found, key=lambda item: (item[0] not in inner, _is_upload(item[0])))
    return look_up


def _is_upload(relation: b.Relation) -> bool:
    """Whether the rows come from an uploaded table, which is the smaller one as a rule."""
    match relation.source:
        case TableDef(schema=schema):
            return schema == "TAP_UPLOAD"
        case b.Named(query=query) | (b.Query() as query):
            body = query.body
            return isinstance(body, b.Select) and any(
                _is_upload(hidden.relation) for hidden in body.hidden
            )


def _nearby(condition: b.Compare) -> list[_LookUp]:
    operator, left, right = condition.operator, condition.left, condition.right
    if isinstance(right, b.Function) and not isinstance(left, b.Function):
        operator, left, right = _TURNED[operator], right, left
    match left, right:
        case b.Function("CONTAINS" | "INTERSECTS", (first, second)), b.Literal(value):
            if (operator, value) not in _HOLDS:
                return []
            return [*_beside(first, second, None), *_beside(second, first, None)]
        case b.Function("DISTANCE") as distance, _ if operator in {"<", "<="}:
            return _within(distance, right)
        case _, b.Function("DISTANCE") as distance if operator in {">", ">="}:
            return _within(distance, left)
        case _:
            return []


def _overlap(condition: b.Compare) -> b.Condition | None:
    """Give an overlap of intervals as comparisons, each of which an index may answer."""
    match condition:
        case b.Compare("=", b.Function("IVO_INTERVAL_OVERLAPS", bounds), b.Literal(1)):
            pass
        case b.Compare("=", b.Literal(1), b.Function("IVO_INTERVAL_OVERLAPS", bounds)):
            pass
        case _:
            return None
    if not all(map(_computable, bounds)):
        return None
    a1, b1, a2, b2 = bounds
    pairs = ((a1, b2), (a2, b1), (a1, b1), (a2, b2))
    return b.AllOf(tuple(b.Compare("<=", low, high) for low, high in pairs))


def _within(distance: b.Function, limit: b.Value) -> list[_LookUp]:
    first, second = distance.arguments
    if not _computable(limit):
        return []
    return [*_beside(first, second, limit), *_beside(second, first, limit)]


def _beside(indexed: b.Value, shape: b.Value, margin: b.Value | None) -> list[_LookUp]:
    """Look rows of ``indexed`` up by ``shape``, if the index has the one and not the other."""
    if margin is None and isinstance(indexed, b.Function) and indexed.name == "CIRCLE":
        # A circle around each row's own position meets what lies within its radius of that.
        indexed, margin = indexed.arguments
    relation = _indexed_relation(indexed)
    if relation is None or not _computable(shape):
        return []
    if relation in _relations(shape) or (margin is not None and relation in _relations(margin)):
        return []
    if isinstance(shape, b.MocValue):
        near = _near_map(relation, shape, margin)
        return [] if near is None else [(relation, near)]
    return [(relation, b.Nearby(relation, shape, margin))]


def _near_map(
    relation: b.Relation, value: b.MocValue, margin: b.Value | None
) -> b.Condition | None:
    """Look rows up by a few circles around the cells of a map."""
    circles = around(value.moc)
    if circles is None:
        return None
    return b.AnyOf(
        tuple(b.Nearby(relation, b.ShapeValue(circle, value.column), margin) for circle in circles)
    )


def _indexed_relation(value: b.Value) -> b.Relation | None:
    match value:
        case b.Function("SHAPE", (b.Use(relation, field),)):
            spatial = relation.spatial
            if spatial is not None and field.name == spatial.region_column:
                return relation
        case b.Function("POINT", (b.Use(relation, ra), b.Use(other, dec))):
            spatial = relation.spatial
            if relation is other and spatial is not None:
                return relation if (ra.name, dec.name) == spatial.point_columns else None
        case _:
            pass
    return None


def _relations(value: b.Value) -> list[b.Relation]:
    if isinstance(value, b.Use):
        return [value.relation]
    return [relation for child in b.children(value) for relation in _relations(child)]


def _computable(value: b.Value) -> bool:
    """Whether a value is the same wherever it is computed, and has no aggregate in it."""
    if isinstance(value, b.Aggregate):
        return False
    if isinstance(value, b.Function) and value.name in VOLATILE:
        return False
    return all(map(_computable, b.children(value)))
