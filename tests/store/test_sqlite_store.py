"""The embedded store: round trips, replacement, refusals, transactions."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import apsw
import numpy as np
import pytest

from obscore.columns import COLUMN_NAMES
from obscore.store import schema
from obscore.store.sqlite.readers import Deadline, ReaderPool, open_reader
from obscore.store.sqlite.resolver import SqliteResolver
from obscore.store.sqlite.store import SqliteStore
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.errors import ArchiveError, DeadlineError, ServiceUnavailable, UsageError
from vodal.regions import Circle, Polygon

SQUARE = Polygon(((10.0, 10.0), (11.0, 10.0), (11.0, 11.0), (10.0, 11.0)))


def count(path: Path, table: str) -> int:
    connection = open_reader(path, published_only=False)
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        connection.close()


def counts(path: Path) -> tuple[int, int, int]:
    return count(path, "files"), count(path, "obscore"), count(path, schema.RTREE)


def test_a_written_file_comes_back_whole(store):
    observation = make_observation(
        "ivo://a/b?c d+é.fits", SQUARE, position=(10.5, 10.5), s_xel1=64, obs_title="é\u2192"
    )
    store.write([make_file("file:///a/c%20d.fits", observation)])
    resolver = SqliteResolver(store.path)
    product = resolver.resolve([observation.did, "ivo://a/b?absent"])[observation.did]
    resolver.close()
    assert product.region == SQUARE
    assert product.hdus == (1, 2)
    assert (product.uri, product.version, product.size_bytes) == (
        "file:///a/c%20d.fits", "v1", 123_456,
    )  # fmt: skip
    assert set(product.obscore) == set(COLUMN_NAMES) - {"access_url"}
    for name, value in product.obscore.items():
        assert value == observation.row.get(name), name


def test_the_byte_index_comes_back(store):
    file = make_file("file:///a.fits", make_observation("ivo://a/b?a", SQUARE))
    store.write([file])
    resolver = SqliteResolver(store.path)
    product = resolver.resolve(["ivo://a/b?a"])["ivo://a/b?a"]
    assert resolver.index(product) == file.index
    assert resolver.index(product) is resolver.index(product)
    resolver.close()


def test_known_files_are_those_below_a_prefix(store):
    for name in ("a/1", "a/2", "ab/1", "a/\U0010fffd", "b"):
        store.write([make_file(f"file:///{name}", make_observation(f"ivo://x/y?{name}", SQUARE))])
    assert set(store.known_files("file:///a/")) == {
        "file:///a/1", "file:///a/2", "file:///a/\U0010fffd",
    }  # fmt: skip
    assert len(store.known_files()) == 5
    known = store.known_files("file:///b")["file:///b"]
    assert (known.collection, known.version, known.mapping_digest, known.products) == (
        "synthetic", "v1", "digest", 1,
    )  # fmt: skip


def test_a_replaced_file_leaves_nothing_of_its_former_self(store):
    first = [make_observation(f"ivo://x/y?{n}", SQUARE, position=(10.5, 10.5)) for n in range(3)]
    store.write([make_file("file:///a", *first)])
    assert counts(store.path) == (1, 3, 3)
    store.write([make_file("file:///a", first[0], version="v2")])
    assert counts(store.path) == (1, 1, 1)
    assert store.known_files()["file:///a"].version == "v2"


def test_removing_tells_how_many_products_went(store):
    store.write(list(make_catalogue(5, products_per_file=2)))
    uris = list(store.known_files())
    assert store.remove([uris[0], uris[1], "file:///absent"]) == 4
    assert counts(store.path) == (3, 6, 6)
    assert store.remove(uris) == 6
    assert counts(store.path) == (0, 0, 0)


def test_an_identifier_of_another_file_is_refused_and_nothing_is_written(store):
    taken = make_observation("ivo://x/y?taken", SQUARE)
    store.write([make_file("file:///a", taken)])
    free = make_file("file:///free", make_observation("ivo://x/y?free", SQUARE))
    with pytest.raises(UsageError, match=r"ivo://x/y\?taken is already taken by file:///a"):
        store.write([free, make_file("file:///b", taken)])
    assert list(store.known_files()) == ["file:///a"]


def test_an_identifier_twice_in_one_batch_is_refused(store):
    twice = make_observation("ivo://x/y?twice", SQUARE)
    with pytest.raises(UsageError, match="already taken by file:///a"):
        store.write([make_file("file:///a", twice), make_file("file:///b", twice)])
    with pytest.raises(UsageError, match="same identifier"):
        store.write([make_file("file:///a", twice, twice)])
    assert counts(store.path) == (0, 0, 0)


def test_two_files_of_one_batch_may_swap_their_identifiers(store):
    one, two = (make_observation(f"ivo://x/y?{n}", SQUARE) for n in (1, 2))
    store.write([make_file("file:///a", one), make_file("file:///b", two)])
    store.write([make_file("file:///a", two), make_file("file:///b", one)])
    resolver = SqliteResolver(store.path)
    assert resolver.resolve(["ivo://x/y?1"])["ivo://x/y?1"].uri == "file:///b"
    resolver.close()


def test_a_missing_mandatory_value_is_refused(store):
    bad = make_observation("ivo://x/y?1", SQUARE, calib_level=None)
    with pytest.raises(UsageError, match="calib_level is missing for a product of file:///a"):
        store.write([make_file("file:///a", bad)])


def test_odd_values_are_kept_as_their_column_wants_them(store):
    odd = make_observation(
        "ivo://x/y?1", None, s_xel1=np.int64(7), s_fov=np.float32(0.5), t_min=math.nan,
        t_exptime=3, obs_title="a\udcff",
    )  # fmt: skip
    store.write([make_file("file:///a%FF", odd)])
    resolver = SqliteResolver(store.path)
    row = resolver.resolve(["ivo://x/y?1"])["ivo://x/y?1"].obscore
    resolver.close()
    assert (row["s_xel1"], row["s_fov"], row["t_min"], row["t_exptime"]) == (7, 0.5, None, 3.0)
    assert isinstance(row["t_exptime"], float)
    assert row["obs_title"] == "a?"
    assert counts(store.path) == (1, 1, 0)


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


def test_opening_anew_keeps_everything(store):
    store.write(list(make_catalogue(3)))
    again = SqliteStore(store.path)
    assert len(again.known_files()) == 3
    again.close()


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
    assert (schema.SCHEMA_VERSION, schema.layout_digest()) == (2, "4ff17568b5109b57")


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


def start(job: str, *arguments: object) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("store_jobs.py")
    command = [sys.executable, str(script), job, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, int]:
    output, errors = process.communicate(timeout=60)
    assert errors == ""
    return json.loads(output.splitlines()[-1])


def test_a_writer_killed_in_its_transaction_leaves_no_half(store):
    store.write([make_file("file:///kept", make_observation("ivo://x/y?kept", SQUARE))])
    writer = start("hang_in_transaction", store.path)
    assert writer.stdout.readline() == "ready\n"
    assert counts(store.path) == (1, 1, 1)
    writer.kill()
    writer.communicate(timeout=10)
    assert counts(store.path) == (1, 1, 1)
    store.write([make_file("file:///next", make_observation("ivo://x/y?next", SQUARE))])
    assert counts(store.path) == (2, 2, 2)


def test_readers_in_other_processes_see_whole_transactions_while_one_writes(store):
    readers = [start("read_until_told", store.path) for _ in range(3)]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * 3
    files = list(make_catalogue(400))
    for first in range(0, len(files), 20):
        store.write(files[first : first + 20])
        store.write(files[:20])
        time.sleep(0.02)
    store.path.with_name("stop").touch()
    for reader in readers:
        found = finish(reader)
        assert found["broken"] == 0
        assert found["reads"] > 3


def test_writers_in_several_processes_take_turns(tmp_path):
    # The file is not there before: they also race to make it.
    path = tmp_path / "raced.db"
    writers = [start("write_part", path, part) for part in range(3)]
    assert [finish(writer) for writer in writers] == [{"written": 30}] * 3
    assert counts(path) == (90, 90, 90)
