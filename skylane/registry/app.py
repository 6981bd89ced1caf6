"""The registry as an app, to be mounted at ``/registry``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

from obscore.coverage.maps import CollectionMaps
from obscore.store.base import Backend
from skylane.registry.dates import Datestamps
from skylane.registry.holdings import Holdings, check_registry
from skylane.registry.oai import OaiAnswers
from skylane.registry.records import Records
from skylane.registry.routes import closed_routes, registry_routes
from skylane.settings import SiteSettings
from vodal.access.rules import Rights
from vodal.web.app import service_app
from vodal.web.threads import in_thread

__all__ = ["create_registry_app", "make_records"]


def make_records(
    settings: SiteSettings, backend: Backend, maps: CollectionMaps, public: Rights, dates: Path
) -> Records:
    """Make what gives the records of a site; its holdings' engine must be closed.

    Parameters
    ----------
    settings
        Of the site.
    backend
        The store.
    maps
        What collections cover.
    public
        What everybody may know of.
    dates
        The file with the dates of records.

    Raises
    ------
    SettingsError
        If something that records need is not set.
    """
    check_registry(settings)
    tap = settings.tap
    engine = backend.engine(connections=1, wait_s=tap.wait_limit_s, batch_rows=tap.batch_rows)
    return Records(Holdings(settings, maps, engine, public), Datestamps(dates))


def create_registry_app(
    settings: SiteSettings, backend: Backend, maps: CollectionMaps, public: Rights, dates: Path
) -> Starlette:
    """Make the service; where the settings have no registry it says so.

    Parameters
    ----------
    settings, backend, maps, public, dates
        As of `make_records`; the maps are those of another service, which outlives this one.

    Raises
    ------
    SettingsError
        If something that records need is not set.
    """
    own = settings.registry
    if not own.configured:
        return service_app(closed_routes())
    records = make_records(settings, backend, maps, public, dates)
    service_url = f"{(settings.server.public_url or '').rstrip('/')}/registry"

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await in_thread(records.holdings.engine.close)

    answers = OaiAnswers(records, own, f"{service_url}/oai")
    return service_app(registry_routes(answers, service_url, own.page_records), lifespan=lifespan)
