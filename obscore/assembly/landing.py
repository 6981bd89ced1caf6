"""Files that have landed, until they are whole: which may be read, and which are waited for."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from obscore.assembly.refusal import Refusal
from obscore.settings import IngestSettings
from obscore.sources.base import Candidate, Problem
from obscore.sources.fits import FolderSource
from vodal.storage import local_path

__all__ = ["INCOMPLETE", "Expired", "Landing"]

INCOMPLETE = frozenset({"truncated", "empty", "changed"})
"""Refusals of files that may be half written."""

_SHORTEST_S = 0.1
"""Between two looks at a file."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A file that did not become whole in time."""

    candidate: Candidate
    refusal: Refusal


@dataclass(slots=True)
class _Wait:
    """A file that is waited for."""

    source: FolderSource
    version: str
    since_s: float
    """When it was first seen to have this version."""
    refusal: Refusal | None = None
    """What reading it said."""
    due_s: float = float("inf")
    """When it is looked at again."""


class Landing:
    """Knows the files that are waited for.

    A file is ready when its writer closed it or moved it into place, or when size and times have
    stayed for ``settle_seconds``. One that reading found to be shorter than its headers say waits
    until it changes, for ``incomplete_seconds`` at most.

    Parameters
    ----------
    limits
        For how long.
    clock
        Gives seconds that only go forward.
    """

    def __init__(self, limits: IngestSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle_s = limits.settle_seconds
        self._limit_s = limits.incomplete_seconds
        self._clock = clock
        self._waits: dict[str, _Wait] = {}
        self._line: list[tuple[float, str]] = []
        """Places in time; those that do not agree with a wait count no more."""

    def __len__(self) -> int:
        return len(self._waits)

    def arrive(self, source: FolderSource, path: str, *, whole: bool) -> Candidate | Problem | None:
        """Take notice that something happened to a file.

        Parameters
        ----------
        source
            Whose it is.
        path
            Of the file.
        whole
            Whether its writer is done with it.

        Returns
        -------
        Candidate or Problem or None
            The file if it may be read now, what is wrong with it, or None if it is waited for or
            is none of the source's.
        """
        found = source.look(path)
        if not isinstance(found, Candidate):
            self.forget(path)
            return found
        if whole or not self._settle_s:
            return found
        wait = self._waits.get(path)
        if wait is None or wait.version != found.stat.version:
            self._wait(path, _Wait(source, found.stat.version, self._clock()))
        return None

    def resume(self, source: FolderSource, candidate: Candidate) -> Candidate | None:
        """Take notice of a file that was there before; gives it if it is ready."""
        path = str(local_path(candidate.uri))
        if _age_s(path) >= self._settle_s:
            return candidate
        self._wait(path, _Wait(source, candidate.stat.version, self._clock()))
        return None

    def short(self, source: FolderSource, candidate: Candidate, refusal: Refusal) -> None:
        """Wait for a file of which reading said that it is not whole."""
        path = str(local_path(candidate.uri))
        wait = self._waits.get(path)
        if refusal.reason == "changed":
            self._wait(path, _Wait(source, candidate.stat.version, self._clock()))
        elif wait is not None and wait.version == candidate.stat.version:
            wait.refusal = refusal
            self._wait(path, wait)
        else:
            since_s = self._clock() - max(0.0, _age_s(path))
            self._wait(path, _Wait(source, candidate.stat.version, since_s, refusal))

    def forget(self, path: str) -> None:
        """Wait for a file no longer."""
        self._waits.pop(path, None)

    def due(self) -> Iterator[tuple[FolderSource, str, Candidate | Problem | Expired]]:
        """Look again at the files whose time has come; give those that wait no longer.

        A file that is ready is to be read, and then `forget` or `short` to be called.
        """
        now_s = self._clock()
        while self._line and self._line[0][0] <= now_s:
            due_s, path = heapq.heappop(self._line)
            wait = self._waits.get(path)
            if wait is None or wait.due_s != due_s:
                continue
            wait.due_s = float("inf")
            found = wait.source.look(path)
            if not isinstance(found, Candidate):
                self.forget(path)
                if found is not None:
                    yield wait.source, path, found
            elif found.stat.version != wait.version:
                self._wait(path, _Wait(wait.source, found.stat.version, now_s))
            elif wait.refusal is None:
                yield wait.source, path, found
            elif now_s - wait.since_s >= self._limit_s:
                self.forget(path)
                yield wait.source, path, Expired(found, wait.refusal)
            else:
                self._wait(path, wait)

    def _wait(self, path: str, wait: _Wait) -> None:
        """Put a file in line, to be looked at after a while."""
        wait.due_s = self._clock() + max(self._settle_s, _SHORTEST_S)
        self._waits[path] = wait
        heapq.heappush(self._line, (wait.due_s, path))


def _age_s(path: str) -> float:
    """Give for how long a file has not changed, by the clocks of the file system and of here."""
    try:
        about = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0.0
    # Who copies a file with its time of modification does not set that of the inode's change.
    return time.time() - max(about.st_mtime, about.st_ctime)
