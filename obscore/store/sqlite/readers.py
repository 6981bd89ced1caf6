"""Connections that can only read, and a pool of them for the threads of a server.

A connection for users' queries has four locks on it, each enough by itself: the file is opened
read-only, ``query_only`` is set, an authorizer refuses whatever is not a read of a published table
or a call of a harmless function, and a progress handler stops a statement at its deadline.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import apsw

from obscore.store.pace import Pace
from obscore.store.schema import APPLICATION_ID, RTREE, SCHEMA_VERSION
from obscore.store.sqlite.authorizer import authorize
from obscore.store.sqlite.deadline import Deadline, watch
from vodal.errors import ArchiveError, ServiceUnavailable

__all__ = [
    "ReaderPool",
    "check_layout",
    "fetch",
    "file_id",
    "open_reader",
]

_LOG = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 10_000
"""How long a reader waits for the moments in which the file is locked for readers."""

_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOMUTEX
"""A connection is used by one thread at a time, so that SQLite need not lock it for each value."""

_LONGEST_VALUE = 64 << 20
"""Bytes of a text that a user's query may build."""


def check_layout(connection: apsw.Connection, path: Path, *, oldest: int = SCHEMA_VERSION) -> int:
    """Give the version of the layout, 0 for an empty file.

    Parameters
    ----------
    connection
        To the file.
    path
        Its name, for the error.
    oldest
        The oldest version that will do.

    Raises
    ------
    ArchiveError
        If the file is no store of ours or one of another version.
    """
    # In one statement, since another process may be making the store at this moment.
    ((version, application, tables),) = fetch(
        connection,
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_user_version, pragma_application_id",
    )
    if (version, application, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise ArchiveError(f"the file {path} is not a store of this program")
    if version > SCHEMA_VERSION:
        raise ArchiveError(
            f"the store {path} has layout {version} and this program knows layouts up to"
            f" {SCHEMA_VERSION}; use the newer program that made it"
        )
    if version < oldest:
        raise ArchiveError(
            f"the store {path} has layout {version} and this program needs layout"
            f" {SCHEMA_VERSION}; run 'skylane store upgrade'"
        )
    return int(version)


def fetch(
    connection: apsw.Connection, sql: str, values: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run a statement and give all its rows."""
    return cast("list[tuple[Any, ...]]", connection.execute(sql, values or {}).fetchall())


def open_reader(
    path: Path,
    *,
    published_only: bool = True,
    prepare: Callable[[apsw.Connection], None] | None = None,
    oldest: int = SCHEMA_VERSION,
) -> apsw.Connection:
    """Open a store for reading.

    Parameters
    ----------
    path
        The database file, which must exist.
    published_only
        Whether only what users may query is readable; otherwise the whole store is.
    prepare
        Called with the connection before it is restricted, to register functions.
    oldest
        The oldest layout that will do.

    Raises
    ------
    ArchiveError
        If there is no store of ours, or it has another layout.
    ServiceUnavailable
        If the file stays locked.
    """
    if not path.is_file():
        raise ArchiveError(f"there is no store at {path}; ingest something first")
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(uri, _FLAGS)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if check_layout(connection, path, oldest=oldest) == 0:
            raise ArchiveError(f"the store {path} is empty")  # noqa: TRY301 - closed below
        connection.pragma("query_only", True)
        connection.pragma("trusted_schema", False)
        connection.pragma("case_sensitive_like", True)
        connection.pragma("cache_size", -16_000)
        # Plans do not depend on bound values: otherwise each call prepares its statement anew.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        if prepare is not None:
            prepare(connection)
        # Connects the R*Tree while nothing is forbidden yet.
        connection.execute(f"SELECT id FROM {RTREE} LIMIT 0").close()  # noqa: S608
        if published_only:
            connection.enable_load_extension(False)
            connection.limit(apsw.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            connection.authorizer = authorize
    except apsw.BusyError:
        _close(connection)
        raise ServiceUnavailable("the store is locked by another process") from None
    except apsw.NotADBError:
        _close(connection)
        raise ArchiveError(f"the file {path} is not a store of this program") from None
    except apsw.Error as error:
        _close(connection)
        _LOG.error("cannot open the store %s: %s", path, error)
        raise ArchiveError("the store cannot be opened; the log tells why") from error
    except BaseException:
        _close(connection)
        raise
    return connection


def _close(connection: apsw.Connection | None) -> None:
    if connection is not None:
        connection.close(True)


@dataclass(frozen=True, slots=True)
class _Lent:
    """A connection of the pool."""

    connection: apsw.Connection
    deadline: Deadline
    file: tuple[int, int]
    """Which file it reads."""


def file_id(path: Path) -> tuple[int, int]:
    """Tell a file from another one that takes its name later; zeros if there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


class ReaderPool:
    """Reader connections shared by threads; each is used by one thread at a time.

    Parameters
    ----------
    path
        The database file.
    size
        Most connections open at once.
    wait_s
        How long a thread waits for one before it is told to come back later.
    published_only, prepare
        As for `open_reader`.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: int = 8,
        wait_s: float = 10.0,
        published_only: bool = True,
        prepare: Callable[[apsw.Connection], None] | None = None,
    ) -> None:
        self.path = path
        self._published_only = published_only
        self._prepare = prepare
        self._wait_s = wait_s
        self._permits = threading.BoundedSemaphore(size)
        self._idle: list[_Lent] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def reader(
        self,
        limit_s: float | None = None,
        cancelled: threading.Event | None = None,
        pace: Pace | None = None,
    ) -> Iterator[tuple[apsw.Connection, Deadline]]:
        """Lend a connection with its deadline, started as `Deadline.start` says.

        The block must not leave a cursor open.

        Raises
        ------
        ServiceUnavailable
            If all stay lent for too long.
        ArchiveError
            If the store cannot be opened.
        """
        if not self._permits.acquire(timeout=self._wait_s):
            raise ServiceUnavailable("too many queries are running; try again in a few seconds")
        try:
            lent = self._take()
            healthy = False
            try:
                lent.deadline.start(limit_s, cancelled, pace)
                yield lent.connection, lent.deadline
                healthy = True
            except (GeneratorExit, ServiceUnavailable):
                healthy = True
                raise
            finally:
                self._give_back(lent, healthy=healthy)
        finally:
            self._permits.release()

    def _take(self) -> _Lent:
        file = file_id(self.path)
        with self._lock:
            if self._closed:
                raise ServiceUnavailable("the service is shutting down")
            # The file may have been replaced by another; its former self is read no more.
            former = [lent for lent in self._idle if lent.file != file]
            self._idle = [lent for lent in self._idle if lent.file == file]
            found = self._idle.pop() if self._idle else None
        for lent in former:
            lent.connection.close(True)
        if found is not None:
            return found
        connection = open_reader(
            self.path, published_only=self._published_only, prepare=self._prepare
        )
        deadline = Deadline()
        watch(connection, deadline)
        return _Lent(connection, deadline, file)

    def _give_back(self, lent: _Lent, *, healthy: bool) -> None:
        with self._lock:
            if healthy and not self._closed:
                self._idle.append(lent)
                return
        lent.connection.close(True)

    def close(self) -> None:
        """Close the idle connections; those on loan are closed as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for lent in idle:
            lent.connection.close(True)
