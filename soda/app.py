"""The cutout service as an app to be mounted, and the pool that it works with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from soda.async_routes import async_routes
from soda.examples import SiteExamples
from soda.finding import Finder
from soda.intake import CutoutIntake
from soda.jobs import CutoutJobs
from soda.metrics import CutoutMetrics
from soda.routes import soda_routes
from soda.sending import Unsent
from soda.settings import SodaSettings
from soda.stitch.routes import stitch_routes
from soda.times import TimeAxes
from soda.worker import PRELOAD, warm_up
from vodal.access.rules import EVERYTHING, Rights
from vodal.access.seen import had_by
from vodal.pool import WarmPool
from vodal.pool.metrics import PoolMetrics
from vodal.products import Catalogue, Refresher, Resolver
from vodal.storage import LOCAL, Storage
from vodal.uploads.tables import TableUploads
from vodal.uws.callers import Identify, anonymous
from vodal.uws.runner import Runner
from vodal.uws.tasks import JobRights, all_rights
from vodal.web.app import service_app
from vodal.web.multipart import MAX_FORM_BYTES
from vodal.web.requests import service_url, site_url

__all__ = ["create_app", "make_pool"]


def make_pool(
    settings: SodaSettings,
    preload: Sequence[str] = PRELOAD,
    initializer: Callable[[], object] = warm_up,
) -> WarmPool:
    """Make the pool of worker processes, to be started and stopped by the site's lifespan.

    Parameters
    ----------
    settings
        How many, and their limits.
    preload, initializer
        Of `WarmPool`: more than cutouts need, where they do more.
    """
    return WarmPool(
        settings.workers,
        preload=preload,
        initializer=initializer,
        deadline_s=settings.deadline_s,
        memory_limit_bytes=settings.memory_limit_bytes,
        max_queue=settings.max_queue,
        max_jobs=settings.max_jobs,
        shared_bytes=settings.max_output_bytes,
        name="cutout",
    )


def create_app(
    *,
    resolver: Resolver,
    pool: WarmPool,
    settings: SodaSettings,
    public_url: str | None = None,
    jobs: Runner | None = None,
    identify: Identify = anonymous,
    catalogue: Catalogue | None = None,
    registry: CollectorRegistry | None = None,
    storage: Storage = LOCAL,
    refresher: Refresher | None = None,
    public: Rights = EVERYTHING,
    rights_of_job: JobRights = all_rights,
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
    jobs
        Runs jobs; started, and stopped before the app, by who made it. Without it there is no
        ``/async``.
    identify
        Knows who asks for a job.
    catalogue
        Finds products by place, for tables of positions, ``/stitched`` and ``/examples``; without
        it tables have to name datasets, and there is neither of the two.
    registry
        Where metrics are asked for.
    storage
        Opens the datasets' files.
    refresher
        Told of files that changed since they were catalogued.
    public
        What ``/examples`` may show.
    rights_of_job
        Gives the rights that a job runs with.
    """
    finder = Finder(resolver, storage, refresher)
    registry = registry or CollectorRegistry()
    registry.register(PoolMetrics(pool, "skylane_soda"))
    metrics = CutoutMetrics(registry)
    has_jobs = jobs is not None
    unsent = Unsent(settings.max_unsent_bytes)
    routes = soda_routes(
        finder,
        pool,
        settings,
        public_url,
        has_jobs=has_jobs,
        metrics=metrics,
        unsent=unsent,
        site_examples=(
            None
            if catalogue is None
            else SiteExamples(
                had_by(public, catalogue),
                settings,
                TimeAxes(finder.within(public), pool).middle,
                has_jobs=has_jobs,
            )
        ),
    )
    if catalogue is not None:
        routes += stitch_routes(finder, catalogue, pool, settings, metrics, unsent)
    if jobs is None:
        return service_app(routes)
    tables = TableUploads(settings.uploads, section="soda.uploads")
    uploads = CutoutIntake(tables, stitches=catalogue is not None)
    look = uploads.looked_at
    work = CutoutJobs(
        finder, pool, settings, uploads.load, catalogue, metrics, look, rights_of=rights_of_job
    )
    routes += async_routes(
        jobs,
        work,
        settings,
        service_url=lambda request: service_url(request, public_url),
        site_url=lambda request: site_url(request, public_url),
        identify=identify,
        intake=uploads,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        work.start()
        uploads.start()
        yield
        await tables.close()

    return service_app(
        routes,
        lifespan=lifespan,
        max_body_bytes=settings.uploads.max_bytes + 2 * MAX_FORM_BYTES,
    )
