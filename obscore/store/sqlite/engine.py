"""Translated queries to Arrow batches, on the embedded store."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import pyarrow as pa
from typing_extensions import override

from obscore import adql
from obscore.adql.schema import Schema, TableDef
from obscore.adql.sqlite.printer import Printer
from obscore.explain.compose import explain
from obscore.explain.counting import RowCounter
from obscore.explain.explanation import Explanation
from obscore.store.engine import Published, QueryEngine
from obscore.store.pace import Pace
from obscore.store.schema import EXTRA_NAME, published_name
from obscore.store.sqlite.deadline import watch, watch_long
from obscore.store.sqlite.plan import read_plan
from obscore.store.sqlite.publication import PublicationLook, table_def
from obscore.store.sqlite.readers import ReaderPool
from obscore.store.sqlite.rows import Rows, TupleRows, column_rows
from obscore.store.sqlite.uploads import attached, declare_uploads
from obscore.tap.access import with_access_urls
from obscore.tap.batches import make_schema
from obscore.tap.metadata import encode_id, own_tables
from vodal.errors import (
    ArchiveError,
    DeadlineError,
    QueryError,
    ReplacedError,
    ServiceUnavailable,
    SkylaneError,
    TooLargeError,
)
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

__all__ = ["SqliteEngine", "prepare_reader"]

_LOG = logging.getLogger(__name__)

_FIRST_ROWS = 500
"""Rows of the first batch: few, so that the client sees the beginning of a long answer at once."""

_TOO_COMPLEX = (
    "expression tree is too large",
    "parser stack overflow",
    "too many",
    "at most",
    "string or blob too big",
)
"""How SQLite's sentences about its own limits begin or what they hold, lower case."""


_FRESH_S = 0.25
"""Seconds for which what is published is not looked at again, unless a query asks for more."""

_GONE = f"no such table: {published_name(0)[:-1]}"
"""How SQLite says that the rows of a published table are no longer there."""

_GONE_COLUMN = re.compile(rf"no such column: .*{EXTRA_NAME.pattern}")
"""How it says that a column which was added to ``ivoa.obscore`` is not."""


def prepare_reader(connection: apsw.Connection) -> None:
    """Register the functions that translated queries call."""
    adql.register(connection)
    connection.create_scalar_function("encode_id", _encode_id, 1, deterministic=True)


def _encode_id(*values: apsw.SQLiteValue) -> str:
    return encode_id(str(values[0]))


class SqliteEngine(QueryEngine):
    """Runs queries on an embedded store. Safe to call from several threads.

    Parameters
    ----------
    database
        The database file; it need not exist before the first query.
    connections, wait_s, batch_rows
        As for `obscore.store.base.Backend.engine`.
    """

    # They compute in this process, of which one thread at a time is in Python: eight together
    # were measured to take a third more of the processor each than three.
    young = 3

    def __init__(
        self,
        database: Path,
        *,
        connections: int = 8,
        wait_s: float = 20.0,
        batch_rows: int = 10_000,
    ) -> None:
        self._batch_rows = batch_rows
        self._look = PublicationLook(database)
        self._published: Published | None = None
        self._looked_s = 0.0
        self._pool = ReaderPool(database, size=connections, wait_s=wait_s, prepare=prepare_reader)

    @override
    def declare(self, uploads: Sequence[UploadedTable]) -> tuple[TableDef, ...]:
        return declare_uploads(uploads)

    @override
    def published(self, *, renewed: bool = False) -> Published:
        known = self._published
        now = time.monotonic()
        if known is not None and not renewed and now - self._looked_s < _FRESH_S:
            return known
        beside = self._look.current()
        self._looked_s = now
        if known is None or known.beside is not beside:
            tables = (table_def(item) for item in beside.tables)
            self._published = known = Published(beside, own_tables(beside).with_tables(tables))
        return known

    @override
    def translate(self, query: str, schema: Schema, *, limit: int | None = None) -> adql.Translated:
        return adql.translate(query, schema, limit=limit)

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
        with (
            self._pool.reader(limit_s, cancelled, pace) as (connection, deadline),
            _explained(translated.sql),
            attached(connection, deadline, uploads, translated.sql),
        ):
            cursor = connection.cursor()
            rows: Rows
            try:
                with deadline.running(), _explained(translated.sql):
                    cursor.execute(translated.sql, values)
                    rows = column_rows(
                        connection, translated.sql, columns, schema, is_on_row=True
                    ) or TupleRows(cursor, columns, schema)
                    batch = rows.take(_FIRST_ROWS)
                while batch is not None:
                    yield with_access_urls(batch, translated.made, base_url)
                    if rows.ended:
                        return
                    if isinstance(rows, TupleRows):
                        rows = column_rows(connection, translated.sql, columns, schema) or rows
                    if not isinstance(rows, TupleRows):
                        watch_long(connection, deadline)
                    with deadline.running(), _explained(translated.sql):
                        batch = rows.take(self._batch_rows)
            finally:
                cursor.close(True)
                watch(connection, deadline)

    @override
    def explain(
        self,
        translated: adql.Translated,
        *,
        uploads: Sequence[UploadedTable] = (),
        limit_s: float = 2.0,
    ) -> Explanation:
        assert translated.resolved is not None
        with (
            self._pool.reader() as (connection, deadline),
            _explained(translated.sql),
            attached(connection, deadline, uploads, translated.sql, filled=False),
        ):

            def number(sql: str, values: Mapping[str, object], left_s: float) -> int | None:
                deadline.start(left_s)
                with contextlib.suppress(DeadlineError), deadline.running():
                    ((found,),) = connection.execute(sql, dict(values)).fetchall()
                    return int(str(found))
                return None

            plan = read_plan(connection, translated)
            counter = RowCounter(Printer, number, uploads, limit_s)
            return explain(translated.resolved, plan, counter.count)

    @override
    def check(self) -> None:
        with self._pool.reader(2.0) as (connection, deadline), deadline.running(), _explained(""):
            connection.execute("SELECT count(*) FROM (SELECT 1 FROM obscore LIMIT 1)").fetchall()

    @override
    def close(self) -> None:
        self._look.close()
        self._pool.close()


@contextmanager
def _explained(sql: str) -> Iterator[None]:
    """Turn the database's errors into sentences that tell nothing of its inside.

    Raises
    ------
    TooLargeError
        If the query is over a limit of the database.
    QueryError
        If a computation left the range of numbers.
    ServiceUnavailable
        If the store stays locked.
    ArchiveError
        For all else; the log tells more.
    """
    try:
        yield
    except (SkylaneError, apsw.InterruptError):
        raise
    except (apsw.BusyError, apsw.LockedError):
        raise ServiceUnavailable("the store is locked; try again in a few seconds") from None
    except (apsw.Error, MemoryError, ValueError, TypeError) as error:
        sentence = str(error).lower()
        if sentence.startswith(_GONE) or _GONE_COLUMN.match(sentence):
            raise ReplacedError(
                "a table of this query was published anew at this moment; ask again"
            ) from None
        if "integer overflow" in sentence:
            raise QueryError(
                "a sum is larger than 64-bit integers hold; multiply by 1.0 to compute with doubles"
            ) from None
        if any(part in sentence for part in _TOO_COMPLEX) or isinstance(error, apsw.TooBigError):
            raise TooLargeError(
                "the query is too complex for the database; use fewer conditions or sub-queries"
            ) from None
        _LOG.exception("the database failed on: %s", sql[:2000])
        raise ArchiveError(
            "the database failed on this query; the service's log tells why"
        ) from None
