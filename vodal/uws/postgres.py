"""The queue in a table of PostgreSQL, shared by server processes on any machines."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql as pieces
from typing_extensions import override

from vodal.errors import ArchiveError, ServiceUnavailable, SkylaneError
from vodal.uws.sql import Execute, SqlJobs
from vodal.uws.table import LAYOUT, layout_statements

__all__ = ["PostgresJobs"]

_LOG = logging.getLogger(__name__)

_TURN = 0x534B4A31
"""Advisory lock of claims and of the making of the table."""

_CHANNEL = "uws_jobs"
_NAMED = re.compile(r"(?<![:\w]):(\w+)")
_CONNECTIONS = 8
_CONNECT_LIMIT_S = 10
_WAIT_LIMIT_S = 10.0


@lru_cache(maxsize=500)
def _placed(statement: str) -> bytes:
    """Write ``:name`` as psycopg does."""
    return _NAMED.sub(r"%(\1)s", statement).encode()


class PostgresJobs(SqlJobs):
    """The queue in a table.

    Changes are told to the other server processes by NOTIFY. Where that is lost (a pooler in
    between), they look once a second all the same.

    Parameters
    ----------
    url
        Of the database; the role must be able to create a table at the first start.
    schema
        Where the table lies; must exist.

    Raises
    ------
    ArchiveError
        If the table has another layout or cannot be made.
    ServiceUnavailable
        If the database cannot be reached.
    """

    clock = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"

    def __init__(self, url: str, schema: str = "public") -> None:
        self._url = url
        self._schema = schema
        self._idle: list[psycopg.Connection[tuple[Any, ...]]] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_CONNECTIONS)
        self._listen_lock = threading.Lock()
        self._listener: psycopg.Connection[tuple[Any, ...]] | None = None
        self._closed = False
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._writing() as execute:
            execute("SELECT pg_advisory_xact_lock(:turn)", turn=_TURN)
            found = execute("SELECT obj_description(to_regclass('uws_jobs'), 'pg_class')")[0][0]
            exists = execute("SELECT to_regclass('uws_jobs') IS NOT NULL")[0][0]
            if not exists:
                for statement in layout_statements("BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE"):
                    execute(statement)
                execute(f"COMMENT ON TABLE uws_jobs IS 'layout {LAYOUT}'")
            elif found != f"layout {LAYOUT}":
                raise ArchiveError(
                    f"the table {self._schema}.uws_jobs has {found or 'no known layout'} and this"
                    f" program needs layout {LAYOUT}; rename it to begin with an empty queue"
                )

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(
            self._url, autocommit=True, connect_timeout=_CONNECT_LIMIT_S, application_name="uws"
        )
        connection.execute(pieces.SQL("SET search_path TO {}").format(
            pieces.Identifier(self._schema)
        ))  # fmt: skip
        return connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the database's errors into ours."""
        try:
            yield
        except SkylaneError:
            raise
        except psycopg.OperationalError as error:
            _LOG.warning("the queue of jobs: %s", error)
            raise ServiceUnavailable("the queue of jobs is not reachable; try again") from None
        except psycopg.Error as error:
            _LOG.error("the queue of jobs: %s", error)
            raise ArchiveError("the queue of jobs failed") from error

    @contextmanager
    def _lent(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Lend a connection; one that broke is not lent again."""
        if not self._places.acquire(timeout=_WAIT_LIMIT_S):
            raise ServiceUnavailable("the queue of jobs is busy; try again")
        try:
            with self._told():
                with self._lock:
                    connection = self._idle.pop() if self._idle else None
                if connection is None:
                    connection = self._connect()
                try:
                    yield connection
                except psycopg.OperationalError:
                    # The server may have gone and come back: the others are as dead.
                    connection.close()
                    self._drop_idle()
                    raise
                finally:
                    with self._lock:
                        keep = not (connection.closed or self._closed)
                        if keep:
                            self._idle.append(connection)
                    if not keep:
                        connection.close()
        finally:
            self._places.release()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @override
    @contextmanager
    def _reading(self) -> Iterator[Execute]:
        with self._lent() as connection:
            yield _execute_on(connection)

    @override
    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[Execute]:
        with self._lent() as connection, connection.transaction():
            execute = _execute_on(connection)
            if not durable:
                execute("SET LOCAL synchronous_commit TO off")
            yield execute
            execute("SELECT pg_notify(:channel, '')", channel=_CHANNEL)

    @override
    def _take_turns(self, execute: Execute) -> None:
        execute("SELECT pg_advisory_xact_lock(:turn)", turn=_TURN)

    @override
    def changed(self) -> bool:
        with self._listen_lock, self._told():
            if self._listener is None or self._listener.closed:
                self._listener = self._connect()
                self._listener.execute(f"LISTEN {_CHANNEL}")
                return True
            try:
                return bool(list(self._listener.notifies(timeout=0)))
            except psycopg.OperationalError:
                self._listener.close()
                raise

    @override
    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._drop_idle()
        with self._listen_lock, suppress(psycopg.Error):
            if self._listener is not None:
                self._listener.close()


def _execute_on(connection: psycopg.Connection[tuple[Any, ...]]) -> Execute:
    def execute(sql: str, **values: Any) -> list[tuple[Any, ...]]:
        cursor = connection.execute(_placed(sql), values)
        return cursor.fetchall() if cursor.description is not None else []

    return execute
