"""The resources of jobs of cutouts: ``/async`` and below (SODA 1.0 section 2.2, UWS 1.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from soda.formats import format_of_file
from soda.jobs import CutoutJobs
from soda.ledger import FILES, LOG, WORKLIST, logged, pending
from soda.outcomes import Outcome, outcome_stream
from soda.settings import SodaSettings
from soda.worklist import Worklist
from vodal.errors import NotFoundError
from vodal.tables.negotiation import negotiate
from vodal.uws.callers import Identify, anonymous, caller_of
from vodal.uws.intake import Intake
from vodal.uws.jobs import Job, JobError, Phase
from vodal.uws.routes import JobRoutes
from vodal.uws.runner import Runner
from vodal.uws.service import JobService
from vodal.web.requests import read_params
from vodal.web.responses import stream

__all__ = ["async_routes"]

_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,199}")
_PRIVATE = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}


def _error_text(error: JobError) -> Response:
    """Tell why a job failed, as /sync would have told it (SODA 1.0 section 5.3)."""
    return Response(
        f"{error.message}\n", media_type="text/plain", headers={"Cache-Control": "no-store"}
    )


def _outcomes(run: Path) -> Iterator[Outcome]:
    """Give what is done, and what is not."""
    done = 0
    for outcome in logged(run / LOG):
        done += 1
        yield outcome
    yield from pending(Worklist(run / WORKLIST), done)


class _CutoutTables:
    """Tells what becomes of each cutout of a job, and gives the files that are no results.

    Parameters
    ----------
    service
        The jobs.
    identify
        Knows who asks.
    """

    def __init__(self, service: JobService, identify: Identify) -> None:
        self._service = service
        self._identify = identify

    async def _job(self, request: Request) -> Job:
        caller = caller_of(request, self._identify)
        return await run_sync(self._service.get, caller, request.path_params["job"])

    async def table(self, request: Request) -> Response:
        """Give a row for each cutout, also while the job runs."""
        job = await self._job(request)
        form = negotiate(await read_params(request), accept=request.headers.get("accept"))
        runs = await run_sync(self._service.folder(job.id).runs)
        run = next((one for one in runs if (one / WORKLIST).is_file()), None)
        rows = chain() if run is None else _outcomes(run)
        return await stream(
            lambda: form.write(outcome_stream(rows)), form.media_type,
            {"Content-Disposition": form.disposition, "Cache-Control": "no-store"},
        )  # fmt: skip

    async def file(self, request: Request) -> Response:
        """Give one file of a job that has ended well."""
        job = await self._job(request)
        name = request.path_params["name"]
        if job.phase is not Phase.COMPLETED or not _NAME.fullmatch(name):
            raise NotFoundError(f"the job has no file '{name[:60]}'; its phase is {job.phase}")
        path = self._service.folder(job.id).run(job.claim) / FILES / name
        if not await run_sync(path.is_file):
            raise NotFoundError(f"the job has no file '{name[:60]}'")
        form = format_of_file(name)
        kind = "application/octet-stream" if form is None else form.media_type
        return FileResponse(path, headers=_PRIVATE, media_type=kind, filename=name)


def async_routes(
    runner: Runner,
    jobs: CutoutJobs,
    settings: SodaSettings,
    *,
    service_url: Callable[[Request], str],
    site_url: Callable[[Request], str],
    identify: Identify = anonymous,
    intake: Intake | None = None,
) -> list[BaseRoute]:
    """Make the routes of jobs.

    Parameters
    ----------
    runner
        Runs the jobs; not started yet.
    jobs
        What they do.
    settings
        Limits.
    service_url, site_url
        Give the URL of the service and of the site as the client sees them, without a trailing
        slash.
    identify
        Knows who asks.
    intake
        Takes parameters and uploads; by default parameters alone.
    """
    service = JobService(
        runner, "soda", jobs,
        default_duration_s=settings.job_limit_s, max_duration_s=settings.job_max_limit_s,
        most=settings.job_concurrency,
    )  # fmt: skip
    routes = JobRoutes(
        service,
        jobs_url=lambda request: f"{service_url(request)}/async",
        site_url=site_url,
        render_error=_error_text,
        identify=identify,
        intake=intake,
    )
    tables = _CutoutTables(service, identify)
    return [
        Route("/async/{job}/cutouts", tables.table, methods=["GET"]),
        Route("/async/{job}/files/{name}", tables.file, methods=["GET"]),
        *routes.routes("/async"),
    ]
