"""How fast cutouts are, beside astropy, fitsio and the bare read of the same bytes, in one run.

    python bench/cutouts.py [--site DIR] [--size 4096] [--seconds 5] [--workers 1 2]
                            [--url http://127.0.0.1:54380/img/q/dl/dlget --did KIND=ID ...]

Makes images of one sky (plain, RICE in rows, RICE in 256 x 256 tiles, three planes), takes them
into a site, and cuts 256 x 256 and 2048 x 2048 pixels at places drawn at random: in this process,
and through ``skylane serve`` with 1 and 8 clients, which are processes of their own. Beside the
service runs a bare Starlette handler that reads as many bytes of the plain file. ``--url`` names
the cutout service of a peer that has the same images, each by ``--did``. Writes Markdown tables.

fitsio is measured where it is installed (``pip install fitsio``).
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from astropy.io import fits
from images import CENTRE, KINDS, PIXEL_DEG, make_images
from server import free_port, serve, server_processes, wait_for
from wire import Load, Report, run_load

from skylane.settings import load_settings
from skylane.site import SiteFolder
from soda.cut import cutout
from soda.selection import Selection
from soda.skies import SkyCache
from soda.skyimage import compiled
from soda.source import Source
from vodal.fits.index import FileIndex
from vodal.fits.scan import scan_file
from vodal.fits.tiled import rice
from vodal.regions import Circle

try:
    import fitsio
except ImportError:
    fitsio = None

Call = Callable[[int], object]
"""Cuts at the place of a number."""

SIZES = (256, 2048)
PLACES = 200


def places(size: int, side: int) -> list[tuple[int, int]]:
    """Give lower corners of boxes of a side within an image, the same in each run."""
    draw = random.Random(side)
    return [(draw.randrange(size - side), draw.randrange(size - side)) for _ in range(PLACES)]


def circle(size: int, side: int, corner: tuple[int, int]) -> Circle:
    """Give the circle around whose middle a box lies."""
    x, y = (start + side / 2 - size / 2 for start in corner)
    ra = CENTRE[0] - x * PIXEL_DEG / np.cos(np.deg2rad(CENTRE[1]))
    return Circle(float(ra), CENTRE[1] + y * PIXEL_DEG, (side / 2 - 0.6) * PIXEL_DEG)


def timed(call: Call, seconds: float) -> str:
    """Time calls; gives median and processor's time of one."""
    call(0)
    times: list[float] = []
    used, until = time.process_time(), time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        call(len(times) % PLACES)
        times.append(time.perf_counter() - began)
    used = time.process_time() - used
    return f"{1e3 * sorted(times)[len(times) // 2]:.2f} ({1e3 * used / len(times):.2f})"


def bare_read(path: Path, index: FileIndex, side: int, corner: tuple[int, int]) -> bytes:
    """Read the rows of a box of the first plain image as one block."""
    hdu = next(hdu for hdu in index.hdus if hdu.kind == "image" and hdu.shape)
    row = hdu.shape[1] * 4
    with path.open("rb") as file:
        start = hdu.data_offset + corner[1] * row + corner[0] * 4
        return os.pread(file.fileno(), (side - 1) * row + side * 4, start)


def readers(path: Path, index: FileIndex, size: int, side: int) -> dict[str, Call | None]:
    """Give what cuts a box with each library; None where it cannot."""
    numbers = [hdu.number for hdu in index.hdus if hdu.shape]
    source, skies = Source(path.as_uri(), index, tuple(numbers)), SkyCache()
    corners = places(size, side)
    stencils = [Selection(circle(size, side, corner)) for corner in corners]
    boxes = [(slice(y, y + side), slice(x, x + side)) for x, y in corners]

    def astropys(turn: int) -> object:
        with fits.open(path) as hdus:
            return [np.array(hdus[number].section[boxes[turn]]) for number in numbers]

    def fitsios(turn: int) -> object:
        with fitsio.FITS(path) as hdus:
            return [hdus[number][boxes[turn]] for number in numbers]

    plain = index.hdus[0].shape
    return {
        "ours": lambda turn: cutout(source, stencils[turn], skies=skies),
        "astropy": astropys,
        "fitsio": fitsios if fitsio is not None else None,
        "bare": (lambda turn: bare_read(path, index, side, corners[turn])) if plain else None,
    }


def in_process(paths: dict[str, Path], size: int, seconds: float) -> None:
    rice.wait()
    compiled.wait()
    print("\nIn one process, the file opened each time, ms (of which the processor's):\n")
    print("| image | side | ours | astropy `.section` | fitsio | bare read |")
    print("|---|---|---|---|---|---|")
    for kind, path in paths.items():
        index = scan_file(path)
        for side in SIZES:
            calls = readers(path, index, size, side).values()
            cells = [timed(call, seconds) if call else "" for call in calls]
            print(f"| {kind} | {side} | " + " | ".join(cells) + " |", flush=True)


@contextmanager
def bare_server(path: Path) -> Iterator[str]:
    """Run a Starlette app that does nothing but read boxes of the plain file."""
    port = free_port()
    environment = {**os.environ, "BENCH_FILE": str(path)}
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(Path(__file__).parent)]
    command += ["bareread:app", "--port", str(port), "--log-level", "warning", "--no-access-log"]
    process = subprocess.Popen(command, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/read?side=1&x=0&y=0", process)
        yield f"{url}/read"
    finally:
        process.terminate()
        process.wait(20)


def told(report: Report, used_s: float) -> str:
    if not report.times_s:
        return f"failed: {report.errors[:1]}"
    text = (
        f"{report.quantile_ms(0.5):.1f} / {report.quantile_ms(0.99):.1f} ms, {report.rate:.0f}/s, "
        f"{1e3 * used_s / len(report.times_s):.1f} ms"
    )
    return f"{text}, {len(report.errors)} errors: {report.errors[0]}" if report.errors else text


def load(url: str, requests: Sequence[dict[str, str]], clients: int, seconds: float) -> str:
    """Send requests; gives times, rate and the processor's time of the server for each."""
    processes = server_processes(urlsplit(url).port or 80)
    before = sum(sum(process.cpu_times()[:2]) for process in processes)
    report = run_load(Load(url, list(requests), clients, seconds))
    after = sum(sum(process.cpu_times()[:2]) for process in processes)
    return told(report, after - before)


def over_http(options: argparse.Namespace, paths: dict[str, Path]) -> None:
    site = SiteFolder(options.site)
    dids = {kind: did_of(site, path) for kind, path in paths.items()}
    peers = dict(item.split("=", 1) for item in options.did)
    wanted = [
        (kind, side, clients) for kind in paths for side in SIZES for clients in options.clients
    ]
    columns: dict[str, list[str]] = {}
    for count in options.workers:
        with serve(options.site, count) as tap:
            url = tap.removesuffix("/tap") + "/soda/sync"
            columns[f"skylane, {count} server(s)"] = [
                load(url, stencils(options.size, side, dids[kind]), clients, options.seconds)
                for kind, side, clients in wanted
            ]
    if "plain" in paths:
        with bare_server(paths["plain"]) as url:
            columns["bare handler"] = [
                load(url, corners(options.size, side), clients, options.seconds)
                if kind == "plain"
                else ""
                for kind, side, clients in wanted
            ]
    if options.url:
        columns["peer"] = [
            load(options.url, stencils(options.size, side, peers[kind]), clients, options.seconds)
            if kind in peers
            else ""
            for kind, side, clients in wanted
        ]
    print("\nOver HTTP: median / 99th percentile, cutouts a second, processor's time of one:\n")
    print("| image | side | clients | " + " | ".join(columns) + " |")
    print("|---" * (3 + len(columns)) + "|")
    for place, row in enumerate(wanted):
        cells = [str(cell) for cell in row] + [cells[place] for cells in columns.values()]
        print("| " + " | ".join(cells) + " |", flush=True)


def corners(size: int, side: int) -> list[dict[str, str]]:
    """Give the parameters of the bare handler."""
    return [{"side": str(side), "x": str(x), "y": str(y)} for x, y in places(size, side)]


def stencils(size: int, side: int, did: str) -> list[dict[str, str]]:
    """Give the parameters of cutouts."""
    found = (circle(size, side, corner) for corner in places(size, side))
    return [
        {"ID": did, "CIRCLE": f"{one.ra_deg:.9f} {one.dec_deg:.9f} {one.radius_deg:.9f}"}
        for one in found
    ]


def did_of(site: SiteFolder, path: Path) -> str:
    """Give the identifier under which a site has a file's product."""
    catalogue = site.backend(load_settings(site.path).store).catalogue()
    try:
        for summary in catalogue.collections():
            for product in catalogue.products(summary.name):
                if product.uri == path.resolve().as_uri():
                    return product.did
    finally:
        catalogue.close()
    raise SystemExit(f"{path} is not in the site")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--site", type=Path, default=Path("bench-cutouts"))
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--only", default="process,http")
    parser.add_argument("--url", help="a peer's cutout service")
    parser.add_argument("--did", action="append", default=[], help="KIND=ID at the peer")
    options = parser.parse_args()
    made = make_images(options.site / "images", options.size)
    paths = {kind: made[kind] for kind in options.kinds}
    command = [sys.executable, "-m", "skylane", "ingest", str(options.site / "images")]
    subprocess.run([*command, "--site", str(options.site)], check=True, stdout=subprocess.DEVNULL)
    print(
        f"{options.size} x {options.size} pixels of 32 bits; {os.cpu_count()} CPUs, load"
        f" {os.getloadavg()[0]:.1f} before; {time.strftime('%Y-%m-%d %H:%M')}"
    )
    if "process" in options.only:
        in_process(paths, options.size, options.seconds / 3)
    if "http" in options.only:
        over_http(options, paths)


if __name__ == "__main__":
    main()
