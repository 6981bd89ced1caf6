"""The seam of sources: what there is to catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vodal.storage import FileStat

__all__ = ["Candidate", "Problem", "Source"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may become rows."""

    uri: str
    """As `vodal.storage.open_reader` takes it."""
    relative: str
    """Path below the collection's folder, with ``/``; part of the identifier."""
    collection: str
    stat: FileStat


@dataclass(frozen=True, slots=True)
class Problem:
    """A place that could not be looked into, or a file that is not to be read."""

    uri: str
    """Of a folder it ends in ``/``; nothing below it counts as vanished."""
    reason: str
    """Short code, as in the report."""
    message: str


class Source(Protocol):
    """What there is to catalogue."""

    @property
    def under_uri(self) -> str:
        """Prefix of the URIs of all its files; what the store knows below it may have vanished."""
        ...

    @property
    def passed_over(self) -> int:
        """Files that the walk did not take for images by their names."""
        ...

    def walk(self) -> Iterator[Candidate | Problem]:
        """Give the files, and the places that could not be looked into, in a stable order.

        Raises
        ------
        UsageError
            If the whole source is not there.
        """
        ...

    def holds(self, uri: str) -> bool:
        """Tell whether a URI below the prefix is one that the source would give."""
        ...

    def exists(self, uri: str) -> bool:
        """Tell whether a file is there, whether or not it is among the source's."""
        ...
