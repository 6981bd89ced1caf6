"""The HiPS server as an app to be mounted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

from hips.allowed import Allowed
from hips.archive import Archive
from hips.archive_routes import archive_routes
from hips.cutout.routes import cutout_routes
from hips.live.routes import LiveHips
from hips.routes import hips_routes
from hips.settings import HipsSettings
from hips.shelf import Shelf
from vodal.storage import LOCAL, Storage
from vodal.web.app import service_app

__all__ = ["create_app"]


def create_app(
    *,
    root: Path,
    settings: HipsSettings,
    public_url: str | None = None,
    storage: Storage = LOCAL,
    archive: Archive | None = None,
) -> Starlette:
    """Make the app that serves the HiPS in a folder, to be mounted at ``/hips``.

    Parameters
    ----------
    root
        Holds one folder a HiPS; need not exist yet.
    settings
        How they are served.
    public_url
        Of the site (not of ``/hips``), without a trailing slash; by default taken from requests.
    storage
        Reads the HiPS that lie elsewhere.
    archive
        Where images are known; without it there are no live HiPS and no cutouts, and nobody is told
        which images are behind a tile. Its pool must run while the app serves.
    """
    shelf = Shelf(root, settings, storage, Allowed(archive.resolver if archive else None))
    built = hips_routes(shelf, settings, public_url)
    if archive is None:
        return service_app(built)
    live = LiveHips(archive, settings, root) if settings.live.enabled else None

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if live is not None:
            live.start()
        yield
        if live is not None:
            await live.close()

    routes = [
        *cutout_routes(shelf, settings, archive.pool),
        *archive_routes(shelf, settings, public_url, archive, live),
        *built,
    ]
    return service_app(routes, lifespan=lifespan)
