"""The seam of sources: what there is to catalogue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vodal.regions import Region
from vodal.storage import FileStat

__all__ = [
    "UNKNOWN_SIZE",
    "Candidate",
    "Facts",
    "Part",
    "Problem",
    "Source",
    "newest_of",
    "notes_of",
    "state_of",
]

Facts = Mapping[str, str | int | float | bool | None]
"""What a source itself tells of a file, by names of its own; crosses to the reading processes."""

UNKNOWN_SIZE = -1
"""In bytes, of a file of which the source does not tell the size."""


@dataclass(frozen=True, slots=True)
class Part:
    """One product of a file, as its source tells it."""

    facts: Facts = field(default_factory=dict, hash=False)
    """Beside those of the file, before which they go."""
    region: Region | None = None
    """Its footprint, where the source has it other than as the text of a fact."""
    hdu: str = ""
    """Which HDU holds it: EXTNAME, ``EXTNAME,EXTVER`` or number. Empty where the file has one
    product, or its place on the sky tells."""
    where: str = ""
    """Where the source tells it, for reports: ``row 17``."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may become rows."""

    uri: str
    """As `vodal.storage.open_reader` takes it."""
    relative: str
    """Path below the collection's folder, with ``/``; part of the identifier."""
    collection: str
    stat: FileStat
    """As the source knows it: a file that is not looked at may have the size `UNKNOWN_SIZE`."""
    facts: Facts = field(default_factory=dict, hash=False)
    """The mapping takes them as ``fact:NAME``. Other facts make the line read the file anew."""
    parts: tuple[Part, ...] = ()
    """The products of the file, if the source knows of several, or of more than facts of one."""
    units: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Of facts that are numbers, where the source declares them."""

    def mark(self, version: str | None = None) -> str:
        """Give what changes when the file, or what the source tells of it, does.

        Parameters
        ----------
        version
            Of the file; by default the one that it was met with.
        """
        version = self.stat.version if version is None else version
        if not self.facts and not self.parts:
            return version
        told = [dict(self.facts), *((dict(one.facts), repr(one.region)) for one in self.parts)]
        text = json.dumps(told, sort_keys=True).encode()
        return f"{version} {hashlib.sha256(text).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A place that could not be looked into, or a file that is not to be read."""

    uri: str
    """Of a folder it ends in ``/``; nothing below it counts as vanished."""
    reason: str
    """Short code, as in the report."""
    message: str


class Source(Protocol):
    """What there is to catalogue. Safe to use from several threads, several walks at once."""

    @property
    def collection(self) -> str:
        """Name of the collection that its files belong to."""
        ...

    @property
    def place(self) -> str:
        """What people call it: a folder, a URL, the name of a table."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether looking at a file takes a round trip to a server.

        The running line then goes by what walks tell, and looks at no file between them.
        """
        ...

    @property
    def is_scattered(self) -> bool:
        """Whether its files may lie anywhere.

        What the catalogue has of its collection is then what it has of the source.
        """
        ...

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

    def look(self, uri: str) -> Candidate | Problem | None:
        """Look at one file as it is now, whatever a walk has found; None if it is not there.

        None also if the file is not among the source's.
        """
        ...

    def quiet_s(self, candidate: Candidate) -> float:
        """Tell for how long a file has not changed, in seconds; 0 if that is not known.

        Infinite where files appear whole at once, as objects of S3 do: others may be half written.
        """
        ...

    def why_away(self, known: int) -> str:
        """Say why the whole source may be away, as a lost mount is; empty if it is there.

        Nothing of a source that is away is removed from the catalogue. One that is empty counts as
        away if more than one of its files is known.

        Parameters
        ----------
        known
            Number of its files that the catalogue has.
        """
        ...


def notes_of(source: Source) -> tuple[str, ...]:
    """Give what whoever runs the line should know of a source, by its ``notes`` if it has them."""
    return tuple(getattr(source, "notes", ()))


def newest_of(source: Source, since_unix_s: float) -> Iterator[Candidate | Problem] | None:
    """Give at least what a source has learnt of since a moment, by its ``newest`` if it has it.

    None if it takes a walk to tell.

    Raises
    ------
    UsageError
        If the whole source is not there.
    """
    ask = getattr(source, "newest", None)
    found: Iterator[Candidate | Problem] | None = None if ask is None else ask(since_unix_s)
    return found


def state_of(source: Source) -> str | None:
    """Give a text that stays while nothing of a source changes, by its ``state`` if it has it.

    None if it takes a walk to tell.

    Raises
    ------
    UsageError
        If the whole source is not there.
    """
    ask = getattr(source, "state", None)
    found: str | None = None if ask is None else ask()
    return found
