"""A query's text to a stream of Arrow batches."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from obscore.adql import Translated
from obscore.adql.schema import Schema
from obscore.explain.explanation import Explanation
from obscore.store.engine import Published, QueryEngine
from obscore.store.pace import Pace
from obscore.tap.settings import TapSettings
from obscore.tap.translations import Translations
from obscore.tap.visible import Visible, VisibleTables, visible_to
from vodal.access.rules import EVERYTHING, Rights
from vodal.ahead import read_ahead
from vodal.errors import AuthorizationError, DeadlineError, QueryError, ReplacedError, SkylaneError
from vodal.tables.columns import ResultStream, with_ids
from vodal.tables.uploads import UploadedTable
from vodal.vosi.availability import Availability

__all__ = ["QueryRunner", "Row"]

_WHY_LIMIT_S = 0.5
"""Seconds for counting rows, after a query's time was over."""

_ATTEMPTS = 5
"""How often a query is tried whose tables are replaced before it begins."""

_USUAL = "it computes too much; restrict it to a smaller part of the sky or fewer rows"

_HINTS = 2
"""Hints that an error holds; an explanation holds all."""


Row = Mapping[str, Any]
"""By the names of the columns."""


class QueryRunner:
    """Runs queries on a store. Safe to call from several threads.

    Parameters
    ----------
    engine
        Of the store; closed with the runner.
    settings
        Limits.
    otherwise
        What can be done with a query whose time was over, as a sentence; by default there is
        nothing to say.
    """

    def __init__(
        self, engine: QueryEngine, settings: TapSettings, *, otherwise: str | None = None
    ) -> None:
        self._engine = engine
        self._translations = Translations()
        self._visible = VisibleTables()
        self._settings = settings
        self._otherwise = otherwise
        self._up_since = datetime.now(UTC)

    @property
    def young(self) -> int | None:
        """Queries that may be in their first moments at once; None for any number."""
        return self._engine.young

    def published(self, *, renewed: bool = False, rights: Rights = EVERYTHING) -> Published:
        """Give what queries can name now, without uploads.

        Parameters
        ----------
        renewed
            Whether the store is asked anew, and not only from time to time.
        rights
            Of who asks, who may not know of all tables.

        Raises
        ------
        ArchiveError
            If there is no store.
        """
        return self._visible.of(self._engine.published(renewed=renewed), visible_to(rights))

    def run(
        self,
        query: str,
        max_rows: int,
        base_url: str,
        cancelled: threading.Event | None = None,
        *,
        uploads: Sequence[UploadedTable] = (),
        limit_s: float | None = None,
        pace: Pace | None = None,
        rights: Rights = EVERYTHING,
        had: bool = False,
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
        uploads
            Tables that came with the query.
        limit_s
            Seconds of database time; by default the limit of synchronous queries.
        pace
            By which it shares the processors with others; by default it waits for none.
        rights
            Of who asks: for the query there are no other images than these let know of.
        had
            Whether there are only images that may be had.

        Raises
        ------
        QueryError
            If the query is wrong.
        AuthorizationError
            If it reads a table that may not be queried.
        """
        # One row more than is given tells whether there are more.
        limit = max_rows + 1
        visible = visible_to(rights, had=had)
        translated = self._translated(query, uploads, limit, visible)
        _check_tables(translated, rights)
        columns = with_ids(translated.columns)
        stream = ResultStream(columns, iter(()))
        if max_rows == 0:
            stream.overflow = True
            return stream

        def rows() -> Iterator[pa.RecordBatch]:
            # Translated anew if a table was replaced in the meantime.
            current = translated
            for attempt in range(_ATTEMPTS):
                batches = self._engine.batches(
                    current,
                    columns,
                    base_url=base_url,
                    uploads=uploads,
                    limit_s=self._settings.sync_limit_s if limit_s is None else limit_s,
                    cancelled=cancelled,
                    pace=pace,
                )
                try:
                    yield from self._told(batches, current, uploads, visible)
                except ReplacedError:
                    # It comes before the first batch.
                    known = self._engine.published(renewed=True)
                    schema = self._with(known, uploads, visible)
                    current = self._engine.translate(query, schema, limit=limit)
                    if attempt + 1 == _ATTEMPTS or with_ids(current.columns) != columns:
                        raise
                else:
                    return

        stream.batches = read_ahead(_cut(rows(), stream, max_rows))
        return stream

    def rows(
        self,
        query: str,
        max_rows: int,
        *,
        limit_s: float | None = None,
        rights: Rights = EVERYTHING,
    ) -> list[Row]:
        """Give the rows of a query that has few.

        Parameters
        ----------
        query, max_rows, limit_s, rights
            As for `run`.

        Raises
        ------
        SkylaneError
            If the query is wrong, or the store does not answer in time.
        """
        stream = self.run(query, max_rows, "", limit_s=limit_s, rights=rights)
        try:
            return [row for batch in stream.batches for row in batch.to_pylist()]
        finally:
            stream.close()

    def _told(
        self,
        batches: Iterator[pa.RecordBatch],
        translated: Translated,
        uploads: Sequence[UploadedTable],
        visible: Visible | None,
    ) -> Iterator[pa.RecordBatch]:
        """Pass batches on; if the time is over, say what it was used for."""
        try:
            yield from batches
        except DeadlineError as error:
            why = _USUAL if _hides(visible, translated) else self._why(translated, uploads)
            sentence = f"{error.message}: {why}"
            if self._otherwise is not None:
                sentence += f". {self._otherwise}"
            raise DeadlineError(sentence) from None

    def _why(self, translated: Translated, uploads: Sequence[UploadedTable]) -> str:
        """Say why a query takes long, and what would help."""
        explanation = None
        with contextlib.suppress(SkylaneError):
            explanation = self._engine.explain(translated, uploads=uploads, limit_s=_WHY_LIMIT_S)
        if explanation is None or explanation.reason is None:
            return _USUAL
        hints = "; ".join(explanation.hints[:_HINTS])
        return f"it {explanation.reason}" + (f". What helps: {hints}" if hints else "")

    def explain(
        self,
        query: str,
        max_rows: int | None = None,
        *,
        uploads: Sequence[UploadedTable] = (),
        rights: Rights = EVERYTHING,
    ) -> Explanation:
        """Say what the database does for a query, without running it.

        It tells of the whole table, and so is only for who may know of all.

        Parameters
        ----------
        query
            ADQL.
        max_rows
            Rows that it would give at most.
        uploads
            Tables that came with the query.
        rights
            Of who asks.

        Raises
        ------
        QueryError
            If the query is wrong.
        AuthorizationError
            If there are rows that are hidden from who asks, or tables that may not be queried.
        """
        if not rights.all_known:
            raise AuthorizationError(
                "explanations count rows of the whole table, and are only for who may see all"
            )
        limit = None if max_rows is None else max_rows + 1
        visible = visible_to(rights)
        translated = self._translated(query, uploads, limit, visible)
        _check_tables(translated, rights)
        if _hides(visible, translated):
            raise AuthorizationError(
                "explanations count rows of the whole table, and those of TAP_SCHEMA are only for"
                " who may know of all tables"
            )
        return self._engine.explain(translated, uploads=uploads)

    def why(
        self, query: str, uploads: Sequence[UploadedTable] = (), rights: Rights = EVERYTHING
    ) -> str:
        """Say why a query takes long, and what would help, as the end of a sentence.

        Parameters
        ----------
        query, uploads, rights
            As for `run`, which took them.
        """
        visible = visible_to(rights)
        translated = self._translated(query, uploads, visible=visible)
        return _USUAL if _hides(visible, translated) else self._why(translated, uploads)

    def _translated(
        self,
        query: str,
        uploads: Sequence[UploadedTable],
        limit: int | None = None,
        visible: Visible | None = None,
    ) -> Translated:
        """Translate a query with what is published; with what is at this moment, if need be."""
        known = self._engine.published()
        schema = self._with(known, uploads, visible)
        if not uploads:
            kept = self._translations.get(query, schema, limit)
            if kept is not None:
                return kept
        try:
            made = self._engine.translate(query, schema, limit=limit)
            if not uploads:
                self._translations.put(query, schema, limit, made)
        except QueryError:
            now = self._engine.published(renewed=True)
            if now is known:
                raise
        else:
            return made
        return self._engine.translate(query, self._with(now, uploads, visible), limit=limit)

    def _with(
        self, known: Published, uploads: Sequence[UploadedTable], visible: Visible | None
    ) -> Schema:
        schema = self._visible.of(known, visible).schema
        return schema.with_tables(self._engine.declare(uploads)) if uploads else schema

    def availability(self) -> Availability:
        """Tell whether the store answers."""
        try:
            self._engine.check()
        except SkylaneError as error:
            return Availability(available=False, up_since=self._up_since, notes=(str(error),))
        return Availability(available=True, up_since=self._up_since)

    def close(self) -> None:
        """Release the connections."""
        self._engine.close()


def _hides(visible: Visible | None, translated: Translated) -> bool:
    """Tell whether a plan of a query would tell of rows that are hidden from who asks."""
    return visible is not None and visible.hides_from(tuple(translated.tables))


def _check_tables(translated: Translated, rights: Rights) -> None:
    closed = sorted(name for name in translated.tables if not rights.may_query(name))
    if closed:
        raise AuthorizationError(f"the table {closed[0]} is for members of certain groups")


def _cut(
    batches: Iterator[pa.RecordBatch], stream: ResultStream, max_rows: int
) -> Iterator[pa.RecordBatch]:
    """Pass rows on up to a limit, and mark the stream where there are more."""
    left = max_rows
    try:
        for batch in batches:
            if batch.num_rows > left:
                # Set before the last batch is given, as the stream promises.
                stream.overflow = True
                if left:
                    yield batch.slice(0, left)
                return
            left -= batch.num_rows
            yield batch
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()
