"""Statements of a writer's turn, as each database has them."""

from __future__ import annotations

import apsw
import pytest
from sqlalchemy import delete, select

from obscore.store import schema
from obscore.store.session import among, runner
from obscore.store.sqlite.store import SqliteStore

FILES, OBSCORE = schema.files, schema.obscore
OF_FILES = (
    select(OBSCORE.c.last_modified)
    .join(FILES, OBSCORE.c.file_id == FILES.c.id)
    .where(among(FILES.c.uri, "texts"))
)


@pytest.fixture
def connection(tmp_path):
    SqliteStore(tmp_path / "skylane.db").close()
    opened = apsw.Connection(str(tmp_path / "skylane.db"))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        OF_FILES,
        OF_FILES.where(~among(OBSCORE.c.obs_publisher_did, "texts")),
        delete(schema.tombstones).where(among(schema.tombstones.c.obs_publisher_did, "texts")),
    ],
)
def test_what_is_named_is_found_by_the_index_however_large_the_table(connection, statement):
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN {schema.sql(statement)}", {"texts": "[]"}
    ).fetchall()
    scanned = [row[3] for row in plan if row[3].startswith("SCAN")]
    assert all("json_each" in step for step in scanned), plan
    assert any("USING" in row[3] and "INDEX" in row[3] and "=?" in row[3] for row in plan), plan


def test_among_and_not_among_part_the_rows(connection):
    def execute(sql, values):
        return connection.execute(sql, dict(values)).fetchall()

    session = runner(schema.sql, execute, lists=False)
    deleted = schema.tombstones.c.obs_publisher_did
    connection.executemany(
        "INSERT INTO tombstones VALUES (?, 'c', NULL, '', 'withdrawn', NULL, NULL, 'u', 0)",
        [(name,) for name in "abc"],
    )
    both = select(deleted).where(among(schema.tombstones.c.uri, "uris"))
    named, others = both.where(among(deleted, "some")), both.where(~among(deleted, "some"))
    values = {"uris": ["u"], "some": ["a", "c", "x"]}
    assert sorted(session(named, **values)) == [("a",), ("c",)]
    assert session(others, **values) == [("b",)]
