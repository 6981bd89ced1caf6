"""What tests of links share."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from datalink.semantics import CORE_TERMS

__all__ = ["links_faults"]

_UNKNOWN = re.compile(r"Unknown predicate '([a-z-]+)' from core DataLink vocabulary")


def links_faults(url: str) -> list[str]:
    """Give what ``stilts datalinklint`` finds wrong with a {links} answer.

    STILTS has the vocabulary as it was when it was made: of 3.4.7 ``#thumbnail`` is unknown. Terms
    of the vocabulary as it is now are no faults.
    """
    if shutil.which("stilts") is None:
        pytest.skip("the stilts command is not installed")
    done = subprocess.run(  # noqa: S603 - of tests
        ["stilts", "datalinklint", "maxrepeat=1000", f"votable={url}"],  # noqa: S607
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    assert any("Total" in line or "Errors:" in line for line in lines), lines
    found = [line for line in lines if line.startswith(("E-", "W-", "F-", "ERROR", "WARNING"))]
    return [
        line
        for line in found
        if (term := _UNKNOWN.search(line)) is None or f"#{term[1]}" not in CORE_TERMS
    ]
