"""The seam of sources: what there is to catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vodal.storage import FileStat

__all__ = ["Candidate", "Facts", "Problem", "Source"]

Facts = Mapping[str, str | int | float | bool | None]
"""What a source itself tells of a file, by names of its own; crosses to the reading processes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may become rows."""

    uri: str
    """As `vodal.storage.open_reader` takes it."""
    relative: str
    """Path below the collection's folder, with ``/``; part of the identifier."""
    collection: str
    stat: FileStat
    facts: Facts = field(default_factory=dict, hash=False)
    """The mapping takes them as ``fact:NAME``. Other facts make the line read the file anew."""


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
