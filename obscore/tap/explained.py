"""The answer to a request with ``EXPLAIN``: what is done for the query, which is not run.

The parameter is ours; no standard has one. Services that do not know it run the query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from obscore.explain.explanation import Explanation
from obscore.explain.told import explanation_lines, explanation_table
from obscore.tap.request import QueryRequest
from obscore.tap.settings import TapSettings
from vodal.tables.columns import ResultStream
from vodal.tables.markup import escape

__all__ = ["explanation_answer", "limits_of"]

_LONGEST_ECHO = 10_000
"""Characters of a query that are repeated in its answer."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>What is done for a query</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere }}
.query {{ background: #f3f4f6; color: #1a1a1a; padding: .7rem }}
</style>
</head>
<body>
<h1>What is done for the query</h1>
<pre class="query">{query}</pre>
<p>It was not run.</p>
<pre>{lines}</pre>
</body>
</html>
"""


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

    Plain text and pages are written as sentences; all other formats hold the table.
    """
    table = explanation_table(explanation, limits)
    lines = list(explanation_lines(explanation, limits))
    if asked.format.name == "text":
        return table, iter(["".join(f"{line}\n" for line in lines).encode()])
    if asked.format.name == "html":
        query = asked.query[:_LONGEST_ECHO].splitlines()
        page = _PAGE.format(query=_escaped(query), lines=_escaped(lines))
        return table, iter([page.encode()])
    infos = [("QUERY", asked.query[:_LONGEST_ECHO])]
    return table, asked.format.write(table, infos=infos)


def _escaped(lines: Sequence[str]) -> str:
    return "\n".join(map(escape, lines))
