"""How fast the assembly line reads headers, beside astropy's own reading of the same files.

    python bench/ingest.py FOLDER [--workers 2]

Prints files a second and the peak memory of the whole run, then what `fits.open` and `WCS` of every
image need for the same files in one process, headers only.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import time
import warnings
from pathlib import Path

from astropy.io import fits
from astropy.wcs import WCS

from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources.choice import source_of
from obscore.store.sqlite.store import SqliteStore


def _ours(folder: Path, workers: int) -> None:
    settings = ObsCoreSettings()
    with tempfile.TemporaryDirectory() as scratch:
        store = SqliteStore(Path(scratch) / "skylane.db")
        for name in ("first run", "second run"):
            begin = time.perf_counter()
            summary = ingest(source_of(folder, settings), store, settings, workers=workers)
            seconds = time.perf_counter() - begin
            print(f"ours, {name}: {seconds:.2f} s, {summary.files / seconds:.0f} files/s; "
                  f"{dict(summary.statuses)}, {summary.products} products")  # fmt: skip
        store.close()
    for who, kind in (
        ("main process", resource.RUSAGE_SELF),
        ("a reader", resource.RUSAGE_CHILDREN),
    ):
        print(f"peak memory of {who}: {resource.getrusage(kind).ru_maxrss / 1024:.0f} MB")


def _astropy(folder: Path) -> None:
    warnings.simplefilter("ignore")
    files = [path for path in sorted(folder.rglob("*.fits*")) if path.is_file()]
    begin = time.perf_counter()
    for path in files:
        with contextlib.suppress(Exception), fits.open(path, memmap=True) as hdus:
            for hdu in hdus:
                if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
                    with contextlib.suppress(Exception):
                        WCS(hdu.header, hdus).calc_footprint()
    seconds = time.perf_counter() - begin
    print(f"astropy, one process: {seconds:.2f} s, {len(files) / seconds:.0f} files/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    _ours(options.folder, options.workers)
    _astropy(options.folder)
