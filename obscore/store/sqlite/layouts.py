"""Former layouts of the embedded store, and the steps that bring each to the next.

A step is frozen: it spells out in SQL what the layout was at its time, and never looks at
`obscore.store.schema`, which tells what it is now.
"""

from __future__ import annotations

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


_STEPS: dict[int, Callable[[apsw.Connection], None]] = {1: _count_facets, 2: _add_publication}
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
