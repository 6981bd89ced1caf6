"""Long answers: streamed, whole, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from obscore.store import schema
from obscore.store.postgres import tables
from obscore.store.postgres.backend import PostgresBackend
from obscore.store.settings import StoreSettings
from obscore.store.sqlite.store import SqliteStore
from obscore.testing import make_catalogue

ROWS = 200_000
SEEDS = 500


def copying(series: str) -> str:
    """Give the SQL that makes copies of all rows, under other identifiers."""
    names = [f'"{column.name}"' for column in tables.obscore.columns]
    changed = {
        '"id"': "id + n * 1000000",
        '"obs_publisher_did"': "obs_publisher_did || '/' || n",
    }
    if "RECURSIVE" in series:
        names = [name for name in names if name not in {'"s_region_array"', '"s_cap"'}]
    copied = ", ".join(changed.get(name, name) for name in names)
    return f"INSERT INTO obscore ({', '.join(names)}) {series.format(copied)}"


def long_sqlite(path: Path) -> str:
    """Make many rows quickly: copies of some."""
    store = SqliteStore(path)
    store.write(list(make_catalogue(SEEDS)))
    # Not needed here, and dear to fill.
    for index in schema.obscore.indexes:
        store._connection.execute(f"DROP INDEX {index.name}")
    store._connection.execute(
        copying(
            f"""WITH RECURSIVE copies(n) AS
            (VALUES (1) UNION ALL SELECT n + 1 FROM copies WHERE n < {ROWS // SEEDS - 1})
            SELECT {{}} FROM obscore, copies"""
        )
    )
    store.close()
    return str(path)


def long_postgres(fresh_postgres) -> str:
    """Make the same in PostgreSQL."""
    url = fresh_postgres()
    backend = PostgresBackend(StoreSettings(url=url))
    backend.prepare()
    store = backend.writer()
    store.write(list(make_catalogue(SEEDS)))
    store.close()
    with psycopg.connect(url, options="-c search_path=skylane,public") as connection:
        for index in tables.obscore.indexes:
            connection.execute(f"DROP INDEX {index.name}")
        copies = f"generate_series(1, {ROWS // SEEDS - 1}) AS copies (n)"
        connection.execute(copying(f"SELECT {{}} FROM obscore, {copies}"))
    return url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    if request.param == "sqlite":
        database = long_sqlite(folder / "skylane.db")
    else:
        database = long_postgres(request.getfixturevalue("fresh_postgres"))
    script = Path(__file__).with_name("tap_server.py")
    with subprocess.Popen(
        [sys.executable, str(script), database, str(folder / "jobs")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        url = process.stdout.readline().strip()
        # Warm: imports, caches, and what the allocator keeps of the threads that take turns.
        for coding in ("identity", "gzip", "zstd"):
            download(url, coding, MAXREC="60000")
        yield url, process.pid
        process.kill()


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def download(url: str, coding: str = "identity", **given: str) -> tuple[int, int, float, bytes]:
    """Give bytes, newlines, seconds to the first byte, and the last bytes, all as sent."""
    params = {"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore", "MAXREC": str(ROWS), **given}
    size = lines = 0
    first_s, tail = 0.0, b""
    began = time.monotonic()
    headers = {"Accept-Encoding": coding}
    with httpx.stream("GET", f"{url}/sync", params=params, headers=headers, timeout=120) as answer:
        assert answer.status_code == 200
        assert answer.headers.get("content-encoding", "identity") == coding
        for piece in answer.iter_raw():
            first_s = first_s or time.monotonic() - began
            size += len(piece)
            lines += piece.count(b"\n")
            tail = (tail + piece)[-200:]
    return size, lines, first_s, tail


@pytest.mark.parametrize("name", ["votable", "csv"])
def test_a_long_answer_is_whole_and_takes_no_memory(server, name):
    url, pid = server
    download(url, RESPONSEFORMAT=name, MAXREC="60000")
    before = peak_mb(pid)
    size, lines, first_s, tail = download(url, RESPONSEFORMAT=name)
    assert size > ROWS * 250
    assert peak_mb(pid) - before < 60
    assert first_s < 2.0
    if name == "csv":
        assert lines == ROWS + 1
    else:
        assert tail.rstrip().endswith(b"</VOTABLE>")
        assert b"OVERFLOW" not in tail


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_long_answer_that_is_compressed_takes_no_memory(server, coding):
    url, pid = server
    download(url, coding, MAXREC="60000")
    before = peak_mb(pid)
    size, _, first_s, _ = download(url, coding)
    assert ROWS * 30 < size < ROWS * 200
    assert peak_mb(pid) - before < 60
    assert first_s < 2.0


def test_a_long_result_of_a_job_is_whole_and_takes_no_memory(server):
    url, pid = server
    download(url, MAXREC="60000")
    before = peak_mb(pid)
    answer = httpx.post(
        f"{url}/async",
        data={"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore", "MAXREC": str(ROWS),
              "RESPONSEFORMAT": "csv", "PHASE": "RUN"},
    )  # fmt: skip
    job = answer.headers["location"]
    while "<uws:phase>COMPLETED" not in (text := httpx.get(f"{job}?WAIT=5", timeout=60).text):
        assert "<uws:phase>EXECUTING" in text
    assert f"<rows>{ROWS}</rows>" in text
    lines = 0
    with httpx.stream("GET", f"{job}/results/result", timeout=120) as result:
        for piece in result.iter_bytes():
            lines += piece.count(b"\n")
    assert lines == ROWS + 1
    assert peak_mb(pid) - before < 60
