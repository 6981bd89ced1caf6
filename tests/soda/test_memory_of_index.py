"""What a server holds while it writes what became of a job does not grow with the job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

STEADY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}
"""Makes the C library give back what is free, so that peaks tell what was held."""


def test_ten_times_as_many_cutouts_take_hardly_more_memory():
    script = Path(__file__).with_name("memory_of_index.py")
    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, **STEADY},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    grown = json.loads(done.stdout)
    assert set(grown) == {"index", "worklist"}
    # The cache of what is sorted fills up; the rows are 10 MB more, and held cost twice as much.
    assert {what: mb for what, mb in grown.items() if mb > 12} == {}
