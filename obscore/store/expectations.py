"""What SQLite's planner is told to expect of the rows, in every embedded store.

For want of it SQLite takes ten rows for any value of any index, and looks up every image there is
where a few identifiers are asked for with ``dataproduct_type``. These are no statistics of what a
store holds, but hold for all stores, so that plans are the same whatever is in it.
"""

from __future__ import annotations

from obscore.columns import COLUMNS

__all__ = ["EXPECTATIONS"]

_ROWS = 1_000_000
_SHARED = 100_000
"""Rows with the same value, where a column has few: types, collections, filters and their bands."""

_BY_INDEX: dict[str, int] = {
    **{
        f"ix_obscore_{item.name}": _SHARED
        for item in COLUMNS
        if item.indexed and (item.facet or item.name in {"em_min", "em_max"})
    },
    "ix_obscore_lower_obs_publisher_did": 1,
    "sqlite_autoindex_obscore_1": 1,
}

EXPECTATIONS: tuple[str, ...] = (
    "ANALYZE sqlite_schema",
    *(
        f"INSERT INTO sqlite_stat1 VALUES ('obscore', '{name}', '{_ROWS} {rows}')"  # noqa: S608 - names of ours
        for name, rows in sorted(_BY_INDEX.items())
    ),
)
"""Statements; part of the layout."""
