"""What commands and reading processes load before they do anything: no more than they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVER = {"starlette.applications", "uvicorn", "numba", "llvmlite"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("skylane.cli", {"numpy", "astropy", "pydantic"}),
        ("skylane.query", SERVER | {"astropy", "hips.build"}),
        ("skylane.cutting", SERVER | {"sqlalchemy", "apsw", "obscore.store.base"}),
        ("skylane.ingesting", SERVER | {"hips.build", "soda.cut", "distributed"}),
        ("obscore.assembly.portion", SERVER | {"sqlalchemy", "apsw", "soda", "skylane"}),
    ],
)
def test_libraries_that_a_process_has_no_use_for_are_not_loaded(module, unwanted):
    script = f"import sys, {module}; print(*sorted({unwanted!r} & set(sys.modules)))"
    told = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert told.split() == []
