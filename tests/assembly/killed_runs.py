"""Runs that can be killed: ``killed_runs.py WHERE PLACE``, WHERE a database file or a URL.

For each line of the standard input a process makes one run over the folder, or the table, at a
place; its number is told, and when it has ended its exit status. What takes time to load is loaded
once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from obscore.assembly import line
from obscore.assembly.line import ingest
from obscore.assembly.readers import PoolReaders
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from obscore.sources.choice import configured_sources
from obscore.sources.table import rows as table_rows
from obscore.store.base import Store
from obscore.store.postgres.pool import Address
from obscore.store.postgres.preparation import prepare
from obscore.store.postgres.store import PostgresStore
from obscore.store.sqlite.store import SqliteStore

SETTINGS = ObsCoreSettings.model_validate({"ingest": {"batch_files": 3}})


def open_store(where: str) -> Store:
    if "://" not in where:
        return SqliteStore(Path(where))
    prepare(Address(where), None)
    return PostgresStore(Address(where))


def run(where: str, place: Path, workers: int = 0) -> None:
    """Bring a catalogue to what a place holds, and forget what is not there any more."""
    store, settings = open_store(where), SETTINGS
    if place.is_dir():
        source = FolderSource(place, collection="deep")
    else:
        table = {"path": str(place), "base": "https://archive.example/d"}
        settings = ObsCoreSettings.model_validate({"collections": {"deep": {"table": table}}})
        (source,) = configured_sources(settings)
    ingest(source, store, settings, workers=workers, prune=True)
    store.close()


def main() -> None:
    where, place = sys.argv[1], Path(sys.argv[2])
    # The first rows of a table are made here, the others in a process of their own.
    line._FEW, table_rows._BATCH_ROWS = 100, 25
    line.MakingReaders = PoolReaders
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run(where, place, workers=int(place.is_file()))
                status = 0
            finally:
                os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
