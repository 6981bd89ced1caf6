"""Translated queries to Arrow batches, on the store in PostgreSQL."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pyarrow as pa
from typing_extensions import override

from obscore import adql
from obscore.adql.postgres.printer import PostgresPrinter
from obscore.adql.schema import Schema, TableDef
from obscore.explain.compose import explain
from obscore.explain.counting import RowCounter
from obscore.explain.explanation import Explanation
from obscore.store import schema as tables
from obscore.store.engine import Published, QueryEngine
from obscore.store.pace import Pace
from obscore.store.postgres.deadline import Deadline, Watch
from obscore.store.postgres.plan import read_plan
from obscore.store.postgres.pool import Address, Connection, ConnectionPool, translated, translation
from obscore.store.postgres.publication import PublicationLook, table_def
from obscore.store.postgres.rows import ResultRows
from obscore.store.postgres.uploads import declare_uploads, loaded
from obscore.tap.access import with_access_urls
from obscore.tap.batches import make_schema
from obscore.tap.metadata import own_tables
from vodal.errors import (
    ArchiveError,
    QueryError,
    ReplacedError,
    ServiceUnavailable,
    SkylaneError,
    TooLargeError,
)
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

__all__ = ["PostgresEngine"]

_LOG = logging.getLogger(__name__)

_FIRST_ROWS = 500
"""Rows of the first batch: few, so that the client sees the beginning of a long answer at once."""

_PART_ROWS = 1_000
"""Rows that are Python's objects at once: these are many times larger than Arrow's columns."""

_PLAN_LIMIT_S = 10.0
"""Seconds for planning a query that is to be explained."""

_AT_ONCE = 500 if psycopg.capabilities.has_stream_chunked() else 1
"""Rows that the driver takes from the server together, where libpq can (17 and later)."""

_SETTINGS = """
SET jit = off;
SET idle_in_transaction_session_timeout = 0;
SET plan_cache_mode = force_custom_plan;
SET cpu_index_tuple_cost = 0.05
"""
"""Compiling takes longer than most queries run; plans depend on the place that is asked for.

PostgreSQL takes any cap for 1/500 of the sky, where a usual one is 1/50,000, and so would read half
of the index of a band or a time to spare a few hundred rows the exact test. Ten times the usual
cost of an index's entry, several times what reading one by a bitmap was measured to take, has it
read a second index only where that one is narrow.
"""

_TOO_COMPLEX = (
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    psycopg.errors.TooManyColumns,
    psycopg.errors.TooManyArguments,
)

_TOO_MUCH = (
    psycopg.errors.OutOfMemory,
    psycopg.errors.DiskFull,
    psycopg.errors.ConfigurationLimitExceeded,
)


class PostgresEngine(QueryEngine):
    """Runs queries in PostgreSQL. Safe to call from several threads.

    Parameters
    ----------
    address
        Of the store, as the role of users' queries; it need not be there before the first query.
    writable
        Where queries with uploads run, if not there: a replica can make no temporary tables.
    connections, wait_s, batch_rows
        As for `obscore.store.base.Backend.engine`.
    """

    def __init__(
        self,
        address: Address,
        *,
        writable: Address | None = None,
        connections: int = 8,
        wait_s: float = 20.0,
        batch_rows: int = 10_000,
    ) -> None:
        self._batch_rows = batch_rows
        self._watch = Watch()
        self._look = PublicationLook(address)
        self._published: Published | None = None
        self._pool = _make_pool(address, connections, wait_s)
        self._upload_pool = self._pool
        if writable is not None:
            self._upload_pool = _make_pool(writable, connections, wait_s)

    @override
    def declare(self, uploads: Sequence[UploadedTable]) -> tuple[TableDef, ...]:
        return declare_uploads(uploads)

    @override
    def published(self, *, renewed: bool = False) -> Published:
        beside = self._look.current(renewed=renewed)
        known = self._published
        if known is None or known.beside is not beside:
            tables = (table_def(item) for item in beside.tables)
            self._published = known = Published(
                beside, _as_kept(own_tables(beside).with_tables(tables))
            )
        return known

    @override
    def translate(self, query: str, schema: Schema, *, limit: int | None = None) -> adql.Translated:
        return adql.translate(query, _as_kept(schema), limit=limit, printer=PostgresPrinter)

    @override
    def batches(
        self,
        translated: adql.Translated,
        columns: Sequence[Column],
        *,
        base_url: str,
        uploads: Sequence[UploadedTable] = (),
        limit_s: float | None = None,
        cancelled: threading.Event | None = None,
        pace: Pace | None = None,
    ) -> Iterator[pa.RecordBatch]:
        schema = make_schema(columns)
        values = {**translated.params, "base_url": base_url}
        with self._lent(
            translated.sql, uploads, limit_s=limit_s, cancelled=cancelled, pace=pace
        ) as (connection, deadline):
            size = _FIRST_ROWS
            with deadline.running():
                rows = ResultRows(connection, translated.sql, values, columns, schema)
            # Closed before its end, it cancels the query.
            with closing(rows):
                while not rows.ended:
                    with deadline.running():
                        batch = rows.take(size)
                    if batch is not None:
                        yield with_access_urls(batch, translated.made, base_url)
                    size = self._batch_rows

    @contextmanager
    def _lent(
        self,
        sql: str,
        uploads: Sequence[UploadedTable],
        *,
        limit_s: float | None,
        cancelled: threading.Event | None = None,
        pace: Pace | None = None,
        filled: bool = True,
    ) -> Iterator[tuple[Connection, Deadline]]:
        """Lend a connection that has the uploaded tables."""
        pool = self._upload_pool if uploads else self._pool
        with pool.connection() as connection:
            deadline = self._watch.start(connection, limit_s, cancelled, pace)
            try:
                with (
                    _explained(pool.address, sql),
                    loaded(connection, deadline, uploads, sql, filled=filled),
                ):
                    yield connection, deadline
            finally:
                deadline.settle()

    @override
    def explain(
        self,
        translated: adql.Translated,
        *,
        uploads: Sequence[UploadedTable] = (),
        limit_s: float = 2.0,
    ) -> Explanation:
        assert translated.resolved is not None
        # Planning, and making the uploaded tables without rows, takes moments; counting may not.
        with self._lent(translated.sql, uploads, limit_s=_PLAN_LIMIT_S + limit_s, filled=False) as (
            connection,
            deadline,
        ):

            def number(sql: str, values: Mapping[str, object], left_s: float) -> int | None:
                with contextlib.suppress(psycopg.errors.QueryCanceled), connection.transaction():
                    connection.execute(
                        f"SET LOCAL statement_timeout = {max(1, int(left_s * 1000))}"
                    )
                    ((found,),) = connection.execute(sql.encode(), values).fetchall()
                    return int(str(found))
                return None

            with deadline.running():
                plan = read_plan(connection, translated)
                counter = RowCounter(PostgresPrinter, number, uploads, limit_s)
                return explain(translated.resolved, plan, counter.count)

    @override
    def check(self) -> None:
        with (
            self._pool.connection() as connection,
            translated(self._pool.address),
        ):
            deadline = self._watch.start(connection, 2.0)
            try:
                with deadline.running():
                    connection.execute("SELECT 1 FROM obscore LIMIT 1")
            finally:
                deadline.settle()

    @override
    def close(self) -> None:
        self._look.close()
        self._pool.close()
        self._upload_pool.close()


def _make_pool(address: Address, connections: int, wait_s: float) -> ConnectionPool:
    return ConnectionPool(
        address, size=connections, wait_s=wait_s, name="skylane queries", prepare=_prepare
    )


def _prepare(connection: Connection) -> None:
    connection.execute(_SETTINGS)
    try:
        # A query whose server process has died ends soon (PostgreSQL 14 and later, on Linux).
        connection.execute("SET client_connection_check_interval = '2s'")
    except psycopg.Error:
        _LOG.info("the server cannot notice by itself that a client is gone")


def _as_kept(schema: Schema) -> Schema:
    """Give the tables of a service with the spatial index that PostgreSQL has for them."""
    if not any(_is_foreign(table) for table in schema.tables):
        return schema
    return Schema(tuple(_in_postgres(table) for table in schema.tables))


def _is_foreign(table: TableDef) -> bool:
    return table.spatial is not None and table.spatial.rtree == tables.RTREE


def _in_postgres(table: TableDef) -> TableDef:
    if table.spatial is None or not _is_foreign(table):
        return table
    kept = replace(table.spatial, region_sql="s_region_array", rtree="", key="s_cap")
    return replace(table, spatial=kept)


@contextmanager
def _explained(address: Address, sql: str) -> Iterator[None]:
    """Turn the database's errors into sentences that tell nothing of its inside.

    Raises
    ------
    TooLargeError
        If the query is over a limit of the database.
    QueryError
        If a computation left the range of numbers.
    ServiceUnavailable
        If the connection was lost, or another transaction is in the way.
    ArchiveError
        For all else; the log tells more.
    """
    try:
        yield
    except SkylaneError:
        raise
    except _TOO_COMPLEX:
        raise TooLargeError(
            "the query is too complex for the database; use fewer conditions or sub-queries"
        ) from None
    except _TOO_MUCH:
        _LOG.warning("the database has too little memory or disk for: %s", sql[:2000])
        raise TooLargeError(
            "the query needs more memory or disk than the database has; restrict it to a smaller"
            " part of the sky or fewer rows"
        ) from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise _gone(error, address) from None
    except psycopg.errors.NumericValueOutOfRange:
        raise QueryError("a computation left the range of the database's numbers") from None
    except psycopg.errors.ReadOnlySqlTransaction:
        raise ArchiveError(
            "tables cannot be uploaded here: the queries of this service run on a replica"
        ) from None
    except psycopg.Error as error:
        ours = translation(error, address)
        if isinstance(ours, ServiceUnavailable):
            raise ours from None
        _LOG.exception("the database failed on: %s", sql[:2000])
        raise ArchiveError(
            "the database failed on this query; the service's log tells why"
        ) from None


def _gone(error: psycopg.Error, address: Address) -> SkylaneError:
    """Give our error for a table or column that is not there."""
    said = str(error)
    if tables.PUBLISHED_NAME.search(said) is None and tables.EXTRA_NAME.search(said) is None:
        return translation(error, address)
    return ReplacedError("a table of this query was published anew at this moment; ask again")
