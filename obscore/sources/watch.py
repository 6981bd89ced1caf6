"""What may have changed in sources, while it happens: the seam `Watch`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from obscore.sources.base import Candidate, Problem
from vodal.errors import ArchiveError

__all__ = ["Change", "ExhaustedError", "Watch", "is_remote"]

_REMOTE = re.compile(
    r"nfs\d?|cifs|smb\w*|fuse\..*|fuse|9p|lustre|gpfs|ceph|beegfs\w*|glusterfs|afs|virtiofs|panfs"
)
"""Types of file systems that others may write to: the kernel here does not learn of that."""


class ExhaustedError(ArchiveError):
    """The system watches no further folders; the message names its limit."""


@dataclass(frozen=True, slots=True)
class Change:
    """What may have happened."""

    kind: Literal["whole", "opened", "begun", "gone", "missed"]
    """``whole``: a file was closed by its writer, or moved into place. ``opened``: a file was made,
    and ``whole`` is told when its writer closes it. ``begun``: a file is there and may grow.
    ``gone``: a file, or all below a folder, is not there any more. ``missed``: anything may have
    happened below a folder."""
    uri: str
    """Of a folder it ends in ``/``."""
    found: Candidate | Problem | None = field(default=None, compare=False)
    """The file as it was met, if it was looked at."""


class Watch(Protocol):
    """Tells what changes in sources. For one thread at a time."""

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

    def interrupt(self) -> None:
        """Have `begin` or `changes` end soon, from another thread; nothing is told after that."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


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
