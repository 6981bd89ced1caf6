"""What the tiles of a HiPS cost, ours and Hipsgen's, of the same files in the same run.

    python bench/tiles.py --folder DIR [--output DIR] [--count 36] [--size 4096]
                          [--kinds sip tan rice] [--workers 1 2] [--repeat 3]
                          [--growth 9 36 100 500] [--growth-size 1024] [--no-hipsgen]

Makes exposures that overlap (`bench/mosaic.py`), and of them HiPS with FITS and PNG tiles of every
order, Allsky, MOC and properties. Each HiPS is made by a process of its own that starts from
nothing; what is told is the processor's time (user and system) of it and all its children, divided
by the number of deepest tiles, and the largest memory of any one process. Of several runs the one
with the median processor's time is told. A small HiPS is made first, so that compiled code is on
disk. ``--growth`` makes HiPS of so many exposures, ours only.

Hipsgen is that of Debian's package ``aladin``, with one thread, and makes the same: INDEX, TILES,
PNG. Ratios of one run are what to trust; wall times are not, where other work runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

# Nothing large is imported here: Linux counts the memory of who starts a process as its own.
HERE = Path(__file__).parent
ORDER = 11
HIPSGEN = Path("/usr/share/java/aladin.jar")


@dataclass(frozen=True)
class Run:
    """One HiPS made."""

    deepest: int
    tiles: int
    cpu_s: float
    system_s: float
    wall_s: float
    peak_mb: float
    """Of the largest process."""
    size_mb: float

    @property
    def cpu_ms(self) -> float:
        """Of a deepest tile, with what belongs to it of the orders above."""
        return 1000.0 * self.cpu_s / self.deepest


def measure(command: Sequence[str | Path], hips: Path) -> Run:
    """Run what makes a HiPS; raises if it fails."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"{command[0]} failed:\n{told.decode(errors='replace')[-2000:]}")
    tiles = [p for p in hips.glob("Norder*/Dir*/Npix*") if p.suffix in {".fits", ".png"}]
    fits = [p for p in tiles if p.suffix == ".fits"]
    return Run(
        deepest=sum(1 for path in fits if path.parts[-3] == f"Norder{ORDER}"),
        tiles=len(fits),
        cpu_s=used.ru_utime + used.ru_stime,
        system_s=used.ru_stime,
        wall_s=seconds,
        peak_mb=used.ru_maxrss / 1024.0,
        size_mb=sum(path.stat().st_size for path in tiles) / 1e6,
    )


def ours(images: Path, output: Path, workers: int) -> Run:
    command = [sys.executable, HERE / "hipsbuild.py", images, output, "--order", str(ORDER),
               "--workers", str(workers)]  # fmt: skip
    return measure(command, output / "mosaic")


def hipsgen(images: Path, output: Path) -> Run:
    command = ["java", "-Djava.awt.headless=true", "-Xmx8g", "-jar", HIPSGEN, "-hipsgen", "-f",
               f"in={images}", f"out={output / 'mosaic'}", "creator_did=bench.example/P/mosaic",
               f"hips_order={ORDER}", "maxThread=1", f"cache={output / 'cache'}",
               "INDEX", "TILES", "PNG"]  # fmt: skip
    return measure(command, output / "mosaic")


def median(make: Callable[[], Run], output: Path, repeat: int) -> Run:
    """Do it several times, each in an empty folder; give the run of median processor's time."""
    runs = []
    for _ in range(repeat):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        runs.append(make())
        shutil.rmtree(output)
    return sorted(runs, key=lambda run: run.cpu_s)[(len(runs) - 1) // 2]


def show(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def head(*names: str) -> None:
    print()
    show(*names)
    show(*("---" for _ in names))


def mosaic(folder: Path, kind: str, count: int, size: int) -> Path:
    path = folder / f"{kind}-{count}-{size}"
    command = [sys.executable, HERE / "mosaic.py", path, "--kind", kind, "--count", str(count),
               "--size", str(size)]  # fmt: skip
    subprocess.run(command, check=True)
    return path


def cells(run: Run) -> tuple[object, ...]:
    return (
        run.deepest, run.tiles, f"{run.cpu_s:.1f} ({run.system_s:.1f})", f"{run.cpu_ms:.1f}",
        f"{run.wall_s:.1f}", f"{run.peak_mb:.0f}", f"{run.size_mb:.0f}",
    )  # fmt: skip


def compare(asked: argparse.Namespace) -> None:
    head("images", "made by", "deepest tiles", "tiles", "CPU s (system)", "CPU ms a tile",
         "wall s", "peak MB", "MB written")  # fmt: skip
    notes = []
    for kind in asked.kinds:
        images = mosaic(asked.folder, kind, asked.count, asked.size)
        runs: dict[int, Run] = {}
        for workers in asked.workers:
            run = median(partial(ours, images, asked.output, workers), asked.output, asked.repeat)
            runs[workers] = run
            show(f"{asked.count} {kind}", f"ours, {workers} process(es)", *cells(run))
        first = runs[asked.workers[0]]
        for workers in asked.workers[1:]:
            factor = first.wall_s / runs[workers].wall_s
            notes.append(f"{kind}: {workers} processes {factor:.2f} times as fast as "
                         f"{asked.workers[0]}")  # fmt: skip
        if not asked.no_hipsgen:
            run = median(partial(hipsgen, images, asked.output), asked.output, 1)
            show(f"{asked.count} {kind}", "Hipsgen, 1 thread", *cells(run))
            notes.append(f"{kind}: Hipsgen takes {run.cpu_ms / first.cpu_ms:.1f} times our CPU "
                         "for a tile")  # fmt: skip
    print()
    for note in notes:
        print(f"- {note}")


def grow(asked: argparse.Namespace) -> None:
    head("images", "side", "workers", "deepest tiles", "tiles", "CPU s (system)", "CPU ms a tile",
         "wall s", "peak MB", "MB written")  # fmt: skip
    for count in asked.growth:
        images = mosaic(asked.folder, "sip", count, asked.growth_size)
        for workers in asked.workers:
            run = median(partial(ours, images, asked.output, workers), asked.output, 1)
            show(count, asked.growth_size, workers, *cells(run))
        shutil.rmtree(images)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of the exposures")
    parser.add_argument("--output", type=Path, help="of the HiPS; on disk or in /dev/shm")
    parser.add_argument("--count", type=int, default=36)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--kinds", nargs="*", default=["sip", "tan"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--growth", nargs="*", type=int, default=[])
    parser.add_argument("--growth-size", type=int, default=1024)
    parser.add_argument("--no-hipsgen", action="store_true")
    asked = parser.parse_args()
    asked.output = (asked.output or asked.folder) / "hips-made"
    print(f"load before: {os.getloadavg()[0]:.1f}")
    images = mosaic(asked.folder, "sip", 1, 512)
    begin = median(partial(ours, images, asked.output, 1), asked.output, 3)
    print(f"a HiPS of one image of 512 x 512 pixels: {begin.cpu_s:.1f} s of CPU, start included")
    if asked.kinds:
        compare(asked)
    if asked.growth:
        grow(asked)
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
