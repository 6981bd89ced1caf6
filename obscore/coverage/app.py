"""The service of coverage maps as an app, to be mounted at ``/moc``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

from obscore.coverage.kept import KeptBlocks
from obscore.coverage.maps import CollectionMaps
from obscore.coverage.routes import coverage_routes
from obscore.coverage.settings import CoverageSettings
from obscore.store.base import Backend
from vodal.diskcache import DiskCache
from vodal.web.app import service_app
from vodal.web.threads import in_thread

__all__ = ["create_coverage_app", "make_maps"]


def make_maps(
    backend: Backend, settings: CoverageSettings, orders: Mapping[str, int], cache: Path
) -> CollectionMaps:
    """Make what gives maps.

    Parameters
    ----------
    backend
        The store; nothing is asked of it before the first map.
    settings
        How fine maps are.
    orders
        The orders of collections that have one of their own.
    cache
        The site's folder of what can be made again.
    """
    footprints = backend.footprints()
    kept = DiskCache(cache / "moc", settings.cache_bytes)
    return CollectionMaps(footprints, KeptBlocks(footprints, settings, orders, kept), settings)


def create_coverage_app(maps: CollectionMaps) -> Starlette:
    """Make the service; it closes the maps when it ends.

    Parameters
    ----------
    maps
        From `make_maps`.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await in_thread(maps.close)

    return service_app(coverage_routes(maps), lifespan=lifespan)
