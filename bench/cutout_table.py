"""How a job over a table of cutouts fares with its rows: time, memory, and death of its server.

    python bench/cutout_table.py [--site DIR] [--rows 100000] [--files 256] [--by id | place]
                                 [--store sqlite | postgres] [--kill 0] [--workers 1]

Makes a folder of images whose pixels tell where they lie, takes it into a site, and sends a table
of so many rows in no order of the files to ``skylane serve``. ``--by place`` has positions alone,
for which the service finds the images. ``--kill 2`` kills all processes of the server twice on the
way, by SIGKILL, and starts it anew. At the end each cutout of the tar is compared with what its row
asked for, pixel by pixel, and its digest with the index. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import psutil
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from server import database, free_port, wait_for

SIDE, STEP_DEG, PIXEL_DEG = 256, 0.2, 1.0 / 3600.0
RADIUS_DEG = 5.5 * PIXEL_DEG


def sky(number: int) -> WCS:
    """Give the coordinates of an image; no two overlap."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [10.0 + STEP_DEG * (number % 64), -20.0 + STEP_DEG * (number // 64)]
    wcs.wcs.crpix = [SIDE / 2 + 0.5, SIDE / 2 + 0.5]
    wcs.wcs.cdelt = [-PIXEL_DEG, PIXEL_DEG]
    return wcs


def make_folder(folder: Path, count: int) -> None:
    """Write the images, of which each pixel is its number among those of all."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{number:06d}.fits"
        if path.exists():
            continue
        header = sky(number).to_header()
        header["INSTRUME"], header["MJD-OBS"], header["EXPTIME"] = "BenchCam", 59000.1, 300.0
        header["FILTER"] = "r"
        first = number * SIDE * SIDE
        data = np.arange(first, first + SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE)
        fits.PrimaryHDU(data, header).writeto(path)


@dataclass
class Asked:
    """What the rows ask for."""

    number: NDArray[np.int64]
    """Of the image."""
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    """The pixel in the middle, from 0."""
    table: bytes
    """As CSV."""


def make_rows(count: int, files: int, dids: list[str], by: str) -> Asked:
    """Draw rows, the same in each run."""
    draw = np.random.default_rng(7)
    number = draw.integers(0, files, count)
    x, y = draw.integers(8, SIDE - 8, (2, count))
    places = np.empty((count, 2))
    for one in range(files):
        mine = number == one
        places[mine] = sky(one).all_pix2world(np.column_stack([x[mine], y[mine]]), 0)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["ID", "ra", "dec", "radius"] if by == "id" else ["ra", "dec", "radius"])
    for image, (ra, dec) in zip(number, places, strict=True):
        cells = [repr(float(ra)), repr(float(dec)), repr(RADIUS_DEG)]
        writer.writerow([dids[image], *cells] if by == "id" else cells)
    return Asked(number, x, y, text.getvalue().encode())


@dataclass
class Server:
    """``skylane serve`` on a site, to be killed and started anew."""

    site: Path
    workers: int
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "skylane", "serve", "--site", str(self.site)]
        command += ["--port", str(self.port), "--workers", str(self.workers)]
        with (self.site / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(f"{self.url}/health", self.process)

    def processes(self) -> list[psutil.Process]:
        """Give the server and its children."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def kill(self) -> None:
        """Kill all its processes at once."""
        processes = self.processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, 20)
        assert self.process is not None
        self.process.wait()

    def memory_mb(self) -> tuple[float, float]:
        """Give what the largest of the server's processes and of the cutting ones has for itself.

        Pages of files, which the system drops when it needs the memory, do not count.
        """
        most = [0.0, 0.0]
        for process in self.processes():
            try:
                own = process.memory_full_info().uss / 1e6
                cuts = "vodal.pool.worker" in " ".join(process.cmdline())
            except psutil.Error:
                continue
            most[cuts] = max(most[cuts], own)
        return most[0], most[1]


def job_state(url: str) -> dict[str, str]:
    """Give a job's phase and what it tells of its progress."""
    root = ET.fromstring(httpx.get(url, timeout=60).content)
    found = {"phase": root.findtext("{*}phase") or ""}
    info = root.find("{*}jobInfo")
    return found | ({} if info is None else {child.tag: child.text or "" for child in info})


def run_job(server: Server, asked: Asked, kills: int) -> str:
    """Send the table and watch the job; gives its URL."""
    rows, began = len(asked.number), time.perf_counter()
    answer = httpx.post(
        f"{server.url}/soda/async", timeout=600,
        data={"PHASE": "RUN", "UPLOAD": "cutouts,param:rows"},
        files={"rows": ("rows.csv", asked.table, "text/csv")},
    )  # fmt: skip
    assert answer.status_code == 303, answer.text
    url = answer.headers["location"]
    print(f"\naccepted after {time.perf_counter() - began:.1f} s")
    print("\n| rows done | s | rows/s since the line before | server, MB | a worker, MB |")
    print("|---|---|---|---|---|", flush=True)
    step, wanted = max(1, rows // 10), 0
    deaths = [rows * (n + 1) // (kills + 1) for n in range(kills)]
    last_done, last_s, most = 0, 0.0, (0.0, 0.0)
    while True:
        state = job_state(url)
        now_s, done = time.perf_counter() - began, int(state.get("done", 0))
        most = max(most[0], (own := server.memory_mb())[0]), max(most[1], own[1])
        ended = state["phase"] not in {"QUEUED", "EXECUTING"}
        if done >= wanted or ended:
            rate = max(0, done - last_done) / max(1e-9, now_s - last_s)
            print(f"| {done} | {now_s:.0f} | {rate:.0f} | {most[0]:.0f} | {most[1]:.0f} |",
                  flush=True)  # fmt: skip
            last_done, last_s, most = done, now_s, (0.0, 0.0)
            wanted = done - done % step + step
        if ended:
            assert state["phase"] == "COMPLETED", httpx.get(f"{url}/error").text
            print(f"\n{rows} rows in {now_s:.0f} s, {rows / now_s:.0f} a second")
            return str(url)
        if deaths and done >= deaths[0]:
            server.kill()
            print(f"| killed at {deaths.pop(0)} | {now_s:.0f} | | | |", flush=True)
            server.start()
        time.sleep(0.5)


def pixels(body: bytes) -> NDArray[np.int32]:
    """Read the image of a FITS file of one HDU."""
    cards: dict[str, str] = {}
    for start in range(0, len(body), 80):
        card = body[start : start + 80].decode("ascii")
        if card.startswith("END "):
            data = -(-(start + 80) // 2880) * 2880
            break
        cards[card[:8].rstrip()] = card[10:30].strip()
    shape = int(cards["NAXIS2"]), int(cards["NAXIS1"])
    return np.frombuffer(body, ">i4", shape[0] * shape[1], data).reshape(shape)


def check(job: str, asked: Asked, scratch: Path) -> None:
    """Compare each cutout with its row; raises if any is wrong, missing or too many."""
    path = scratch / "cutouts.tar"
    with path.open("wb") as file, httpx.stream("GET", f"{job}/results/cutouts") as answer:
        for piece in answer.iter_bytes():
            file.write(piece)
    index = httpx.get(f"{job}/cutouts", params={"RESPONSEFORMAT": "csv"}, timeout=600).text
    rows = {row["file_name"]: row for row in csv.DictReader(io.StringIO(index))}
    numbers = sorted(int(row["row"]) for row in rows.values())
    assert numbers == list(range(1, len(asked.number) + 1))
    found = 0
    with tarfile.open(path) as archive:
        for member in archive:
            reader = archive.extractfile(member)
            assert reader is not None
            body = reader.read()
            row: Any = rows.pop(member.name, None)
            if member.name == "cutouts.csv":
                continue
            assert row["sha256"] == sha256(body).hexdigest()
            place, image = int(row["row"]) - 1, pixels(body)
            corner = int(image[0, 0])
            assert corner // (SIDE * SIDE) == asked.number[place]
            y, x = divmod(corner % (SIDE * SIDE), SIDE)
            steps = np.add.outer(np.arange(image.shape[0]) * SIDE, np.arange(image.shape[1]))
            assert (image == corner + steps).all()
            assert abs(x + (image.shape[1] - 1) / 2 - asked.x[place]) <= 1
            assert abs(y + (image.shape[0] - 1) / 2 - asked.y[place]) <= 1
            found += 1
    assert not rows
    path.unlink()
    print(f"all {found} cutouts are those that were asked for")


def dids_of(url: str, files: int) -> list[str]:
    """Give the identifiers of the images, in the order of their numbers."""
    query = "SELECT obs_publisher_did FROM ivoa.obscore ORDER BY obs_publisher_did"
    answer = httpx.get(f"{url}/tap/sync", timeout=60,
                       params={"LANG": "ADQL", "QUERY": query, "FORMAT": "csv"})  # fmt: skip
    dids = answer.text.split()[1:]
    assert len(dids) == files, "the folder has other images than these; remove it"
    return dids


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--site", type=Path, default=Path("bench-cutout-table"))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=256)
    parser.add_argument("--by", choices=["id", "place"], default="id")
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--kill", type=int, default=0, help="times that the server is killed")
    parser.add_argument("--workers", type=int, default=1, help="server processes")
    options = parser.parse_args()
    site = options.site / options.store
    make_folder(options.site / "images", options.files)
    with database(site, options.store):
        shutil.rmtree(site / "results", ignore_errors=True)
        ingest = [sys.executable, "-m", "skylane", "ingest", str(options.site / "images")]
        subprocess.run([*ingest, "--site", site], check=True, stdout=subprocess.DEVNULL)
        print(
            f"{options.rows} rows by {options.by} of {options.files} files, {options.store};"
            f" {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before;"
            f" {time.strftime('%Y-%m-%d %H:%M')}"
        )
        server = Server(site, options.workers)
        server.start()
        try:
            dids = dids_of(server.url, options.files)
            asked = make_rows(options.rows, options.files, dids, options.by)
            check(run_job(server, asked, options.kill), asked, site)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
