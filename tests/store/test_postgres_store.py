"""The store in PostgreSQL: a server that goes away, the spatial index."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg
import pytest

from obscore.adql.postgres.shapes import caps_around
from obscore.store.postgres.pool import Address, ConnectionPool, connect
from obscore.store.postgres.preparation import prepare
from obscore.store.postgres.resolver import _SQL_IDS, PostgresCatalogue, PostgresResolver
from obscore.store.postgres.store import PostgresStore
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.errors import ArchiveError, ServiceUnavailable, SettingsError, UsageError
from vodal.regions import Circle
from vodal.testing.postgres import cluster


@pytest.fixture
def address(postgres_url):
    made = Address(postgres_url)
    prepare(made, "skylane_query")
    return made


@pytest.fixture(scope="module")
def own_cluster():
    """Give a cluster that tests may stop."""
    with cluster() as running:
        yield running


def end_connections(url: str, name: str) -> int:
    """Have the server end the connections of an application."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database()"
            " AND pid <> pg_backend_pid()",
            (name,),
        ).fetchone()[0]


def file_of(name: str, **row):
    return make_file(f"file:///{name}", make_observation(f"ivo://x/y?{name}", None, **row))


def test_a_write_whose_connection_is_lost_is_made_again(address):
    store = PostgresStore(address)
    store.write([file_of("a")])
    assert end_connections(address.url, "skylane ingest") == 1
    store.write([file_of("b")])
    assert list(store.known_files()) == ["file:///a", "file:///b"]
    store.close()


def test_a_write_that_is_cut_off_in_its_middle_is_made_again(address, monkeypatch):
    store = PostgresStore(address)
    cut = []
    take_turn = PostgresStore._take_turn

    def take_turn_once(self, connection):
        take_turn(self, connection)
        if not cut:
            cut.append(end_connections(address.url, "skylane ingest"))

    monkeypatch.setattr(PostgresStore, "_take_turn", take_turn_once)
    store.write(list(make_catalogue(50)))
    assert cut == [1]
    assert len(store.known_files()) == 50
    store.close()


def test_a_writer_waits_for_a_server_that_restarts(own_cluster):
    address = Address(own_cluster.create("restarted"))
    prepare(address, None)
    store = PostgresStore(address)
    store.write([file_of("a")])
    own_cluster.stop()
    writer = threading.Thread(target=store.write, args=([file_of("b")],))
    try:
        writer.start()
        time.sleep(0.3)
        assert writer.is_alive()
    finally:
        own_cluster.start()
    writer.join(20.0)
    assert not writer.is_alive()
    assert list(store.known_files()) == ["file:///a", "file:///b"]
    store.close()


def test_readers_say_that_the_server_is_away_and_go_on_afterwards(own_cluster):
    address = Address(own_cluster.create("away"))
    prepare(address, None)
    store, resolver = PostgresStore(address, patience_s=0.2), PostgresResolver(address)
    store.write([file_of("a")])
    assert list(resolver.resolve(["ivo://x/y?a"])) == ["ivo://x/y?a"]
    own_cluster.stop()
    try:
        for call in (
            lambda: resolver.resolve(["ivo://x/y?a"]),
            lambda: store.write([file_of("b")]),
            lambda: prepare(address, None),
            store.known_files,
        ):
            with pytest.raises(ServiceUnavailable, match="database away does not answer"):
                call()
    finally:
        own_cluster.start()
    assert list(resolver.resolve(["ivo://x/y?a"])) == ["ivo://x/y?a"]
    assert list(store.known_files()) == ["file:///a"]
    resolver.close()
    store.close()


def test_a_password_is_never_told(postgres_cluster):
    url = f"postgresql://me:tell-no-one@127.0.0.1:{postgres_cluster.port}/absent"
    with pytest.raises(ArchiveError, match=r'role "me" does not exist|"absent" does not') as caught:
        connect(Address(url))
    assert "tell-no-one" not in str(caught.value)
    nobody = Address("postgresql://me:tell-no-one@127.0.0.1:1/absent")
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:1, database absent does") as caught:
        connect(nobody)
    assert "tell-no-one" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        connect(Address("postgresql://me:tell-no-one@[::1/absent"))
    assert "tell-no-one" not in str(caught.value)


def test_a_writer_that_hangs_is_told_of_by_the_next(address):
    first, second = PostgresStore(address), PostgresStore(address)
    connection = first._connected()
    connection.execute("BEGIN")
    first._take_turn(connection)
    second._connected().execute("SET lock_timeout = '100ms'")
    with pytest.raises(ServiceUnavailable, match="busy: canceling statement due to lock timeout"):
        second.write([file_of("a")])
    connection.execute("ROLLBACK")
    second.write([file_of("a")])
    first.close()
    second.close()


def test_searches_by_place_use_the_spatial_index(address):
    store = PostgresStore(address)
    store.write(list(make_catalogue(3000)))
    store.close()
    connection = connect(address)
    connection.execute("ANALYZE")
    caps = caps_around(Circle(10.0, 10.0, 0.5))
    plan = connection.execute(f"EXPLAIN {_SQL_IDS[False, True]}", {"caps": caps}).fetchall()
    connection.close()
    assert any("ix_obscore_s_cap" in line for (line,) in plan)
    assert not any("Seq Scan" in line for (line,) in plan)


def test_a_products_page_is_found_by_its_key(address):
    store = PostgresStore(address)
    store.write(list(make_catalogue(20)))
    store.close()
    catalogue = PostgresCatalogue(address)
    assert len(list(catalogue.products())) == 20
    catalogue.close()


STATISTICS = """
SELECT tablename FROM pg_stats
WHERE schemaname = 'skylane' AND attname = 't_min' AND tablename IN ('obscore', 'obscore_rest')
ORDER BY inherited
"""


def test_a_writer_of_many_files_leaves_statistics_to_the_planner(address):
    with psycopg.connect(address.url, autocommit=True) as connection:
        for count, wanted in ((20, []), (600, [("obscore",)])):
            store = PostgresStore(address)
            store.write([file_of(f"p{n}", t_min=59_000.0 + n) for n in range(count)])
            store.close()
            assert connection.execute(STATISTICS).fetchall() == wanted
        store = PostgresStore(address)
        store.remove([f"file:///p{n}" for n in range(550)])
        end_connections(address.url, "skylane ingest")
        store.close()
        assert connection.execute(STATISTICS).fetchall() == [("obscore",)]


def page_statements() -> str:
    """Give the statements of the documented recipe for partitions."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "postgresql.md").read_text("utf-8")
    recipe = page[page.index("SET search_path = skylane") :]
    return recipe[: recipe.index("```")]


def test_the_documented_partitions_serve(address):
    store = PostgresStore(address)
    times = [59_000.0, 60_100.0, 70_000.0, None]
    files = [file_of(f"p{n}", t_min=times[n % 4], s_ra=float(n), s_dec=0.0) for n in range(20)]
    store.write(files)
    with psycopg.connect(address.url, autocommit=True) as connection:
        connection.execute(page_statements())
        parts = connection.execute(
            "SELECT tableoid::regclass::text, count(*) FROM skylane.obscore GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert connection.execute(STATISTICS).fetchall() == [("obscore_rest",), ("obscore",)]
    assert [count for _, count in parts] == [5, 5, 10]
    prepare(address, "skylane_query")
    # A file whose product moves to another partition, one that is removed, one refused.
    store.write([file_of("p0", t_min=70_000.0)])
    assert store.remove(["file:///p1"]) == 1
    with pytest.raises(UsageError, match=r"ivo://x/y\?p2 is already taken by file:///p2"):
        store.write([make_file("file:///new", *files[2].observations)])
    assert sum(file.products for file in store.known_files().values()) == 19
    resolver = PostgresResolver(Address(address.url, role=None))
    assert resolver.resolve(["ivo://x/y?p0"])["ivo://x/y?p0"].obscore["t_min"] == 70_000.0
    resolver.close()
    store.close()
    reader = connect(Address(address.url, role="skylane_query"), read_only=True)
    assert reader.execute("SELECT count(*), (SELECT sum(products) FROM facets) FROM obscore"
                          ).fetchone() == (19, 19)  # fmt: skip
    reader.close()


# The pool -----------------------------------------------------------------------------------------


def test_a_connection_that_the_server_ended_is_replaced(address):
    pool = ConnectionPool(address, size=1, name="idle")
    with pool.connection() as connection:
        first = connection.info.backend_pid
    assert end_connections(address.url, "idle") == 1
    time.sleep(0.05)
    with pool.connection() as connection:
        assert connection.info.backend_pid != first
        assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (0,)
    pool.close()


def test_a_transaction_left_open_is_rolled_back(address):
    pool = ConnectionPool(address, size=1, read_only=False)
    with pool.connection() as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE left_over (a int)")
    with pool.connection() as connection:
        assert connection.execute("SELECT to_regclass('left_over')").fetchone() == (None,)
    pool.close()


def test_a_pool_reads_only(address):
    pool = ConnectionPool(address, size=1)
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        pool.connection() as connection,
    ):
        connection.execute("DELETE FROM files")
    pool.close()


def test_a_thread_that_waits_too_long_is_told_to_come_back(address):
    pool = ConnectionPool(address, size=1, wait_s=0.05)
    with (
        pool.connection(),
        pytest.raises(ServiceUnavailable, match="too many queries"),
        pool.connection(),
    ):
        pass
    pool.close()
    with pytest.raises(ServiceUnavailable, match="shutting down"), pool.connection():
        pass


def test_a_role_is_taken_on(address):
    pool = ConnectionPool(Address(address.url, role="skylane_query"), size=1)
    with pool.connection() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("skylane_query",)
        assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM facets").fetchone() == (0,)
        for refused in ("SELECT * FROM files", "SELECT * FROM alembic_version"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)
    pool.close()
