"""Runs that can be killed: ``killed_runs.py WHERE FOLDER``, WHERE a database file or a URL.

For each line of the standard input a process makes one run over the folder; its number is told, and
when it has ended its exit status. What takes time to load is loaded once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from obscore.assembly import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
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


def run(where: str, root: Path) -> None:
    """Bring a catalogue to what a folder holds, and forget what is not there any more."""
    store = open_store(where)
    ingest(FolderSource(root, collection="deep"), store, SETTINGS, workers=0, prune=True)
    store.close()


def main() -> None:
    where, root = sys.argv[1], Path(sys.argv[2])
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run(where, root)
                status = 0
            finally:
                os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
