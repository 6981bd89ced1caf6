"""How long coverage maps take: the first of a catalogue, and those after a few rows changed.

    python bench/coverage.py FOLDER [--rows 100000] [--added 10] [--store sqlite|postgres]

FOLDER keeps a site with so many rows, made if need be. Times are of one process, without HTTP:
``first`` makes the maps of all blocks of rows, ``again`` asks when nothing changed, ``kept`` is
the first map of another server process, which finds the blocks on disk, ``added`` and ``removed``
come after a writer has added a few rows and taken them away. What is told beside the map (times,
wavelengths, telescopes) is made with it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from server import database, prepare

from obscore.coverage.app import make_maps
from obscore.coverage.documents import FORMS, write_moc
from obscore.coverage.maps import CollectionMaps
from obscore.coverage.settings import CoverageSettings
from obscore.coverage.touched import touched
from obscore.store.base import Backend
from obscore.testing import make_file, make_observation
from skylane.settings import load_settings
from vodal.access.rules import EVERYTHING
from vodal.regions import Circle, Polygon

_PATIENT = CoverageSettings(wait_limit_s=1e6)


def timed(name: str, work: Callable[[], object]) -> None:
    """Do something and tell how long it took, and how much of that this process computed."""
    began, used = time.perf_counter(), time.process_time()
    work()
    seconds, own = time.perf_counter() - began, time.process_time() - used
    print(f"  {name:9s} {1e3 * seconds:10.1f} ms, {1e3 * own:10.1f} ms of processor", flush=True)


def added_rows(backend: Backend, maps: CollectionMaps, count: int) -> None:
    """Add some rows and remove them again, and ask for the map after each."""
    files = [
        make_file(
            f"file:///added/{number}.fits",
            make_observation(f"ivo://x/y?added{number}", Circle(7.0 * number % 360, -45.0, 0.3)),
        )
        for number in range(count)
    ]
    store = backend.writer()
    store.write(files)
    timed("added", lambda: maps.find(None, EVERYTHING))
    store.remove([file.uri for file in files])
    timed("removed", lambda: maps.find(None, EVERYTHING))
    store.close()


def measure(backend: Backend, cache: Path, added: int) -> None:
    """Measure all on one store."""
    # Compiled code is loaded once, before a server's first map.
    touched(Polygon(((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))), 8)
    touched(Circle(0.0, 0.0, 1.0), 8)
    shutil.rmtree(cache / "moc", ignore_errors=True)
    maps = make_maps(backend, _PATIENT, {}, cache)
    timed("first", lambda: maps.find(None, EVERYTHING))
    timed("again", lambda: maps.find(None, EVERYTHING))
    timed("extents", lambda: maps.extents(EVERYTHING))
    other = make_maps(backend, _PATIENT, {}, cache)
    timed("kept", lambda: other.find(None, EVERYTHING))
    other.close()
    added_rows(backend, maps, added)
    ranges = maps.find(None, EVERYTHING)
    for form in FORMS:
        timed(form.name, lambda form=form: write_moc(ranges, form))
    size = sum(path.stat().st_size for path in (cache / "moc").rglob("*.moc"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {len(ranges)} ranges; {size / 1e6:.1f} MB kept; peak memory {peak:.0f} MB")
    maps.close()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--added", type=int, default=10)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    with database(options.folder, options.store):
        site = prepare(options.folder, options.rows)
        backend = site.backend(load_settings(options.folder).store)
        print(f"{options.rows} rows in {options.store}")
        measure(backend, site.cache, options.added)


if __name__ == "__main__":
    main()
