"""When each record changed last.

Records are made anew for each request, of settings and of what the catalogue covers at the moment.
What they were like before is known by a digest, kept in a file of SQLite in the site's folder:
whichever process first sees that a record is another one dates it then. A date is never before the
change, so that a harvester that asks for what is new since its last visit gets all of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vodal.errors import ArchiveError

__all__ = ["Datestamps", "Stamp", "utc_text"]

_WAIT_S = 10.0


def utc_text() -> str:
    """Give the present moment as OAI-PMH writes it: ``2026-01-31T04:05:06Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a record was made and changed last, as `utc_text` writes it."""

    created: str
    changed: str
    deleted: bool = False
    """Whether it went at ``changed``."""


class Datestamps:
    """Keeps the dates of records. Safe to use from several threads and processes.

    Parameters
    ----------
    path
        The file; made when it is first needed. Without it all records are new again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def stamped(self, digests: Mapping[str, str]) -> dict[str, Stamp]:
        """Give the stamps of all records, also of gone ones, by identifier.

        Parameters
        ----------
        digests
            Of the records there are, by identifier; different for what is different.

        Raises
        ------
        ArchiveError
            If the file cannot be read or written.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)) as db:
                db.execute(
                    "CREATE TABLE IF NOT EXISTS stamps (identifier TEXT PRIMARY KEY,"
                    " digest TEXT, created TEXT NOT NULL, changed TEXT NOT NULL)"
                )
                if _changes(_known(db), digests):
                    db.execute("BEGIN IMMEDIATE")
                    _write(db, _changes(_known(db), digests))
                    db.execute("COMMIT")
                known = _known(db)
        except sqlite3.Error as error:
            raise ArchiveError(f"the dates of records in {self._path.name}: {error}") from None
        return {
            identifier: Stamp(created, changed, digest is None)
            for identifier, (digest, created, changed) in known.items()
        }


_Known = Mapping[str, tuple[str | None, str, str]]
"""Digest (None of a gone record), created and changed, by identifier."""


def _known(db: sqlite3.Connection) -> _Known:
    rows = db.execute("SELECT identifier, digest, created, changed FROM stamps")
    return {identifier: (digest, *dates) for identifier, digest, *dates in rows}


def _changes(known: _Known, digests: Mapping[str, str]) -> dict[str, str | None]:
    """Give the digests that are to be written."""
    found: dict[str, str | None] = {
        name: digest
        for name, digest in digests.items()
        if name not in known or known[name][0] != digest
    }
    gone = [name for name, one in known.items() if one[0] is not None and name not in digests]
    return found | dict.fromkeys(gone)


def _write(db: sqlite3.Connection, changes: Mapping[str, str | None]) -> None:
    now = utc_text()
    db.executemany(
        "INSERT INTO stamps VALUES (:name, :digest, :now, :now) ON CONFLICT (identifier)"
        " DO UPDATE SET digest = :digest, changed = :now",
        [{"name": name, "digest": digest, "now": now} for name, digest in changes.items()],
    )
