"""How fast files are catalogued: their headers beside astropy, whole runs, runs beside queries.

    python bench/ingest.py FOLDER [--only headers,runs,beside,writing] [--images FOLDER]
                           [--small 10000] [--compressed 1000] [--workers N]
                           [--scheduler ADDRESS|local] [--store sqlite|postgres] [--clients 16]

FOLDER keeps the files that are made, and a site. ``headers`` compares with astropy on the same
files, also on those of ``--images``; ``runs`` catalogues them in an empty store, then again;
``beside`` does so while clients query; ``writing`` measures the store alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from headers import compare, make_compressed, make_small
from landing import querying
from server import database, serve
from writing import compare_writing

from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources.choice import source_of
from skylane.folder import SiteFolder
from skylane.settings import load_settings


def runs(
    site: Path, folder: Path, names: tuple[str, ...], workers: int | None, scheduler: str | None
) -> None:
    """Catalogue a folder, once for each name."""
    settings = ObsCoreSettings()
    store = SiteFolder(site).prepare(load_settings(site).store).writer()
    for name in names:
        begin, used = time.perf_counter(), time.process_time()
        summary = ingest(
            source_of(folder, settings), store, settings, workers=workers, scheduler=scheduler
        )
        seconds, own = time.perf_counter() - begin, time.process_time() - used
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        rate = summary.files / seconds
        print(f"  {folder.name}, {name} run: {seconds:.1f} s, {rate:.0f} files/s;"
              f" this process {1e3 * own / summary.files:.2f} ms a file; {dict(summary.statuses)},"
              f" load {load}", flush=True)  # fmt: skip
    store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of this process {peak:.0f} MB")


def _options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="headers,runs,beside,writing")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--compressed", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--scheduler")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--clients", type=int, default=16)
    return parser.parse_args()


def main() -> None:
    """Run it."""
    options = _options()
    only = set(options.only.split(","))
    folders: list[Path] = []
    if only & {"headers", "runs", "beside"}:
        folders += [make_small(options.folder, options.small)] if options.small else []
        if options.compressed:
            folders.append(make_compressed(options.folder, options.compressed))
    if "headers" in only:
        for folder in (*folders, *([options.images] if options.images else [])):
            compare(folder, 1_000)
    if "writing" in only:
        compare_writing(options.store, options.rows)
    for kind in ("runs", "beside"):
        if kind in only:
            catalogue(options, folders, beside=kind == "beside")


def catalogue(options: argparse.Namespace, folders: list[Path], *, beside: bool) -> None:
    """Catalogue folders in an empty store, alone or while clients query."""
    site = options.folder / "site"
    shutil.rmtree(site, ignore_errors=True)
    print(f"{options.store}, {options.clients if beside else 0} clients beside", flush=True)
    with database(site, options.store), ExitStack() as queries:
        if beside:
            url = queries.enter_context(serve(site, 1))
            queries.enter_context(querying(url, options.clients))
        names = ("only",) if beside else ("first", "second")
        for folder in folders:
            runs(site, folder, names, options.workers, options.scheduler)


if __name__ == "__main__":
    main()
