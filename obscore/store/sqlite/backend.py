"""The embedded store by all the ways in which it is used."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from obscore.store.base import Backend
from obscore.store.sqlite.engine import SqliteEngine
from obscore.store.sqlite.resolver import SqliteCatalogue, SqliteResolver
from obscore.store.sqlite.store import SqliteStore

__all__ = ["SqliteBackend"]


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
    def writer(self) -> SqliteStore:
        return SqliteStore(self.path)

    @override
    def resolver(self) -> SqliteResolver:
        return SqliteResolver(self.path)

    @override
    def catalogue(self) -> SqliteCatalogue:
        return SqliteCatalogue(self.path)

    @override
    def engine(
        self, *, connections: int = 8, wait_s: float = 20.0, batch_rows: int = 10_000
    ) -> SqliteEngine:
        return SqliteEngine(
            self.path, connections=connections, wait_s=wait_s, batch_rows=batch_rows
        )
