"""Live tiles over HTTP, uncached: how long they take, and how soon an exposure is on the sky.

    python bench/live.py FOLDER [--size 4096] [--images 5] [--clients 1,2] [--landings 5]

makes a site of overlapping TAN-SIP images (plain, or with ``--compressed`` RICE), and asks a real
server for each deepest tile that all of them cover, once. Then new exposures are ingested one by
one, each by the command of the command line, and a tile is asked for until it shows the exposure.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cdshealpix.nested as healpix
import httpx
import numpy as np
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from server import serve

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


def land(url: str, site: Path, order: int, count: int, size: int, *, compressed: bool) -> None:
    """Ingest exposures and wait for each to be seen."""
    npix = tiles(order, size)[0]
    seconds = []
    for number in range(count):
        target = address(url, order, npix, "png")
        before = httpx.get(target, timeout=300).headers["etag"]
        name = f"late{number}.fits{'.fz' if compressed else ''}"
        make_image(site / "aside" / name, 40 + number, size, compressed=compressed)
        (site / "aside" / name).rename(site / "data" / "bench" / name)
        began = time.perf_counter()
        ingest(site)
        while httpx.get(target, timeout=300).headers["etag"] == before:
            time.sleep(0.01)
        seconds.append(time.perf_counter() - began)
    told("landed (with the start of the command) to served", seconds)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--clients", default="1,2")
    parser.add_argument("--landings", type=int, default=5)
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
        land(url, site, order, options.landings, options.size, compressed=options.compressed)


if __name__ == "__main__":
    main()
