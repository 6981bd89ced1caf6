"""A database for a walk's own memory, in a temporary file: what is held in memory stays flat."""

from __future__ import annotations

import sqlite3

__all__ = ["scratch_database"]


def scratch_database(table: str) -> sqlite3.Connection:
    """Make a database that goes when it is closed; for one thread at a time.

    SQLite keeps a database without a name in a temporary file, and as much of it in memory as its
    cache takes (2 MB).

    Parameters
    ----------
    table
        The statement that makes its table.
    """
    database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
    # Lost with the process in any case: nothing is to be brought to the disk.
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute(table)
    return database
