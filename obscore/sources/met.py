"""Under which names the files of a tree were met first, in a temporary file: memory stays flat."""

from __future__ import annotations

import os

from obscore.sources.scratch import scratch_database

__all__ = ["FirstNames"]

_HALF = 1 << 63


class FirstNames:
    """Files and folders by device and inode, as a walk meets them.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._db = scratch_database(
            "CREATE TABLE met (device INTEGER, inode INTEGER, path BLOB,"
            " PRIMARY KEY (device, inode)) WITHOUT ROWID"
        )

    def first(self, about: os.stat_result, path: str) -> str:
        """Give the name under which a file was met first: this one, if it was not met before."""
        place = (_signed(about.st_dev), _signed(about.st_ino))
        added = self._db.execute(
            "INSERT OR IGNORE INTO met VALUES (?, ?, ?)", (*place, os.fsencode(path))
        )
        if added.rowcount:
            return path
        (met,) = self._db.execute(
            "SELECT path FROM met WHERE device = ? AND inode = ?", place
        ).fetchone()
        return os.fsdecode(met)

    def close(self) -> None:
        """Forget all."""
        self._db.close()


def _signed(number: int) -> int:
    """Bring an unsigned number of 64 bits to what SQLite keeps."""
    return number - 2 * _HALF if number >= _HALF else number
