"""Columns as values."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from vodal.tables.columns import Column
from vodal.tables.frames import ICRS


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_column_of_another_process_is_found_among_ours(seed):
    # Texts have another hash there; uploads are read in a process of their own.
    code = (
        "import pickle, sys; from vodal.tables.columns import Column;"
        " from vodal.tables.frames import ICRS;"
        " sys.stdout.buffer.write(pickle.dumps(Column('s_ra', 'double', frame=ICRS)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True, check=True,
    )  # fmt: skip
    column = pickle.loads(done.stdout)
    assert {Column("s_ra", "double", frame=ICRS): "found"}[column] == "found"
    assert column != Column("s_ra", "double")
