"""The queue in an SQLite file of its own, shared by the server processes of one machine."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from typing_extensions import override

from vodal.errors import ArchiveError, ServiceUnavailable, SkylaneError
from vodal.uws.sql import Execute, SqlJobs
from vodal.uws.table import LAYOUT, layout_statements

__all__ = ["SqliteJobs"]

_LOG = logging.getLogger(__name__)

_APPLICATION_ID = 0x534B4A31
"""Marks a file as a queue of ours: ``SKJ1``."""

_BUSY_TIMEOUT_MS = 5_000
_OPEN_ATTEMPTS = 50


class SqliteJobs(SqlJobs):
    """The queue in a file.

    Two connections serve the threads of a process, one that writes and one that reads: every
    transaction takes less than a millisecond but for the disk, and readers never wait for that.

    Parameters
    ----------
    path
        The file, made if it is not there. Its folder must exist and be on a local disk, since WAL
        needs shared memory.

    Raises
    ------
    ArchiveError
        If the file is no queue of ours, has another layout, or cannot be written.
    ServiceUnavailable
        If another process keeps it locked.
    """

    clock = "unixepoch('subsec')"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._seen = -1
        with self._told():
            self._writer = apsw.Connection(str(path))
            try:
                self._prepare()
                self._reader = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
            except BaseException:
                self._writer.close(True)
                raise
            self._reader.set_busy_timeout(_BUSY_TIMEOUT_MS)

    def _prepare(self) -> None:
        connection = self._writer
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        for attempt in range(_OPEN_ATTEMPTS):
            try:
                # The busy timeout does not hold for the change of the journal's mode.
                connection.pragma("journal_mode", "wal")
                break
            except apsw.BusyError:
                if attempt == _OPEN_ATTEMPTS - 1:
                    raise
                time.sleep(0.05)
        connection.pragma("journal_size_limit", 8 << 20)
        if self._layout() == LAYOUT:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._layout() == 0:
                for statement in layout_statements("INTEGER PRIMARY KEY AUTOINCREMENT"):
                    connection.execute(statement)
                connection.pragma("application_id", _APPLICATION_ID)
                connection.pragma("user_version", LAYOUT)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _layout(self) -> int:
        """Give the version of the layout, 0 for an empty file."""
        application = int(self._writer.pragma("application_id"))
        version = int(self._writer.pragma("user_version"))
        if (application, version) == (0, 0) and not list(
            self._writer.execute("SELECT 1 FROM sqlite_schema LIMIT 1")
        ):
            return 0
        if application != _APPLICATION_ID:
            raise ArchiveError(f"the file {self._path} is not a queue of jobs of this program")
        if version != LAYOUT:
            raise ArchiveError(
                f"the queue of jobs {self._path} has layout {version} and this program needs"
                f" {LAYOUT}; move it away to begin with an empty one"
            )
        return version

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the database's errors into ours."""
        try:
            yield
        except SkylaneError:
            raise
        except (apsw.BusyError, apsw.LockedError):
            raise ServiceUnavailable("the queue of jobs is locked; try again") from None
        except apsw.FullError:
            raise ServiceUnavailable(
                "the service's disk is full; try again later", retry_after_s=60
            ) from None
        except apsw.Error as error:
            _LOG.error("the queue of jobs %s: %s", self._path, error)
            raise ArchiveError(f"the queue of jobs {self._path.name} failed") from error

    @override
    @contextmanager
    def _reading(self) -> Iterator[Execute]:
        with self._read_lock, self._told():
            yield _execute_on(self._reader)

    @override
    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[Execute]:
        with self._write_lock, self._told():
            connection = self._writer
            connection.pragma("synchronous", "FULL" if durable else "NORMAL")
            # The right to write is taken at once: an upgrade in the middle could fail.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield _execute_on(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @override
    def changed(self) -> bool:
        with self._read_lock, self._told():
            version = int(self._reader.pragma("data_version"))
        known, self._seen = self._seen, version
        return known != version

    @override
    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._reader.close(True)
            self._writer.close(True)


def _execute_on(connection: apsw.Connection) -> Execute:
    def execute(sql: str, **values: Any) -> list[tuple[Any, ...]]:
        return list(connection.execute(sql, values))

    return execute
