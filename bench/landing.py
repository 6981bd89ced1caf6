"""From a file's last byte to its row in an answer and its pixels in a cutout, with a live site.

    python bench/landing.py FOLDER [--files 200] [--burst 2000] [--clients 16] [--size 512]
                            [--store sqlite|postgres] [--every 0.5]

runs ``skylane serve`` and ``skylane ingest --watch`` on a site in FOLDER. Single files are written,
one each ``--every`` seconds, and asked for until there is a row and then a cutout. Then a burst is
written as fast as the disk takes it, and counted until all is there: the wait of its n-th file runs
from the n-th file written to the n-th row seen. Both without other clients and with ``--clients``
that query all the time. Times are those of a client, a look every 2 ms.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from astropy.io import fits
from server import database, serve
from wire import Load, Report, run_load

from vodal.testing.skies import make_wcs

_CENTRE = (150.1, 2.2)
_LOOK_S = 0.002
_LIMIT_S = 600.0


def image_bytes(folder: Path, size: int) -> bytes:
    """Give the bytes of an image."""
    header = make_wcs(*_CENTRE, size, 0.4).to_header(relax=True)
    header["FILTER"], header["EXPTIME"], header["DATE-OBS"] = "r", 60.0, "2026-11-01T02:00:00"
    data = np.random.default_rng(1).normal(100.0, 5.0, (size, size)).astype(np.float32)
    path = folder / "image.fits"
    fits.PrimaryHDU(data, header).writeto(path, overwrite=True)
    return path.read_bytes()


class Client:
    """Asks the site."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.Client(timeout=60)

    def _query(self, adql: str) -> list[str]:
        asked = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": adql}
        answer = self._http.post(f"{self._url}/sync", data=asked)
        return answer.raise_for_status().text.split()[1:]

    def count(self) -> int:
        """Give the number of rows."""
        return int(self._query("SELECT COUNT(*) AS n FROM ivoa.obscore")[0])

    def has(self, did: str) -> bool:
        """Tell whether there is a row of this identifier."""
        query = f"SELECT obs_id FROM ivoa.obscore WHERE obs_publisher_did = '{did}'"
        return bool(self._query(query))

    def cuts(self, did: str) -> bool:
        """Tell whether pixels can be had."""
        asked = {"ID": did, "CIRCLE": f"{_CENTRE[0]} {_CENTRE[1]} 0.002"}
        answer = self._http.get(f"{self._url.removesuffix('/tap')}/soda/sync", params=asked)
        return answer.status_code == 200


def until(true: object, *args: object) -> float:
    """Ask until it is so; gives the time."""
    assert callable(true)
    end = time.perf_counter() + _LIMIT_S
    while not true(*args):
        if time.perf_counter() > end:
            raise SystemExit("it did not land")
        time.sleep(_LOOK_S)
    return time.perf_counter()


def told(name: str, seconds: Sequence[float]) -> None:
    """Print the figures of a load."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    print(
        f"  {name}: p50 {1e3 * statistics.median(ordered):.0f} ms, p99 {1e3 * p99:.0f} ms, longest"
        f" {1e3 * ordered[-1]:.0f} ms",
        flush=True,
    )


def singles(client: Client, folder: Path, content: bytes, count: int, every_s: float) -> None:
    """Write files one by one and wait for each."""
    folder.mkdir(parents=True)
    rows, cuts = [], []
    for number in range(count):
        path = folder / f"{number:05d}.fits"
        did = f"ivo://skylane.example/bench?{folder.name}/{path.name}"
        with path.open("wb") as file:
            file.write(content[:-2880])
            file.flush()
            time.sleep(every_s)
            written = time.perf_counter()
            file.write(content[-2880:])
        rows.append(until(client.has, did) - written)
        cuts.append(until(client.cuts, did) - written)
    told(f"{count} single files, to the row", rows)
    told(f"{count} single files, to the cutout", cuts)


def burst(client: Client, folder: Path, content: bytes, count: int) -> None:
    """Write many files at once and count rows."""
    before = client.count()
    folder.mkdir(parents=True)
    written: list[float] = []

    def write() -> None:
        for number in range(count):
            (folder / f"{number:05d}.fits").write_bytes(content)
            written.append(time.perf_counter())

    writer = threading.Thread(target=write)
    began = time.perf_counter()
    writer.start()
    seen: list[float] = []
    while len(seen) < count:
        rows = client.count() - before
        seen += [time.perf_counter()] * (rows - len(seen))
        if time.perf_counter() - began > _LIMIT_S:
            raise SystemExit(f"{len(seen)} of {count} landed")
        time.sleep(10 * _LOOK_S)
    writer.join()
    seconds = seen[-1] - began
    print(
        f"  burst of {count}: written in {written[-1] - began:.1f} s, all rows after"
        f" {seconds:.1f} s, {count / seconds:.0f} files/s"
    )
    told("burst, to the row", [row - file for file, row in zip(written, seen, strict=True)])


@contextmanager
def watching(site: Path) -> Iterator[None]:
    """Run the watcher."""
    command = [sys.executable, "-m", "skylane", "ingest", "--watch", "--site", str(site)]
    with (site / "watch.log").open("wb") as log:
        process = subprocess.Popen([*command, str(site / "data" / "bench")], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@contextmanager
def querying(url: str, clients: int) -> Iterator[None]:
    """Let clients query beside; prints what they had of it."""
    if not clients:
        yield
        return
    query = (
        "SELECT TOP 10 obs_id, s_ra, s_dec FROM ivoa.obscore WHERE 1=CONTAINS("
        "POINT(s_ra, s_dec), CIRCLE({ra:.4f}, 2.2, 0.05))"
    )
    params = [
        {"LANG": "ADQL", "QUERY": query.format(ra=150 + number / 100)} for number in range(20)
    ]
    seen: list[Report] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen.append(run_load(Load(f"{url}/sync", params, clients, 5.0)))

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    stop.set()
    thread.join()
    times = [one for report in seen for one in report.times_s]
    errors = [one for report in seen for one in report.errors]
    rate = len(times) / sum(report.seconds for report in seen)
    told(f"their {len(times)} queries, {rate:.0f}/s, {len(errors)} errors", times)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--burst", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--every", type=float, default=0.5)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    site: Path = options.folder
    with database(site, options.store):
        shutil.rmtree(site / "data", ignore_errors=True)
        (site / "data" / "bench").mkdir(parents=True)
        content = image_bytes(site, options.size)
        with serve(site, 1) as url, watching(site):
            client = Client(url)
            (site / "data" / "bench" / "first.fits").write_bytes(content)
            until(client.has, "ivo://skylane.example/bench?first.fits")
            for clients in (0, options.clients):
                load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
                print(f"{clients} clients beside, {options.store}, load {load}", flush=True)
                with querying(url, clients):
                    singles(client, site / "data" / "bench" / f"single{clients}", content,
                            options.files, options.every)  # fmt: skip
                    burst(client, site / "data" / "bench" / f"burst{clients}", content,
                          options.burst)  # fmt: skip


if __name__ == "__main__":
    main()
