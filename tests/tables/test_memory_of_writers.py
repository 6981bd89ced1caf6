"""What a writer holds does not grow with the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from vodal.tables.formats import FORMATS

STEADY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}
"""Makes the C library give back what is free, so that peaks tell what was held."""


def test_no_writer_holds_a_long_table():
    script = Path(__file__).with_name("memory_of_writers.py")
    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, **STEADY},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    grown = json.loads(done.stdout)
    assert len(grown) > len(FORMATS) - 5
    # The longer table is longer by 300,000 rows of 124 bytes, and by more in most formats.
    assert {name: mb for name, mb in grown.items() if mb > 25} == {}
