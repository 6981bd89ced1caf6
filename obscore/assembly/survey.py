"""What of a source is new: its files beside those that the catalogue holds.

A survey goes through both page by page, and holds 16 bytes for each file that is catalogued: the
hashes of their URIs, which tell what the catalogue need not be asked for, and what has vanished.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from obscore.assembly.digests import digests_of
from obscore.assembly.rules import Rules
from obscore.sources.base import Candidate, Problem, Source
from obscore.sources.columns import CandidateColumns, pages_of
from obscore.store.base import KnownFile, Store
from obscore.store.tombstones import Why

__all__ = [
    "ANOTHER_NAME",
    "VANISHED",
    "Met",
    "MetColumns",
    "Survey",
    "Verdict",
    "is_of",
    "vanished_message",
]

Verdict = Literal["new", "unchanged", "retracted", "skipped", "problem"]
"""``new`` files are to be read: they have no rows, or changed since, or their rules did. Of
``retracted`` ones, which have not changed either, nothing may come back."""

VANISHED = Why("vanished", "its file is not among those of its collection any more")
"""Why products go whose file a source does not give any more."""
ANOTHER_NAME = Why("withdrawn", "its file is another name of one that is catalogued")

_KNOWN_PAGE = 5000
"""Files of the catalogue that are asked for at a time."""


class Met(NamedTuple):
    """What a walk has met."""

    item: Candidate | Problem
    """A file that is not ``new`` may come without its facts."""
    verdict: Verdict
    known: KnownFile | None
    """What the catalogue has of it."""


@dataclass(frozen=True, slots=True)
class MetColumns:
    """Files by column that are all ``new``."""

    candidates: CandidateColumns
    known: list[KnownFile | None]
    """What the catalogue has of each."""

    def __len__(self) -> int:
        return len(self.candidates)


class Survey:
    """One walk over a source.

    Files that others write to the catalogue meanwhile are none that have vanished.

    Parameters
    ----------
    source
        What there is to catalogue.
    store
        What is catalogued.
    rules
        Gives the rules of a collection.
    """

    def __init__(self, source: Source, store: Store, rules: Callable[[str], Rules]) -> None:
        self._source, self._store, self._rules = source, store, rules
        self.total = 0
        """Files and problems that were met."""
        hashes = array("q")
        for page in _pages(source, store):
            hashes.extend(hash(file.uri) for file in page)
        self._known = np.sort(np.frombuffer(hashes, np.int64))
        self._is_met = np.zeros(len(self._known), np.bool_)
        self._closed: list[str] = []

    def walk(self) -> Iterator[Met]:
        """Give all that is met.

        Raises
        ------
        UsageError
            If the source is not there.
        """
        for part in self.parts():
            if isinstance(part, MetColumns):
                for item, known in zip(part.candidates, part.known, strict=True):
                    yield Met(item, "new", known)
            else:
                yield from part

    def parts(self) -> Iterator[list[Met] | MetColumns]:
        """Give all that is met, some at a time.

        Raises
        ------
        UsageError
            If the source is not there.
        """
        for page in pages_of(self._source):
            self.total += len(page)
            if isinstance(page, CandidateColumns) and not self._rules(page.collection).headers:
                yield from self._judge_columns(page)
            else:
                known = self._known_among([item.uri for item in page])
                yield [self._judge(item, known.get(item.uri)) for item in page]

    def vanished(self) -> Iterator[KnownFile]:
        """Give the files that the walk did not meet, other than in what it could not look into."""
        missing = self._known[~self._is_met]
        if not len(missing):
            return
        for page in _pages(self._source, self._store):
            hashes = np.array([hash(file.uri) for file in page], np.int64)
            for file, is_missing in zip(page, np.isin(hashes, missing), strict=True):
                if is_missing and not any(file.uri.startswith(closed) for closed in self._closed):
                    yield file

    def why_kept(self, count: int) -> str:
        """Say why vanished files must not be removed; empty if they may.

        A mount that is not there looks like an empty folder: that is no reason to remove all.

        Parameters
        ----------
        count
            How many have vanished.
        """
        if self.total == 0 and count > 1:
            return "; the whole source is empty, so nothing is removed (is it mounted?)"
        return ""

    def _judge(self, item: Candidate | Problem, known: KnownFile | None) -> Met:
        if isinstance(item, Problem):
            if item.uri.endswith("/"):
                self._closed.append(item.uri)
            self._meet(*filter(None, [known]))
            return Met(item, "problem", known)
        rules = self._rules(item.collection)
        if rules.skips(item.relative):
            return Met(item, "skipped", known)
        self._meet(*filter(None, [known]))
        same = known is not None and rules.is_unchanged(item, known.version, known.mapping_digest)
        return self._old(item, known, skips=False) if same else Met(item, "new", known)

    def _judge_columns(self, page: CandidateColumns) -> Iterator[list[Met] | MetColumns]:
        """Judge files that are not opened, as `_judge` does each."""
        rules, count = self._rules(page.collection), len(page)
        skips = [False] * count
        if not rules.is_same_for_all:
            skips = list(map(rules.skips, page.relatives))
        among = self._known_among(page.uris)
        known = [None] * count if not among else list(map(among.get, page.uris))
        met = [file for file, is_out in zip(known, skips, strict=True) if file and not is_out]
        self._meet(*met)
        digests = digests_of(page, rules) if among else [""] * count
        same = [
            file is not None and file.mapping_digest == digest
            for file, digest in zip(known, digests, strict=True)
        ]
        old = [at for at in range(count) if skips[at] or same[at]]
        if old:
            yield [self._old(page.bare(at), known[at], skips=skips[at]) for at in old]
        if len(old) < count:
            new = [at for at in range(count) if not (skips[at] or same[at])]
            yield MetColumns(page.chosen(new), [known[at] for at in new])

    def _old(self, item: Candidate, known: KnownFile | None, *, skips: bool) -> Met:
        """Say of a file that is not new what it is."""
        if skips:
            return Met(item, "skipped", known)
        return Met(item, "unchanged" if known is None or known.products else "retracted", known)

    def _known_among(self, uris: Sequence[str]) -> dict[str, KnownFile]:
        """Ask the catalogue for those that it had at the start."""
        if not len(self._known):
            return {}
        places = self._places([hash(uri) for uri in uris])
        wanted = [uri for uri, place in zip(uris, places, strict=True) if place >= 0]
        return self._store.known_among(wanted) if wanted else {}

    def _meet(self, *known: KnownFile) -> None:
        if known:
            self._is_met[self._places([hash(file.uri) for file in known])] = True

    def _places(self, hashes: Sequence[int]) -> NDArray[np.int64]:
        """Find hashes among those that were known; -1 for what was not."""
        sought = np.array(hashes, np.int64)
        places = np.minimum(np.searchsorted(self._known, sought), len(self._known) - 1)
        return np.where(self._known[places] == sought, places, -1)


def _pages(source: Source, store: Store) -> Iterator[list[KnownFile]]:
    """Give what the catalogue holds of a source, page by page."""
    uri = ""
    while page := store.known_after(source.under_uri, uri, _KNOWN_PAGE):
        uri = page[-1].uri
        yield [file for file in page if is_of(source, file)]


def is_of(source: Source, file: KnownFile) -> bool:
    """Tell whether a file of the catalogue is one that a source may give."""
    if source.is_scattered:
        return file.collection == source.collection
    return source.holds(file.uri)


def vanished_message(source: Source, uri: str) -> str:
    """Say what became of a file that a source does not give any more."""
    if source.exists(uri):
        return "the file is there, but is not among the source's any more"
    return "the file is not there any more"
