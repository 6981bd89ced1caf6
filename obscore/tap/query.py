"""A query's text to a stream of Arrow batches."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import apsw
import pyarrow as pa

from obscore import adql
from obscore.adql.schema import Schema
from obscore.store.readers import ReaderPool
from obscore.tap.batches import make_batch, make_schema
from obscore.tap.metadata import PUBLISHED, encode_id
from obscore.tap.settings import TapSettings
from vodal.errors import ArchiveError, QueryError, ServiceUnavailable, SkylaneError, TooLargeError
from vodal.tables.columns import ResultStream, with_ids

__all__ = ["QueryRunner", "prepare_reader"]

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


def prepare_reader(connection: apsw.Connection) -> None:
    """Register the functions that translated queries call."""
    adql.register(connection)
    connection.create_scalar_function("encode_id", _encode_id, 1, deterministic=True)


def _encode_id(*values: apsw.SQLiteValue) -> str:
    return encode_id(str(values[0]))


class QueryRunner:
    """Runs queries on an embedded store. Safe to call from several threads.

    Parameters
    ----------
    database
        The database file; it need not exist before the first query.
    settings
        Limits.
    published
        The tables that a query can name.
    """

    def __init__(
        self, database: Path, settings: TapSettings, published: Schema = PUBLISHED
    ) -> None:
        self._settings = settings
        self._published = published
        self._pool = ReaderPool(
            database,
            size=settings.connections,
            wait_s=settings.wait_limit_s,
            prepare=prepare_reader,
        )

    def run(
        self,
        query: str,
        max_rows: int,
        base_url: str,
        cancelled: threading.Event | None = None,
    ) -> ResultStream:
        """Translate a query now, and run it when the first batch is taken.

        The stream's batches must be taken to their end or closed; until then a connection is in
        use.

        Parameters
        ----------
        query
            ADQL.
        max_rows
            Rows to give at most; where there are more, the stream's ``overflow`` is set.
        base_url
            Where the site is seen by the client, without a trailing slash.
        cancelled
            Set from outside to stop the query at once.

        Raises
        ------
        QueryError
            If the query is wrong.
        """
        # One row more than is given tells whether there are more.
        translated = adql.translate(query, self._published, limit=max_rows + 1)
        columns = with_ids(translated.columns)
        stream = ResultStream(columns, iter(()))
        if max_rows == 0:
            stream.overflow = True
        else:
            stream.batches = self._batches(translated, stream, max_rows, base_url, cancelled)
        return stream

    def check(self) -> None:
        """See that the store answers.

        Raises
        ------
        SkylaneError
            If it does not.
        """
        with self._pool.reader(2.0) as (connection, deadline), deadline.running(), _explained(""):
            connection.execute("SELECT count(*) FROM (SELECT 1 FROM obscore LIMIT 1)").fetchall()

    def close(self) -> None:
        """Release the connections."""
        self._pool.close()

    def _batches(
        self,
        translated: adql.Translated,
        stream: ResultStream,
        max_rows: int,
        base_url: str,
        cancelled: threading.Event | None,
    ) -> Iterator[pa.RecordBatch]:
        schema = make_schema(stream.columns)
        values = {**translated.params, "base_url": base_url}
        left, size = max_rows, _FIRST_ROWS
        limit_s = self._settings.sync_limit_s
        with self._pool.reader(limit_s, cancelled) as (connection, deadline):
            cursor = connection.cursor()
            try:
                with deadline.running(), _explained(translated.sql):
                    cursor.execute(translated.sql, values)
                while left:
                    wanted = min(size, left)
                    with deadline.running(), _explained(translated.sql):
                        rows = list(islice(cursor, wanted))
                        left -= len(rows)
                        ended = len(rows) < wanted
                        stream.overflow = left == 0 and next(cursor, None) is not None
                    if rows:
                        yield make_batch(stream.columns, schema, rows)
                    if ended:
                        return
                    size = self._settings.batch_rows
            finally:
                cursor.close(True)


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
