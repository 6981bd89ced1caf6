"""Former layouts of the embedded store, and the steps that bring each to the next.

A step is frozen: it spells out in SQL what the layout was at its time, and never looks at
`obscore.store.schema`, which tells what it is now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

import apsw

from obscore.observation import Value
from obscore.store.facets import facet_key

__all__ = ["OLDEST", "upgrade"]


def _count_facets(connection: apsw.Connection) -> None:
    """Layout 2 counts products by the columns with few values."""
    names = (
        "dataproduct_type, calib_level, obs_collection, o_ucd, pol_states, facility_name,"
        " instrument_name, dataproduct_subtype, data_rights, o_unit, filter"
    )
    connection.execute(
        """
        CREATE TABLE facets (
            "key" TEXT NOT NULL,
            dataproduct_type TEXT,
            calib_level INTEGER,
            obs_collection TEXT,
            o_ucd TEXT,
            pol_states TEXT,
            facility_name TEXT,
            instrument_name TEXT,
            dataproduct_subtype TEXT,
            data_rights TEXT,
            o_unit TEXT,
            filter TEXT,
            products INTEGER NOT NULL,
            PRIMARY KEY ("key")
        ) STRICT
        """
    )

    def key(*values: apsw.SQLiteValue) -> str:
        return facet_key(cast("tuple[Value, ...]", values))

    connection.create_scalar_function("facet_key", key, deterministic=True)
    connection.execute(
        f"INSERT INTO facets SELECT facet_key({names}), * FROM"  # noqa: S608 - names of ours
        f" (SELECT {names}, count(*) FROM obscore GROUP BY {names})"
    )
    connection.create_scalar_function("facet_key", None)


def _add_publication(connection: apsw.Connection) -> None:
    """Layout 3 keeps tables that a site publishes itself."""
    connection.execute(
        """
        CREATE TABLE publication (
            id INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            numbers INTEGER NOT NULL,
            PRIMARY KEY (id)
        ) STRICT;
        CREATE TABLE published_schemas (
            schema_name TEXT NOT NULL,
            description TEXT,
            utype TEXT,
            PRIMARY KEY (schema_name)
        ) STRICT;
        CREATE TABLE published_tables (
            schema_name TEXT NOT NULL,
            table_name TEXT NOT NULL,
            number INTEGER NOT NULL,
            declaration TEXT NOT NULL,
            rows INTEGER NOT NULL,
            loaded TEXT NOT NULL,
            token TEXT NOT NULL,
            PRIMARY KEY (schema_name, table_name),
            UNIQUE (number)
        ) STRICT
        """
    )


def _add_lifecycle(connection: apsw.Connection) -> None:
    """Layout 4 tells when rows changed, what is gone, and which runs wrote what.

    The rows there are count as changed now; which runs wrote them is not known.
    """
    connection.execute(
        """
        ALTER TABLE obscore ADD COLUMN last_modified TEXT DEFAULT '' NOT NULL;
        UPDATE obscore SET last_modified = strftime('%Y-%m-%dT%H:%M:%f', 'now');
        CREATE INDEX ix_obscore_last_modified ON obscore (last_modified);
        ALTER TABLE files ADD COLUMN run_id INTEGER;
        CREATE TABLE tombstones (
            obs_publisher_did TEXT NOT NULL,
            obs_collection TEXT NOT NULL,
            obs_release_date TEXT,
            deleted TEXT NOT NULL,
            kind TEXT NOT NULL,
            reason TEXT,
            who TEXT,
            uri TEXT NOT NULL,
            whole_file INTEGER NOT NULL,
            PRIMARY KEY (obs_publisher_did)
        ) STRICT;
        CREATE INDEX ix_tombstones_deleted ON tombstones (deleted);
        CREATE INDEX ix_tombstones_uri ON tombstones (uri);
        CREATE TABLE mappings (
            digest TEXT NOT NULL,
            text TEXT NOT NULL,
            PRIMARY KEY (digest)
        ) STRICT;
        CREATE TABLE runs (
            id INTEGER NOT NULL,
            kind TEXT NOT NULL,
            command TEXT NOT NULL,
            program TEXT NOT NULL,
            begun TEXT NOT NULL,
            ended TEXT,
            mappings TEXT NOT NULL,
            counts TEXT NOT NULL,
            PRIMARY KEY (id)
        ) STRICT
        """
    )


def _add_blocks(connection: apsw.Connection) -> None:
    """Layout 5 notes which blocks of rows changed."""
    connection.execute(
        """
        CREATE TABLE footprint_blocks (
            block INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            PRIMARY KEY (block)
        ) STRICT
        """
    )
    connection.execute(
        "INSERT INTO footprint_blocks SELECT DISTINCT id / 4096, ? FROM obscore", (time.time_ns(),)
    )


def _add_extra_columns(connection: apsw.Connection) -> None:
    """Layout 6 keeps columns that a site adds."""
    connection.execute(
        """
        CREATE TABLE extra_columns (
            number INTEGER NOT NULL,
            place INTEGER NOT NULL,
            declaration TEXT NOT NULL,
            PRIMARY KEY (number)
        ) STRICT
        """
    )


def _add_lower_did(connection: apsw.Connection) -> None:
    """Layout 7 finds identifiers without regard to case, and tells the planner what to expect."""
    connection.execute(
        """
        CREATE INDEX ix_obscore_lower_obs_publisher_did ON obscore (lower(obs_publisher_did));
        ANALYZE sqlite_schema;
        DELETE FROM sqlite_stat1 WHERE tbl = 'obscore';
        INSERT INTO sqlite_stat1 VALUES
            ('obscore', 'ix_obscore_dataproduct_type', '1000000 100000'),
            ('obscore', 'ix_obscore_em_max', '1000000 100000'),
            ('obscore', 'ix_obscore_em_min', '1000000 100000'),
            ('obscore', 'ix_obscore_facility_name', '1000000 100000'),
            ('obscore', 'ix_obscore_filter', '1000000 100000'),
            ('obscore', 'ix_obscore_instrument_name', '1000000 100000'),
            ('obscore', 'ix_obscore_lower_obs_publisher_did', '1000000 1'),
            ('obscore', 'ix_obscore_obs_collection', '1000000 100000'),
            ('obscore', 'sqlite_autoindex_obscore_1', '1000000 1')
        """
    )


_STEPS: dict[int, Callable[[apsw.Connection], None]] = {
    1: _count_facets,
    2: _add_publication,
    3: _add_lifecycle,
    4: _add_blocks,
    5: _add_extra_columns,
    6: _add_lower_did,
}
"""By the layout that each begins with."""

OLDEST = min(_STEPS)
"""The oldest layout that can be brought up."""


def upgrade(connection: apsw.Connection, version: int) -> int:
    """Bring a store of an older layout up to date; the caller has begun a transaction.

    Parameters
    ----------
    connection
        Open for writing.
    version
        The layout that it has.

    Returns
    -------
    int
        The layout that it has now.
    """
    while version in _STEPS:
        _STEPS[version](connection)
        version += 1
    return version
