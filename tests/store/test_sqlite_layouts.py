"""Stores of former layouts: brought up to date with all that they held."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from obscore.store import schema
from obscore.store.sqlite import layouts
from obscore.store.sqlite.readers import open_reader
from obscore.store.sqlite.resolver import SqliteCatalogue, SqliteResolver
from obscore.store.sqlite.store import SqliteStore
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.errors import ArchiveError
from vodal.regions import Circle

DATA = Path(__file__).with_name("data")
FILES = [
    *make_catalogue(4, products_per_file=2),
    make_file(
        "file:///odd",
        make_observation(
            "ivo://x/y?odd", None, calib_level=0, filter=None, facility_name=None,
            obs_title="it's \u00e9",
        ),
    ),
]  # fmt: skip
"""What the stores in ``data/`` hold."""


def load(version: int, path: Path) -> Path:
    connection = apsw.Connection(str(path))
    connection.execute((DATA / f"store-v{version}.sql").read_text("utf-8"))
    connection.close()
    return path


def read(path: Path, sql: str):
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def moment() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def layout(path: Path):
    rows = read(path, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {name: "".join(sql.replace('"', "").split()) for name, sql in rows}


@pytest.mark.parametrize("version", range(1, schema.SCHEMA_VERSION))
def test_an_older_store_becomes_as_one_made_anew(version, tmp_path):
    old = load(version, tmp_path / "old.db")
    new = tmp_path / "new.db"
    begun = moment()
    SqliteStore(old).close()
    store = SqliteStore(new)
    store.write(FILES)
    store.close()
    assert layout(old) == layout(new)
    # The packed byte index depends on the library that deflated it, and is read below; the boxes
    # on how closely they were computed.
    boxes = "(SELECT id FROM obscore_rtree)"
    uris = "(SELECT id, uri, size, version, modified, mapping_digest, run_id FROM files)"
    kept = ", ".join(f'"{one.name}"' for one in schema.obscore.c if one.name != "last_modified")
    products = f"(SELECT {kept} FROM obscore)"
    for table in (uris, products, boxes, "facets", "tap_schema_columns", "sqlite_stat1"):
        assert sorted(read(old, f"SELECT * FROM {table}"), key=repr) == sorted(
            read(new, f"SELECT * FROM {table}"), key=repr
        ), table
    changed = {row[0] for row in read(old, "SELECT last_modified FROM obscore")}
    if version < 4:
        assert begun <= min(changed) == max(changed) <= moment()
    ((block, revision),) = read(old, "SELECT * FROM footprint_blocks")
    assert (block, revision > 0) == (0, True)
    catalogue, resolver = SqliteCatalogue(old), SqliteResolver(old)
    try:
        near = [product.did for product in catalogue.products(region=Circle(0.0, 90.0, 1.0))]
        assert near
        assert resolver.index(resolver.resolve(near)[near[0]]) == FILES[0].index
    finally:
        catalogue.close()
        resolver.close()


def test_readers_of_an_older_store_say_what_to_run(tmp_path):
    old = load(1, tmp_path / "old.db")
    with pytest.raises(ArchiveError, match=r"layout 1 .*skylane store upgrade"):
        open_reader(old)


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    old = load(1, tmp_path / "old.db")
    before = layout(old)

    def fail(connection):
        connection.execute("CREATE TABLE half (a)")
        connection.execute("SELECT * FROM absent")

    monkeypatch.setitem(layouts._STEPS, 1, fail)
    with pytest.raises(ArchiveError, match="no such table"):
        SqliteStore(old)
    assert layout(old) == before
    monkeypatch.undo()
    SqliteStore(old).close()
    assert read(old, "SELECT sum(products) FROM facets") == [(9,)]


def test_every_former_layout_has_a_step_and_a_file():
    assert sorted(layouts._STEPS) == list(range(1, schema.SCHEMA_VERSION))
    assert all((DATA / f"store-v{version}.sql").is_file() for version in layouts._STEPS)
