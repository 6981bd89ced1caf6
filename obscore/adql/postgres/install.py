"""Puts the functions that the printed SQL calls into a database."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

__all__ = ["FUNCTIONS_SCHEMA", "functions_digest", "functions_sql"]

FUNCTIONS_SCHEMA = "adql"
"""The schema of the database that holds the functions and nothing else."""

_PARTS = ("numbers.sql", "texts.sql", "sphere.sql", "shapes.sql", "userdefined.sql", "moc.sql")
"""In an order in which each calls only what is there."""


@cache
def functions_sql() -> str:
    """Give the statements that make the functions anew, for one transaction.

    The schema is dropped with all that is in it and made again, so that nothing of an older version
    stays. Nothing of the store's depends on it. pg_sphere's types must be found by the search path.
    """
    folder = files(__package__)
    parts = [(folder / name).read_text("utf-8") for name in _PARTS]
    return "\n".join(
        (
            f"DROP SCHEMA IF EXISTS {FUNCTIONS_SCHEMA} CASCADE;",
            f"CREATE SCHEMA {FUNCTIONS_SCHEMA};",
            *parts,
            f"COMMENT ON SCHEMA {FUNCTIONS_SCHEMA} IS '{functions_digest()}';",
        )
    )


@cache
def functions_digest() -> str:
    """Give what the schema's comment is if a database has these very functions."""
    folder = files(__package__)
    digest = hashlib.sha256()
    for name in _PARTS:
        digest.update((folder / name).read_bytes())
    return f"functions of ADQL {digest.hexdigest()[:16]}"
