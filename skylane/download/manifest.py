"""What an archive's manifest tells, held against the files that have come."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vodal.errors import DataError

__all__ = ["MANIFEST", "SUMS", "Checked", "check_files"]

MANIFEST: Final = "manifest.txt"
SUMS: Final = "SHA256SUMS"
"""The last files of an archive."""
_NAMES: Final = ("sha256", "size_bytes", "path", "obs_publisher_did", "problem")


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a list."""

    files: int
    size_bytes: int
    wrong: tuple[str, ...]
    """Paths of files that are not what the manifest says."""
    problems: tuple[tuple[str, str], ...]
    """Identifiers without a file, and why."""


def check_files(folder: Path, sums: Mapping[str, str], anew: Mapping[str, str]) -> Checked:
    """Hold files against the manifest beside them.

    Parameters
    ----------
    folder
        Of the files.
    sums
        SHA-256 as the files came, by path.
    anew
        Those of these that came in an earlier run, and are read again.

    Raises
    ------
    DataError
        If there is no manifest, or it is none.
    """
    try:
        lines = (folder / MANIFEST).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"the archive has no {MANIFEST} that can be read") from None
    rows = [line.split("\t") for line in lines]
    if not rows or tuple(rows[0]) != _NAMES or any(len(row) != len(_NAMES) for row in rows):
        raise DataError(f"{MANIFEST} has not the columns {', '.join(_NAMES)}")
    files = {row[2]: (row[0], row[1]) for row in rows[1:] if row[2]}
    wrong = []
    for path, (sha256, size) in files.items():
        found = _sum_of(folder / path) if path in anew else sums.get(path, "")
        if found != sha256 or str(_size_of(folder / path)) != size:
            wrong.append(path)
    problems = tuple((row[3], row[4]) for row in rows[1:] if row[4])
    total = sum(int(size) for _, size in files.values() if size.isdigit())
    return Checked(len(files), total, tuple(wrong), problems)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _sum_of(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
