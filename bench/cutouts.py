"""How fast cutouts are, beside astropy, fitsio and the bare read of the same bytes, in one run.

    python bench/cutouts.py [--site DIR] [--size 4096] [--seconds 5] [--workers 1 2]
                            [--files 100000] [--only process,http,nginx,s3]
                            [--peer plain http://127.0.0.1:54380/img/q/dl/dlget ID] ...

Makes images of one sky (plain, RICE in rows, RICE in 256 x 256 tiles, three planes), takes them
into a site, and cuts 256 x 256 and 2048 x 2048 pixels at places drawn at random: in this process,
and through ``skylane serve`` with 1 and 8 clients, which are processes of their own. Beside the
service runs a bare Starlette handler that reads as many bytes of the plain file. ``--files`` puts
so many files into the index, hard links to the images, and cuts from another one each time. The
images are also cut where they lie on a server, nginx by HTTP and moto, which speaks as S3 does; the
bare handler then asks nginx for the block of rows. ``--peer`` names the cutout service of another
that has an image of a kind. Writes Markdown tables.

fitsio is measured where it is installed (``pip install fitsio``).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from astropy.io import fits
from entries import add_links, add_remote, catalogued
from images import CENTRE, KINDS, PIXEL_DEG, make_images
from remotes import Place, moto, nginx
from server import free_port, serve, server_processes, wait_for
from wire import Load, Report, run_load

from skylane.folder import SiteFolder
from skylane.settings import load_settings
from soda.cut import cutout
from soda.selection import Selection
from soda.skies import SkyCache
from soda.skyimage import compiled
from soda.source import Source
from vodal.fits.index import FileIndex
from vodal.fits.scan import scan_file
from vodal.fits.tiled import rice
from vodal.regions import Circle
from vodal.storage import Storage, StorageSettings

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
def bare_server(path: Path, uri: str | None = None) -> Iterator[str]:
    """Run a Starlette app that does nothing but read boxes of the plain file, or of a server's."""
    port = free_port()
    environment = {**os.environ, "BENCH_FILE": str(path), "BENCH_URL": uri or ""}
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


def load(asked: Load) -> tuple[Report, str]:
    """Send requests; gives times, rate and the processor's time of the server for each."""
    processes = server_processes(urlsplit(asked.url).port or 80)
    before = sum(sum(process.cpu_times()[:2]) for process in processes)
    report = run_load(asked)
    after = sum(sum(process.cpu_times()[:2]) for process in processes)
    return report, told(report, after - before)


Asked = Callable[[str, int], tuple[str, list[dict[str, str]]] | None]
"""Gives the URL and the parameters for a kind of image and a side; None if there are none."""


class Columns:
    """What is measured over HTTP: the same loads for each service."""

    def __init__(self, kinds: Sequence[str], clients: Sequence[int], seconds: float) -> None:
        self._rows = [(kind, side, count) for kind in kinds for side in SIZES for count in clients]
        self._seconds = seconds
        self._cells: dict[str, list[str]] = {}

    def measure(
        self, name: str, asked: Asked, log: Path | None = None, method: str = "POST"
    ) -> None:
        """Send the loads to one service; with the log of a file server behind it."""
        self._cells[name] = [
            self._cell(asked(kind, side), count, log, method) for kind, side, count in self._rows
        ]
        print(f"measured {name}", file=sys.stderr, flush=True)

    def _cell(
        self,
        asked: tuple[str, list[dict[str, str]]] | None,
        clients: int,
        log: Path | None,
        method: str,
    ) -> str:
        if asked is None:
            return ""
        run_load(Load(*asked, clients, 0.2, method))
        before = _sent(log)
        report, text = load(Load(*asked, clients, self._seconds, method))
        if log is None or not report.times_s:
            return text
        requests, size = (b - a for a, b in zip(before, _sent(log), strict=True))
        count = len(report.times_s) + clients  # each client's first is not timed
        return f"{text}, {requests / count:.1f} requests, {size / count / 1e3:.0f} kB"

    def print(self) -> None:
        """Write the table."""
        print("\nOver HTTP: median / 99th percentile, cutouts a second, processor's time of one;")
        print("from nginx also requests and bytes for one:\n")
        print("| image | side | clients | " + " | ".join(self._cells) + " |")
        print("|---" * (3 + len(self._cells)) + "|")
        for place, row in enumerate(self._rows):
            cells = [str(cell) for cell in row] + [cells[place] for cells in self._cells.values()]
            print("| " + " | ".join(cells) + " |", flush=True)


def _sent(log: Path | None) -> tuple[int, int]:
    """Give the requests and bytes of a file server's log."""
    sizes = [] if log is None else [int(line) for line in log.read_text().split()]
    return len(sizes), sum(sizes)


def over_http(options: argparse.Namespace, paths: dict[str, Path]) -> None:
    columns = Columns(list(paths), options.clients, options.seconds)
    with ExitStack() as stack:
        places = []
        if "nginx" in options.only:
            places.append(stack.enter_context(nginx(paths, options.site / "nginx")))
        if "s3" in options.only:
            places.append(stack.enter_context(moto(paths)))
        _measure_ours(columns, options, paths, places)
        if "plain" in paths:
            _measure_bare(columns, options, paths["plain"], places)
    peers = {kind: (url, did) for kind, url, did in options.peer}
    if peers:
        columns.measure("peer", partial(_of_peer, peers, options.size), method="GET")
    columns.print()


def _measure_ours(
    columns: Columns, options: argparse.Namespace, paths: dict[str, Path], places: Sequence[Place]
) -> None:
    """Measure the service: one file a kind, many files, files on servers."""
    settings = {name: value for place in places for name, value in place.settings.items()}
    given = dict(_variables("SKYLANE_STORAGE", settings))
    # Previews of so many images would be made beside.
    given["SKYLANE_HIPS__LIVE__PREPARE_EVERY_S"] = "0"
    os.environ.update(given)
    site, size = SiteFolder(options.site), options.size
    store = site.backend(load_settings(site.path).store).writer()
    files = catalogued(store, paths)
    began = time.perf_counter()
    crowd = add_links(store, files, paths, options.site / "crowd", options.files)
    if options.files:
        print(f"{options.files} files in the index, {time.perf_counter() - began:.0f} s to add")
    storage = Storage(StorageSettings.model_validate(settings))
    remote = [add_remote(store, files, one.name, one.uris, storage) for one in places]
    storage.close()
    store.close()
    for count in options.workers:
        name = f"skylane, {count} server(s)"
        with serve(options.site, count) as tap:
            url = tap.removesuffix("/tap") + "/soda/sync"
            dids = {kind: [file.observations[0].did] for kind, file in files.items()}
            columns.measure(name, partial(_of_skylane, url, size, dids))
            if options.files:
                of_many = partial(_of_skylane, url, size, crowd)
                columns.measure(f"{name}, of {options.files} files", of_many)
            for place, found in zip(places, remote, strict=True):
                there = partial(_of_skylane, url, size, {kind: [found[kind]] for kind in found})
                columns.measure(f"{name}, from {place.name}", there, place.log)
    for variable in given:
        del os.environ[variable]


def _variables(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Give settings as variables of the environment."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _variables(f"{name}__{key.upper()}", inner)
    else:
        yield name, json.dumps(value)


def _measure_bare(
    columns: Columns, options: argparse.Namespace, path: Path, places: Sequence[Place]
) -> None:
    """Measure the bare handler on the disk and behind nginx."""
    with bare_server(path) as url:
        columns.measure("bare handler", partial(_of_bare, url, options.size))
    for place in places:
        if place.log is not None:
            with bare_server(path, place.uris["plain"]) as url:
                of_server = partial(_of_bare, url, options.size)
                columns.measure(f"bare handler, from {place.name}", of_server, place.log)


def _of_skylane(
    url: str, size: int, dids: Mapping[str, Sequence[str]], kind: str, side: int
) -> tuple[str, list[dict[str, str]]]:
    return url, stencils(size, side, dids[kind])


def _of_bare(url: str, size: int, kind: str, side: int) -> tuple[str, list[dict[str, str]]] | None:
    return (url, corners(size, side)) if kind == "plain" else None


def _of_peer(
    peers: Mapping[str, tuple[str, str]], size: int, kind: str, side: int
) -> tuple[str, list[dict[str, str]]] | None:
    if kind not in peers:
        return None
    url, did = peers[kind]
    return url, stencils(size, side, [did])


def corners(size: int, side: int) -> list[dict[str, str]]:
    """Give the parameters of the bare handler."""
    return [{"side": str(side), "x": str(x), "y": str(y)} for x, y in places(size, side)]


def stencils(size: int, side: int, dids: Sequence[str]) -> list[dict[str, str]]:
    """Give the parameters of cutouts; of many datasets each from another one."""
    found = [circle(size, side, corner) for corner in places(size, side)]
    draw = random.Random(side)
    chosen = draw.sample(dids, min(len(dids), 10 * PLACES))
    return [
        {"ID": did, "CIRCLE": f"{one.ra_deg:.9f} {one.dec_deg:.9f} {one.radius_deg:.9f}"}
        for turn in range(max(len(found), len(chosen)))
        for did, one in [(chosen[turn % len(chosen)], found[turn % len(found)])]
    ]


def did_of(site: SiteFolder, path: Path) -> str:
    """Give the identifier under which a site has a file's product."""
    store = site.backend(load_settings(site.path).store).writer()
    try:
        return catalogued(store, {"": path})[""].observations[0].did
    finally:
        store.close()


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
    parser.add_argument("--only", default="process,http,nginx,s3")
    parser.add_argument("--files", type=int, default=0, help="in the index, links to the images")
    parser.add_argument(
        "--peer", action="append", default=[], nargs=3, metavar=("KIND", "URL", "ID"),
        help="a peer's cutout service that has an image of the kind",
    )  # fmt: skip
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
