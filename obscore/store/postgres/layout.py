"""Which layout a database has, and how it is brought up to date."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory

from obscore.store.postgres.pool import Connection
from vodal.errors import ArchiveError

__all__ = ["find_revision", "newest_revision", "upgrade"]

_VERSION_TABLE = "alembic_version"


@cache
def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return ScriptDirectory.from_config(config)


def newest_revision() -> str:
    """Give the revision that this program needs."""
    newest = _scripts().get_current_head()
    assert newest is not None
    return newest


def find_revision(connection: Connection, schema: str) -> str | None:
    """Give the revision of a store's layout; None if there is no store in the schema.

    Parameters
    ----------
    connection
        To the database.
    schema
        That of the store.

    Raises
    ------
    ArchiveError
        If it is one that this program does not know: a newer one made it.
    """
    there = connection.execute(
        "SELECT to_regclass(quote_ident(%s) || '.' || %s) IS NOT NULL", (schema, _VERSION_TABLE)
    ).fetchone()
    if there != (True,):
        return None
    # The schema is the first of the search path.
    row = connection.execute(f"SELECT version_num FROM {_VERSION_TABLE}").fetchone()  # noqa: S608
    if row is None:
        return None
    revision = str(row[0])
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision not in known:
        raise ArchiveError(
            f"the store in the schema {schema} has layout {revision} and this program knows"
            f" layouts up to {newest_revision()}; use the newer program that made it"
        )
    return revision


def upgrade(connection: sqlalchemy.Connection, schema: str) -> None:
    """Bring the layout up to date, from nothing or from any former one.

    Parameters
    ----------
    connection
        In a transaction, which the caller ends: all steps hold, or none.
    schema
        That of the store; it must exist, and be the first of the search path.
    """
    scripts = _scripts()

    def steps(revision: str | tuple[str, ...], _: MigrationContext) -> list[RevisionStep]:
        return list(scripts._upgrade_revs("head", revision))  # type: ignore[arg-type]  # noqa: SLF001 - as alembic's own command does

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=connection, version_table=_VERSION_TABLE, version_table_schema=schema
        )
        environment.run_migrations()
