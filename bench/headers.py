"""Files to catalogue, and what reading their headers costs beside astropy, on one processor."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from obscore.assembly.read import read_file
from obscore.assembly.rules import rules_for
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate
from obscore.sources.choice import source_of
from vodal.errors import DataError
from vodal.fits.scan import scan_file
from vodal.storage import local_path
from vodal.testing.skies import make_wcs

__all__ = ["compare", "make_compressed", "make_small"]


def _cards(header: fits.Header, number: int) -> None:
    """Add what a pipeline writes, 150 cards."""
    header["OBJECT"] = (f"FIELD {number % 97}", "name of the field")
    header["FILTER"] = ("gri"[number % 3], "band")
    header["EXPTIME"] = (60.0 + number % 5, "[s] exposure time")
    header["DATE-OBS"] = (
        f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T0{number % 10}:{number % 60:02d}:00.5",
        "start",
    )
    header["TIMESYS"] = "UTC"
    header["TELESCOP"], header["INSTRUME"] = "Mountain 4m", "WideCam"
    header["OBS-ID"], header["PROPID"] = f"exp{number:07d}", "2026A-0001"
    header["SEEING"] = (0.8 + number % 30 / 50, "[arcsec]")
    header["BUNIT"] = "nJy"
    for key in range(140):
        value = number * key % 1000 / 7 if key % 3 else f"text {key} of {number % 13}"
        header[f"KEY{key:04d}"] = (value, f"comment of card {key}")
    header.add_history("made for measuring")


def _place(number: int, step_deg: float) -> tuple[float, float]:
    return number * 0.37 % 360, -60 + number * step_deg % 120


def make_small(folder: Path, count: int) -> Path:
    """Make images of 32 x 32 pixels, every second one with SIP, unless they are there."""
    home = folder / "small"
    pixels = np.zeros((32, 32), np.float32)
    for number in range(count):
        path = home / f"{number // 1000:04d}" / f"{number:07d}.fits"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            wcs = make_wcs(*_place(number, 0.011), 2048, 0.2, number % 90,
                           distorted=number % 2 == 0)  # fmt: skip
            header = wcs.to_header(relax=True)
            _cards(header, number)
            fits.PrimaryHDU(pixels, header).writeto(path)
    return home


def make_compressed(folder: Path, count: int) -> Path:
    """Make files of four HDUs: image, mask and variance, RICE-compressed, unless they are there."""
    home = folder / "compressed"
    noise = np.random.default_rng(3).normal(0, 1, (256, 256)).astype(np.float32)
    planes = {"IMAGE": noise, "MASK": np.zeros((256, 256), np.int32), "VARIANCE": noise**2}
    for number in range(count):
        path = home / f"{number // 1000:04d}" / f"{number:07d}.fits.fz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            wcs = make_wcs(*_place(number, 0.11), 256, 0.2, number % 90, distorted=number % 2 == 0)
            primary = fits.PrimaryHDU()
            _cards(primary.header, number)
            images = [
                fits.CompImageHDU(pixels, wcs.to_header(relax=True), name=name,
                                  compression_type="RICE_1", tile_shape=(64, 64))
                for name, pixels in planes.items()
            ]  # fmt: skip
            fits.HDUList([primary, *images]).writeto(path)
    return home


def compare(folder: Path, most: int) -> None:
    """Print what the first files of a folder cost, each way in a process of its own, the best of 3.

    Ways: the headers alone; all work to a row; what astropy needs to open the file and to make the
    coordinates of all its images, without rows, footprints and the like.
    """
    settings = ObsCoreSettings()
    walk = source_of(folder, settings).walk()
    files = [item for item in walk if isinstance(item, Candidate)][:most]
    rules = {item.collection: rules_for(settings, item.collection) for item in files}

    def scan() -> int:
        headers = 0
        for item in files:
            with contextlib.suppress(DataError):
                headers += len(scan_file(local_path(item.uri)).hdus)
        return headers

    def rows() -> int:
        made = [read_file(item, rules[item.collection]).file for item in files]
        return sum(len(file.index.hdus) for file in made if file and file.index)

    def by_astropy() -> int:
        headers = 0
        warnings.simplefilter("ignore")
        for item in files:
            with contextlib.suppress(Exception), fits.open(local_path(item.uri)) as hdus:
                headers += len(hdus)
                for hdu in hdus:
                    if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
                        with contextlib.suppress(Exception):
                            WCS(hdu.header, hdus)
        return headers

    ways = {"scan alone": scan, "to rows": rows, "astropy": by_astropy}
    found = {name: min(_cpu(way) for _ in range(3)) for name, way in ways.items()}
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{folder.name}: {len(files)} files, processor time of one process each, load {load}")
    for name, (seconds, headers) in found.items():
        times = found["astropy"][0] / seconds
        print(f"  {name}: {1e3 * seconds / len(files):.2f} ms a file, {headers / seconds:.0f}"
              f" headers/s, {times:.1f} times astropy", flush=True)  # fmt: skip


def _cpu(way: Callable[[], int]) -> tuple[float, int]:
    """Do something in a process of its own, once to warm up; gives processor time and result."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        gc.collect()
        gc.freeze()  # as the processes of a run do (`vodal.pool.worker`)
        way()
        before = _used()
        headers = way()
        os.write(write, json.dumps([_used() - before, headers]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        seconds, headers = json.loads(pipe.read())
    os.waitpid(child, 0)
    return seconds, headers


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
