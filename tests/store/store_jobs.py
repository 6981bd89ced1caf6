"""What other processes do in the tests of the store: ``store_jobs.py JOB WHERE [MORE]``.

WHERE is the path of a database file, or a URL. Each says ``ready`` on its standard output, and what
it found as its last line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from obscore.store.base import Store
from obscore.store.postgres import store as postgres_store
from obscore.store.postgres.pool import Address, ConnectionPool
from obscore.store.postgres.preparation import prepare
from obscore.store.postgres.store import PostgresStore
from obscore.store.postgres.writing import replace_files
from obscore.store.sqlite.readers import ReaderPool
from obscore.store.sqlite.store import SqliteStore
from obscore.store.turn import Turn
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.regions import Circle


def open_store(where: str) -> Store:
    if "://" not in where:
        return SqliteStore(Path(where))
    prepare(Address(where), "skylane_query")
    return PostgresStore(Address(where))


def hang_in_transaction(where: str) -> None:
    """Write a lot, and never commit."""
    opened = open_store(where)
    files = list(make_catalogue(1000, seed=3))
    if isinstance(opened, SqliteStore):
        opened._connection.execute("BEGIN IMMEDIATE")
        opened._replace(Turn.begin(opened._session, files))
    else:
        assert isinstance(opened, PostgresStore)
        connection = opened._connected()
        connection.execute("BEGIN")
        opened._take_turn(connection)
        session = postgres_store.session_of(connection)
        replace_files(connection, Turn.begin(session, files))
    print("ready", flush=True)
    time.sleep(60)


def reader(where: str) -> Callable[[], tuple[int, int]]:
    """Give a function that reads one row."""
    if "://" in where:
        connections = ConnectionPool(Address(where), size=1)

        def read() -> tuple[int, int]:
            with connections.connection() as connection:
                return connection.execute("SELECT count(*), count(s_cap) FROM obscore").fetchone()

        return read
    pool = ReaderPool(Path(where), size=1)

    def read_file() -> tuple[int, int]:
        with pool.reader(10.0) as (connection, deadline), deadline.running():
            return connection.execute(
                "SELECT (SELECT count(*) FROM obscore), (SELECT count(*) FROM obscore_rtree)"
            ).fetchone()

    return read_file


def read_until_told(where: str, stop: str) -> None:
    """Read until a file appears; transactions are of 20 rows each."""
    read = reader(where)
    reads = broken = 0
    print("ready", flush=True)
    while not Path(stop).exists():
        rows, boxes = read()
        broken += rows != boxes or rows % 20 != 0
        reads += 1
        time.sleep(0.002)
    print(json.dumps({"reads": reads, "broken": broken}))


def write_part(where: str, part: str) -> None:
    """Write thirty files, one a transaction."""
    opened = open_store(where)
    print("ready", flush=True)
    for number in range(30):
        observation = make_observation(f"ivo://x/y?{part}/{number}", Circle(1.0, 1.0, 1.0))
        opened.write([make_file(f"file:///{part}/{number}", observation)])
    opened.close()
    print(json.dumps({"written": 30}))


def renew_all(where: str, part: str) -> None:
    """Renew thirty files of the first version, as other processes do too."""
    opened = open_store(where)
    print("ready", flush=True)
    written = 0
    for number in range(30):
        observation = make_observation(f"ivo://x/y?{number}", Circle(1.0, 1.0, 1.0))
        file = make_file(f"file:///{number}", observation, version=f"by {part}")
        written += opened.renew(file, "v1")
    opened.close()
    print(json.dumps({"written": written}))


if __name__ == "__main__":
    known = (hang_in_transaction, read_until_told, write_part, renew_all)
    jobs = {job.__name__: job for job in known}
    jobs[sys.argv[1]](*sys.argv[2:])
