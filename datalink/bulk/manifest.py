"""What is told of the files at the end of their archive.

``manifest.txt`` has a line for each identifier: SHA-256, size, path, identifier and, where there is
no file, the problem, separated by tabs below a line of names. ``SHA256SUMS`` has the checksums as
``sha256sum -c`` reads them. The length of both is known before the checksums are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from datalink.bulk.plan import Plan, PlannedFile

__all__ = ["MANIFEST", "SUMS", "manifest_text", "sums_text"]

MANIFEST, SUMS = "manifest.txt", "SHA256SUMS"
"""Names in the archive's folder."""

_NAMES = ("sha256", "size_bytes", "path", "obs_publisher_did", "problem")
_NOT_YET = "0" * 64


def _cell(text: str) -> str:
    """Write a text without what would part cells or lines."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"%{ord(match[0]):02X}", text)


def _below(plan: Plan, file: PlannedFile) -> str:
    return file.path.removeprefix(f"{plan.folder}/")


def manifest_text(plan: Plan, sums: Mapping[str, str]) -> bytes:
    """Write the manifest.

    Parameters
    ----------
    plan
        The archive's.
    sums
        SHA-256 by path, in hexadecimal; where one is missing zeros stand for it.
    """
    lines = ["\t".join(_NAMES)]
    for row in plan.rows:
        cells = ["", "", "", row.did, row.problem]
        if row.file is not None:
            sha256 = sums.get(row.file.path, _NOT_YET)
            cells[:3] = [sha256, str(row.file.size_bytes), _below(plan, row.file)]
        lines.append("\t".join(map(_cell, cells)))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def sums_text(plan: Plan, sums: Mapping[str, str]) -> bytes:
    """Write the checksums for ``sha256sum -c``, run in the archive's folder."""
    lines = (f"{sums.get(file.path, _NOT_YET)}  {_below(plan, file)}\n" for file in plan.files)
    return "".join(lines).encode("utf-8", "replace")
