"""Live tiles over HTTP, uncached: how long they take, and how soon an exposure is on the sky.

    python bench/live.py FOLDER [--size 4096] [--images 5] [--landings 40] [--by line]

makes a site of overlapping TAN-SIP images (plain, or with ``--compressed`` RICE), and asks a real
server for each deepest tile that all of them cover, once. Then new exposures land one by one: each
is moved into its folder, and from that moment a tile on which it lies is asked for until it shows
the exposure. With ``--by line`` the assembly line is kept running in this process and is given each
file (what the command does, without its start); with ``--by watch`` ``skylane ingest --watch`` runs
in a process of its own and finds the file by itself; with ``--by command`` the command is run anew
for each. Between landings there is a pause of ``--pause`` seconds.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cdshealpix.nested as healpix
import httpx
import numpy as np
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from server import serve

from obscore.assembly.line import ingest as run_line
from obscore.sources.fits import FolderSource
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.testing.skies import make_wcs

_CENTRE = (150.1, 2.2)
_SCALE_ARCSEC = 0.2
_CLIENT = httpx.Client(timeout=300)


def make_image(path: Path, number: int, size: int, *, compressed: bool) -> None:
    """Write a noisy image near the centre."""
    rng = np.random.default_rng(number)
    ra, dec = (_CENTRE[k] + rng.uniform(-1, 1) * 0.05 * size * _SCALE_ARCSEC / 3600 for k in (0, 1))
    wcs = make_wcs(ra, dec, size, _SCALE_ARCSEC, float(rng.uniform(-20, 20)))
    header = wcs.to_header(relax=True)
    header["FILTER"], header["EXPTIME"], header["MAGZERO"] = "r", 60.0, 27.0
    header["DATE-OBS"] = f"2026-11-01T02:{number:02d}:00"
    data = rng.normal(100.0, 5.0, (size, size)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    if compressed:
        hdu = fits.CompImageHDU(data, header, compression_type="RICE_1", quantize_level=16)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    else:
        fits.PrimaryHDU(data, header).writeto(path, overwrite=True)


def ingest(site: Path) -> None:
    """Run the command."""
    command = [Path(sys.executable).with_name("skylane"), "ingest", site / "data" / "bench"]
    subprocess.run([*command, "--site", site], check=True, capture_output=True)


def tiles(order: int, size: int) -> list[int]:
    """Give the deepest tiles that every image covers."""
    half = 0.5 * 0.6 * size * _SCALE_ARCSEC / 3600
    offsets = np.linspace(-half, half, 200)
    x, y = np.meshgrid(offsets, offsets)
    found = healpix.lonlat_to_healpix(
        Longitude(_CENTRE[0] + x.ravel(), "deg"), Latitude(_CENTRE[1] + y.ravel(), "deg"), order
    )
    return [int(one) for one in np.unique(found)]


def address(url: str, order: int, npix: int, extension: str) -> str:
    """Give where a tile is."""
    return f"{url}/hips/live/bench/Norder{order}/Dir{npix // 10000 * 10000}/Npix{npix}.{extension}"


def told(name: str, seconds: Sequence[float]) -> None:
    """Print the figures of a load."""
    p95 = statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
    print(
        f"{name}: {len(seconds)} answers, p50 {1e3 * statistics.median(seconds):.0f} ms,"
        f" p95 {1e3 * p95:.0f} ms, longest {1e3 * max(seconds):.0f} ms"
    )


def timed(url: str) -> float:
    """Ask for a tile."""
    began = time.perf_counter()
    answer = _CLIENT.get(url)
    seconds = time.perf_counter() - began
    if answer.status_code != 200:
        raise SystemExit(f"{url}: {answer.status_code} {answer.text[:200]}")
    return seconds


def measure(url: str, site: Path, clients: int, size: int) -> int:
    """Ask for all tiles, uncached; gives the deepest order."""
    properties = httpx.get(f"{url}/hips/live/bench/properties", timeout=300).text
    order = int(properties.partition("hips_order ")[2].partition("=")[2].split()[0])
    numbers = tiles(order, size)
    behind = httpx.get(
        f"{url}/hips/live/bench/progenitors?order={order}&npix={numbers[len(numbers) // 2]}"
    ).json()
    print(f"{len(numbers)} tiles of order {order}, {len(behind['images'])} images a tile")
    for extension in ("png", "fits"):
        shutil.rmtree(site / "cache" / "live" / "tiles", ignore_errors=True)
        urls = [address(url, order, npix, extension) for npix in numbers]
        with ThreadPoolExecutor(clients) as pool:
            told(f"{extension}, {clients} clients, uncached", list(pool.map(timed, urls)))
            told(f"{extension}, {clients} clients, cached", list(pool.map(timed, urls)))
    return order


@contextmanager
def line(site: Path) -> Iterator[Callable[[Path], None]]:
    """Keep the assembly line running in this process; gives what catalogues a file."""
    settings = load_settings(site)
    store = SiteFolder(site).backend(settings.store).writer()

    def take(path: Path) -> None:
        source = FolderSource(path.parent, collection="bench", start=path)
        done = run_line(source, store, settings.obscore, workers=0)
        if not done.products:
            raise SystemExit(f"{path.name} was not catalogued: {done}")

    try:
        yield take
    finally:
        store.close()


@contextmanager
def watch(site: Path) -> Iterator[Callable[[Path], None]]:
    """Run the command that watches the folder; there is nothing to do for a file."""
    command = [Path(sys.executable).with_name("skylane"), "ingest", site / "data" / "bench"]
    process = subprocess.Popen([*command, "--watch", "--site", site], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield lambda _: None
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def command(site: Path) -> Iterator[Callable[[Path], None]]:
    """Run the command for each file."""
    yield lambda _: ingest(site)


def land(url: str, site: Path, order: int, options: argparse.Namespace) -> None:
    """Let exposures land, and wait for each to be seen."""
    ways = {"line": line, "watch": watch, "command": command}
    seconds, catalogued = [], []
    numbers = tiles(order, options.size)
    suffix = ".fits.fz" if options.compressed else ".fits"
    aside = site / "aside"
    for number in range(options.landings):
        path = aside / f"late{number}{suffix}"
        if not path.exists():
            make_image(path, 1000 + number, options.size, compressed=options.compressed)
    with ways[options.by](site) as catalogue:
        for number in range(options.landings):
            # Of the images that are there it is cached; with the new one it has to be made.
            target = address(url, order, numbers[number % len(numbers)], "png")
            before = _CLIENT.get(target).headers["etag"]
            time.sleep(options.pause)
            name = f"late{number}{suffix}"
            began = time.perf_counter()
            (aside / name).rename(site / "data" / "bench" / name)
            catalogue(site / "data" / "bench" / name)
            catalogued.append(time.perf_counter() - began)
            while _CLIENT.get(target).headers["etag"] == before:
                time.sleep(0.005)
            seconds.append(time.perf_counter() - began)
    if options.by != "watch":
        told(f"landed, catalogued by {options.by}", catalogued)
    # The process that reads headers starts with the first.
    told(f"landed to its tile served, by {options.by}, the first", seconds[:1])
    told(f"landed to its tile served, by {options.by}, the others", seconds[1:])


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--clients", default="1,2")
    parser.add_argument("--landings", type=int, default=40)
    parser.add_argument("--by", choices=["line", "watch", "command"], default="line")
    parser.add_argument("--pause", type=float, default=2.0)
    parser.add_argument("--compressed", action="store_true")
    options = parser.parse_args()
    site: Path = options.folder
    for number in range(options.images):
        name = f"{number}.fits{'.fz' if options.compressed else ''}"
        if not (site / "data" / "bench" / name).exists():
            make_image(
                site / "data" / "bench" / name, number, options.size, compressed=options.compressed
            )
    ingest(site)
    with serve(site, 1) as tap_url:
        url = tap_url.removesuffix("/tap")
        for clients in options.clients.split(","):
            order = measure(url, site, int(clients), options.size)
        land(url, site, order, options)


if __name__ == "__main__":
    main()
