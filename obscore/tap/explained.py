"""The answer to a request with ``EXPLAIN``: what is done for the query, which is not run.

The parameter is ours; no standard has one. Services that do not know it run the query.
"""

from __future__ import annotations

from collections.abc import Iterator

from obscore.explain.explanation import Explanation
from obscore.explain.told import explanation_lines, explanation_table
from obscore.tap.request import QueryRequest
from obscore.tap.settings import TapSettings
from vodal.tables.columns import ResultStream

__all__ = ["explanation_answer", "limits_of"]

_LONGEST_ECHO = 10_000
"""Characters of a query that are repeated in its answer."""


def limits_of(asked: QueryRequest, settings: TapSettings, *, jobs: bool) -> tuple[str, ...]:
    """Say which limits a query meets.

    Parameters
    ----------
    asked
        The request.
    settings
        Of the service.
    jobs
        Whether there are asynchronous queries.
    """
    time = f"{settings.sync_limit_s:g} s of database time in /sync"
    if jobs:
        time += f"; in /async {settings.async_limit_s} s, up to {settings.async_max_limit_s} s"
    rows = f"{asked.max_rows:,} rows are given (MAXREC)"
    if asked.max_rows < settings.max_rows:
        rows += f"; MAXREC may be up to {settings.max_rows:,}"
    return time, rows


def explanation_answer(
    explanation: Explanation, asked: QueryRequest, limits: tuple[str, ...]
) -> tuple[ResultStream, Iterator[bytes]]:
    """Give an explanation as a table, and as the document that was asked for.

    Plain text is written as sentences; all other formats hold the table.
    """
    table = explanation_table(explanation, limits)
    if asked.format.name == "text":
        lines = "".join(f"{line}\n" for line in explanation_lines(explanation, limits))
        return table, iter([lines.encode()])
    infos = [("QUERY", asked.query[:_LONGEST_ECHO])]
    return table, asked.format.write(table, infos=infos)
