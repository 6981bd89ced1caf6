"""Connections that write to an embedded store, in transactions of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from obscore.store import schema
from obscore.store.sqlite.layouts import OLDEST, upgrade
from obscore.store.sqlite.publication import stale_tap_schema, update_tap_schema
from obscore.store.sqlite.readers import check_layout
from vodal.errors import ArchiveError, ServiceUnavailable

__all__ = ["BUSY_TIMEOUT_MS", "open_writer", "transaction", "translated"]

BUSY_TIMEOUT_MS = 60_000
"""How long a writer waits for another one."""

_OPEN_ATTEMPTS = 50


def open_writer(path: Path) -> apsw.Connection:
    """Open a store for writing; made if it is not there, and brought up to date.

    Raises
    ------
    ArchiveError
        If the file is no store of ours, has another layout, or cannot be written.
    ServiceUnavailable
        If another process keeps it locked.
    """
    with translated(path):
        connection = apsw.Connection(str(path))
    try:
        with translated(path):
            _prepare(connection, path)
    except BaseException:
        connection.close(True)
        raise
    return connection


def _prepare(connection: apsw.Connection, path: Path) -> None:
    """Bring the file into shape: journal mode, layout, TAP_SCHEMA."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    current = check_layout(connection, path, oldest=OLDEST) == schema.SCHEMA_VERSION
    _set_wal(connection)
    # With WAL, NORMAL loses at most the last transactions on power failure, never consistency.
    connection.pragma("synchronous", "NORMAL")
    connection.pragma("foreign_keys", True)
    # Each page is brought to its place, and the disk waited for, once for so many that changed: the
    # spatial index and others in no order change the same ones again and again.
    connection.pragma("wal_autocheckpoint", 10_000)
    connection.pragma("journal_size_limit", 64 << 20)
    connection.pragma("cache_size", -64_000)
    if current and not stale_tap_schema(connection):
        # The common case takes no lock: a server may start while another process ingests.
        return
    with transaction(connection):
        version = check_layout(connection, path, oldest=OLDEST)
        if version == 0:
            for statement in schema.ddl():
                connection.execute(statement)
            connection.pragma("application_id", schema.APPLICATION_ID)
        else:
            upgrade(connection, version)
        connection.pragma("user_version", schema.SCHEMA_VERSION)
        update_tap_schema(connection)


def _set_wal(connection: apsw.Connection) -> None:
    """Switch to WAL mode, for which SQLite does not use its busy timeout."""
    for attempt in range(_OPEN_ATTEMPTS):
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if attempt == _OPEN_ATTEMPTS - 1:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Take the write lock at once, so that nothing read within can be out of date."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into ours.

    Raises
    ------
    ServiceUnavailable
        If another process keeps the file locked.
    ArchiveError
        For any other error of the database.
    """
    try:
        yield
    except (apsw.BusyError, apsw.LockedError):
        raise ServiceUnavailable(f"the store {path} is being written by another process") from None
    except apsw.NotADBError:
        raise ArchiveError(f"the file {path} is not a store of this program") from None
    except apsw.Error as error:
        raise ArchiveError(f"the store {path} failed: {error}") from error
