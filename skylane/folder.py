"""The folder of a site: where it keeps what it makes, and its stores.

What only one of them needs is imported when it is asked for, so that a command that asks for none
starts at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vodal.errors import SettingsError

if TYPE_CHECKING:
    from obscore.coverage.maps import CollectionMaps
    from obscore.settings import ObsCoreSettings
    from obscore.store.base import Backend
    from obscore.store.settings import StoreSettings
    from vodal.uws.runner import Runner
    from vodal.uws.settings import JobSettings

__all__ = ["SiteFolder"]


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """Where a site keeps what it makes."""

    path: Path

    @property
    def database(self) -> Path:
        """The embedded store, where the settings name no other."""
        return self.path / "skylane.db"

    def backend(self, settings: StoreSettings) -> Backend:
        """Give the site's store.

        Raises
        ------
        SettingsError
            If the settings of the store cannot be followed.
        """
        from obscore.store.choice import make_backend  # noqa: PLC0415 - see above

        return make_backend(settings, self.database)

    @property
    def hips(self) -> Path:
        """One folder a HiPS."""
        return self.path / "hips"

    @property
    def cache(self) -> Path:
        """Previews; may be deleted at any time."""
        return self.path / "cache"

    def jobs(self, settings: JobSettings, store: StoreSettings) -> Runner:
        """Make what runs the site's asynchronous jobs, whose queue lies with the store."""
        from vodal.uws.results import ResultFolders  # noqa: PLC0415 - see above
        from vodal.uws.runner import Runner  # noqa: PLC0415
        from vodal.uws.sqlite import SqliteJobs  # noqa: PLC0415

        folders = ResultFolders(settings.results or self.path / "results")
        if not store.url:
            return Runner(SqliteJobs(self.path / "jobs.db"), folders, settings)
        from vodal.uws.postgres import PostgresJobs  # noqa: PLC0415 - the driver is an extra

        return Runner(PostgresJobs(store.url, store.schema_name), folders, settings)

    def maps(self, settings: ObsCoreSettings, backend: Backend) -> CollectionMaps:
        """Make what gives the coverage maps of collections."""
        from obscore.coverage.app import make_maps  # noqa: PLC0415 - see above

        return make_maps(backend, settings.moc, settings.moc_orders, self.cache)

    @property
    def registry(self) -> Path:
        """Dates of the records for the Registry, SQLite."""
        return self.path / "registry.db"

    @property
    def signing_key(self) -> Path:
        """Secret of signed URLs, where the settings have none."""
        return self.path / "signing.key"

    @property
    def reports(self) -> Path:
        """Reports of the assembly line, JSON lines."""
        return self.path / "reports"

    def prepare(self, settings: StoreSettings) -> Backend:
        """Make the folder and an empty store where there is none; gives the store.

        Raises
        ------
        SettingsError
            If the folder cannot be made, or the settings of the store cannot be followed.
        """
        try:
            for folder in (self.path, self.hips, self.cache):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"the site's folder {self.path}: {error.strerror}") from None
        backend = self.backend(settings)
        backend.prepare()
        return backend
