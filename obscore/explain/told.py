"""An explanation as text, and as a table for all the formats of tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from obscore.explain.explanation import Explanation, Finding, Reading, Step, counted_rows
from vodal.tables.columns import Column, ResultStream

__all__ = ["COLUMNS", "explanation_lines", "explanation_table"]

_LONGEST_LIST = 6
"""Conditions of a step that are shown as text; a natural join has many."""

COLUMNS: tuple[Column, ...] = (
    Column("step", "int", ucd="meta.id", description="Place in the order, from 1"),
    Column(
        "action",
        "char",
        "*",
        description="read (a table), work (something is done with rows), limit or hint",
    ),
    Column("depth", "int", description="Of the sub-query that it belongs to; 0 for the query"),
    Column("table_name", "char", "*", description="Table that is read"),
    Column("alias", "char", "*", description="Its name in the query"),
    Column(
        "loops", "int", description="Read once (0), or for each row of so many tables before it"
    ),
    Column(
        "found_by",
        "char",
        "*",
        description=f"How its rows are found: {', '.join(item.value for item in Finding)}",
    ),
    Column("index_columns", "char", "*", description="Columns whose index is used"),
    Column("by_index", "char", "*", description="Conditions that an index answers"),
    Column("row_by_row", "char", "*", description="Conditions checked on each row found"),
    Column("rows_found", "long", description="Rows found each time, before the other conditions"),
    Column("rows_known", "char", "*", description="exact, at least, or estimated"),
    Column("table_rows", "long", description="Rows of the table"),
    Column("note", "char", "*", description="A sentence"),
)
"""Of the table."""


def explanation_lines(explanation: Explanation, limits: Sequence[str] = ()) -> Iterator[str]:
    """Give an explanation as lines of text.

    Parameters
    ----------
    explanation
        Of a query.
    limits
        That the service sets to it, a sentence each.
    """
    for number, step in enumerate(explanation.steps, 1):
        indent = "   " * step.depth
        yield f"{indent}{number}. {_sentence(step)}"
        if isinstance(step, Reading):
            for title, conditions in (
                ("by index", step.by_index),
                ("row by row", step.row_by_row),
            ):
                for condition in conditions[:_LONGEST_LIST]:
                    yield f"{indent}     {title}: {condition}"
                if len(conditions) > _LONGEST_LIST:
                    yield f"{indent}     {title}: {len(conditions) - _LONGEST_LIST} more"
    if not explanation.steps:
        yield "No table is read."
    for title, sentences in (("Limits", limits), ("Hints", explanation.hints)):
        if sentences:
            yield ""
            yield f"{title}:"
            yield from (f"  - {sentence}" for sentence in sentences)


def _sentence(step: Reading | Step) -> str:
    if isinstance(step, Step):
        return step.what
    found = _found(step)
    if step.loop:
        return f"for each row so far, {step.shown}: {found}"
    return f"{step.shown}: {found}"


def _found(step: Reading) -> str:
    rows = "rows" if step.rows is None else counted_rows(step)
    whole = "" if step.table_rows is None else f" of {step.table_rows:,}"
    columns = ", ".join(step.columns)
    match step.finding:
        case Finding.ALL:
            along = f", in the order of the index of {step.along}" if step.along else ""
            if step.enough is not None:
                return f"rows until {step.enough:,} are found{whole and f',{whole}'}{along}"
            return (f"all {rows}" if step.rows != 1 else rows) + along
        case Finding.COUNTS:
            return f"the kept counts answer it, {rows} for the whole table"
        case Finding.RESULT:
            return "all rows of the result"
        case Finding.TEMPORARY:
            return "rows found by an index that is made for this query"
        case Finding.INDEX:
            return f"{rows}{whole}, found by the index of {columns}"
        case Finding.SPATIAL:
            return f"{rows}{whole}, found by the spatial index"
        case Finding.BOTH:
            return f"{rows}{whole}, found by the spatial index and that of {columns}"


def explanation_table(explanation: Explanation, limits: Sequence[str] = ()) -> ResultStream:
    """Give an explanation as a table: its steps, then the limits, then the hints.

    Parameters
    ----------
    explanation, limits
        As for `explanation_lines`.
    """
    rows: list[dict[str, object]] = [_row(step) for step in explanation.steps]
    rows += [{"action": "limit", "note": sentence} for sentence in limits]
    rows += [{"action": "hint", "note": sentence} for sentence in explanation.hints]
    for number, row in enumerate(rows, 1):
        row["step"] = number
    schema = pa.schema([pa.field(column.name, column.arrow_type()) for column in COLUMNS])
    cells = [{column.name: row.get(column.name) for column in COLUMNS} for row in rows]
    return ResultStream(COLUMNS, iter([pa.RecordBatch.from_pylist(cells, schema=schema)]))


def _row(step: Reading | Step) -> dict[str, object]:
    if isinstance(step, Step):
        return {"action": "work", "depth": step.depth, "note": step.what}
    known = None
    if step.rows is not None:
        known = "at least" if step.at_least else "estimated" if step.estimated else "exact"
    return {
        "action": "read",
        "depth": step.depth,
        "table_name": step.table or None,
        "alias": step.name or None,
        "loops": step.loop,
        "found_by": step.finding.value,
        "index_columns": ", ".join(step.columns) or None,
        "by_index": "; ".join(step.by_index) or None,
        "row_by_row": "; ".join(step.row_by_row) or None,
        "rows_found": step.rows,
        "rows_known": known,
        "table_rows": step.table_rows,
        "note": _sentence(step),
    }
