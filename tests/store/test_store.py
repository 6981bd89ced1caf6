"""Stores of each kind: round trips, replacement, refusals, transactions."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from obscore.columns import COLUMN_NAMES
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.errors import UsageError
from vodal.regions import Polygon

SQUARE = Polygon(((10.0, 10.0), (11.0, 10.0), (11.0, 11.0), (10.0, 11.0)))


def test_a_written_file_comes_back_whole(store, case):
    observation = make_observation(
        "ivo://a/b?c d+é.fits", SQUARE, position=(10.5, 10.5), s_xel1=64, obs_title="é\u2192"
    )
    store.write([make_file("file:///a/c%20d.fits", observation)])
    resolver = case.resolver()
    product = resolver.resolve([observation.did, "ivo://a/b?absent"])[observation.did]
    resolver.close()
    assert product.region == SQUARE
    assert product.hdus == (1, 2)
    assert (product.uri, product.version, product.size_bytes) == (
        "file:///a/c%20d.fits", "v1", 123_456,
    )  # fmt: skip
    assert set(product.obscore) == set(COLUMN_NAMES) - {"access_url"}
    for name, value in product.obscore.items():
        assert name == "last_modified" or value == observation.row.get(name), name


def test_the_byte_index_comes_back(store, case):
    file = make_file("file:///a.fits", make_observation("ivo://a/b?a", SQUARE))
    store.write([file])
    resolver = case.resolver()
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
    pages, uri = [], ""
    while page := store.known_after("file:///a", uri, 2):
        pages.append(page)
        uri = page[-1].uri
    assert [len(page) for page in pages] == [2, 2]
    assert {file.uri: file for page in pages for file in page} == store.known_files("file:///a")
    known = store.known_files("file:///b")["file:///b"]
    assert (known.collection, known.version, known.mapping_digest, known.products) == (
        "synthetic", "v1", "digest", 1,
    )  # fmt: skip


def test_known_files_are_found_by_their_names(store):
    names = [f"file:///{name}" for name in ("a", "a.fz", "é 'b'", "c")]
    store.write([make_file(name, make_observation(f"ivo://x/y?{name}", SQUARE)) for name in names])
    asked = [*names[1:3], "file:///none", "file:///a%"]
    assert store.known_among(asked) == {
        name: known for name, known in store.known_files().items() if name in names[1:3]
    }
    assert len(store.known_among(asked)) == 2
    assert store.known_among([]) == {}


def test_a_replaced_file_leaves_nothing_of_its_former_self(store, case):
    first = [make_observation(f"ivo://x/y?{n}", SQUARE, position=(10.5, 10.5)) for n in range(3)]
    store.write([make_file("file:///a", *first)])
    assert case.counts() == (1, 3, 3)
    store.write([make_file("file:///a", first[0], version="v2")])
    assert case.counts() == (1, 1, 1)
    assert store.known_files()["file:///a"].version == "v2"


def test_a_version_is_renewed_once(store, case):
    first = make_observation("ivo://x/y?1", SQUARE, position=(10.5, 10.5), access_estsize=1)
    again = make_observation("ivo://x/y?1", SQUARE, position=(10.5, 10.5), access_estsize=2)
    assert not store.renew(make_file("file:///a", again, version="v2"), "v1")
    assert case.counts() == (0, 0, 0)
    store.write([make_file("file:///a", first, version="v1")])
    assert store.renew(make_file("file:///a", again, version="v2"), "v1")
    assert not store.renew(make_file("file:///a", first, version="v3"), "v1")
    assert store.known_files()["file:///a"].version == "v2"
    assert case.rows("SELECT access_estsize FROM obscore") == [(2,)]
    assert case.rows("SELECT sum(products) FROM facets") == [(1,)]
    assert case.counts() == (1, 1, 1)
    store.write([make_file("file:///b", make_observation("ivo://x/y?2", SQUARE))])
    with pytest.raises(UsageError, match=r"ivo://x/y\?2 is already taken by file:///b"):
        store.renew(make_file("file:///a", make_observation("ivo://x/y?2", SQUARE)), "v2")
    assert store.known_files()["file:///a"].version == "v2"


def test_of_several_processes_that_renew_a_file_one_writes(store, case):
    for number in range(30):
        observation = make_observation(f"ivo://x/y?{number}", SQUARE)
        store.write([make_file(f"file:///{number}", observation)])
    writers = [start("renew_all", case.where, part) for part in range(3)]
    written = [finish(writer)["written"] for writer in writers]
    assert sum(written) == 30
    assert case.counts() == (30, 30, 30)
    versions = {known.version for known in store.known_files().values()}
    assert versions <= {"by 0", "by 1", "by 2"}
    assert case.rows("SELECT sum(products) FROM facets") == [(30,)]


def test_removing_tells_how_many_products_went(store, case):
    store.write(list(make_catalogue(5, products_per_file=2)))
    uris = list(store.known_files())
    assert store.remove([uris[0], uris[1], "file:///absent"]) == 4
    assert case.counts() == (3, 6, 6)
    assert store.remove(uris) == 6
    assert case.counts() == (0, 0, 0)


def test_an_identifier_of_another_file_is_refused_and_nothing_is_written(store):
    taken = make_observation("ivo://x/y?taken", SQUARE)
    store.write([make_file("file:///a", taken)])
    free = make_file("file:///free", make_observation("ivo://x/y?free", SQUARE))
    with pytest.raises(UsageError, match=r"ivo://x/y\?taken is already taken by file:///a"):
        store.write([free, make_file("file:///b", taken)])
    assert list(store.known_files()) == ["file:///a"]


def test_an_identifier_twice_in_one_batch_is_refused(store, case):
    twice = make_observation("ivo://x/y?twice", SQUARE)
    with pytest.raises(UsageError, match="already taken by file:///a"):
        store.write([make_file("file:///a", twice), make_file("file:///b", twice)])
    with pytest.raises(UsageError, match="same identifier"):
        store.write([make_file("file:///a", twice, twice)])
    assert case.counts() == (0, 0, 0)


def test_two_files_of_one_batch_may_swap_their_identifiers(store, case):
    one, two = (make_observation(f"ivo://x/y?{n}", SQUARE) for n in (1, 2))
    store.write([make_file("file:///a", one), make_file("file:///b", two)])
    store.write([make_file("file:///a", two), make_file("file:///b", one)])
    resolver = case.resolver()
    assert resolver.resolve(["ivo://x/y?1"])["ivo://x/y?1"].uri == "file:///b"
    resolver.close()


def test_a_missing_mandatory_value_is_refused(store):
    bad = make_observation("ivo://x/y?1", SQUARE, calib_level=None)
    with pytest.raises(UsageError, match="calib_level is missing for a product of file:///a"):
        store.write([make_file("file:///a", bad)])


def test_odd_values_are_kept_as_their_column_wants_them(store, case):
    odd = make_observation(
        "ivo://x/y?1", None, s_xel1=np.int64(7), s_fov=np.float32(0.5), t_min=math.nan,
        t_exptime=3, obs_title="a\udcff",
    )  # fmt: skip
    store.write([make_file("file:///a%FF", odd)])
    resolver = case.resolver()
    row = resolver.resolve(["ivo://x/y?1"])["ivo://x/y?1"].obscore
    resolver.close()
    assert (row["s_xel1"], row["s_fov"], row["t_min"], row["t_exptime"]) == (7, 0.5, None, 3.0)
    assert isinstance(row["t_exptime"], float)
    assert row["obs_title"] == "a?"
    assert case.counts() == (1, 1, 0)


def test_opening_anew_keeps_everything(store, case):
    store.write(list(make_catalogue(3)))
    again = case.open()
    assert len(again.known_files()) == 3
    again.close()


def start(job: str, *arguments: object) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("store_jobs.py")
    command = [sys.executable, str(script), job, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, int]:
    output, errors = process.communicate(timeout=60)
    assert errors == ""
    return json.loads(output.splitlines()[-1])


def test_a_writer_killed_in_its_transaction_leaves_no_half(store, case):
    store.write([make_file("file:///kept", make_observation("ivo://x/y?kept", SQUARE))])
    writer = start("hang_in_transaction", case.where)
    assert writer.stdout.readline() == "ready\n"
    assert case.counts() == (1, 1, 1)
    writer.kill()
    writer.communicate(timeout=10)
    assert case.counts() == (1, 1, 1)
    store.write([make_file("file:///next", make_observation("ivo://x/y?next", SQUARE))])
    assert case.counts() == (2, 2, 2)


def test_readers_in_other_processes_see_whole_transactions_while_one_writes(store, case, tmp_path):
    stop = tmp_path / "stop"
    readers = [start("read_until_told", case.where, stop) for _ in range(3)]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * 3
    files = list(make_catalogue(400))
    for first in range(0, len(files), 20):
        store.write(files[first : first + 20])
        store.write(files[:20])
        time.sleep(0.02)
    stop.touch()
    for reader in readers:
        found = finish(reader)
        assert found["broken"] == 0
        assert found["reads"] > 3


def test_writers_in_several_processes_take_turns(case):
    # There is no store before: they also race to make it.
    writers = [start("write_part", case.where, part) for part in range(3)]
    assert [finish(writer) for writer in writers] == [{"written": 30}] * 3
    assert case.counts() == (90, 90, 90)
    assert case.rows("SELECT sum(products) FROM facets") == [(90,)]


def test_writers_of_the_same_files_replace_each_other(case):
    writers = [start("write_part", case.where, "same") for _ in range(3)]
    assert [finish(writer) for writer in writers] == [{"written": 30}] * 3
    assert case.counts() == (30, 30, 30)
    assert case.rows("SELECT sum(products) FROM facets") == [(30,)]


def test_writing_again_what_is_there_changes_nothing(store, case):
    files = list(make_catalogue(30, products_per_file=2))
    store.write(files)
    # The keys are new, and nothing else.
    everything = (
        "SELECT uri, version, obs_publisher_did, s_region, s_region_shape, t_min FROM obscore"
        " JOIN files ON file_id = files.id ORDER BY obs_publisher_did"
    )
    before = case.rows(everything), case.rows("SELECT * FROM facets ORDER BY 1")
    store.write(files)
    assert (case.rows(everything), case.rows("SELECT * FROM facets ORDER BY 1")) == before
    assert case.counts() == (30, 60, 60)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"s_xel1": 2**63}, "s_xel1 of a product of file:///a is no long"),
        ({"calib_level": 2**31}, "calib_level of a product of file:///a is no int"),
        ({"s_xel1": math.nan}, "s_xel1 of a product of file:///a is no long"),
        ({"t_min": "soon"}, "t_min of a product of file:///a is no double"),
        ({"target_name": "é" * 1301}, "target_name of a product of file:///a is longer"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused_by_name(store, case, row, sentence):
    with pytest.raises(UsageError, match=sentence):
        store.write([make_file("file:///a", make_observation("ivo://x/y?1", SQUARE, **row))])
    assert case.counts() == (0, 0, 0)


def test_a_character_that_a_database_refuses_is_replaced(store, case):
    store.write([make_file("file:///a", make_observation("ivo://x/y?1", None, obs_title="a\0b"))])
    assert case.rows("SELECT obs_title FROM obscore") == [("a?b",)]


def test_texts_are_sorted_by_their_characters_codes(store, case):
    names = ["b", "B", "a", "é", "Z", "_", "\U0001f52d", "\ufb01", ""]
    store.write(
        [make_file("file:///a", *(make_observation(f"ivo://x/y?{n}", None, target_name=name)
                                  for n, name in enumerate(names)))]
    )  # fmt: skip
    found = case.rows("SELECT target_name FROM obscore ORDER BY target_name")
    assert [name for (name,) in found] == sorted(names)
