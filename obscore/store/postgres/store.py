"""The store in PostgreSQL, written by COPY; writers in any number of processes take turns."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

import psycopg
from sqlalchemy import BIGINT, TEXT, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from typing_extensions import override

from obscore.columns import ObsCoreColumn
from obscore.observation import CataloguedFile
from obscore.store import retraction
from obscore.store.base import KnownFile, Store
from obscore.store.blocks import note_files
from obscore.store.extra import (
    Dialect,
    ExtraChanges,
    StoredColumn,
    declare_columns,
    read_extra,
)
from obscore.store.postgres import tables
from obscore.store.postgres.pool import Address, Connection, connect, translated
from obscore.store.postgres.publication import update_tap_schema
from obscore.store.postgres.writing import count_products, delete_files, replace_files
from obscore.store.rows import (
    check_distinct,
    files_of,
    hdus_text,
    opened_values,
    select_files,
    select_files_after,
    select_known,
    select_rows_of,
    update_file,
    update_hdus,
)
from obscore.store.session import Session, runner
from obscore.store.tombstones import WITHDRAWN, Why, bury_rest
from obscore.store.turn import Turn, next_stamp
from vodal.errors import ServiceUnavailable

__all__ = ["PostgresStore"]

T = TypeVar("T")

_FILES, _OBSCORE, _FACETS = tables.files, tables.obscore, tables.facets

_MANY = 500
"""Files after which a writer has the planner's statistics made anew when it is done.

PostgreSQL does so by itself about a minute later, and never for a table in partitions.
"""

_SETTINGS = """
SET lock_timeout = '60s';
SET idle_in_transaction_session_timeout = '60s'
"""
"""How long a writer waits for another one, and how long one that hangs can make others wait."""

_SQL_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('skylane.write.' || %s, 0))"

_URIS = any_(bindparam("uris", type_=ARRAY(TEXT)))
_FILE_IDS = select(_FILES.c.id).where(_FILES.c.uri == _URIS)

_KNOWN = select_known(_FILES, _OBSCORE)
_SQL_KNOWN = tables.sql(
    _KNOWN.where(_FILES.c.uri >= bindparam("low"), _FILES.c.uri < bindparam("high")).order_by(
        _FILES.c.uri
    )
)
_SQL_KNOWN_AFTER = tables.sql(
    _KNOWN.where(
        _FILES.c.uri > bindparam("uri"),
        _FILES.c.uri >= bindparam("low"),
        _FILES.c.uri < bindparam("high"),
    ).order_by(_FILES.c.uri)
)
_SQL_KNOWN_AMONG = tables.sql(_KNOWN.where(_FILES.c.uri == _URIS))
_SQL_FILES_AFTER = f"{tables.sql(select_files_after(_FILES))} LIMIT %(limit)s"
_SQL_FILE_AT = tables.sql(select_files(_FILES).where(_FILES.c.uri == bindparam("uri")))
_SQL_COMPLETE = tables.sql(update_file(_FILES))
_SQL_HDUS = tables.sql(update_hdus(_OBSCORE))
_OF_FILES = cast("Any", _OBSCORE.c.file_id == any_(bindparam("ids", type_=ARRAY(BIGINT))))
_SQL_VERSION = tables.sql(select(_FILES.c.version).where(_FILES.c.uri == bindparam("uri")))


_TEXT = 'text COLLATE "C"'
_DIALECT = Dialect(
    {
        "boolean": "bigint", "short": "bigint", "int": "bigint", "long": "bigint",
        "float": "float8", "double": "float8", "char": _TEXT,
    },
    "NULLS FIRST",
)  # fmt: skip
_LOCK_TRIES, _LOCK_PAUSE_S = 20, 0.5
_SQL_LOCK_SOON = "SET LOCAL lock_timeout = '1s'"
"""Whoever waits for a table to be his alone has all others wait behind him."""


class _HeldError(ServiceUnavailable):
    """Others read a table that is to be changed."""

    def __init__(self) -> None:
        super().__init__(
            "the columns of ivoa.obscore cannot be changed while long queries read it; try again"
            " when they are done"
        )


@lru_cache(maxsize=16)
def _sql_rows_of(extra: tuple[StoredColumn, ...]) -> str:
    return tables.sql(select_rows_of(_OBSCORE, _OF_FILES, extra))


class PostgresStore(Store):
    """The store in PostgreSQL, opened for writing.

    Safe to use from several threads; any number of processes may hold one each and take turns. A
    write whose connection is lost is made again, since a write replaces what was known.

    Parameters
    ----------
    address
        Of a store that was prepared.
    patience_s
        How long it tries to reach a server that does not answer.
    """

    def __init__(self, address: Address, *, patience_s: float = 30.0) -> None:
        self.address = address
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._changed = 0
        """Files written or removed."""

    @override
    def known_files(self, under_uri: str = "") -> dict[str, KnownFile]:
        # No text sorts after U+10FFFF, so that the prefix becomes a range of the index.
        bounds = {"low": under_uri, "high": under_uri + "\U0010ffff"}

        def read(connection: Connection) -> list[tuple[Any, ...]]:
            return cast("list[tuple[Any, ...]]", connection.execute(_SQL_KNOWN, bounds).fetchall())

        return {row[0]: KnownFile(*row) for row in self._run(read)}

    @override
    def known_after(self, under_uri: str, uri: str, limit: int) -> list[KnownFile]:
        bounds = {"low": under_uri, "high": under_uri + "\U0010ffff", "uri": uri, "limit": limit}

        def read(connection: Connection) -> list[tuple[Any, ...]]:
            found = connection.execute(f"{_SQL_KNOWN_AFTER} LIMIT %(limit)s", bounds).fetchall()
            return cast("list[tuple[Any, ...]]", found)

        return [KnownFile(*row) for row in self._run(read)]

    @override
    def known_among(self, uris: Collection[str]) -> dict[str, KnownFile]:
        def read(connection: Connection) -> list[tuple[Any, ...]]:
            found = connection.execute(_SQL_KNOWN_AMONG, {"uris": list(uris)}).fetchall()
            return cast("list[tuple[Any, ...]]", found)

        return {row[0]: KnownFile(*row) for row in self._run(read)}

    @override
    def files_after(self, uri: str, limit: int) -> list[CataloguedFile]:
        def read(connection: Connection) -> list[CataloguedFile]:
            # Both statements see the same moment.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            files = connection.execute(_SQL_FILES_AFTER, {"uri": uri, "limit": limit}).fetchall()
            return _with_products(connection, files)

        return self._run(read)

    @override
    def write(
        self, files: Sequence[CataloguedFile], *, instead_of: Collection[str] = ()
    ) -> frozenset[str]:
        if not files:
            return frozenset()
        check_distinct(files)
        withheld = self._in_turn(
            lambda connection, session: replace_files(
                connection, Turn.begin(session, files, instead_of)
            )
        )
        self._changed += len(files)
        return withheld

    @override
    def renew(self, file: CataloguedFile, version: str) -> bool:
        check_distinct([file])

        def replace(connection: Connection, session: Session) -> bool:
            found = connection.execute(_SQL_VERSION, {"uri": file.uri}).fetchone()
            if found is None or found[0] != version:
                return False
            replace_files(connection, Turn.begin(session, [file]))
            return True

        return self._in_turn(replace)

    @override
    def file_at(self, uri: str) -> CataloguedFile | None:
        def read(connection: Connection) -> list[CataloguedFile]:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            files = connection.execute(_SQL_FILE_AT, {"uri": uri}).fetchall()
            return _with_products(connection, files)

        found = self._run(read)
        return found[0] if found else None

    @override
    def complete(self, file: CataloguedFile, version: str) -> bool:
        hdus = [{"did": one.did, "new_hdus": hdus_text(one)} for one in file.observations]

        def write(connection: Connection, _: Session) -> bool:
            if not connection.execute(_SQL_COMPLETE, opened_values(file, version)).rowcount:
                return False
            with connection.cursor() as cursor:
                cursor.executemany(_SQL_HDUS, hdus)
            return True

        return self._in_turn(write)

    @override
    def remove(self, uris: Iterable[str], why: Why = WITHDRAWN) -> int:
        doomed = list(uris)

        def delete_them(connection: Connection, session: Session) -> int:
            note_files(session, doomed)
            bury_rest(session, doomed, (), next_stamp(session), why)
            removed = delete_files(connection, doomed)
            count_products(connection, removed, {})
            return sum(removed.values())

        self._changed += len(doomed)
        return self._in_turn(delete_them)

    @override
    def retract(self, dids: Sequence[str], why: Why) -> int:
        def take_away(connection: Connection, session: Session) -> int:
            removed = retraction.retract(session, dids, why)
            count_products(connection, removed, {})
            return sum(removed.values())

        return self._in_turn(take_away)

    @override
    def turn(self, work: Callable[[Session], T]) -> T:
        return self._in_turn(lambda _, session: work(session))

    @override
    def extra_columns(self) -> tuple[ObsCoreColumn, ...]:
        return self._run(
            lambda connection: tuple(one.item for one in read_extra(session_of(connection)))
        )

    @override
    def declare(self, columns: Sequence[ObsCoreColumn]) -> ExtraChanges:
        def bring_about(connection: Connection, session: Session) -> ExtraChanges:
            connection.execute(_SQL_LOCK_SOON)
            try:
                changes = declare_columns(session, columns, _DIALECT)
            except psycopg.errors.LockNotAvailable:
                raise _HeldError from None
            if changes != ExtraChanges():
                update_tap_schema(connection)
            return changes

        for _ in range(_LOCK_TRIES):
            with contextlib.suppress(_HeldError):
                return self._in_turn(bring_about)
            time.sleep(_LOCK_PAUSE_S)
        raise _HeldError

    @override
    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                if self._changed >= _MANY:
                    with contextlib.suppress(psycopg.Error):
                        self._connection.execute("ANALYZE (SKIP_LOCKED) obscore")
                self._connection.close()
                self._connection = None

    def _in_turn(self, work: Callable[[Connection, Session], T]) -> T:
        """Do something after other writers, so that nothing read in it can be out of date."""

        def wait_and_work(connection: Connection) -> T:
            self._take_turn(connection)
            return work(connection, session_of(connection))

        return self._run(wait_and_work)

    def _take_turn(self, connection: Connection) -> None:
        connection.execute(_SQL_TAKE_TURN, (self.address.schema,))

    def _run(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction; again, if the connection was lost."""
        until = time.monotonic() + self._patience_s
        pause_s = 0.05
        with self._lock:
            while True:
                try:
                    connection = self._connected()
                    with translated(self.address), connection.transaction():
                        return work(connection)
                except ServiceUnavailable:
                    lost = self._connection is None or self._connection.closed
                    if not lost or time.monotonic() + pause_s > until:
                        raise
                time.sleep(pause_s)
                pause_s = min(2.0, 2 * pause_s)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = None
            connection = connect(self.address, name="skylane ingest")
            with translated(self.address):
                connection.execute(_SETTINGS)
            self._connection = connection
        return self._connection


def session_of(connection: Connection) -> Session:
    """Give the session of a connection that is in a transaction."""

    def execute(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        cursor = connection.execute(sql, values)
        return [] if cursor.description is None else [tuple(row) for row in cursor.fetchall()]

    return runner(tables.sql, execute, lists=True)


def _with_products(connection: Connection, files: Sequence[Sequence[Any]]) -> list[CataloguedFile]:
    ids, extra = [row[0] for row in files], read_extra(session_of(connection))
    products = connection.execute(_sql_rows_of(extra), {"ids": ids}).fetchall()
    return files_of(files, products, extra)
