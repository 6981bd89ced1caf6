"""What SQLite intends to do for a query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

import apsw

from obscore import adql
from obscore.adql.schema import TableDef
from obscore.explain.demands import parts_of
from obscore.explain.plans import Access, PlanStep, Work, WorkKind

__all__ = ["read_plan"]

_TABLE = re.compile(
    r"(?P<how>SCAN|SEARCH) (?P<alias>[^\s(]+)(?: EXISTS)?"
    r"(?: USING (?P<auto>AUTOMATIC )?.*?(?:INDEX|PRIMARY KEY)(?: (?P<index>[^\s(]+))?"
    r"(?: \((?P<terms>.*)\))?)?(?: LEFT-JOIN)?$"
)
_COLUMN = re.compile(r"(\w+)(?: IS)?[=<>?]")
_TEMPORARY = re.compile(r"USE TEMP B-TREE FOR (?P<what>.*)")


def read_plan(connection: apsw.Connection, translated: adql.Translated) -> list[PlanStep]:
    """Give SQLite's plan of a query, which is not run."""
    # What is only explained does not notice that an index was made or dropped since: the
    # connection learns of it by reading, and a plan that it keeps stays.
    connection.execute("SELECT 1 FROM obscore LIMIT 1").fetchall()
    rows = connection.execute(
        f"EXPLAIN QUERY PLAN {translated.sql}", {**translated.params, "base_url": ""},
        can_cache=False,
    ).fetchall()  # fmt: skip
    nodes: dict[int, list[tuple[int, str]]] = {}
    for number, parent, _, detail in sorted(rows, key=itemgetter(0)):
        nodes.setdefault(int(str(parent)), []).append((int(str(number)), str(detail)))
    assert translated.resolved is not None
    physical = {
        alias: relation.source.physical
        for alias, relation in parts_of(translated.resolved).relations.items()
        if isinstance(relation.source, TableDef)
    }
    return list(_Reader(nodes, physical).block(0, 0))


class _Reader:
    """Reads the tree that EXPLAIN QUERY PLAN gives.

    Its form is no promise of SQLite's: what is not known is passed over.

    Parameters
    ----------
    nodes
        Numbers and sentences of the nodes below each node.
    physical
        The tables' own names by the aliases of the query.
    """

    def __init__(self, nodes: dict[int, list[tuple[int, str]]], physical: dict[str, str]) -> None:
        self._nodes = nodes
        self._physical = physical

    def block(self, parent: int, depth: int) -> Iterator[PlanStep]:
        """Give the steps below a node: tables one within the other, and what is done beside."""
        loop = 0
        for number, detail in self._nodes.get(parent, []):
            if detail == "MULTI-INDEX OR":
                step, beside = self._multi_index(number, depth)
            else:
                step, beside = self._access(detail, depth), []
            if step is None:
                yield from self._other(number, detail, depth)
                continue
            yield replace(step, loop=loop)
            yield from beside
            loop += 1

    def _multi_index(self, number: int, depth: int) -> tuple[Access | None, list[PlanStep]]:
        """Give the look-ups of conditions joined by OR as one, and what is done beside them."""
        steps = [
            step for inner, _ in self._nodes.get(number, []) for step in self.block(inner, depth)
        ]
        found = [step for step in steps if isinstance(step, Access) and step.depth == depth]
        if not found:
            return None, []
        columns = dict.fromkeys(column for step in found for column in step.columns)
        merged = replace(
            found[0], columns=tuple(columns), spatial=any(step.spatial for step in found)
        )
        return merged, [step for step in steps if step not in found]

    def _access(self, detail: str, depth: int) -> Access | None:
        # The R*Tree's own scan is told with the table whose rows it finds.
        found = None if " VIRTUAL TABLE " in detail else _TABLE.match(detail)
        if found is None:
            return None
        alias = found["alias"]
        # As the schema names the indexes of single columns.
        prefix = f"ix_{self._physical.get(alias, '')}_"
        index = found["index"] or ""
        column = index.removeprefix(prefix) if index.startswith(prefix) else None
        if found["terms"] is None:
            if found["how"] == "SEARCH" and column is not None:
                # The smallest or the largest value, at the end of an index.
                return Access(alias, depth, (column,), end=True)
            return Access(alias, depth, along=column)
        terms = found["terms"]
        if column is not None and column.startswith("lower_"):
            terms = terms.replace("<expr>", column.removeprefix("lower_"))
        columns = dict.fromkeys(_COLUMN.findall(terms))
        # Nothing but the look-ups of the spatial index asks for the key of rows.
        spatial = "rowid" in columns
        columns.pop("rowid", None)
        temporary = found["auto"] is not None
        return Access(alias, depth, tuple(columns), spatial=spatial, temporary=temporary)

    def _other(self, number: int, detail: str, depth: int) -> Iterator[PlanStep]:
        temporary = _TEMPORARY.match(detail)
        if temporary is not None:
            yield _work(temporary["what"], depth)
            return
        word, _, rest = detail.partition(" ")
        match word:
            case "MATERIALIZE" | "CO-ROUTINE":
                if not rest.startswith("("):
                    yield Work("sub-query", depth, rest)
                yield from self.block(number, depth + 1)
            case "CORRELATED" | "LIST" | "SCALAR" | "REUSE":
                inner = list(self.block(number, depth + 1))
                if any(isinstance(step, Access) for step in inner):
                    yield Work("each row" if word == "CORRELATED" else "sub-query", depth)
                    yield from inner
            case "UNION" | "EXCEPT" | "INTERSECT" | "MERGE" | "COMPOUND":
                yield from self._combined(number, word, rest, depth)
            case "RIGHT-JOIN":
                # Once more through the table, for the rows that met none.
                return
            case _:
                yield from self.block(number, depth)

    def _combined(self, number: int, word: str, rest: str, depth: int) -> Iterator[PlanStep]:
        if word == "COMPOUND":
            yield from self.block(number, depth)
            return
        name = rest.strip("()") if word == "MERGE" else f"{word} {rest.partition('USING')[0]}"
        yield Work("combine", depth, name.strip())
        yield from self.block(number, depth)


def _work(what: str, depth: int) -> Work:
    kinds: dict[str, WorkKind] = {"GROUP BY": "group", "DISTINCT": "distinct"}
    if what.lower().startswith("count("):
        return Work("distinct", depth, what)
    if what in kinds:
        return Work(kinds[what], depth)
    return Work("sort", depth, "ORDER BY" if "ORDER BY" in what else what)
