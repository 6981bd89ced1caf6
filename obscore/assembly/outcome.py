"""What came of a file on its way through the line."""

from __future__ import annotations

from dataclasses import dataclass

from obscore.assembly.refusal import Refusal
from obscore.observation import CataloguedFile

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Either the file with its rows, or why there are none."""

    file: CataloguedFile | None = None
    refusal: Refusal | None = None
