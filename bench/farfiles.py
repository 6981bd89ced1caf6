"""Headers of files on a server that is far away: files a second against the latency.

    python bench/farfiles.py [--files 1000] [--workers 2] [--latency 0 20 50 100]

A run of the assembly line over files of an HTTP server that answers after so many milliseconds
(`farserver.py`), into an empty SQLite store. Beside it the headers alone, without rows, in one
process: one file after the other, and side by side as reading processes have them; 3 s each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.io import fits

from obscore.assembly.ahead import FAR_PORTION, Ahead
from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources.manifest import ManifestSource
from obscore.store.choice import make_backend
from obscore.store.settings import StoreSettings
from vodal.storage import Storage, StorageSettings
from vodal.testing.skies import make_wcs

_RATE_MB_S = 1000
_ALONE_S = 3.0


@contextmanager
def _far(path: Path, latency_ms: float) -> Iterator[str]:
    command = [sys.executable, Path(__file__).with_name("farserver.py"), path]
    process = subprocess.Popen(
        [*command, str(latency_ms), str(_RATE_MB_S)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(20)


def _measure(folder: Path, image: Path, latency_ms: float, files: int, workers: int) -> None:
    with _far(image, latency_ms) as host:
        storage = Storage(StorageSettings(http_hosts=(host,)))
        stat = storage.stat(f"http://{host}/0.fits")
        etag = stat.version.partition("-")[2].strip('"')
        lines = ["url,size,etag"]
        lines += (f"http://{host}/{n}.fits,{stat.size_bytes},{etag}" for n in range(files))
        manifest = folder / "list.csv"
        manifest.write_text("\n".join(lines))
        settings = ObsCoreSettings()
        source = ManifestSource(str(manifest), storage, collection="far")
        backend = make_backend(StoreSettings(), folder / f"{latency_ms:g}.db")
        backend.prepare()
        store = backend.writer()
        began = time.perf_counter()
        summary = ingest(source, store, settings, workers=workers, storage=storage)
        took = time.perf_counter() - began
        store.close()
        if summary.statuses["added"] != files:
            sys.exit(f"not all were added: {summary.statuses}, {summary.reasons}")
        uris = [item.uri for item in source.walk()]
        single = _rate(uris, 1, storage)
        together = _rate(uris, FAR_PORTION, storage)
        storage.close()
    print(
        f"{latency_ms:7g} ms  run {files / took:7.1f} files/s  headers in one process:"
        f" {single:7.1f} one by one, {together:7.1f} side by side",
        flush=True,
    )


def _rate(uris: list[str], portion: int, storage: Storage) -> float:
    """Give files a second that one process takes for headers alone, so many at a time."""
    done, began = 0, time.perf_counter()
    while done < len(uris) and time.perf_counter() - began < _ALONE_S:
        with Ahead(uris[done : done + portion], storage, 60.0) as ahead:
            for uri in uris[done : done + portion]:
                ahead.scan(uri, storage)
                done += 1
    return done / (time.perf_counter() - began)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 20, 50, 100, 200])
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        header = make_wcs(150.0, 2.0, 64, 0.5).to_header(relax=True)
        image = folder / "image.fits"
        fits.PrimaryHDU(np.zeros((64, 64), np.float32), header).writeto(image)
        for latency_ms in given.latency:
            _measure(folder, image, latency_ms, given.files, given.workers)


if __name__ == "__main__":
    main()
