"""The store in PostgreSQL by all the ways in which it is used."""

from __future__ import annotations

from dataclasses import replace

from typing_extensions import override

from obscore.store.base import Backend, StoreInfo
from obscore.store.postgres.engine import PostgresEngine
from obscore.store.postgres.footprints import PostgresFootprints
from obscore.store.postgres.layout import find_revision, newest_revision
from obscore.store.postgres.pool import Address, Connection, connect, translated
from obscore.store.postgres.preparation import check_layout, prepare
from obscore.store.postgres.published import PostgresTables
from obscore.store.postgres.resolver import PostgresCatalogue, PostgresResolver
from obscore.store.postgres.rows import chunks
from obscore.store.postgres.store import PostgresStore
from obscore.store.settings import StoreSettings
from vodal.errors import SettingsError

__all__ = ["PostgresBackend"]


class PostgresBackend(Backend):
    """The store in a schema of a PostgreSQL database.

    Parameters
    ----------
    settings
        With a ``url``.

    Raises
    ------
    SettingsError
        If a URL cannot be read, or users' queries would run as the owner of the tables.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._owner = Address(settings.url, settings.schema_name)
        reading = settings.replica_url or settings.url
        self._readers = Address(reading, settings.schema_name)
        self._uploads: Address | None = None
        if settings.query_url:
            self._queries = Address(settings.query_url, settings.schema_name)
            self._query_role = self._queries.user
        else:
            self._query_role = settings.query_role
            self._queries = Address(reading, settings.schema_name, role=self._query_role)
            if settings.replica_url:
                self._uploads = replace(self._owner, role=self._query_role)
        if self._query_role == self._owner.user:
            raise SettingsError(
                f"store: users' queries must not run as {self._owner.user}, which owns the tables;"
                " give query_url, or query_role, a role of its own"
            )

    @override
    def prepare(self) -> None:
        prepare(self._owner, self._query_role)

    @override
    def info(self) -> StoreInfo:
        connection = connect(self._owner, read_only=True)
        try:
            with translated(self._owner):
                return self._look(connection)
        finally:
            connection.close()

    def _look(self, connection: Connection) -> StoreInfo:
        revision = find_revision(connection, self._owner.schema)
        files = products = size_bytes = 0
        if revision is not None:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM obscore),"
                " (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c"
                "  WHERE c.relnamespace = to_regnamespace(quote_ident(%s)) AND c.relkind = 'r')",
                (self._owner.schema,),
            ).fetchone()
            assert row is not None
            files, products, size_bytes = (int(str(value or 0)) for value in row)
        return StoreInfo(
            f"{self._owner}, schema {self._owner.schema}",
            revision,
            newest_revision(),
            files,
            products,
            size_bytes,
        )

    @override
    def writer(self) -> PostgresStore:
        connection = connect(self._owner)
        try:
            with translated(self._owner):
                check_layout(connection, self._owner)
        finally:
            connection.close()
        return PostgresStore(self._owner)

    @override
    def tables(self) -> PostgresTables:
        return PostgresTables(self._owner, self._query_role)

    @override
    def resolver(self) -> PostgresResolver:
        return PostgresResolver(self._readers)

    @override
    def catalogue(self) -> PostgresCatalogue:
        return PostgresCatalogue(self._readers)

    @override
    def footprints(self) -> PostgresFootprints:
        return PostgresFootprints(self._readers)

    @override
    def engine(
        self, *, connections: int = 8, wait_s: float = 20.0, batch_rows: int = 10_000
    ) -> PostgresEngine:
        return PostgresEngine(
            self._queries,
            writable=self._uploads,
            connections=connections,
            wait_s=wait_s,
            batch_rows=batch_rows,
        )

    @override
    def warm_up(self) -> None:
        chunks.begin()
