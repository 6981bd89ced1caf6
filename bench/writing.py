"""How fast a store takes rows, beside what its database takes of the same values without more."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import psycopg
from sqlalchemy.dialects import postgresql
from survey import catalogue

from obscore.observation import CataloguedFile
from obscore.store import schema
from obscore.store.base import Backend
from obscore.store.choice import make_backend
from obscore.store.rows import file_values, row_values
from obscore.store.settings import StoreSettings
from vodal.testing.postgres import cluster

__all__ = ["compare_writing"]

_BATCHES = (200, 2000)


def compare_writing(store: str, count: int) -> None:
    """Print rows a second of both, for batches of two sizes."""
    files = list(catalogue(count))
    rows = _plain(files)
    with _database(store) as (backend, bare):
        for batch in _BATCHES:
            writer = backend.writer()
            writer.remove([file.uri for file in files])
            _tell(f"{store}, batches of {batch}", count,
                  lambda: _write_all(files, batch, writer.write))  # noqa: B023  # fmt: skip
            writer.close()
            _tell("  its database alone", count, lambda: _write_all(rows, batch, bare))  # noqa: B023


def _plain(files: Sequence[CataloguedFile]) -> list[tuple[Any, ...]]:
    """Give the values of both tables as one row each, without footprint and index."""
    plain = []
    for number, file in enumerate(files, 1):
        row = row_values(file.observations[0], file, number, number)
        row["last_modified"] = "2026-11-01T00:00:00.000"
        values = file_values(file, number)
        plain.append(
            (
                *(values[column.name] for column in schema.files.columns),
                *(row[column.name] for column in schema.obscore.columns),
            )
        )
    return plain


def _write_all(items: Sequence[Any], batch: int, write: Callable[[Any], object]) -> None:
    for start in range(0, len(items), batch):
        write(items[start : start + batch])


def _tell(name: str, count: int, work: Callable[[], None]) -> None:
    begin, used = time.perf_counter(), time.process_time()
    work()
    seconds, own = time.perf_counter() - begin, time.process_time() - used
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{name}: {count / seconds:.0f} rows/s; {count / own:.0f} a second of this process's"
          f" time, load {load}", flush=True)  # fmt: skip


@contextmanager
def _database(store: str) -> Iterator[tuple[Backend, Callable[[Sequence[tuple[Any, ...]]], None]]]:
    """Give an empty store, and what puts values into a table without indexes in its database."""
    width = len(schema.files.columns) + len(schema.obscore.columns)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "skylane.db"
        if store == "sqlite":
            backend = make_backend(StoreSettings(), path)
            backend.prepare()
            plain = apsw.Connection(str(Path(scratch) / "plain.db"))
            plain.pragma("journal_mode", "wal")
            plain.pragma("synchronous", "NORMAL")
            plain.execute(f"CREATE TABLE plain ({', '.join(f'c{k}' for k in range(width))})")
            marks = ", ".join("?" * width)

            def insert(rows: Sequence[tuple[Any, ...]]) -> None:
                with plain:
                    plain.executemany(f"INSERT INTO plain VALUES ({marks})", rows)

            yield backend, insert
            plain.close()
            return
        with cluster() as running:
            url = running.create("writing")
            backend = make_backend(StoreSettings(url=url), path)
            backend.prepare()
            kept = [
                column.type.compile(dialect=postgresql.dialect())
                for table in (schema.files, schema.obscore)
                for column in table.columns
            ]
            columns = ", ".join(f"c{k} {kind}" for k, kind in enumerate(kept))
            with psycopg.connect(url) as connection:
                connection.execute(f"CREATE TABLE plain ({columns})")
                connection.commit()

                def copy(rows: Sequence[tuple[Any, ...]]) -> None:
                    with (
                        connection.transaction(),
                        connection.cursor() as cursor,
                        cursor.copy("COPY plain FROM STDIN") as copying,
                    ):
                        for row in rows:
                            copying.write_row(row)

                yield backend, copy
