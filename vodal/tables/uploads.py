"""Tables that clients upload, as values that a database can load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vodal.tables.columns import Column

__all__ = ["UploadedTable"]


@dataclass(frozen=True, slots=True)
class UploadedTable:
    """One uploaded table, read and checked."""

    name: str
    """As in ``TAP_UPLOAD.<name>``; whatever the client wrote, without quotes."""
    columns: tuple[Column, ...]
    """Names are unique without regard to case."""
    path: Path
    """File of the rows in Arrow's IPC file format; its columns are in this order and of
    `Column.arrow_type`."""
    rows: int
