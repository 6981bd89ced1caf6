"""What servers told of single files, as long as their listings show the same of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from obscore.sources.scratch import scratch_database
from vodal.storage import FileStat

__all__ = ["Marks"]


class Marks:
    """Size, version and time of files by URI and by what a listing shows. Safe to use in threads.

    They are kept in a temporary file, so that memory stays flat.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._db = scratch_database(
            "CREATE TABLE marks (uri TEXT PRIMARY KEY, mark TEXT NOT NULL, size INTEGER NOT NULL,"
            " version TEXT NOT NULL, modified REAL NOT NULL) WITHOUT ROWID"
        )

    def known(self, wanted: Sequence[tuple[str, str]]) -> dict[str, FileStat]:
        """Give what is known of files, asked for by URI and mark."""
        marks = ",".join("?" * len(wanted))
        asked = f"SELECT * FROM marks WHERE uri IN ({marks})"  # noqa: S608 - marks
        with self._lock:
            rows = self._db.execute(asked, [uri for uri, _ in wanted]).fetchall()
        shown = dict(wanted)
        return {
            uri: FileStat(size, version, modified)
            for uri, mark, size, version, modified in rows
            if mark == shown[uri]
        }

    def keep(self, told: Iterable[tuple[str, str, FileStat]]) -> None:
        """Remember what was told of files: URI, mark, and what it is."""
        rows = [(uri, mark, stat.size_bytes, stat.version, stat.modified_unix_s)
                for uri, mark, stat in told]  # fmt: skip
        with self._lock:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")
