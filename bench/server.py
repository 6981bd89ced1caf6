"""A site to measure: its store with so many rows, and the real server on it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil
from survey import fill

from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.testing.postgres import cluster

__all__ = [
    "Peak",
    "database",
    "free_port",
    "ingest_process",
    "prepare",
    "serve",
    "server_processes",
    "wait_for",
]

_START_LIMIT_S = 300.0


def prepare(path: Path, rows: int, *, fields: int | None = None) -> SiteFolder:
    """Give a site with the rows of `survey`, made or made longer if need be."""
    site = SiteFolder(path)
    backend = site.prepare(load_settings(path).store)
    marker = path / "rows.txt"
    have = int(marker.read_text()) if marker.exists() else 0
    if have not in {0, rows}:
        raise SystemExit(f"{path} holds {have} rows; name another folder for {rows}")
    if have == 0:
        began = time.perf_counter()
        store = backend.writer()
        first = sum(file.products for file in store.known_files("file:///bench/").values())
        fill(store, rows, first=first, fields=fields)
        store.close()
        seconds = time.perf_counter() - began
        print(
            f"wrote {rows - first} rows in {seconds:.0f} s, {(rows - first) / seconds:.0f} a second"
        )
        marker.write_text(str(rows))
    return site


_LIMITS = """[tap]
queries_per_user = 64
waiting_per_user = 1000
waiting = 1000
"""
"""All clients of a measurement have one address; they stand for as many users."""


@contextmanager
def database(path: Path, store: str) -> Iterator[None]:
    """Give a site its settings; in PostgreSQL a cluster of its own for a while if it has none."""
    path.mkdir(parents=True, exist_ok=True)
    settings = path / "skylane.toml"
    if settings.exists():
        yield
    elif store == "sqlite":
        settings.write_text(_LIMITS, "utf-8")
        yield
    else:
        with cluster(shared_buffers="512MB") as made:
            url = made.create("bench")
            settings.write_text(f'{_LIMITS}[store]\nurl = "{url}"\n', "utf-8")
            try:
                yield
            finally:
                settings.unlink()
                (path / "rows.txt").unlink(missing_ok=True)


@contextmanager
def serve(path: Path, workers: int) -> Iterator[str]:
    """Run ``skylane serve`` on a site; gives the URL of its TAP service."""
    port = free_port()
    command = [sys.executable, "-m", "skylane", "serve", "--site", str(path), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", str(workers)]
    with (path / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}/tap"
        try:
            wait_for(f"{url}/availability", process)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """Give a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a URL answers; raises what keeps it from that."""
    until = time.monotonic() + _START_LIMIT_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def server_processes(port: int) -> list[psutil.Process]:
    """Give the processes that listen on a port, and the children of theirs."""
    found = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid
    }
    processes: dict[int, psutil.Process] = {}
    for pid in found:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            processes[one.pid] = one
    return list(processes.values())


class Peak:
    """Watches how far the memory of processes grows, in a thread, while a block runs."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.start = self._now()
        self.highest = self.start

    def _now(self) -> int:
        total = 0
        for process in self._processes:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.highest = max(self.highest, self._now())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def processor_s(self) -> float:
        """Seconds of processor that the processes have used since they began."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)

    @property
    def growth_mb(self) -> float:
        """How far it went up, in MB."""
        return (self.highest - self.start) / 1e6


@contextmanager
def ingest_process(path: Path, rows_a_second: int) -> Iterator[None]:
    """Run a process that writes rows to a site's store, ten at a time, and removes them after."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(path), str(rows_a_second)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        output = process.communicate("stop\n", timeout=120)[0]
        print(output.strip(), file=sys.stderr, flush=True)


def _ingest(path: Path, rows_a_second: int) -> None:
    from survey import catalogue  # noqa: PLC0415

    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stopped.set()), daemon=True).start()
    store = SiteFolder(path).backend(load_settings(path).store).writer()
    files = list(catalogue(20_000, seed=os.getpid()))
    print("ready", flush=True)
    began, written, times = time.perf_counter(), 0, []
    while not stopped.is_set() and written + 10 <= len(files):
        time.sleep(max(0.0, began + written / rows_a_second - time.perf_counter()))
        start = time.perf_counter()
        store.write(files[written : written + 10])
        times.append(time.perf_counter() - start)
        written += 10
    seconds = time.perf_counter() - began
    store.remove([file.uri for file in files[:written]])
    store.close()
    print(f"ingest: {written / seconds:.0f} rows/s, longest write {1e3 * max(times):.0f} ms")


if __name__ == "__main__":
    _ingest(Path(sys.argv[1]), int(sys.argv[2]))
