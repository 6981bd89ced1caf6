"""The cutout service as an app to be mounted, and the pool that it works with."""

from __future__ import annotations

from starlette.applications import Starlette

from soda.routes import soda_routes
from soda.settings import SodaSettings
from soda.worker import PRELOAD, warm_up
from vodal.pool import WarmPool
from vodal.products import Resolver
from vodal.web.app import service_app

__all__ = ["create_app", "make_pool"]


def make_pool(settings: SodaSettings) -> WarmPool:
    """Make the pool of worker processes, to be started and stopped by the site's lifespan."""
    return WarmPool(
        settings.workers,
        preload=PRELOAD,
        initializer=warm_up,
        deadline_s=settings.deadline_s,
        memory_limit_bytes=settings.memory_limit_bytes,
        max_queue=settings.max_queue,
        max_jobs=settings.max_jobs,
        name="cutout",
    )


def create_app(
    *,
    resolver: Resolver,
    pool: WarmPool,
    settings: SodaSettings,
    public_url: str | None = None,
) -> Starlette:
    """Make the app that serves cutouts, to be mounted at ``/soda``.

    Parameters
    ----------
    resolver
        Finds datasets.
    pool
        From `make_pool`; must run while the app serves.
    settings
        Limits.
    public_url
        Of the site (not of ``/soda``), without a trailing slash; by default taken from requests.
    """
    return service_app(soda_routes(resolver, pool, settings, public_url))
