"""The published tables: TAP_SCHEMA, VOSI and the translator tell the same."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscore.columns import COLUMN_NAMES
from obscore.store import schema
from obscore.store.sqlite.readers import open_reader
from obscore.store.sqlite.store import SqliteStore
from obscore.tap.metadata import PUBLISHED, encode_id, tableset, tap_schema_rows


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_encoded_identifier_decodes_and_is_safe_in_a_query(did):
    encoded = encode_id(did)
    assert unquote(encoded) == did
    assert encoded.isascii()
    assert not set(encoded) & set("&=+#?/ ")


def test_ivoa_obscore_is_spelt_as_clients_look_for_it():
    rows = tap_schema_rows()
    assert "ivoa" in {row["schema_name"] for row in rows[schema.tap_schemas]}
    assert "ivoa.obscore" in {row["table_name"] for row in rows[schema.tap_tables]}
    names = [
        r["column_name"] for r in rows[schema.tap_columns] if r["table_name"] == "ivoa.obscore"
    ]
    assert tuple(names) == COLUMN_NAMES


def test_tap_schema_describes_itself():
    described = {
        (row["table_name"], row["column_name"]) for row in tap_schema_rows()[schema.tap_columns]
    }
    for table in (
        schema.tap_schemas, schema.tap_tables, schema.tap_columns, schema.tap_keys,
        schema.tap_key_columns,
    ):  # fmt: skip
        name = table.name.replace("tap_schema_", "TAP_SCHEMA.")
        for column in table.columns:
            told = '"size"' if column.name == "size" else column.name
            assert (name, told) in described


def test_vosi_tables_are_those_of_tap_schema():
    vosi = {table.name for group in tableset() for table in group.tables}
    assert vosi == {row["table_name"] for row in tap_schema_rows()[schema.tap_tables]}
    assert vosi == {table.full_name for table in PUBLISHED.tables}


def test_keys_join_columns_that_exist():
    rows = tap_schema_rows()
    columns = {(row["table_name"], row["column_name"]) for row in rows[schema.tap_columns]}
    keys = {row["key_id"]: row for row in rows[schema.tap_keys]}
    for row in rows[schema.tap_key_columns]:
        key = keys[row["key_id"]]
        assert (key["from_table"], row["from_column"]) in columns
        assert (key["target_table"], row["target_column"]) in columns


def stored(path):
    connection = open_reader(path)
    try:
        return connection.execute("SELECT * FROM tap_schema_columns ORDER BY 1, 14").fetchall()
    finally:
        connection.close()


def test_an_elder_store_gets_the_descriptions_of_this_program(tmp_path):
    path = tmp_path / "skylane.db"
    store = SqliteStore(path)
    wanted = stored(path)
    store._connection.execute("DELETE FROM tap_schema_columns WHERE column_name = 'filter'")
    store._connection.execute("UPDATE tap_schema_columns SET unit = 'furlong'")
    store.close()
    assert stored(path) != wanted
    SqliteStore(path).close()
    assert stored(path) == wanted


@pytest.mark.parametrize("table", PUBLISHED.tables, ids=lambda table: table.full_name)
def test_every_published_column_can_be_read(tmp_path, table):
    path = tmp_path / "skylane.db"
    SqliteStore(path).close()
    connection = open_reader(path)
    for item in table.columns:
        if item.sql is None:
            connection.execute(f'SELECT "{item.name}" FROM {table.physical}').fetchall()
    connection.close()
