"""Watching by walks over sources that tell of no changes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence

from typing_extensions import override

from obscore.sources.base import Candidate, Problem, Source
from obscore.sources.seen import Seen
from obscore.sources.watch import Change, Watch
from vodal.errors import UsageError

__all__ = ["PollingWatch"]

_TOGETHER = 500


class PollingWatch(Watch):
    """Walks over sources from time to time and compares the versions of their files.

    A source that is away, or quite empty, keeps what was seen in it.

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
        self._away: set[int] = set()
        self._next = 0.0
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
        self._next = time.monotonic() + self._seconds
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
            yield from self._walk(source, self._seen[number])
        except UsageError:
            is_away = True
        else:
            is_away = False
        if is_away != (number in self._away):
            self._away ^= {number}
            yield Change("missed", source.under_uri)

    def _walk(self, source: Source, seen: Seen) -> Iterator[Change]:
        walked, closed = seen.round(), list[str]()
        before = len(seen)
        for found in _batches(source.walk()):
            if self._interrupted:
                return
            news = walked.news([(item.uri, _mark(item)) for item in found])
            for item in found:
                if isinstance(item, Problem) and item.uri.endswith("/"):
                    closed.append(item.uri)
                if item.uri in news:
                    yield Change("begun", item.uri, item)
        if not walked.total and before > 1:
            # As an empty folder looks a disk that is not mounted.
            return
        for uri in walked.gone(closed):
            if not uri.endswith("/"):  # a folder that can be read again has not gone
                yield Change("gone", uri)


def _mark(item: Candidate | Problem) -> str:
    return item.reason if isinstance(item, Problem) else item.mark()


def _batches(items: Iterator[Candidate | Problem]) -> Iterator[list[Candidate | Problem]]:
    while batch := list(itertools.islice(items, _TOGETHER)):
        yield batch
