"""By how much what a process holds grows with its work, each work in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

__all__ = ["growth_of", "print_growth"]

_STEADY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}
"""Makes the C library give back what is free, so that peaks tell what was held."""


def growth_of(script: Path) -> dict[str, float]:
    """Run a script that calls `print_growth`; gives megabytes by name."""
    done = subprocess.run(  # noqa: S603 - a script of the tests
        [sys.executable, str(script)], env={**os.environ, **_STEADY},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    grown: dict[str, float] = json.loads(done.stdout)
    return grown


def print_growth(works: Mapping[str, Callable[[int], None]], counts: tuple[int, int]) -> None:
    """Do each work of a small and of a large size; print by how many MB the peak has grown.

    Each is done in a process that is forked off this one, which should have loaded all.
    """
    grown = {}
    for name, work in works.items():
        read, write = os.pipe()
        child = os.fork()
        if not child:
            few, many = _peaks_mb(work, counts)
            os.write(write, str(many - few).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            grown[name] = float(pipe.read())
        os.waitpid(child, 0)
    json.dump(grown, sys.stdout)


def _peaks_mb(work: Callable[[int], None], counts: Iterable[int]) -> list[float]:
    peaks = []
    for count in counts:
        work(count)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return peaks
