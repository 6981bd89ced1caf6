"""Whether memory, descriptors or shared memory grow over many cutouts, over HTTP.

    python bench/soak.py [--site DIR] [--cutouts 100000] [--workers 1] [--clients 4] [--every 30]

Asks ``skylane serve`` for small cutouts of the images of ``cutouts.py``, plain and compressed, at
places drawn at random, every tenth as a picture or compressed anew, and writes a row of a Markdown
table every so many seconds: what server and workers hold, and how many workers there were so far.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from cutouts import did_of, stencils
from images import make_images
from server import serve, server_processes
from wire import Load, run_load

from skylane.folder import SiteFolder

_WORKER = "vodal.pool.worker"
_FORMATS = ({"FORMAT": "png"}, {"FORMAT": "fits-rice"}, {"OUTSIDE": "nan"})


@dataclass(frozen=True, slots=True)
class Held:
    """What the processes of a server hold at one moment."""

    server_mb: float
    """RSS of the largest server process."""
    worker_mb: float
    """RSS of the largest cutout worker."""
    total_mb: float
    """Of all processes, what they share counted once (PSS)."""
    shared_mb: float
    """In buffers for results, which belong to no file system."""
    server_fds: int
    worker_fds: int
    shm_files: int
    """In /dev/shm, of everybody."""
    workers: frozenset[int]


def _shared_bytes(process: psutil.Process) -> int:
    found = 0
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            if "memfd:" in str(link.readlink()):
                found += link.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return found


def held(port: int) -> Held:
    """Look at the processes of the server on a port."""
    servers, workers = [], []
    for process in server_processes(port):
        try:
            (workers if _WORKER in " ".join(process.cmdline()) else servers).append(process)
        except psutil.NoSuchProcess:
            continue
    return Held(
        max(process.memory_info().rss for process in servers) / 1e6,
        max(process.memory_info().rss for process in workers) / 1e6,
        sum(process.memory_full_info().pss for process in servers + workers) / 1e6,
        sum(_shared_bytes(process) for process in servers) / 1e6,
        max(process.num_fds() for process in servers),
        max(process.num_fds() for process in workers),
        len(list(Path("/dev/shm").iterdir())),
        frozenset(process.pid for process in workers),
    )


def requests(dids: list[str], size: int) -> list[dict[str, str]]:
    """Give the parameters of cutouts of all images, in the same order in each run."""
    draw = random.Random(1)
    asked = [one for did in dids for side in (64, 256) for one in stencils(size, side, [did])]
    draw.shuffle(asked)
    for number in range(0, len(asked), 10):
        asked[number] |= _FORMATS[number // 10 % len(_FORMATS)]
    return asked


def soak(options: argparse.Namespace, asked: list[dict[str, str]]) -> None:
    print(
        "\n| cutouts | s | a second | errors | workers so far | server, MB | a worker, MB |"
        " all, MB | shared, MB | descriptors, server / worker | in /dev/shm |"
    )
    print("|---" * 11 + "|")
    done, errors, seen, began = 0, 0, set[int](), time.perf_counter()
    with serve(options.site, options.workers) as tap:
        url = tap.removesuffix("/tap") + "/soda/sync"
        port = urlsplit(url).port or 80
        while done < options.cutouts:
            report = run_load(Load(url, asked, options.clients, options.every))
            done, errors = done + len(report.times_s), errors + len(report.errors)
            for error in report.errors[:1]:
                print(error, file=sys.stderr)
            now = held(port)
            seen |= now.workers
            cells = (
                done, f"{time.perf_counter() - began:.0f}", f"{report.rate:.0f}", errors, len(seen),
                f"{now.server_mb:.0f}", f"{now.worker_mb:.0f}", f"{now.total_mb:.0f}",
                f"{now.shared_mb:.1f}", f"{now.server_fds} / {now.worker_fds}", now.shm_files,
            )  # fmt: skip
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
            asked = asked[1:] + asked[:1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--site", type=Path, default=Path("bench-cutouts"))
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--cutouts", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1, help="server processes")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two rows")
    options = parser.parse_args()
    paths = make_images(options.site / "images", options.size)
    command = [sys.executable, "-m", "skylane", "ingest", str(options.site / "images")]
    subprocess.run([*command, "--site", str(options.site)], check=True, stdout=subprocess.DEVNULL)
    site = SiteFolder(options.site)
    print(
        f"{options.size} x {options.size} pixels of 32 bits; {options.workers} server(s),"
        f" {options.clients} clients; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before;"
        f" {time.strftime('%Y-%m-%d %H:%M')}"
    )
    soak(options, requests([did_of(site, path) for path in paths.values()], options.size))


if __name__ == "__main__":
    main()
