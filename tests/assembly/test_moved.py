"""Files that are moved, renamed and swapped: nothing is lost or doubled, and it is told."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from obscore.store.sqlite.store import SqliteStore


@pytest.fixture
def deep(tmp_path, image_writer):
    root = tmp_path / "one" / "deep"
    root.mkdir(parents=True)
    for number in range(3):
        image_writer(root / f"{number}.fits", shape=(20, 20 + number))
    return root


def run(database: Path, root: Path, **settings: object) -> None:
    store = SqliteStore(database)
    given = ObsCoreSettings.model_validate(settings)
    ingest(FolderSource(root, collection="deep"), store, given, workers=0, prune=True)
    store.close()


def rows(database: Path, sql: str) -> dict[str, tuple]:
    connection = apsw.Connection(str(database))
    found = connection.execute(sql).fetchall()
    connection.close()
    return {row[0].rpartition("?")[2]: row[1:] for row in found}


def there(database: Path) -> dict[str, tuple]:
    return rows(
        database,
        "SELECT obs_publisher_did, last_modified, s_xel1, uri FROM obscore"
        " JOIN files ON files.id = file_id",
    )


def gone(database: Path) -> dict[str, tuple]:
    return rows(database, "SELECT obs_publisher_did, kind FROM tombstones")


def test_a_tree_that_is_moved_keeps_identifiers_and_times(tmp_path, deep):
    database = tmp_path / "a.db"
    run(database, deep)
    before = there(database)
    moved = tmp_path / "two" / "deep"
    moved.parent.mkdir()
    deep.rename(moved)
    run(database, moved)
    after = there(database)
    assert {name: row[:2] for name, row in after.items()} == {
        name: row[:2] for name, row in before.items()
    }
    assert {row[2] for row in after.values()} == {p.as_uri() for p in moved.glob("*.fits")}
    assert gone(database) == {}


def test_a_file_that_is_renamed_is_another_product_and_the_old_one_is_told_of(tmp_path, deep):
    database = tmp_path / "a.db"
    run(database, deep)
    before = there(database)
    (deep / "1.fits").rename(deep / "new.fits")
    run(database, deep)
    after = there(database)
    assert set(after) == {"0.fits", "2.fits", "new.fits"}
    assert after["new.fits"][0] > before["1.fits"][0]
    assert gone(database) == {"1.fits": ("vanished",)}
    (deep / "new.fits").rename(deep / "1.fits")
    run(database, deep)
    assert set(there(database)) == set(before)
    assert gone(database) == {"new.fits": ("vanished",)}


def test_a_file_that_is_renamed_keeps_an_identifier_that_the_mapping_gives(tmp_path, deep):
    database = tmp_path / "a.db"
    mapping = {"obs_publisher_did": "ivo://x/y?{NAXIS1}"}
    run(database, deep, mapping=mapping)
    before = there(database)
    (deep / "1.fits").rename(deep / "new.fits")
    run(database, deep, mapping=mapping)
    after = there(database)
    assert {name: row[:2] for name, row in after.items()} == {
        name: row[:2] for name, row in before.items()
    }
    assert gone(database) == {}


def test_files_that_swap_their_names_swap_their_rows(tmp_path, deep):
    database = tmp_path / "a.db"
    run(database, deep)
    before = there(database)
    (deep / "0.fits").rename(deep / "aside")
    (deep / "2.fits").rename(deep / "0.fits")
    (deep / "aside").rename(deep / "2.fits")
    run(database, deep)
    after = there(database)
    assert (after["0.fits"][1], after["2.fits"][1]) == (before["2.fits"][1], before["0.fits"][1])
    assert after["1.fits"] == before["1.fits"]
    assert min(after["0.fits"][0], after["2.fits"][0]) > before["1.fits"][0]
    assert gone(database) == {}
