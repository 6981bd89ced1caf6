"""The services of the catalogue as apps: TAP, to be mounted at ``/tap``, and SIA, at ``/sia2``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from obscore.adql.tokens import RESERVED
from obscore.sia.routes import sia_error, sia_routes
from obscore.store.base import Backend
from obscore.tap.async_routes import async_routes
from obscore.tap.metrics import QueryMetrics
from obscore.tap.query import QueryRunner
from obscore.tap.routes import TapRoutes, votable_error
from obscore.tap.settings import TapSettings
from obscore.tap.sync import SyncQueries
from vodal.access.rules import EVERYTHING, Rights
from vodal.links import Annotator
from vodal.uploads.jobs import JobUploads
from vodal.uploads.tables import TableUploads
from vodal.uws.callers import Identify, anonymous
from vodal.uws.runner import Runner
from vodal.uws.tasks import JobRights, all_rights
from vodal.web.app import service_app
from vodal.web.multipart import MAX_FORM_BYTES
from vodal.web.requests import service_url, site_url

__all__ = ["Apps", "create_apps"]


@dataclass(frozen=True, slots=True)
class Apps:
    """The services; SIA runs as long as TAP does, whose queries it takes part in."""

    tap: Starlette
    sia: Starlette


def create_apps(
    *,
    backend: Backend,
    settings: TapSettings | None = None,
    annotators: Sequence[Annotator] = (),
    public_url: str | None = None,
    jobs: Runner | None = None,
    identify: Identify = anonymous,
    registry: CollectorRegistry | None = None,
    public: Rights = EVERYTHING,
    rights_of_job: JobRights = all_rights,
    moc_path: str | None = None,
) -> Apps:
    """Make the services.

    Parameters
    ----------
    backend
        The store; it need not hold anything before the first query.
    settings
        Limits.
    annotators
        Make the service descriptors that go with an answer, from its columns.
    public_url
        Where clients see the site, without a trailing slash; by default taken from each request.
    jobs
        Runs asynchronous queries; started, and stopped before the app, by who made it. Without it
        there is no ``/async``.
    identify
        Knows who asks, for the jobs of asynchronous queries and the limits of one user.
    registry
        Where the metrics are asked for; by default nobody asks.
    public
        What everybody may see, and so examples.
    rights_of_job
        Gives the rights that a job runs with.
    moc_path
        Where the site serves coverage maps, for capabilities; None where it does not.
    """
    limits = settings or TapSettings()
    engine = backend.engine(
        connections=limits.connections + limits.slow_clients,
        wait_s=limits.wait_limit_s,
        batch_rows=limits.batch_rows,
    )
    longer = f"As a job in /async a query may take up to {limits.async_max_limit_s} s"
    runner = QueryRunner(engine, limits, otherwise=None if jobs is None else longer)
    runners = [runner]
    uploads = TableUploads(limits.uploads, RESERVED, section="tap.uploads")
    job_uploads = JobUploads(uploads)
    metrics = QueryMetrics(CollectorRegistry() if registry is None else registry)
    sync = SyncQueries(
        runner,
        limits,
        metrics,
        uploads,
        annotators=annotators,
        public_url=public_url,
        identify=identify,
        has_jobs=jobs is not None,
    )
    routes = TapRoutes(
        runner, limits, sync, public_url, None if jobs is None else jobs.settings, public, moc_path
    ).routes()
    if jobs is not None:
        # Connections of their own, so that synchronous queries never wait for long ones.
        engine = backend.engine(
            connections=jobs.settings.concurrency,
            wait_s=limits.wait_limit_s,
            batch_rows=limits.batch_rows,
        )
        runners.append(QueryRunner(engine, limits))
        routes += async_routes(
            jobs,
            runners[-1],
            limits,
            service_url=lambda request: service_url(request, public_url),
            site_url=lambda request: site_url(request, public_url),
            annotators=annotators,
            identify=identify,
            uploads=job_uploads,
            metrics=metrics,
            rights_of_job=rights_of_job,
        )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        job_uploads.start()
        yield
        await uploads.close()
        for item in runners:
            item.close()

    tap = service_app(
        routes,
        render=votable_error,
        max_body_bytes=limits.uploads.max_bytes + 2 * MAX_FORM_BYTES,
    )
    tap.router.lifespan_context = lifespan
    sia = service_app(sia_routes(runner, limits, sync, public_url, moc_path), render=sia_error)
    return Apps(tap, sia)
