"""What a connection for users' queries may do: read what is published, call harmless functions."""

from __future__ import annotations

import apsw

from obscore.store.schema import PUBLISHED_NAME, PUBLISHED_TABLES, RTREE, RTREE_SHADOWS

__all__ = ["authorize"]

_REFUSED_FUNCTIONS = frozenset(
    {
        "load_extension",
        "fts3_tokenizer",
        "readfile",
        "writefile",
        "edit",
        "randomblob",
        "zeroblob",
        "sqlite_compileoption_get",
        "sqlite_compileoption_used",
        "sqlite_source_id",
        "sqlite_version",
        "rtreecheck",
        "rtreenode",
        "rtreedepth",
    }
)
"""Functions of SQLite that tell of the server, reach its disk, or take memory at will."""


def authorize(
    operation: int, first: str | None, second: str | None, database: str | None, _: str | None
) -> int:
    """Allow reads of what is published and nothing else (SQLite's authorizer)."""
    match operation:
        case apsw.SQLITE_SELECT:
            return apsw.SQLITE_OK
        case apsw.SQLITE_READ if first in PUBLISHED_TABLES and database in {"main", None}:
            return apsw.SQLITE_OK
        case apsw.SQLITE_READ if database in {"main", None} and _is_published(first):
            return apsw.SQLITE_OK
        case apsw.SQLITE_READ if first == "json_each" and database in {"main", None}:
            return apsw.SQLITE_OK  # reads its argument alone: a long list behind IN
        case apsw.SQLITE_READ if first == "sqlite_stat1" and database in {"main", None}:
            # SQLite looks there for itself whenever it connects an R*Tree. What is in it says
            # nothing of what a store holds (`obscore.store.expectations`).
            return apsw.SQLITE_OK
        case apsw.SQLITE_FUNCTION if second not in _REFUSED_FUNCTIONS:
            return apsw.SQLITE_OK
        case apsw.SQLITE_READ | apsw.SQLITE_INSERT | apsw.SQLITE_UPDATE | apsw.SQLITE_DELETE if (
            first in RTREE_SHADOWS or (database == "main" and _is_shadow(first))
        ):
            # SQLite prepares these for itself whenever it connects the R*Tree; the connection
            # being read-only, the writing ones can never run.
            return apsw.SQLITE_OK
        case apsw.SQLITE_CREATE_VTABLE if first == RTREE or _is_published(first):
            return apsw.SQLITE_OK
        case _:
            return apsw.SQLITE_DENY


def _is_published(name: str | None) -> bool:
    """Tell whether a table holds rows, or the R*Tree, of a table that the site has published."""
    return name is not None and PUBLISHED_NAME.fullmatch(name) is not None


def _is_shadow(name: str | None) -> bool:
    """Tell whether SQLite keeps the R*Tree of such a table in this one."""
    stem, _, part = (name or "").rpartition("_")
    return part in {"node", "rowid", "parent"} and _is_published(stem)
