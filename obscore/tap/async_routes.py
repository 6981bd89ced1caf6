"""The resources of asynchronous queries: ``/async`` and below (TAP 1.1 section 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from obscore.tap.jobs import TapJobs, no_uploads
from obscore.tap.metrics import QueryMetrics
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from vodal.links import Annotator
from vodal.tables.votable import write_error
from vodal.uploads.jobs import JobUploads
from vodal.uws.callers import Identify, anonymous
from vodal.uws.jobs import JobError
from vodal.uws.routes import JobRoutes
from vodal.uws.runner import Runner
from vodal.uws.service import JobService
from vodal.uws.tasks import JobRights, all_rights

__all__ = ["async_routes"]


def _error_document(error: JobError) -> Response:
    """Tell why a job failed: the error document that /sync would have given, but with 200."""
    return Response(
        write_error(error.message),
        media_type="application/x-votable+xml",
        headers={"Cache-Control": "no-store"},
    )


def async_routes(
    runner: Runner,
    queries: QueryRunner,
    settings: TapSettings,
    *,
    service_url: Callable[[Request], str],
    site_url: Callable[[Request], str],
    annotators: Sequence[Annotator] = (),
    identify: Identify = anonymous,
    uploads: JobUploads | None = None,
    metrics: QueryMetrics | None = None,
    rights_of_job: JobRights = all_rights,
) -> list[BaseRoute]:
    """Make the routes of asynchronous queries.

    Parameters
    ----------
    runner
        Runs the jobs; not started yet.
    queries
        Runs the queries of jobs.
    settings
        Limits.
    service_url, site_url
        Give the URL of the service and of the site as the client sees them, without a trailing
        slash.
    annotators
        Make the service descriptors that go with a result.
    identify
        Knows who asks.
    uploads
        Takes and reads the tables that come with jobs; without it there are none.
    metrics
        Where queries are counted; by default nobody asks.
    rights_of_job
        Gives the rights that a job runs with.
    """
    load = no_uploads if uploads is None else uploads.load
    service = JobService(
        runner,
        "tap",
        TapJobs(queries, settings, annotators, load, metrics, rights_of_job),
        default_duration_s=settings.async_limit_s,
        max_duration_s=settings.async_max_limit_s,
        most=settings.async_concurrency,
    )
    routes = JobRoutes(
        service,
        jobs_url=lambda request: f"{service_url(request)}/async",
        site_url=site_url,
        render_error=_error_document,
        identify=identify,
        intake=uploads,
    )
    return routes.routes("/async")
