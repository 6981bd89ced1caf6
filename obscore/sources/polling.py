"""Watching by walks over sources that tell of no changes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence

from typing_extensions import override

from obscore.sources.base import Candidate, Problem, Source, newest_of, state_of
from obscore.sources.seen import Round, Seen
from obscore.sources.watch import Change, Watch
from vodal.errors import SkylaneError

__all__ = ["PollingWatch"]

_TOGETHER = 500
_OVERLAP_S = 120.0
"""What a source learnt of shortly before it was last asked is asked for again: its clock may be
another, and what is written may be seen later than it is dated."""
_CHANGING_S = 1.0
"""A source that has a state is looked at again after so long at most, when that has changed."""
_WALK_SHARE = 20.0
"""Times what a walk took until the next, where what is new is told without."""


class PollingWatch(Watch):
    """Walks over sources from time to time and compares the versions of their files.

    A source that is away, or quite empty, keeps what was seen in it. One that has a state, as a
    table has, is not walked over: that it changed, and has stayed so for a look, is all that is
    told. One that tells what is new
    without a walk is asked for that; then walks, which tell what has gone too, take a twentieth of
    the time at most.

    Parameters
    ----------
    sources
        Of any kind.
    seconds
        Between the end of a walk and the begin of the next.
    """

    def __init__(self, sources: Sequence[Source], seconds: float) -> None:
        self._sources, self._seconds = sources, seconds
        self._seen: list[Seen] = []
        self._states: dict[int, tuple[str, str]] = {}
        """Of sources that have one: as it was told, and as it was seen last."""
        self._away: set[int] = set()
        self._next = 0.0
        self._walk_due = [0.0 for _ in sources]
        """When walks are due over sources that tell what is new without them."""
        self._looked_unix_s = [0.0 for _ in sources]
        self._interrupted = False

    @override
    def begin(self) -> None:
        self._seen = [Seen() for _ in self._sources]
        for number in range(len(self._sources)):
            for _ in self._compare(number):
                pass  # what is there already is for who compares it with the catalogue
        self._next = time.monotonic() + self._seconds

    @override
    def changes(self, wait_s: float) -> list[Change]:
        left_s = self._next - time.monotonic()
        if left_s > 0:
            time.sleep(min(left_s, wait_s))
            if left_s > wait_s:
                return []
        told = [change for number in range(len(self._sources)) for change in self._compare(number)]
        changing = any(told != seen for told, seen in self._states.values())
        seconds = min(self._seconds, _CHANGING_S) if changing else self._seconds
        self._next = time.monotonic() + seconds
        return told

    @override
    def interrupt(self) -> None:
        self._interrupted = True

    @override
    def close(self) -> None:
        for seen in self._seen:
            seen.close()
        self._seen = []

    def _compare(self, number: int) -> Iterator[Change]:
        """Walk over a source; that it went away, or came back, means that changes were missed."""
        source = self._sources[number]
        try:
            state = state_of(source)
            if state is None:
                yield from self._news(number) or self._timed_walk(number)
            else:
                yield from self._changed(number, state)
        except SkylaneError:
            is_away = True
        else:
            is_away = False
        if is_away != (number in self._away):
            self._away ^= {number}
            yield Change("missed", source.under_uri)

    def _changed(self, number: int, state: str) -> Iterator[Change]:
        """Tell that a source changed, once it stays as it is: it may be half written before."""
        told, seen = self._states.get(number, (state, state))
        if state != told and state == seen:
            told = state
            yield Change("missed", self._sources[number].under_uri)
        self._states[number] = told, state

    def _news(self, number: int) -> Iterator[Change] | None:
        """Give what is new, if the source tells that and no walk over all of it is due."""
        if time.monotonic() >= self._walk_due[number]:
            return None
        since_unix_s = self._looked_unix_s[number] - _OVERLAP_S
        begun_unix_s = time.time()
        newest = newest_of(self._sources[number], since_unix_s)
        if newest is None:
            return None
        self._looked_unix_s[number] = begun_unix_s
        return self._met(newest, self._seen[number].round(), [])

    def _timed_walk(self, number: int) -> Iterator[Change]:
        begun_s, begun_unix_s = time.monotonic(), time.time()
        yield from self._walk(self._sources[number], self._seen[number])
        took_s = time.monotonic() - begun_s
        self._walk_due[number] = time.monotonic() + max(self._seconds, _WALK_SHARE * took_s)
        self._looked_unix_s[number] = begun_unix_s

    def _walk(self, source: Source, seen: Seen) -> Iterator[Change]:
        walked, closed = seen.round(), list[str]()
        before = len(seen)
        yield from self._met(source.walk(), walked, closed)
        if self._interrupted:
            return
        if not walked.total and before > 1:
            # As an empty folder looks a disk that is not mounted.
            return
        for uri in walked.gone(closed):
            if not uri.endswith("/"):  # a folder that can be read again has not gone
                yield Change("gone", uri)

    def _met(
        self, items: Iterator[Candidate | Problem], walked: Round, closed: list[str]
    ) -> Iterator[Change]:
        """Give what of all that is met is new or changed; notes what could not be looked into."""
        for found in _batches(items):
            if self._interrupted:
                return
            news = walked.news([(item.uri, _mark(item)) for item in found])
            for item in found:
                if isinstance(item, Problem) and item.uri.endswith("/"):
                    closed.append(item.uri)
                if item.uri in news:
                    yield Change("begun", item.uri, item)


def _mark(item: Candidate | Problem) -> str:
    return item.reason if isinstance(item, Problem) else item.mark()


def _batches(items: Iterator[Candidate | Problem]) -> Iterator[list[Candidate | Problem]]:
    while batch := list(itertools.islice(items, _TOGETHER)):
        yield batch
