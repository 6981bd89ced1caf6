"""The seam of queries: what runs them in a database, and what they can name."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from obscore.adql import TableDef, Translated
from obscore.adql.schema import Schema
from obscore.declared.publication import Publication
from obscore.explain.explanation import Explanation
from obscore.store.pace import Pace
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable

__all__ = ["Published", "QueryEngine"]


@dataclass(frozen=True, slots=True)
class Published:
    """What queries can name."""

    beside: Publication
    """What the site has published beside the program's own tables."""
    schema: Schema
    """All tables."""


class QueryEngine(Protocol):
    """Runs translated queries on the published tables. Safe to call from several threads."""

    young: int | None = None
    """Queries that may be in their first moments at once in one process; None for any number."""

    def declare(self, uploads: Sequence[UploadedTable]) -> tuple[TableDef, ...]:
        """Say how uploaded tables are to be named in this engine's SQL (schema ``TAP_UPLOAD``)."""
        ...

    def published(self, *, renewed: bool = False) -> Published:
        """Give what queries can name, without uploads; the same value while it is the same.

        Parameters
        ----------
        renewed
            Whether it must be what is there at this moment; it may be half a second old otherwise.

        Raises
        ------
        ArchiveError
            If there is no store.
        """
        ...

    def translate(self, query: str, schema: Schema, *, limit: int | None = None) -> Translated:
        """Translate ADQL to this engine's SQL.

        Raises
        ------
        QueryError
            If the query is wrong.
        """
        ...

    def batches(
        self,
        translated: Translated,
        columns: Sequence[Column],
        *,
        base_url: str,
        uploads: Sequence[UploadedTable] = (),
        limit_s: float | None = None,
        cancelled: threading.Event | None = None,
        pace: Pace | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Run a query when the first batch is taken; a connection is in use until the end.

        Parameters
        ----------
        translated
            By `translate`.
        columns
            Of the result; give the batches' types.
        base_url
            Where the site is seen by the client, without a trailing slash.
        uploads
            The tables that were declared for the translation.
        limit_s
            Seconds of database time; None for no limit.
        cancelled
            Set from outside to stop the query at once.
        pace
            By which a query that computes in this process shares the processors with others.

        Raises
        ------
        DeadlineError
            If the time was used up.
        ServiceUnavailable
            If it was cancelled, or no connection came free.
        ReplacedError
            If a table was replaced since `published` told of it; before the first batch.
        """
        ...

    def explain(
        self, translated: Translated, *, uploads: Sequence[UploadedTable] = (), limit_s: float = 2.0
    ) -> Explanation:
        """Say what the database does for a query, without running it.

        Parameters
        ----------
        translated
            By `translate`.
        uploads
            The tables that were declared for the translation.
        limit_s
            Seconds of database time for counting rows; what takes longer is left out.

        Raises
        ------
        SkylaneError
            If the database cannot tell, for instance since no connection came free.
        """
        ...

    def check(self) -> None:
        """See that the store answers.

        Raises
        ------
        SkylaneError
            If it does not.
        """
        ...

    def close(self) -> None:
        """Release the connections."""
        ...
