"""The embedded store: its files, its layout, connections that can only read."""

from __future__ import annotations

import math
import time

import apsw
import pytest

from obscore.store import schema
from obscore.store.sqlite.deadline import Deadline
from obscore.store.sqlite.readers import ReaderPool, open_reader
from obscore.store.sqlite.store import SqliteStore
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.errors import ArchiveError, DeadlineError, ServiceUnavailable
from vodal.regions import Circle


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "skylane.db")
    yield opened
    opened.close()


def test_the_box_holds_footprint_and_position(store):
    # The position lies outside of the footprint on purpose.
    far = make_observation("ivo://x/y?1", Circle(10.0, 0.0, 1.0), position=(100.0, 0.0))
    store.write([make_file("file:///a", far)])
    connection = open_reader(store.path)
    box = connection.execute(f"SELECT * FROM {schema.RTREE}").fetchone()
    connection.close()
    for ra in (9.0, 11.0, 100.0):
        x, y = math.cos(math.radians(ra)), math.sin(math.radians(ra))
        assert box[1] <= x <= box[2]
        assert box[3] <= y <= box[4]
        assert box[5] <= 0.0 <= box[6]


def test_opening_waits_for_no_writer(store):
    store._connection.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    SqliteStore(store.path).close()
    assert time.monotonic() - began < 5.0
    store._connection.execute("ROLLBACK")


def test_a_foreign_or_other_layout_is_refused(tmp_path):
    foreign = tmp_path / "foreign.db"
    connection = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE mine(a)")
    connection.close()
    later = tmp_path / "later.db"
    SqliteStore(later).close()
    connection = apsw.Connection(str(later))
    connection.pragma("user_version", 99)
    connection.close()
    text = tmp_path / "text.db"
    text.write_text("not a database, but a text that is long enough to be looked at" * 20)
    for path, sentence in (
        (foreign, "not a store"),
        (later, "layout 99.*newer program"),
        (text, "not a store|cannot"),
    ):
        with pytest.raises(ArchiveError, match=sentence):
            SqliteStore(path)
        with pytest.raises(ArchiveError, match=sentence):
            open_reader(path)
    with pytest.raises(ArchiveError, match="no store"):
        open_reader(tmp_path / "absent.db")
    with pytest.raises(ArchiveError):
        SqliteStore(tmp_path / "absent" / "a.db")


def test_a_changed_layout_needs_a_new_version():
    # Whoever changes the tables raises SCHEMA_VERSION and puts the new digest here.
    assert (schema.SCHEMA_VERSION, schema.layout_digest()) == (7, "fac2b201e487f422")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM files",
        "SELECT byte_index FROM files",
        "SELECT * FROM sqlite_schema",
        "SELECT load_extension('x')",
        "SELECT zeroblob(1000000000)",
        "PRAGMA user_version",
        "PRAGMA query_only=0",
        "ATTACH ':memory:' AS x",
        "CREATE TEMP TABLE x(a)",
        "DELETE FROM obscore",
        "INSERT INTO obscore_rtree VALUES (1,0,0,0,0,0,0)",
        "DELETE FROM obscore_rtree_node",
        "BEGIN IMMEDIATE",
        "VACUUM INTO '/tmp/x.db'",
        "WITH RECURSIVE a(b) AS (VALUES (1) UNION ALL SELECT b + 1 FROM a) SELECT b FROM a",
    ],
)
def test_a_reader_refuses_what_is_not_a_read_of_published_tables(store, sql):
    connection = open_reader(store.path)
    with pytest.raises(apsw.Error):
        connection.execute(sql).fetchall()
    connection.close()


def test_a_statement_is_stopped_at_its_deadline(store):
    store.write(list(make_catalogue(300)))
    pool = ReaderPool(store.path, size=1)
    began = time.monotonic()
    with (
        pytest.raises(DeadlineError, match=r"0\.2 s"),
        pool.reader(0.2) as (connection, deadline),
        deadline.running(),
    ):
        connection.execute(
            "SELECT count(*) FROM obscore a, obscore b, obscore c, obscore d"
        ).fetchall()
    assert time.monotonic() - began < 2.0
    # The connection serves on.
    with pool.reader(5.0) as (connection, deadline), deadline.running():
        assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (300,)
    pool.close()


def test_a_database_made_anew_is_read_anew(store):
    store.write(list(make_catalogue(2)))
    pool = ReaderPool(store.path)
    with pool.reader() as (connection, _):
        assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (2,)
    store.close()
    for path in store.path.parent.glob("skylane.db*"):
        path.unlink()
    anew = SqliteStore(store.path)
    anew.write(list(make_catalogue(5)))
    anew.close()
    with pool.reader() as (connection, _):
        assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (5,)
    pool.close()


def test_only_time_in_the_database_counts():
    deadline = Deadline()
    deadline.start(0.05)
    with deadline.running():
        pass
    time.sleep(0.1)
    with deadline.running():
        assert not deadline()


def test_a_thread_that_waits_too_long_is_told_to_come_back(store):
    pool = ReaderPool(store.path, size=1, wait_s=0.05)
    with pool.reader(), pytest.raises(ServiceUnavailable, match="too many queries"), pool.reader():
        pass
    with pool.reader() as (connection, _):
        assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (0,)
    pool.close()
