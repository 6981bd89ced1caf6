"""What walks over a source have met, by URI, in a temporary file: memory stays flat."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from obscore.sources.scratch import scratch_database

__all__ = ["Round", "Seen"]

_PAGE = 1000


class Seen:
    """The files of a source with the versions they had when they were last met.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._db = scratch_database(
            "CREATE TABLE seen (number INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE,"
            " version TEXT NOT NULL)"
        )

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM seen").fetchone()[0])

    def __contains__(self, uri: str) -> bool:
        asked = "SELECT 1 FROM seen WHERE uri = ?"
        return self._db.execute(asked, (uri,)).fetchone() is not None

    def close(self) -> None:
        """Forget all."""
        self._db.close()

    def round(self) -> Round:
        """Begin a walk."""
        (last,) = self._db.execute("SELECT coalesce(max(number), 0) FROM seen").fetchone()
        return Round(self._db, int(last))


class Round:
    """One walk; made by `Seen.round`."""

    def __init__(self, database: sqlite3.Connection, last: int) -> None:
        self._db = database
        self._met = bytearray(last + 1)
        """A byte for each file that was there before: 1 if it was met again."""
        self.total = 0

    def news(self, met: Sequence[tuple[str, str]]) -> set[str]:
        """Take URIs and versions of files that were met; give those that are new or changed."""
        self.total += len(met)
        marks = ",".join("?" * len(met))
        asked = f"SELECT uri, number, version FROM seen WHERE uri IN ({marks})"  # noqa: S608 - marks
        known = {uri: (number, version) for uri, number, version in
                 self._db.execute(asked, [uri for uri, _ in met])}  # fmt: skip
        changed = dict[str, str]()
        for uri, version in met:
            number, before = known.get(uri, (0, None))
            if number < len(self._met):
                self._met[number] = 1
            if before != version:
                changed[uri] = version
        if changed:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT INTO seen (uri, version) VALUES (?, ?)"
                " ON CONFLICT (uri) DO UPDATE SET version = excluded.version",
                changed.items(),
            )
            self._db.execute("COMMIT")
        return set(changed)

    def gone(self, kept: Sequence[str]) -> Iterator[str]:
        """Give, and forget, the files that were there before and were not met again.

        Parameters
        ----------
        kept
            Beginnings of URIs of what could not be looked into; what is below stays.
        """
        after = 0
        while True:
            page = self._db.execute(
                "SELECT number, uri FROM seen WHERE number > ? AND number < ? ORDER BY number"
                " LIMIT ?",
                (after, len(self._met), _PAGE),
            ).fetchall()
            if not page:
                return
            after = page[-1][0]
            for number, uri in page:
                if not self._met[number] and not uri.startswith(tuple(kept)):
                    self._db.execute("DELETE FROM seen WHERE number = ?", (number,))
                    yield uri
