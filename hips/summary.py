"""What a build tells: how far it is, and in the end what it made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

__all__ = ["BuildSummary", "Progress", "Report", "Skipped"]

Report = Callable[[int, int], None]
"""Told how many steps are done and of how many."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A product that is not in the HiPS."""

    did: str
    file_name: str
    reason: str

    @override
    def __str__(self) -> str:
        return f"{self.file_name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What was made."""

    name: str
    path: Path
    order: int
    """Of the deepest tiles."""
    tiles: int
    """Of all orders; each is counted once whatever its formats."""
    images: int
    """That went in."""
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    """One sentence each on what a user should know."""
    size_bytes: int
    seconds: float
    rendered: int = 0
    """Units of work that were done; the tiles of the others were there already."""


@dataclass(slots=True)
class Progress:
    """Counts steps and tells them."""

    report: Report | None
    total: int
    done: int = 0

    def step(self) -> None:
        """Count one."""
        self.done += 1
        if self.report is not None:
            self.report(min(self.done, self.total), self.total)
