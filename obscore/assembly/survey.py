"""What of a source is new: its files beside those that the catalogue holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from obscore.assembly.rules import Rules
from obscore.sources.base import Candidate, Problem, Source
from obscore.store.base import KnownFile, Store

__all__ = ["Survey", "Verdict", "vanished_message"]

Verdict = Literal["new", "unchanged", "skipped", "problem"]
"""``new`` files are to be read: they have no rows, or changed since, or their rules did."""


class Survey:
    """One walk over a source.

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
        self._source, self._rules = source, rules
        known = store.known_files(source.under_uri)
        self.known = {uri: file for uri, file in known.items() if source.holds(uri)}
        """What the catalogue holds of the source."""
        self.total = 0
        """Files and problems that were met."""
        self._left = dict(self.known)
        self._closed: list[str] = []

    def walk(self) -> Iterator[tuple[Candidate | Problem, Verdict, KnownFile | None]]:
        """Give all that is met, what is to be done with it, and what the catalogue has of it.

        Raises
        ------
        UsageError
            If the source is not there.
        """
        for item in self._source.walk():
            self.total += 1
            if isinstance(item, Problem):
                if item.uri.endswith("/"):
                    self._closed.append(item.uri)
                yield item, "problem", self._left.pop(item.uri, None)
                continue
            rules = self._rules(item.collection)
            if rules.skips(item.relative):
                yield item, "skipped", self._left.get(item.uri)
                continue
            known = self._left.pop(item.uri, None)
            same = known is not None and (known.version, known.mapping_digest) == (
                item.stat.version,
                rules.digest_for(item.relative, item.facts),
            )
            yield item, "unchanged" if same else "new", known

    def vanished(self) -> dict[str, KnownFile]:
        """Give the files that the walk did not meet, other than in what it could not look into."""
        return {
            uri: file
            for uri, file in sorted(self._left.items())
            if not any(uri.startswith(closed) for closed in self._closed)
        }

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


def vanished_message(source: Source, uri: str) -> str:
    """Say what became of a file that a source does not give any more."""
    if source.exists(uri):
        return "the file is there, but is not among the source's any more"
    return "the file is not there any more"
