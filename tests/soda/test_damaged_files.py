"""Files damaged in many ways: an error or a right answer, within limits, whatever the bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_damaged_files_are_refused_or_cut_right(tmp_path):
    script = Path(__file__).with_name("damaged_files.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "900", "1"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert sum(seen.values()) == 900
    # All kinds of damage were tried, and each kind came out in each way that it can.
    for what in ("header", "tiles", "heap"):
        assert seen[f"{what}: refused"] > 20
        assert seen[f"{what}: cut"] > 20
    assert seen["gzip: refused"] > 20
    assert seen["data: cut"] > 20
