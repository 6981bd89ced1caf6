"""What PostgreSQL intends to do for a query."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from obscore import adql
from obscore.explain.demands import Parts, parts_of
from obscore.explain.plans import Access, PlanStep, Work
from obscore.store.postgres.pool import Connection

__all__ = ["read_plan"]

Node = Mapping[str, Any]

_COLUMNS = """
SELECT i.relname, CASE a.attname WHEN 'lower' THEN regexp_replace(i.relname, '^.*_lower_', '')
    ELSE a.attname END
FROM pg_class AS i JOIN pg_attribute AS a ON a.attrelid = i.oid
WHERE i.relkind IN ('i', 'I') AND i.relname = ANY(%(names)s) AND a.attnum > 0
"""

_SCANS = frozenset({
    "Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Scan", "Sample Scan",
})  # fmt: skip

_PART = re.compile(r"_\d+$")
"""What the plan puts behind the alias of a table that is kept in parts."""


def read_plan(connection: Connection, translated: adql.Translated) -> list[PlanStep]:
    """Give PostgreSQL's plan of a query, which is not run."""
    ((found,),) = connection.execute(
        f"EXPLAIN (FORMAT JSON) {translated.sql}".encode(), {**translated.params, "base_url": ""}
    ).fetchall()
    assert isinstance(found, list)
    root = found[0]["Plan"]
    names = sorted(set(_index_names(root)))
    columns: dict[str, list[str]] = {}
    if names:
        for index, column in connection.execute(_COLUMNS, {"names": names}).fetchall():
            columns.setdefault(str(index), []).append(str(column))
    assert translated.resolved is not None
    return _Reader(parts_of(translated.resolved), columns).steps(root)


def _below(node: Node) -> Sequence[Node]:
    below: Sequence[Node] = node.get("Plans", ())
    return below


def _index_names(node: Node) -> Iterator[str]:
    if "Index Name" in node:
        yield node["Index Name"]
    for inner in _below(node):
        yield from _index_names(inner)


class _Reader:
    """Reads the tree of nodes.

    Parameters
    ----------
    parts
        Of the query.
    columns
        The columns of each index.
    """

    def __init__(self, parts: Parts, columns: Mapping[str, Sequence[str]]) -> None:
        self._parts = parts
        self._columns = columns

    def steps(self, node: Node, depth: int = 0, loop: int = 0) -> list[PlanStep]:
        """Give the steps of a node and of all below it, in the order in which they begin."""
        before, inner = [], []
        for item in _below(node):
            if item.get("Parent Relationship") in {"InitPlan", "SubPlan"}:
                before += self._sub_plan(item, node, depth)
            else:
                inner.append(item)
        match node["Node Type"]:
            case kind if kind in _SCANS:
                own: list[PlanStep] = self._scan(node, depth, loop)
            case "Nested Loop" | "Hash Join" | "Merge Join" as kind:
                own = self._join(kind, inner, depth, loop)
            case "Subquery Scan" | "CTE Scan":
                own = self._result(node, inner, depth, loop)
            case _:
                own = [step for item in inner for step in self.steps(item, depth, loop)]
                own += self._work(node, depth)
        first = [step for step in own if isinstance(step, Access)][:1]
        place = own.index(first[0]) + 1 if first else 0
        return [*own[:place], *before, *own[place:]]

    # Tables ------------------------------------------------------------------------------------

    def _alias(self, node: Node) -> str:
        alias = str(node.get("Alias", ""))
        return alias if alias in self._parts.relations else _PART.sub("", alias)

    def _scan(self, node: Node, depth: int, loop: int) -> list[PlanStep]:
        alias = self._alias(node)
        relation = self._parts.relations.get(alias)
        if relation is None:
            return []
        access = Access(alias, depth, loop=loop, rows=node.get("Plan Rows"))
        used = [
            column
            for index in _index_names(node)
            for column in self._columns.get(index, ())
        ]  # fmt: skip
        if node["Node Type"] != "Bitmap Heap Scan" and "Index Cond" not in node:
            return [replace(access, along=used[0] if used else None)]
        key = None if relation.spatial is None else relation.spatial.key
        columns = tuple(dict.fromkeys(column for column in used if column != key))
        return [replace(access, columns=columns, spatial=key in used)]

    def _join(self, kind: str, sides: Sequence[Node], depth: int, loop: int) -> list[PlanStep]:
        """Give the outer side, and what is done on the inner one for each of its rows."""
        outer = self.steps(sides[0], depth, loop)
        behind = sum(isinstance(step, Access) and step.depth == depth for step in outer)
        if kind == "Nested Loop":
            return outer + self.steps(sides[1], depth, loop + max(1, behind))
        inner = self.steps(sides[1], depth, loop)
        lone = [step for step in inner if isinstance(step, Access)]
        if kind == "Hash Join" and len(lone) == 1 == len(inner) and _is_whole(lone[0]):
            return [*outer, replace(lone[0], temporary=True, loop=loop + max(1, behind))]
        how = "hashing" if kind == "Hash Join" else "merging them in one order"
        return [*outer, *inner, Work("join", depth, how)]

    def _result(self, node: Node, inner: Sequence[Node], depth: int, loop: int) -> list[PlanStep]:
        """Give the scan of a sub-query or of a query of WITH."""
        alias = self._alias(node)
        if alias not in self._parts.relations:
            # Made by the printer, as the operands of UNION are.
            return [step for item in inner for step in self.steps(item, depth, loop)]
        own = [step for item in inner for step in self.steps(item, depth + 1)]
        access = Access(alias, depth, loop=loop, rows=node.get("Plan Rows"))
        begun: list[PlanStep] = [Work("sub-query", depth, alias)] if own else []
        return [*begun, *own, access]

    def _sub_plan(self, node: Node, owner: Node, depth: int) -> list[PlanStep]:
        name = str(node.get("Subplan Name", ""))
        if name.startswith("CTE "):
            return [Work("sub-query", depth, name[4:]), *self.steps(node, depth + 1)]
        if node["Node Type"] == "Limit" and _is_extreme(node):
            # The smallest or the largest value, at the end of an index.
            return [
                replace(step, end=True, rows=None)
                if isinstance(step, Access) and step.depth == depth
                else step
                for step in self.steps(_below(node)[0], depth)
            ]
        steps = self.steps(node, depth + 1)
        if not any(isinstance(step, Access) for step in steps):
            return []
        again = node.get("Parent Relationship") == "SubPlan"
        # Hashed, it is computed once.
        number = name.partition("(")[0].strip()
        again = again and f"hashed {number}" not in str(owner)
        return [Work("each row" if again else "sub-query", depth), *steps]

    # Work --------------------------------------------------------------------------------------

    def _work(self, node: Node, depth: int) -> list[PlanStep]:
        match node["Node Type"]:
            case "Sort" | "Incremental Sort":
                return [Work("sort", depth, "ORDER BY")] if self._ordered else []
            case "Aggregate" | "Group":
                if node.get("Strategy") == "Plain" or node.get("Partial Mode") == "Partial":
                    return []
                return [Work("group" if self._grouped else "distinct", depth)]
            case "Unique":
                return [Work("distinct", depth)]
            case "Append" | "Merge Append" if self._sets:
                return [Work("combine", depth, self._sets[0])]
            case "SetOp":
                return [Work("combine", depth, str(node.get("Command", "")).upper())]
            case _:
                return []

    @property
    def _grouped(self) -> bool:
        return any(select.groups for select in self._parts.selects)

    @property
    def _ordered(self) -> bool:
        return self._parts.ordered

    @property
    def _sets(self) -> list[str]:
        return [name for name in self._parts.sets if name.startswith("UNION")]


def _is_whole(access: Access) -> bool:
    return not access.columns and not access.spatial


def _is_extreme(node: Node) -> bool:
    (inner,) = _below(node)
    condition = str(inner.get("Index Cond", ""))
    return inner["Node Type"].startswith("Index") and condition.endswith(" IS NOT NULL)")
