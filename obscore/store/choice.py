"""Which store the settings ask for."""

from __future__ import annotations

from pathlib import Path

from obscore.store.base import Backend
from obscore.store.settings import StoreSettings
from obscore.store.sqlite.backend import SqliteBackend
from vodal.errors import SettingsError

__all__ = ["make_backend"]


def make_backend(settings: StoreSettings, database: Path) -> Backend:
    """Give the store that the settings ask for; nothing is opened yet.

    Parameters
    ----------
    settings
        Of the store.
    database
        The file of the embedded store, where that is asked for.

    Raises
    ------
    SettingsError
        If what PostgreSQL needs is not installed, or a URL cannot be read.
    """
    if not settings.url:
        return SqliteBackend(database)
    # The driver is an extra, and costs time to load.
    try:
        from obscore.store.postgres.backend import PostgresBackend  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in {"psycopg", "alembic"}:
            raise SettingsError(
                "store.url names PostgreSQL, whose driver is not installed:"
                ' pip install "skylane[postgres]"'
            ) from None
        raise
    return PostgresBackend(settings)
