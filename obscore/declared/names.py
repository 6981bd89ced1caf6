"""Which names schemas, tables and columns can be given."""

from __future__ import annotations

import re

from vodal.errors import UsageError

__all__ = ["check_name", "check_schema_name", "split_name"]

LONGEST_NAME = 128
"""Characters of a schema's, table's or column's name."""

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')

_RESERVED_SCHEMAS = {
    "ivoa": "the standards' tables, which this program makes",
    "skylane": "what this program tells of itself",
    "tap_schema": "the tables that describe tables",
    "tap_upload": "the tables that come with a query",
}


def check_name(name: str, what: str) -> None:
    """See that a name can be given.

    Parameters
    ----------
    name
        The name, without quotes.
    what
        What has it, for the error.

    Raises
    ------
    UsageError
        If it is empty, too long, or has characters that a query cannot write.
    """
    if not 0 < len(name) <= LONGEST_NAME:
        raise UsageError(f"{what}: a name has 1 to {LONGEST_NAME} characters")
    if not name.isprintable() or name != name.strip():
        raise UsageError(
            f"{what}: {name!r} has blanks at an end, or characters that cannot be seen"
        )


def check_schema_name(name: str) -> None:
    """See that tables can be published in a schema of this name.

    Raises
    ------
    UsageError
        If they cannot.
    """
    check_name(name, "schema")
    reason = _RESERVED_SCHEMAS.get(name.lower())
    if reason is not None:
        raise UsageError(f"schema: {name} holds {reason}; give the schema another name")


def split_name(text: str) -> tuple[str, ...]:
    """Split ``schema.table``, or ``schema`` alone, into its parts without quotes.

    Raises
    ------
    UsageError
        If it is neither.
    """
    parts: list[str] = []
    rest = text.strip()
    while match := _PART.match(rest):
        parts.append(match[2].strip() if match[1] is None else match[1].replace('""', '"'))
        rest = rest[match.end() :]
        if not rest:
            break
        if not rest.startswith("."):
            parts = []
            break
        rest = rest[1:]
    if not 1 <= len(parts) <= 2 or rest or not all(parts):
        raise UsageError(
            f"'{text[:80]}' is no name of a table; write schema.table, with double quotes around a"
            " part that holds a dot"
        )
    return tuple(parts)
