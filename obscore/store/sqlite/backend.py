"""The embedded store by all the ways in which it is used."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from obscore.adql.sqlite.functions import glance
from obscore.store.base import Backend, StoreInfo
from obscore.store.schema import SCHEMA_VERSION
from obscore.store.sqlite.engine import SqliteEngine
from obscore.store.sqlite.footprints import SqliteFootprints
from obscore.store.sqlite.layouts import OLDEST
from obscore.store.sqlite.published import SqliteTables
from obscore.store.sqlite.readers import fetch, open_reader
from obscore.store.sqlite.resolver import SqliteCatalogue, SqliteResolver
from obscore.store.sqlite.rows import stepping
from obscore.store.sqlite.store import SqliteStore
from obscore.tap import access

__all__ = ["SqliteBackend"]

_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a database file."""


class SqliteBackend(Backend):
    """The embedded store in one database file.

    Parameters
    ----------
    path
        The file; its folder must be on a local disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @override
    def prepare(self) -> None:
        SqliteStore(self.path).close()

    @override
    def info(self) -> StoreInfo:
        newest = str(SCHEMA_VERSION)
        if not self.path.exists():
            return StoreInfo(f"SQLite in {self.path}", None, newest, 0, 0, 0)
        connection = open_reader(self.path, published_only=False, oldest=OLDEST)
        try:
            ((files, products),) = fetch(
                connection, "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM obscore)"
            )
            layout = str(connection.pragma("user_version"))
        finally:
            connection.close()
        parts = (self.path, *(self.path.with_name(self.path.name + end) for end in _BESIDE))
        size = sum(part.stat().st_size for part in parts if part.exists())
        return StoreInfo(f"SQLite in {self.path}", layout, newest, files, products, size)

    @override
    def writer(self) -> SqliteStore:
        return SqliteStore(self.path)

    @override
    def tables(self) -> SqliteTables:
        return SqliteTables(self.path)

    @override
    def resolver(self) -> SqliteResolver:
        return SqliteResolver(self.path)

    @override
    def catalogue(self) -> SqliteCatalogue:
        return SqliteCatalogue(self.path)

    @override
    def footprints(self) -> SqliteFootprints:
        return SqliteFootprints(self.path)

    @override
    def engine(
        self, *, connections: int = 8, wait_s: float = 20.0, batch_rows: int = 10_000
    ) -> SqliteEngine:
        return SqliteEngine(
            self.path, connections=connections, wait_s=wait_s, batch_rows=batch_rows
        )

    @override
    def warm_up(self) -> None:
        stepping.begin()
        access.compiled.begin()
        glance.begin()
