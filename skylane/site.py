"""Settings to a running site: the stores, the pool, the services on one Starlette app."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from anyio import fail_after
from anyio.to_thread import run_sync
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import datalink.app
import hips.app
import obscore.app
import soda.app
from datalink.routes import write_links
from hips.archive import Archive
from obscore.assembly.opening import OpeningResolver
from obscore.assembly.renewal import Renewal
from obscore.coverage.app import create_coverage_app
from obscore.hook.app import create_hook_app, hook_job_settings
from obscore.hook.routes import PATHS as HOOK_PATHS
from obscore.store.base import Backend
from skylane.access import SiteAccess, name_of
from skylane.annotators import ANNOTATORS
from skylane.folder import SiteFolder
from skylane.links import create_makers
from skylane.policies import protection
from skylane.portal.routes import portal_routes
from skylane.registry.app import create_registry_app
from skylane.searching import ConditionSearch
from skylane.servers import METRICS_VARIABLE, SharedMetrics, end_with_supervisor
from skylane.settings import SiteSettings, load_settings
from skylane.starting import ShortFaults
from skylane.workers import PRELOAD, warm_up
from vodal.access.rules import Rights
from vodal.errors import SkylaneError
from vodal.storage import Storage
from vodal.tables import binary
from vodal.tables.formats import LOOSE_TYPES
from vodal.uws.metrics import QueueMetrics, queue_state
from vodal.web.auth.proxy import Peer
from vodal.web.encoding import TEXTS, Compression
from vodal.web.slashes import SlashRedirects

__all__ = ["SITE_VARIABLE", "create_app", "create_app_from_environment"]

MOC_PATH: Final = "/moc"
"""Where coverage maps are."""

SITE_VARIABLE = "SKYLANE_SITE"
"""Names the site's folder to server processes that are started anew."""

log = logging.getLogger(__name__)

_HEALTH_LIMIT_S = 3.0
"""Seconds that the queue of jobs may take to answer; who asks for health will not wait long."""


def create_app(
    site: SiteFolder, settings: SiteSettings, metrics_folder: Path | None = None
) -> Starlette:
    """Compose the services of a site.

    Parameters
    ----------
    site
        The site's folder, prepared.
    settings
        Of the site.
    metrics_folder
        Where this server process finds those beside it, if there are several.

    Raises
    ------
    SettingsError
        If the settings cannot be followed.
    """
    access = SiteAccess(settings, site.signing_key)
    registry = CollectorRegistry()
    backend = site.backend(settings.store)
    catalogue = backend.catalogue()
    pool = soda.app.make_pool(settings.soda, PRELOAD, warm_up)
    jobs = site.jobs(settings.jobs, settings.store)
    registry.register(QueueMetrics(jobs.store))
    public_url = settings.server.public_url
    storage = Storage(settings.storage)
    resolver = OpeningResolver(backend, storage)
    renewal = Renewal(backend, settings.obscore, storage)
    searcher = ConditionSearch(backend, settings.tap)
    makers = create_makers(site.hips, settings, resolver, catalogue, searcher.values)
    tables = obscore.app.create_apps(
        backend=backend,
        settings=settings.tap,
        annotators=ANNOTATORS,
        public_url=public_url,
        jobs=jobs,
        identify=name_of,
        registry=registry,
        public=access.public,
        rights_of_job=access.of_job,
        moc_path=MOC_PATH,
    )
    services = {
        "/tap": tables.tap,
        "/sia2": tables.sia,
        "/datalink": datalink.app.create_links_app(
            resolver, makers, settings.datalink, public_url=public_url
        ),
        "/files": datalink.app.create_files_app(
            resolver,
            settings.datalink,
            cache=site.cache,
            public_url=public_url,
            storage=storage,
            added=searcher.values,
        ),
        "/soda": soda.app.create_app(
            resolver=resolver,
            pool=pool,
            settings=settings.soda,
            public_url=public_url,
            jobs=jobs,
            identify=name_of,
            catalogue=catalogue,
            registry=registry,
            storage=storage,
            refresher=renewal,
            public=access.public,
            rights_of_job=access.of_job,
        ),
        "/hips": hips.app.create_app(
            root=site.hips,
            settings=settings.hips,
            public_url=public_url,
            storage=storage,
            archive=Archive(
                catalogue=catalogue,
                resolver=resolver,
                pool=pool,
                cache=site.cache,
                searcher=searcher,
                write_links=write_links,
                storage=storage,
                refresher=renewal,
            ),
        ),
        **_described(site, settings, backend, access.public),
        **access.services,
    }

    hook = _hook(site, settings, backend, storage)
    compression = settings.server.compression
    # Tables of FITS and Arrow are packed too. Images are not: what packs them well is FITS's own
    # tile compression, and clients read ranges of their bytes.
    packed = {
        path: Compression(services[path], LOOSE_TYPES - TEXTS, compression)
        for path in ("/tap", "/sia2")
    }

    async def health(_request: Request) -> Response:
        stats = pool.stats
        told: dict[str, object] = {
            "healthy": stats.workers > 0,
            "cutout_workers": stats.workers,
            "cutouts_waiting": stats.waiting,
        }
        try:
            with fail_after(_HEALTH_LIMIT_S):
                queue = await run_sync(queue_state, jobs.store, abandon_on_cancel=True)
        except SkylaneError as error:
            told |= {"healthy": False, "jobs": str(error)}
        except TimeoutError:
            told |= {"healthy": False, "jobs": "the queue of jobs does not answer"}
        else:
            told |= {f"jobs_{name}": value for name, value in asdict(queue).items()}
        return JSONResponse(told, status_code=200 if told["healthy"] else 503)

    shared_metrics = SharedMetrics(
        lambda: generate_latest(REGISTRY) + generate_latest(registry), metrics_folder
    )

    async def metrics(_request: Request) -> Response:
        return Response(await shared_metrics.page(), media_type=CONTENT_TYPE_LATEST)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(resolver.close)
            stack.callback(catalogue.close)
            stack.callback(searcher.close)
            stack.callback(storage.close)
            backend.warm_up()
            binary.compiled.begin()
            with suppress(SkylaneError):
                for doubt in await run_sync(access.doubts, catalogue, backend):
                    log.warning("access: %s", doubt)
            await stack.enter_async_context(renewal)
            await stack.enter_async_context(pool)
            for app in (*services.values(), *hook):
                # Mounted apps are not told of start and stop by Starlette.
                await stack.enter_async_context(app.router.lifespan_context(app))
            await stack.enter_async_context(jobs)
            await stack.enter_async_context(shared_metrics.told())
            yield

    return Starlette(
        routes=[
            *(Route(path, app) for app in hook for path in HOOK_PATHS),
            *(Mount(path, packed.get(path, app)) for path, app in services.items()),
            Route("/health", health),
            Route("/metrics", metrics),
            *portal_routes(settings.portal),
        ],
        middleware=[
            protection(settings),
            Middleware(SlashRedirects),
            Middleware(Compression, mode=compression),
            *access.middleware,
        ],
        lifespan=lifespan,
    )


def _described(
    site: SiteFolder, settings: SiteSettings, backend: Backend, public: Rights
) -> dict[str, Starlette]:
    """Make what tells others what the site covers: coverage maps, records for the Registry."""
    maps = site.maps(settings.obscore, backend)
    return {
        MOC_PATH: create_coverage_app(maps),
        "/registry": create_registry_app(settings, backend, maps, public, site.registry),
    }


def _hook(
    site: SiteFolder, settings: SiteSettings, backend: Backend, storage: Storage
) -> list[Starlette]:
    """Give the app that pipelines call, if there is a token for it."""
    if settings.obscore.ingest.hook_token is None:
        return []
    jobs = site.jobs(hook_job_settings(settings.jobs), settings.store)
    url = settings.server.public_url
    app = create_hook_app(
        backend=backend, settings=settings.obscore, jobs=jobs, public_url=url, storage=storage
    )
    return [app]


def create_app_from_environment() -> ASGIApp:
    """Compose the site that `SITE_VARIABLE` names; for server processes that start anew."""
    end_with_supervisor()
    path = Path(os.environ[SITE_VARIABLE])
    folder = os.environ.get(METRICS_VARIABLE)
    settings = load_settings(path)
    app = create_app(SiteFolder(path), settings, Path(folder) if folder else None)
    proxies = list(settings.server.trusted_proxies)
    # Who connected must still be known when the address has become that of the proxy's client.
    forwarded: Any = ProxyHeadersMiddleware
    return ShortFaults(Peer(forwarded(app, proxies)))
