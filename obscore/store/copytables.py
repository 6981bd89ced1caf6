"""The tables that a site has published itself, copied from one store to another, of any kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from obscore.declared.publication import Publication, PublishedTable
from obscore.declared.rows import DeclaredRows
from obscore.store.base import Backend
from obscore.store.engine import QueryEngine
from obscore.tap.batches import make_schema
from vodal.errors import ArchiveError, UsageError

__all__ = ["TablesSummary", "copy_tables"]


@dataclass(frozen=True, slots=True)
class TablesSummary:
    """What a copy of tables did."""

    tables: int
    rows: int
    passed_over: int
    """Tables that the target had already."""


def copy_tables(
    source: Backend,
    target: Backend,
    folder: Path,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TablesSummary:
    """Copy all published tables with their rows, and see that they have arrived.

    Parameters
    ----------
    source, target
        Two different stores, both prepared.
    folder
        For the rows on their way.
    resume
        Whether the target may hold tables; those of the same names are replaced where they differ.
    progress
        Told how many rows have arrived, and of how many.

    Raises
    ------
    UsageError
        If the target has tables already and that was not asked for.
    ArchiveError
        If, at the end, the target does not hold what the source does.
    """
    engine = source.engine(connections=1, wait_s=30.0, batch_rows=10_000)
    store = target.tables()
    try:
        published = engine.published(renewed=True).beside
        there = store.publication()
        if there.tables and not resume:
            raise UsageError(
                f"the target holds {len(there.tables)} published tables already; go on with a copy"
                " that was interrupted with --resume"
            )
        missing = [item for item in published.tables if not _is_there(item, there)]
        total, done = sum(item.rows for item in missing), 0
        for schema in published.schemas:
            wanted = [item for item in missing if item.schema == schema.name]
            if not wanted and there.schema(schema.name) == schema:
                continue
            rows = {item.table.name: _fetched(engine, item, folder) for item in wanted}
            tokens = {item.table.name: item.token for item in wanted}
            store.publish(
                schema,
                rows,
                progress=_after(done, total, progress),
                tokens=tokens,
            )
            done += sum(item.rows for item in wanted)
            for file in rows.values():
                file.path.unlink()
        _verify(published, store.publication())
    finally:
        store.close()
        engine.close()
    return TablesSummary(len(missing), total, len(published.tables) - len(missing))


def _after(
    done: int, total: int, progress: Callable[[int, int], None] | None
) -> Callable[[int, int], None] | None:
    """Count rows of one schema after those of others."""
    return None if progress is None else lambda count, _: progress(done + count, total)


def _is_there(item: PublishedTable, target: Publication) -> bool:
    found = target.find(*item.names)
    return found is not None and (found.token, found.table) == (item.token, item.table)


def _fetched(engine: QueryEngine, item: PublishedTable, folder: Path) -> DeclaredRows:
    """Take the rows of a table out of a store, to a file."""
    everything = f"SELECT * FROM {item.full_name}"  # noqa: S608 - ADQL, with the name in quotes
    translated = engine.translate(everything, engine.published().schema)
    path = folder / f"{item.token}.arrow"
    count = 0
    schema = make_schema(translated.columns)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in engine.batches(translated, translated.columns, base_url=""):
            writer.write_batch(batch)
            count += batch.num_rows
    return DeclaredRows(item.table, path, count, tuple(range(len(item.table.columns))))


def _verify(source: Publication, target: Publication) -> None:
    """See that the target has all tables of the source as the source has them."""
    for item in source.tables:
        found = target.find(*item.names)
        if found is None or (found.token, found.rows) != (item.token, item.rows):
            raise ArchiveError(
                f"the table {item.full_name} differs between the two stores: it was published anew"
                " meanwhile; go on with --resume"
            )
