"""How fast the TAP service answers, beside raw SQL and beside other services, in the same run.

    python bench/tap.py [--rows 1000000] [--site DIR] [--store sqlite|postgres]
                        [--url http://127.0.0.1:54380/tap --table ivoa.obscore] [--quick] [-o FILE]

Fills a store with the rows of `survey` (kept in DIR for the next run; PostgreSQL's is a private
cluster and goes at the end, unless DIR's ``skylane.toml`` names one), starts ``skylane serve``
with one and with two worker processes, and sends the same requests to it and to each service
named by ``--url``. Clients are processes of their own on the same machine. Writes Markdown tables.

A peer must hold rows of the same distribution; name its table by ``--table``. ``--only`` takes a
comma list of: raw, translate, latency, ingest, bulk, async.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from raw import raw_times
from server import Peak, database, ingest_process, prepare, serve, server_processes
from survey import FIRST_MJD, LAST_MJD
from wire import Load, Report, Wire, request_bytes, run_load

from obscore.adql import translate
from obscore.tap.metadata import PUBLISHED

CONE = (
    "SELECT * FROM {table} WHERE 1=CONTAINS(POINT('ICRS',s_ra,s_dec),"
    "CIRCLE('ICRS',{ra:.6f},{dec:.6f},{radius:.4f}))"
)
QUERIES = {
    "cone of ~10 rows": CONE,
    "point in s_region": (
        "SELECT * FROM {table} WHERE 1=CONTAINS(POINT('ICRS',{ra:.6f},{dec:.6f}),s_region)"
    ),
    "region, band and time": (
        "SELECT obs_publisher_did, access_url, s_ra, s_dec, t_min, em_min FROM {table}"
        " WHERE 1=INTERSECTS(s_region, CIRCLE('ICRS',{ra:.6f},{dec:.6f},1.0))"
        " AND em_min < 6e-7 AND em_max > 6e-7 AND t_min > {mjd:.2f}"
    ),
    "one night": (
        "SELECT obs_id, s_ra, s_dec, t_min FROM {table}"
        " WHERE t_min BETWEEN {mjd:.3f} AND {mjd:.3f}+1"
    ),
    "kinds of rows": (
        "SELECT instrument_name, COUNT(*) AS n FROM {table} GROUP BY instrument_name"
    ),
    "count": "SELECT COUNT(*) AS n FROM {table}",
    "TAP_SCHEMA": "SELECT TOP 1 table_name FROM tap_schema.tables",
}
BULK_FORMATS = ("votable/b2", "votable/td", "csv")


@dataclass(frozen=True, slots=True)
class Service:
    """One that is measured."""

    name: str
    url: str
    table: str
    rows: int = 1_000_000
    """Of the table: cones are made so wide that some ten lie within."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.url).port or 80

    def params(self, query: str, count: int, **more: str) -> list[dict[str, str]]:
        """Give the parameters of requests at as many places; the same for each service."""
        draw = random.Random(7)
        radius = 0.36 * math.sqrt(1e6 / self.rows)
        made = []
        for _ in range(count):
            ra, dec = draw.uniform(0.0, 360.0), math.degrees(math.asin(draw.uniform(-1.0, 1.0)))
            mjd = draw.uniform(FIRST_MJD, LAST_MJD - 2)
            text = query.format(table=self.table, ra=ra, dec=dec, mjd=mjd, radius=radius)
            made.append({"LANG": "ADQL", "REQUEST": "doQuery", "QUERY": text, **more})
        return made


def load(service: Service, query: str, clients: int, seconds: float) -> Report:
    return run_load(Load(f"{service.url}/sync", service.params(query, 2000), clients, seconds))


def told(report: Report) -> str:
    if not report.times_s:
        return f"failed: {report.errors[:1]}"
    text = f"{report.quantile_ms(0.5):.1f} / {report.quantile_ms(0.99):.1f} ms, {report.rate:.0f}/s"
    return f"{text}, {len(report.errors)} errors: {report.errors[0]}" if report.errors else text


class Page:
    """The Markdown that is written, shown as it grows."""

    def __init__(self, files: Sequence[TextIO]) -> None:
        self._files = files

    def line(self, text: str = "") -> None:
        """Write a line."""
        for file in self._files:
            print(text, file=file, flush=True)

    def table(self, *names: str) -> None:
        """Begin a table."""
        self.line()
        self.row(*names)
        self.row(*["---"] * len(names))

    def row(self, *cells: str) -> None:
        """Write a row of it."""
        self.line("| " + " | ".join(cells) + " |")


def latency(
    page: Page,
    services: Sequence[Service],
    clients: Sequence[int],
    seconds: float,
    names: Sequence[str],
) -> None:
    page.line("\nTime of an answer, median / 99th percentile, and answers a second:")
    page.table("query", "clients", *(service.name for service in services))
    for name in names:
        query = QUERIES[name]
        for count in clients if query == CONE else clients[:2]:
            page.row(name, str(count), *(told(load(s, query, count, seconds)) for s in services))


def translation(page: Page) -> None:
    page.line("\nADQL to SQL alone:")
    page.table("query", "ms")
    service = Service("", "http://localhost", "ivoa.obscore")
    for name, query in QUERIES.items():
        texts = [item["QUERY"] for item in service.params(query, 300)]
        for text in texts[:20]:
            translate(text, PUBLISHED, limit=1000)
        began = time.perf_counter()
        for text in texts:
            translate(text, PUBLISHED, limit=1000)
        page.row(name, f"{1e3 * (time.perf_counter() - began) / len(texts):.2f}")


def bulk(
    page: Page, services: Sequence[Service], rows: Sequence[int], formats: Sequence[str]
) -> None:
    for count in rows:
        for form in formats:
            for service in services:
                page.row(f"{count:,}", form, service.name, *_bulk(service, count, form))


def _bulk(service: Service, rows: int, form: str) -> list[str]:
    query = f"SELECT TOP {rows} * FROM {service.table}"
    params = {"LANG": "ADQL", "REQUEST": "doQuery", "QUERY": query, "MAXREC": str(rows + 1)}
    wire = Wire(service.url)
    with Peak(server_processes(service.port)) as peak:
        used_s = peak.processor_s
        began = time.perf_counter()
        answer = wire.send(request_bytes(f"{service.url}/sync", {**params, "FORMAT": form}))
        seconds = time.perf_counter() - began
        used_s = peak.processor_s - used_s
    wire.close()
    if answer.status != 200 or b'value="ERROR"' in answer.head + answer.tail:
        return [f"failed: {answer.status} {answer.head[-300:]!r}", "", "", "", "", ""]
    return [
        f"{seconds:.2f}", f"{rows / seconds:,.0f}", f"{1e6 * used_s / rows:.1f} us",
        f"{1e3 * answer.first_s:.0f} ms",
        f"{answer.size / 1e6:.0f}", f"{peak.growth_mb:.0f} MB",
    ]  # fmt: skip


def jobs(page: Page, services: Sequence[Service], count: int) -> None:
    page.line("\nA trivial asynchronous job, from POST to COMPLETED, median / longest:")
    page.table(*(service.name for service in services))
    cells = []
    for service in services:
        times = sorted(_job(service) for _ in range(count))
        cells.append(f"{1e3 * times[len(times) // 2]:.0f} / {1e3 * times[-1]:.0f} ms")
    page.row(*cells)


def _job(service: Service) -> float:
    """Make a job, start it and wait for its end; gives the seconds."""
    wire = Wire(service.url)
    params = {
        "LANG": "ADQL",
        "REQUEST": "doQuery",
        "QUERY": "SELECT TOP 1 table_name FROM tap_schema.tables",
    }
    began = time.perf_counter()
    job = wire.send(request_bytes(f"{service.url}/async", params)).location
    assert job is not None
    wire.send(request_bytes(f"{job}/phase", {"PHASE": "RUN"}))
    phase = b""
    while phase not in {b"COMPLETED", b"ERROR", b"ABORTED"}:
        answer = wire.send(request_bytes(f"{job}/phase", {}, "GET"))
        # One short word, in a chunk or not.
        phase = next((word for word in answer.head.split() if word.isupper()), b"")
        time.sleep(0.002)
    seconds = time.perf_counter() - began
    wire.send(request_bytes(job, {}, "DELETE"))
    wire.close()
    if phase != b"COMPLETED":
        raise SystemExit(f"the job of {service.name} ended as {phase!r}")
    return seconds


@contextmanager
def running(path: Path, workers: Sequence[int], rows: int) -> Iterator[list[Service]]:
    """Run our server with so many workers, one after the other never both busy."""
    with (
        serve(path, workers[0]) as first,
        serve(path, workers[1]) if len(workers) > 1 else nullcontext("") as second,
    ):
        urls = [first, second][: len(workers)]
        yield [
            Service(f"skylane, {count} worker{'s' if count > 1 else ''}", url, "ivoa.obscore", rows)
            for count, url in zip(workers, urls, strict=True)
        ]


def measure(options: argparse.Namespace, page: Page) -> None:
    parts = set(options.only.split(","))
    path = Path(options.site)
    prepare(path, options.rows)
    seconds = options.seconds or (2.0 if options.quick else 8.0)
    peers = [
        Service(name or url, url.rstrip("/"), options.table, options.rows)
        for url, name in zip(options.url, options.name + [""] * len(options.url), strict=False)
    ]
    page.line(
        f"{options.rows:,} rows, {options.store}; {os.cpu_count()} CPUs, load"
        f" {os.getloadavg()[0]:.1f} before; {time.strftime('%Y-%m-%d %H:%M')}"
    )
    if "translate" in parts:
        translation(page)
    if "raw" in parts:
        raw_times(page, path, options.store, seconds)
    workers = [int(count) for count in options.workers.split(",")]
    with running(path, workers, options.rows) as ours:
        every = [*ours, *peers]
        if "latency" in parts:
            clients = (1, 8) if options.quick else (1, 8, 64)
            names = [name.strip() for name in options.queries.split(";")] if options.queries else []
            latency(page, every, clients, seconds, names or list(QUERIES))
        if "ingest" in parts:
            page.line(
                "\n64 clients asking for cones, alone and while 100 rows a second are written:"
            )
            page.table("service", "alone", "with the ingest")
            for service in ours:
                alone = load(service, CONE, 64, seconds)
                with ingest_process(path, 100):
                    beside = load(service, CONE, 64, seconds)
                page.row(service.name, told(alone), told(beside))
        if "bulk" in parts:
            sizes = [10_000] if options.quick else [100_000, 1_000_000]
            sizes = [size for size in sizes if size <= options.rows] or [options.rows]
            page.line("\n`SELECT *` of many rows:")
            page.table(
                "rows",
                "format",
                "service",
                "seconds",
                "rows/s",
                "processor a row",
                "first byte",
                "MB",
                "memory growth",
            )
            bulk(page, [ours[0], *peers], sizes[:1], BULK_FORMATS)
            bulk(page, ours[:1], sizes[1:], BULK_FORMATS[:1])
        if "async" in parts:
            jobs(page, every, 5 if options.quick else 15)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--site", help="folder of the store; default bench-STORE-ROWS")
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument(
        "--url", action="append", default=[], help="another TAP service; repeatable"
    )
    parser.add_argument("--name", action="append", default=[], help="how to call it in the tables")
    parser.add_argument("--table", default="ivoa.obscore", help="of the other services")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--only", default="raw,translate,latency,ingest,bulk")
    parser.add_argument("--queries", help="those that are asked, with ; between; default all")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, help="of each load; default 8, or 2 if quick")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    options.site = options.site or f"bench-{options.store}-{options.rows}"
    with (
        options.output.open("w") if options.output else nullcontext() as file,
        database(Path(options.site), options.store),
    ):
        measure(options, Page([sys.stdout, *([file] if file else [])]))


if __name__ == "__main__":
    main()
