"""What a writer holds does not grow with the table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from vodal.tables.formats import FORMATS


def test_no_writer_holds_a_long_table():
    script = Path(__file__).with_name("memory_of_writers.py")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=300
    )
    grown = json.loads(done.stdout)
    assert len(grown) > len(FORMATS) - 5
    # The longer table is longer by 400,000 rows of 170 bytes, and more in most formats.
    assert {name: mb for name, mb in grown.items() if mb > 50} == {}
