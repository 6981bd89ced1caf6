"""A query and a database's plan for it put together to an explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from obscore.adql import bound as b
from obscore.adql.schema import TableDef
from obscore.adql.wording import Wording
from obscore.explain.counting import RowCount
from obscore.explain.demands import (
    Demand,
    grounded,
    indexed_part,
    parts_of,
    physical_name,
)
from obscore.explain.explanation import Explanation, Finding, Reading, Step
from obscore.explain.hints import hints
from obscore.explain.plans import Access, PlanStep, Work

__all__ = ["Count", "explain"]


Count = Callable[[b.Relation, b.Condition | None], RowCount | None]
"""Counts the rows of a table for which a condition holds, or all of them; None if it cannot."""


def explain(query: b.Query, plan: Sequence[PlanStep], count: Count) -> Explanation:
    """Say what a database does for a query.

    Parameters
    ----------
    query
        As it was printed for the database.
    plan
        The database's own.
    count
        Asked for whole tables, and for conditions that name no other table.
    """
    return _Composer(query, plan, count).explanation()


class _Composer:
    """Puts one explanation together."""

    def __init__(self, query: b.Query, plan: Sequence[PlanStep], count: Count) -> None:
        self._parts = parts_of(query)
        self._query = query
        self._plan = plan
        self._count = count
        order = [step.alias for step in plan if isinstance(step, Access)]
        self._order = {alias: place for place, alias in reversed(list(enumerate(order)))}
        self._demands: dict[str, list[Demand]] = {}
        for demand in self._parts.demands:
            place = self._place(demand)
            if place is not None:
                self._demands.setdefault(place, []).append(demand)
        names = {item.name for item in self._parts.relations.values()} - {""}
        self._words = Wording(qualified=len(names) > 1)

    def explanation(self) -> Explanation:
        steps: list[Reading | Step] = []
        found: list[tuple[Reading, tuple[Demand, ...]]] = []
        for step in self._plan:
            match step:
                case Access(alias) if self._is_told(alias):
                    reading, checked = self._reading(step)
                    if reading not in steps or reading.loop:
                        steps.append(reading)
                        found.append((reading, checked))
                case Work(what=what) if what not in self._parts.relations or self._is_told(what):
                    steps.append(Step(self._work(step), step.depth))
                case _:
                    continue
        enough = self._enough(steps)
        if enough is not None:
            # What has no condition ends at once, whatever an index could do.
            found = [item for item in found if item[1]]
            steps = [_until(step, enough) for step in steps]
        if not self._is_ordered_by_index():
            steps = [_in_no_order(step) for step in steps]
        return Explanation(tuple(steps), hints(self._parts, found, self._words))

    def _is_ordered_by_index(self) -> bool:
        """Tell whether the order of an index is that of the result.

        Elsewhere an index may be read just because it is smaller than the table: which one, and
        whether at all, depends on when the database last tidied up.
        """
        sorted_rows = any(isinstance(step, Work) and step.kind == "sort" for step in self._plan)
        return bool(self._query.order) and not sorted_rows

    def _enough(self, steps: Sequence[Reading | Step]) -> int | None:
        """Give how many rows end the reading, where the first of the result are as good as any."""
        body = self._query.body
        if not isinstance(body, b.Select) or body.top is None or body.grouped or body.distinct:
            return None
        if any(isinstance(step, Step) for step in steps):
            # What is sorted, grouped or computed before is read to its end.
            return None
        return body.top + (self._query.offset or 0)

    def _is_told(self, alias: str) -> bool:
        """Tell whether a relation is one of the query, and not one that a rule of ours made."""
        relation = self._parts.relations.get(alias)
        return relation is not None and bool(relation.name)

    def _reading(self, access: Access) -> tuple[Reading, tuple[Demand, ...]]:
        relation = self._parts.relations[access.alias]
        demands = self._demands.get(access.alias, [])
        columns = {*access.columns, *(["*"] if access.spatial else [])}
        if access.end:
            columns.clear()
        answered: list[tuple[Demand, b.Condition]] = []
        checked: list[Demand] = []
        for demand in demands:
            part = indexed_part(demand, relation, columns, self._order)
            if access.temporary and self._is_equality(demand):
                part = demand.condition
            if part is None:
                checked.append(demand)
            else:
                answered.append((demand, part))
        rows = self._rows(access, relation, [part for _, part in answered])
        if access.end:
            # Where conditions are checked, it goes on until one row fulfils them.
            rows = None if checked else RowCount(1)
        whole = self._whole(relation)
        is_table = isinstance(relation.source, TableDef)
        reading = Reading(
            table=relation.source.full_name if isinstance(relation.source, TableDef) else "",
            name=relation.name,
            finding=_finding(access, relation),
            columns=self._shown_columns(access.columns, relation) if is_table else (),
            along=next(iter(self._shown_columns((access.along or "",), relation)), None),
            by_index=self._written(demand for demand, _ in answered),
            row_by_row=self._written(checked),
            passed_over=self._written(
                demand
                for demand in checked
                if indexed_part(demand, relation, _all_indexes(relation), self._order) is not None
            ),
            joins=self._written(demand for demand in demands if self._joins(demand)),
            rows=None if rows is None else rows.rows,
            at_least=rows is not None and rows.at_least,
            estimated=rows is not None and rows.estimated,
            table_rows=None if whole is None else whole.rows,
            loop=access.loop,
            depth=access.depth,
        )
        return reading, tuple(checked)

    def _written(self, demands: Iterable[Demand]) -> tuple[str, ...]:
        written = [self._words.condition(demand.condition) for demand in demands]
        return tuple(dict.fromkeys(filter(None, written)))

    def _place(self, demand: Demand) -> str | None:
        """Give the alias of the table with which all is there that a condition needs."""
        aliases = {item.alias for item, _ in grounded(demand.condition, self._order)}
        if not aliases or not aliases <= self._order.keys():
            # Without a table it is computed once; of one that is not read, nothing is checked.
            return None
        return max(aliases, key=self._order.__getitem__)

    def _is_equality(self, demand: Demand) -> bool:
        """Whether rows are found for a condition by their hashes."""
        match demand.condition:
            case b.Compare("="):
                return self._joins(demand)
            case _:
                return False

    def _joins(self, demand: Demand) -> bool:
        return len({item.alias for item, _ in grounded(demand.condition, self._order)}) > 1

    def _shown_columns(self, columns: Sequence[str], relation: b.Relation) -> tuple[str, ...]:
        names = {physical_name(item): item.name for item in relation.fields}
        return tuple(names[column] for column in columns if column in names)

    def _whole(self, relation: b.Relation) -> RowCount | None:
        return self._count(relation, None) if isinstance(relation.source, TableDef) else None

    def _rows(
        self, access: Access, relation: b.Relation, parts: Sequence[b.Condition]
    ) -> RowCount | None:
        if not isinstance(relation.source, TableDef):
            return None
        if not access.columns and not access.spatial:
            return self._whole(relation)
        # As it is written: a column of a sub-query is not one of the table in its place.
        alone = all(
            {item.alias for item, _ in grounded(part, self._parts.relations)} <= {relation.alias}
            for part in parts
        )
        if parts and alone:
            counted = self._count(relation, b.AllOf(tuple(parts)))
            if counted is not None:
                return counted
        return None if access.rows is None else RowCount(access.rows, estimated=True)

    def _work(self, work: Work) -> str:
        match work.kind:
            case "sort":
                return f"the rows are sorted for {work.what}"
            case "group":
                return "the rows are put into groups for GROUP BY"
            case "distinct":
                return f"equal rows are looked for, for {work.what or 'DISTINCT'}"
            case "combine":
                return f"the results are put together by {work.what}"
            case "sub-query":
                name = self._parts.names.get(work.what, "")
                return f"the sub-query {name} is computed".replace("  ", " ")
            case "join":
                return f"the two sides are joined by {work.what}"
            case "each row":
                return "a sub-query is computed again for each row"


def _until(step: Reading | Step, enough: int) -> Reading | Step:
    whole = isinstance(step, Reading) and step.finding is Finding.ALL and not step.loop
    if not (isinstance(step, Reading) and whole):
        return step
    return replace(step, enough=enough, rows=None)


def _in_no_order(step: Reading | Step) -> Reading | Step:
    return replace(step, along=None) if isinstance(step, Reading) else step


def _all_indexes(relation: b.Relation) -> set[str]:
    """Give the physical columns that have an index, as `indexed_part` takes them."""
    geometry: set[str] = set()
    if relation.spatial is not None:
        geometry = {relation.spatial.region_column, *relation.spatial.point_columns}
    found = {
        physical_name(item)
        for item in relation.fields
        if item.definition is not None and item.definition.indexed and item.name not in geometry
    }
    return found | ({"*"} if relation.spatial is not None else set())


def _finding(access: Access, relation: b.Relation) -> Finding:
    if not isinstance(relation.source, TableDef):
        return Finding.TEMPORARY if access.temporary else Finding.RESULT
    if relation.source.counted:
        return Finding.COUNTS
    if access.temporary:
        return Finding.TEMPORARY
    if access.spatial:
        return Finding.BOTH if access.columns else Finding.SPATIAL
    return Finding.INDEX if access.columns else Finding.ALL
