"""Stores of both kinds, opened in one way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from obscore.store.postgres.pool import Address, connect
from obscore.store.postgres.preparation import prepare
from obscore.store.postgres.resolver import PostgresCatalogue, PostgresResolver
from obscore.store.postgres.store import PostgresStore
from obscore.store.sqlite.readers import open_reader
from obscore.store.sqlite.resolver import SqliteCatalogue, SqliteResolver
from obscore.store.sqlite.store import SqliteStore

KINDS = ("sqlite", "postgres")


class SqliteCase:
    """A store in SQLite."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.where = str(folder / "skylane.db")
        self.path = Path(self.where)

    def open(self) -> SqliteStore:
        return SqliteStore(self.path)

    def resolver(self) -> SqliteResolver:
        return SqliteResolver(self.path)

    def catalogue(self) -> SqliteCatalogue:
        return SqliteCatalogue(self.path)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = open_reader(self.path, published_only=False)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def run(self, sql: str) -> None:
        connection = apsw.Connection(self.where)
        connection.execute(sql)
        connection.close()

    def counts(self) -> tuple[int, int, int]:
        """Give the numbers of files, of products, and of products that have a place."""
        return self.rows(
            "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM obscore),"
            " (SELECT count(*) FROM obscore_rtree)"
        )[0]


class PostgresCase:
    """A store in PostgreSQL."""

    kind = "postgres"

    def __init__(self, url: str) -> None:
        self.where = url
        self.address = Address(url)

    def open(self) -> PostgresStore:
        prepare(self.address, "skylane_query")
        return PostgresStore(self.address)

    def resolver(self) -> PostgresResolver:
        return PostgresResolver(self.address)

    def catalogue(self) -> PostgresCatalogue:
        return PostgresCatalogue(self.address)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = connect(self.address)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def run(self, sql: str) -> None:
        with psycopg.connect(self.where, options="-c search_path=skylane,public") as connection:
            connection.execute(sql)

    def counts(self) -> tuple[int, int, int]:
        return self.rows(
            "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM obscore), count(s_cap)"
            " FROM obscore"
        )[0]


Case = SqliteCase | PostgresCase


@pytest.fixture(scope="session")
def make_case(request, tmp_path_factory) -> Callable[[str], Case]:
    """Give a function that gives a new place for a store of a kind; the cluster starts if asked."""

    def make(kind: str) -> Case:
        if kind == "sqlite":
            return SqliteCase(tmp_path_factory.mktemp("store"))
        return PostgresCase(request.getfixturevalue("fresh_postgres")())

    return make


@pytest.fixture(params=KINDS)
def case(request, make_case) -> Case:
    return make_case(request.param)


@pytest.fixture
def store(case) -> Iterator[SqliteStore | PostgresStore]:
    """Give an empty store, opened for writing, of each kind."""
    opened = case.open()
    yield opened
    opened.close()
