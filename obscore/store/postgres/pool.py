"""Connections to PostgreSQL, and a pool of them for the threads of a server."""

from __future__ import annotations

import contextlib
import getpass
import logging
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typing_extensions import override

from obscore.store.postgres.lists import TextListDumper
from vodal.errors import ArchiveError, ServiceUnavailable, SettingsError

__all__ = ["Address", "Connection", "ConnectionPool", "connect", "translated", "translation"]

_LOG = logging.getLogger(__name__)

Connection = psycopg.Connection[tuple[object, ...]]

_CONNECT_TIMEOUT_S = 5
"""Seconds that one address of a URL has to answer."""

_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A server that has vanished from the network is noticed within a minute."""

_GONE = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TooManyConnections,
)
"""What a server says that stops, starts, or has no room."""

_PASSING_WORDS = ("starting up", "shutting down", "too many", "recovery", "remaining connection")
"""What the refusal of a connection that may be granted later has in it."""

_PASSING = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
)
"""What befalls a transaction through no fault of its own."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store lies in PostgreSQL, and as whom it is read or written."""

    url: str
    """``postgresql://user@host:port/database``, as libpq reads it; may hold a password."""
    schema: str = "skylane"
    """The PostgreSQL schema that holds the store's tables."""
    role: str | None = None
    """Role to take on after connecting, which has fewer rights than the one that logs in."""

    @property
    def user(self) -> str:
        """The role that logs in.

        Raises
        ------
        SettingsError
            If the URL cannot be read.
        """
        return str(_parts(self.url).get("user") or getpass.getuser())

    @override
    def __str__(self) -> str:
        """Tell where it lies, without the password."""
        parts = _parts(self.url)
        host, port = parts.get("host") or "the local socket", parts.get("port") or "5432"
        return f"PostgreSQL at {host}:{port}, database {parts.get('dbname') or parts.get('user')}"


def _parts(url: str) -> dict[str, str | int | None]:
    try:
        # With what the environment gives: PGHOST, PGUSER ...
        return {
            option.keyword.decode(): option.val.decode()
            for option in psycopg.pq.Conninfo.get_defaults()
            if option.val
        } | dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        # The driver's own sentence would tell the password.
        raise SettingsError(
            "the URL of the store cannot be read; it is written"
            " postgresql://user@host:port/database"
        ) from None


def connect(address: Address, *, read_only: bool = False, name: str = "skylane") -> Connection:
    """Open a connection whose search path begins with the store's schema.

    Parameters
    ----------
    address
        Of the store.
    read_only
        Whether transactions cannot write.
    name
        What the server shows as ``application_name``.

    Raises
    ------
    ServiceUnavailable
        If the server does not answer.
    ArchiveError
        If it answers and refuses.
    SettingsError
        If the URL cannot be read.
    """
    given = _parts(address.url)
    defaults: dict[str, str | int] = {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": name,
        "client_encoding": "UTF8",
        **_KEEPALIVE,
    }
    with translated(address):
        missing = {key: value for key, value in defaults.items() if key not in given}
        connection = psycopg.connect(make_conninfo(address.url, **missing), autocommit=True)
        connection.adapters.register_dumper(list, TextListDumper)
        try:
            _settle(connection, address, read_only=read_only)
        except BaseException:
            connection.close()
            raise
    return connection


_SET_PATH = """
SELECT set_config('search_path', concat_ws(', ', quote_ident(%s), (
    SELECT quote_ident(n.nspname) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typname = 'scircle' ORDER BY n.nspname <> 'public' LIMIT 1
), 'public'), false)
"""
"""Puts the store's schema first, and then that in which pg_sphere was installed."""


def _settle(connection: Connection, address: Address, *, read_only: bool) -> None:
    """Set what each statement of a session relies on."""
    connection.execute(_SET_PATH, (address.schema,))
    settings: list[sql.Composable] = [
        # The shortest text that reads back as the same number.
        sql.SQL("SET extra_float_digits = 1"),
        sql.SQL("SET TimeZone = 'UTC'"),
        sql.SQL("SET standard_conforming_strings = on"),
    ]
    if address.role is not None:
        settings.append(sql.SQL("SET ROLE {}").format(sql.Identifier(address.role)))
    if read_only:
        settings.append(sql.SQL("SET default_transaction_read_only = on"))
    connection.execute(sql.SQL("; ").join(settings))


@contextlib.contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn errors of psycopg into ours.

    Raises
    ------
    ServiceUnavailable
        If the connection was lost, or another transaction is in the way.
    ArchiveError
        For any other error of the database.
    """
    try:
        yield
    except psycopg.Error as error:
        raise translation(error, address) from error


def translation(error: psycopg.Error, address: Address) -> ArchiveError | ServiceUnavailable:
    """Give our error for one of psycopg's."""
    sentence = _sentence(error)
    if isinstance(error, _PASSING):
        return ServiceUnavailable(f"{address} is busy: {sentence}")
    # What is said when no connection was made, or one was lost, has no code of its own.
    lost = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    if lost and "FATAL:" in str(error) and not any(word in str(error) for word in _PASSING_WORDS):
        lost, sentence = False, str(error).rpartition("FATAL:")[2].strip().partition("\n")[0]
    if lost or isinstance(error, _GONE):
        _LOG.warning("%s does not answer: %s", address, sentence)
        return ServiceUnavailable(f"{address} does not answer; try again in a few seconds")
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return ArchiveError(
            f"{address} holds no store in the schema {address.schema}, or one of another layout;"
            " ingest something first, or run 'skylane store upgrade'"
        )
    return ArchiveError(f"{address} refuses: {sentence}")


def _sentence(error: psycopg.Error) -> str:
    """Give the first line of an error."""
    return (error.diag.message_primary or str(error)).strip().partition("\n")[0]


def _is_alive(connection: Connection) -> bool:
    """Tell, without asking the server, whether an idle connection can be used.

    An idle connection has nothing to read; what is there is the server's farewell.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


class ConnectionPool:
    """Connections shared by threads; each is used by one thread at a time.

    Connections are opened when they are needed. One that was lost is replaced by the next call,
    so that a server that was restarted is used again without further ado.

    Parameters
    ----------
    address
        Of the store.
    size
        Most connections open at once.
    wait_s
        How long a thread waits for one before it is told to come back later.
    read_only
        Whether transactions cannot write.
    name
        What the server shows as ``application_name``.
    prepare
        Called with each new connection.
    """

    def __init__(
        self,
        address: Address,
        *,
        size: int = 8,
        wait_s: float = 10.0,
        read_only: bool = True,
        name: str = "skylane",
        prepare: Callable[[Connection], None] | None = None,
    ) -> None:
        self.address = address
        self._wait_s = wait_s
        self._read_only = read_only
        self._name = name
        self._prepare = prepare
        self._permits = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection in autocommit mode.

        A transaction that the block leaves open is rolled back. Errors of psycopg pass through
        untouched; see `translated`.

        Raises
        ------
        ServiceUnavailable
            If all stay lent for too long, or the server does not answer.
        ArchiveError
            If the server refuses.
        """
        if not self._permits.acquire(timeout=self._wait_s):
            raise ServiceUnavailable("too many queries are running; try again in a few seconds")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._permits.release()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                if self._closed:
                    raise ServiceUnavailable("the service is shutting down")
                found = self._idle.pop() if self._idle else None
            if found is None:
                break
            if _is_alive(found):
                return found
            found.close()
        connection = connect(self.address, read_only=self._read_only, name=self._name)
        if self._prepare is not None:
            try:
                with translated(self.address):
                    self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _give_back(self, connection: Connection) -> None:
        status = connection.info.transaction_status
        if status in {psycopg.pq.TransactionStatus.INTRANS, psycopg.pq.TransactionStatus.INERROR}:
            with contextlib.suppress(psycopg.Error):
                connection.rollback()
            status = connection.info.transaction_status
        # A connection in the middle of a statement has rows on their way that nobody will read.
        if status == psycopg.pq.TransactionStatus.IDLE:
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Close the idle connections; those on loan are closed as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
