"""What may have changed in folders, while it happens: the seam `Watch`, and watching by polling."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from typing_extensions import override

from obscore.sources.base import Problem
from obscore.sources.fits import FolderSource
from vodal.errors import ArchiveError, UsageError
from vodal.storage import local_path

__all__ = ["Change", "ExhaustedError", "PollingWatch", "Watch", "is_remote"]

_REMOTE = re.compile(
    r"nfs\d?|cifs|smb\w*|fuse\..*|fuse|9p|lustre|gpfs|ceph|beegfs\w*|glusterfs|afs|virtiofs|panfs"
)
"""Types of file systems that others may write to: the kernel here does not learn of that."""


class ExhaustedError(ArchiveError):
    """The system watches no further folders; the message names its limit."""


@dataclass(frozen=True, slots=True)
class Change:
    """What may have happened."""

    kind: Literal["whole", "begun", "gone", "folder-gone", "missed"]
    """``whole``: a file was closed by its writer, or moved into place. ``begun``: a file is there
    and may grow. ``gone``: a file, or all below a folder, is not there any more. ``missed``:
    anything may have happened below a folder."""
    path: str


class Watch(Protocol):
    """Tells what changes in folders. For one thread at a time."""

    def begin(self) -> None:
        """Tell of all that happens from now on.

        Raises
        ------
        ExhaustedError
            If the system watches no further folders.
        """
        ...

    def changes(self, wait_s: float) -> list[Change]:
        """Give what has happened since this was last asked.

        A change may be told more often than it happened, and of files that are gone again.

        Parameters
        ----------
        wait_s
            How long to wait for something, about.

        Raises
        ------
        ExhaustedError
            If the system watches no further folders; nothing that is told later is complete.
        """
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


class PollingWatch(Watch):
    """Walks over folders from time to time and compares sizes and times.

    Parameters
    ----------
    sources
        The folders.
    seconds
        Between the end of a walk and the begin of the next.
    """

    def __init__(self, sources: Sequence[FolderSource], seconds: float) -> None:
        # Their own walks may be under way.
        self._sources = [
            FolderSource(one.root, collection=one.collection, start=one.start) for one in sources
        ]
        self._seconds = seconds
        self._seen: list[dict[str, str]] = [{} for _ in sources]
        self._next = 0.0

    @override
    def begin(self) -> None:
        for number, source in enumerate(self._sources):
            self._compare(number, source)
        self._next = time.monotonic() + self._seconds

    @override
    def changes(self, wait_s: float) -> list[Change]:
        left_s = self._next - time.monotonic()
        if left_s > 0:
            time.sleep(min(left_s, wait_s))
            if left_s > wait_s:
                return []
        told: list[Change] = []
        for number, source in enumerate(self._sources):
            told += self._compare(number, source)
        self._next = time.monotonic() + self._seconds
        return told

    @override
    def close(self) -> None:
        self._seen = [{} for _ in self._sources]

    def _compare(self, number: int, source: FolderSource) -> list[Change]:
        """Walk over a folder; one that is away or cannot be read keeps what was seen in it."""
        before, now, closed = self._seen[number], dict[str, str](), list[str]()
        try:
            for item in source.walk():
                if not isinstance(item, Problem):
                    now[item.uri] = item.stat.version
                elif item.uri.endswith("/"):
                    closed.append(item.uri)
                else:
                    now[item.uri] = item.reason
        except UsageError:
            return []
        if not now and len(before) > 1:
            # As an empty folder looks a disk that is not mounted.
            return []
        gone = [uri for uri in before if uri not in now]
        kept = [uri for uri in gone if any(uri.startswith(place) for place in closed)]
        now |= {uri: before[uri] for uri in kept}
        self._seen[number] = now
        told = [Change("begun", _path(uri)) for uri in now if before.get(uri) != now[uri]]
        return [*told, *(Change("gone", _path(uri)) for uri in gone if uri not in now)]


def _path(uri: str) -> str:
    return str(local_path(uri))


def is_remote(folder: Path, mounts: str | None = None) -> bool:
    """Tell whether a folder lies on a file system that other machines may write to.

    Parameters
    ----------
    folder
        A folder.
    mounts
        What the kernel tells of its mounts, in the form of ``/proc/self/mountinfo`` (proc(5)); read
        from there by default.
    """
    try:
        text = Path("/proc/self/mountinfo").read_text("utf-8") if mounts is None else mounts
    except OSError:
        return True
    real = Path(os.path.realpath(folder))
    longest, kind = -1, ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        # Blanks and some others are written as octal numbers.
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        if real.is_relative_to(point) and len(point) >= longest:
            longest, kind = len(point), after.split()[0]
    return bool(_REMOTE.fullmatch(kind))
