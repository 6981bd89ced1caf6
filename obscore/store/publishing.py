"""The tables of a schema that is published: loaded, or kept as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import uuid4

from obscore.declared.publication import Publication, PublishedTable, counted_after
from obscore.declared.rows import DeclaredRows
from obscore.declared.tables import DeclaredSchema, DeclaredTable

__all__ = ["Stage", "loaded_tables"]

Stage = Callable[[DeclaredTable, DeclaredRows | None, Callable[[int], None]], int]
"""Loads the rows of a table where nobody sees them, telling how many; gives their number."""


def loaded_tables(
    declared: DeclaredSchema,
    rows: Mapping[str, DeclaredRows],
    before: Publication,
    stage: Stage,
    *,
    progress: Callable[[int, int], None] | None = None,
    tokens: Mapping[str, str] | None = None,
) -> list[PublishedTable]:
    """Load what is given, and keep the rows of tables of which none are given and that stay alike.

    Parameters
    ----------
    declared, rows, progress, tokens
        As for `obscore.store.base.TableStore.publish`.
    before
        What is published.
    stage
        Loads one table.
    """
    total, done = sum(item.rows for item in rows.values()), 0
    made: list[PublishedTable] = []
    for table in declared.tables:
        given = rows.get(table.name)
        kept = before.kept(declared.name, table)
        if given is None and kept is not None:
            made.append(kept)
            continue
        number = stage(table, given, counted_after(done, total, progress))
        count = 0 if given is None else given.rows
        done += count
        token = (tokens or {}).get(table.name) or uuid4().hex
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        made.append(PublishedTable(declared.name, table, number, count, now, token))
    return made
