"""What other processes do in the tests of the store: ``store_jobs.py JOB PATH [PART]``.

Each says ``ready`` on its standard output, and what it found as its last line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from obscore.store.sqlite.readers import ReaderPool
from obscore.store.sqlite.store import SqliteStore
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.regions import Circle


def hang_in_transaction(path: Path) -> None:
    """Write a lot, and never commit."""
    opened = SqliteStore(path)
    opened._connection.execute("BEGIN IMMEDIATE")
    opened._insert(list(make_catalogue(2000, seed=3)))
    print("ready", flush=True)
    time.sleep(60)


def read_until_told(path: Path) -> None:
    """Read until the file ``stop`` appears; transactions are of 20 rows each."""
    pool = ReaderPool(path, size=1)
    reads = broken = 0
    print("ready", flush=True)
    while not path.with_name("stop").exists():
        with pool.reader(10.0) as (connection, deadline), deadline.running():
            rows, boxes = connection.execute(
                "SELECT (SELECT count(*) FROM obscore), (SELECT count(*) FROM obscore_rtree)"
            ).fetchone()
        broken += rows != boxes or rows % 20 != 0
        reads += 1
        time.sleep(0.002)
    print(json.dumps({"reads": reads, "broken": broken}))


def write_part(path: Path, part: str) -> None:
    """Write thirty files, one a transaction."""
    opened = SqliteStore(path)
    print("ready", flush=True)
    for number in range(30):
        observation = make_observation(f"ivo://x/y?{part}/{number}", Circle(1.0, 1.0, 1.0))
        opened.write([make_file(f"file:///{part}/{number}", observation)])
    opened.close()
    print(json.dumps({"written": 30}))


if __name__ == "__main__":
    jobs = {job.__name__: job for job in (hang_in_transaction, read_until_told, write_part)}
    jobs[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
