"""How fast a table of products becomes a catalogue, beside the database's own limit.

    python -m bench.table [--rows 1000000] [--store sqlite|postgres] ...

Each run is a process of its own, of which the peak memory is told, and how many rows it made a
second of the processor, its start and that of the processes that it has rows made in included: that
depends less on what else the machine does. Of this the writer's own part does not divide.
``make`` makes rows and writes none; ``limit`` writes the same rows with all that the database keeps
of them, by bare ``executemany`` or COPY into tables and indexes that are there already.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pyarrow as pa
import pyarrow.parquet as pq

from bench.survey import catalogue
from obscore.assembly.line import ingest
from obscore.assembly.report import json_lines
from obscore.settings import ObsCoreSettings
from obscore.sources.choice import configured_source
from obscore.store.choice import make_backend
from obscore.store.settings import StoreSettings
from obscore.store.sqlite.store import SqliteStore
from vodal.testing.postgres import cluster

_COLUMNS = ("obs_id", "target_name", "s_ra", "s_dec", "s_region", "s_resolution", "s_xel1",
            "s_xel2", "t_min", "t_exptime", "facility_name", "instrument_name", "filter",
            "calib_level", "s_pixel_scale", "o_ucd")  # fmt: skip
_CHUNK = 20_000
_TABLES = ("files", "obscore", "obscore_rtree")


def write_table(path: Path, rows: int) -> None:
    """Write the rows of the synthetic survey as a table."""
    writer, batch = None, dict[str, list[object]]()
    for number, file in enumerate(catalogue(rows), 1):
        row = file.observations[0].row
        batch.setdefault("path", []).append(f"{row['filter']}/{file.file_name}")
        for name in _COLUMNS:
            batch.setdefault(name, []).append(row.get(name))
        if number % _CHUNK == 0 or number == rows:
            table = pa.table(batch)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            batch = {}
    if writer is not None:
        writer.close()


def run(kind: str, table: str, place: str) -> dict[str, float]:
    """Bring the table into a store; ``make`` writes nothing."""
    settings = ObsCoreSettings.model_validate(
        {"collections": {"bench": {"table": {"path": table, "base": "https://bench.example/d"}}}}
    )
    url = place if place.startswith("postgres") else ""
    backend = make_backend(StoreSettings(url=url), Path(place))
    backend.prepare()
    store = backend.writer()
    source = configured_source(settings, "bench")
    assert source is not None
    started = time.perf_counter()
    with TemporaryDirectory() as folder, json_lines(Path(folder) / "report.jsonl") as report:
        summary = ingest(source, store, settings, dry_run=kind == "make", report=report)
    store.close()
    assert not summary.reasons, summary.lines()
    return {"rows": summary.files, "seconds": time.perf_counter() - started}


def limit_sqlite(source: str, place: str) -> dict[str, float]:
    """Write the rows of a store into another one by bare statements."""
    SqliteStore(Path(place)).close()
    connection = apsw.Connection(place)
    connection.execute("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -64000")
    connection.execute("ATTACH ? AS full", (source,))
    rows, seconds = 0, 0.0
    for name in _TABLES:
        cursor = connection.execute(f"SELECT * FROM full.{name}")
        while page := [row for _, row in zip(range(_CHUNK), cursor, strict=False)]:
            marks = ",".join("?" * len(page[0]))
            started = time.perf_counter()
            with connection:
                connection.executemany(f"INSERT INTO main.{name} VALUES ({marks})", page)
            seconds += time.perf_counter() - started
            rows += len(page) if name == "obscore" else 0
    connection.close()
    return {"rows": rows, "seconds": seconds}


def limit_postgres(source: str, place: str) -> dict[str, float]:
    """Write the rows of a store into another one by bare COPY."""
    import psycopg  # noqa: PLC0415 - an extra

    make_backend(StoreSettings(url=place), Path()).prepare()
    options = "-c search_path=skylane,public"
    rows, seconds = 0, 0.0
    with (
        psycopg.connect(source, options=options) as full,
        psycopg.connect(place, options=options) as empty,
    ):
        for name in ("files", "obscore"):
            with full.cursor().copy(f"COPY {name} TO STDOUT") as copy:
                data = b"".join(bytes(part) for part in copy)
            started = time.perf_counter()
            with empty.cursor() as cursor:
                with cursor.copy(f"COPY {name} FROM STDIN") as copy:
                    copy.write(data)
                rows = cursor.rowcount
            empty.commit()
            seconds += time.perf_counter() - started
    return {"rows": rows, "seconds": seconds}


@contextmanager
def places(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Give two new stores of a kind."""
    if kind == "sqlite":
        yield str(folder / "a.db"), str(folder / "b.db")
        return
    with cluster() as server:
        yield server.create("bench1"), server.create("bench2")


def child(*arguments: str) -> None:
    """Do one part in a process of its own, and tell of it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.table", "--child", *arguments],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    rate = told["rows"] / told["seconds"]
    print(
        f"{arguments[0]:15} {told['rows']:>9,.0f} rows  {told['seconds']:7.1f} s"
        f"  {rate:>8,.0f} rows/s  {told['rows'] / told['cpu_s']:>8,.0f} rows a second of processor"
        f", {told['rows'] / told['own_s']:,.0f} of the writer's  peak {told['peak_mb']:,.0f} MB",
        flush=True,
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--store", choices=("sqlite", "postgres"), action="append")
    parser.add_argument("--child", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if asked.child:
        kind, *rest = asked.child
        work = {"limit-sqlite": limit_sqlite, "limit-postgres": limit_postgres}.get(kind)
        told = run(kind, *rest) if work is None else work(*rest)
        used = resource.getrusage(resource.RUSAGE_SELF)
        others = resource.getrusage(resource.RUSAGE_CHILDREN)
        own_s = used.ru_utime + used.ru_stime
        told |= {
            "peak_mb": used.ru_maxrss / 1024,
            "own_s": own_s,
            "cpu_s": own_s + others.ru_utime + others.ru_stime,
        }
        print(json.dumps(told))
        return
    with TemporaryDirectory(prefix="bench-table-") as name:
        folder = Path(name)
        table = str(folder / "table.parquet")
        write_table(Path(table), asked.rows)
        child("make", table, str(folder / "none.db"))
        for kind in asked.store or ("sqlite", "postgres"):
            with places(kind, folder) as (first, second):
                child(kind, table, first)
                child(f"again-{kind}", table, first)
                child(f"limit-{kind}", first, second)


if __name__ == "__main__":
    main()
