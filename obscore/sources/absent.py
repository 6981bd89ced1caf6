"""A collection whose source could not be made: what is told of it in its place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Absent"]


@dataclass(frozen=True, slots=True)
class Absent:
    """Says why a collection has no source now; other collections have theirs."""

    collection: str
    place: str
    """As the settings have it: a repository, the name of a class."""
    message: str
    """Why; names the key."""
