"""Files that have landed, until they are whole: which may be read, and which are waited for."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from obscore.assembly.outcome import Outcome
from obscore.assembly.refusal import UNFILLED, Refusal
from obscore.settings import IngestSettings
from obscore.sources.base import Candidate, Problem, Source
from obscore.sources.writers import is_being_written
from vodal.storage import is_local, local_path

__all__ = ["INCOMPLETE", "Expired", "Landing", "lacks"]

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

    source: Source
    candidate: Candidate
    since_s: float
    """When it was first seen to have this version."""
    refusal: Refusal | None = None
    """What reading it said."""
    due_s: float = float("inf")
    """When it is looked at again."""
    opened: bool = False
    """Whether it will be told when its writer is done with it."""

    def look(self) -> Candidate | Problem | None:
        """Look at the file; of one on a server walks tell if it changes."""
        remote = self.source.is_remote
        return self.candidate if remote else self.source.look(self.candidate.uri)

    def is_of(self, version: str) -> bool:
        return self.candidate.stat.version == version


def lacks(outcome: Outcome) -> Refusal | None:
    """Say what a file that was read may still get: bytes, or the filling of its last block."""
    refusal, file = outcome.refusal, outcome.file
    if refusal is not None and refusal.reason in INCOMPLETE:
        return refusal
    if file is not None and UNFILLED in file.notes:
        return Refusal("unfilled", UNFILLED)
    return None


class Landing:
    """Knows the files that are waited for.

    A file is ready when its writer closed it or moved it into place, or when size and times have
    stayed for ``settle_seconds``; not while the kernel knows that it is open for writing. One that
    reading found to be shorter than its headers say waits until it changes, for
    ``incomplete_seconds`` at most.

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

    def arrive(
        self,
        source: Source,
        uri: str,
        *,
        whole: bool,
        opened: bool = False,
        found: Candidate | Problem | None = None,
    ) -> Candidate | Problem | None:
        """Take notice that something happened to a file.

        Parameters
        ----------
        source
            Whose it is.
        uri
            Of the file.
        whole
            Whether its writer is done with it.
        opened
            Whether it will be told when its writer is.
        found
            The file as it is now; by default it is looked at.

        Returns
        -------
        Candidate or Problem or None
            The file if it may be read now, what is wrong with it, or None if it is waited for or
            is none of the source's.
        """
        if found is None:
            found = source.look(uri)
        if not isinstance(found, Candidate):
            self.forget(uri)
            return found
        if self._is_ready(source, found, whole=whole):
            return found
        wait = self._waits.get(uri)
        if wait is None or not wait.is_of(found.stat.version):
            self._wait(uri, _Wait(source, found, self._clock(), opened=opened or whole))
        return None

    def _is_ready(self, source: Source, found: Candidate, *, whole: bool) -> bool:
        if whole or not self._settle_s:
            return source.is_remote or not _writing(found.uri)
        quiet_s = source.quiet_s(found)
        return quiet_s == float("inf") or (source.is_remote and quiet_s >= self._settle_s)

    def resume(self, source: Source, candidate: Candidate) -> Candidate | None:
        """Take notice of a file that was there before; gives it if it is ready."""
        quiet_s = source.quiet_s(candidate)
        is_whole = quiet_s == float("inf") or source.is_remote
        if quiet_s >= self._settle_s and (is_whole or not _writing(candidate.uri)):
            return candidate
        self._wait(candidate.uri, _Wait(source, candidate, self._clock()))
        return None

    def short(self, source: Source, candidate: Candidate, refusal: Refusal) -> None:
        """Wait for a file of which reading said that it is not whole."""
        uri = candidate.uri
        wait = self._waits.get(uri)
        if refusal.reason == "changed":
            self._wait(uri, _Wait(source, candidate, self._clock()))
        elif wait is not None and wait.is_of(candidate.stat.version):
            wait.refusal = refusal
            self._wait(uri, wait)
        else:
            since_s = self._clock() - source.quiet_s(candidate)
            self._wait(uri, _Wait(source, candidate, since_s, refusal))

    def is_lasting(self, source: Source, candidate: Candidate) -> bool:
        """Tell whether a file has not changed for so long that nobody will fill its last block."""
        return source.quiet_s(candidate) >= self._limit_s

    def forget(self, uri: str) -> None:
        """Wait for a file no longer."""
        self._waits.pop(uri, None)

    def due(self) -> Iterator[tuple[Source, str, Candidate | Problem | Expired]]:
        """Look again at the files whose time has come; give those that wait no longer.

        A file that is ready is to be read, and then `forget` or `short` to be called.
        """
        now_s = self._clock()
        while self._line and self._line[0][0] <= now_s:
            due_s, uri = heapq.heappop(self._line)
            wait = self._waits.get(uri)
            if wait is None or wait.due_s != due_s:
                continue
            wait.due_s = float("inf")
            found = wait.look()
            if not isinstance(found, Candidate):
                self.forget(uri)
                if found is not None:
                    yield wait.source, uri, found
            elif not wait.is_of(found.stat.version):
                self._wait(uri, _Wait(wait.source, found, now_s))
            elif wait.refusal is None and self._is_written(wait, now_s):
                self._wait(uri, wait)
            elif wait.refusal is None:
                yield wait.source, uri, found
            elif now_s - wait.since_s >= self._limit_s:
                self.forget(uri)
                yield wait.source, uri, Expired(found, wait.refusal)
            else:
                self._wait(uri, wait)

    def _is_written(self, wait: _Wait, now_s: float) -> bool:
        """Tell whether a writer is not done with a file that has stayed the same for a while."""
        writing = None if wait.source.is_remote else _writing(wait.candidate.uri)
        if writing is None:
            return wait.opened and now_s - wait.since_s < self._limit_s
        return writing

    def _wait(self, uri: str, wait: _Wait) -> None:
        """Put a file in line, to be looked at after a while."""
        wait.due_s = self._clock() + max(self._settle_s, _SHORTEST_S)
        self._waits[uri] = wait
        heapq.heappush(self._line, (wait.due_s, uri))


def _writing(uri: str) -> bool | None:
    return is_being_written(str(local_path(uri))) if is_local(uri) else None
