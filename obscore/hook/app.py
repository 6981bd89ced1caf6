"""The hook of pipelines as an app, which keeps processes that read headers warm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from obscore.hook.routes import hook_routes, render_error
from obscore.hook.work import LandingJobs
from obscore.settings import ObsCoreSettings
from obscore.store.base import Backend
from vodal.storage import LOCAL, Storage
from vodal.uws.runner import Runner
from vodal.uws.service import JobService
from vodal.uws.settings import JobSettings
from vodal.web.app import service_app
from vodal.web.requests import site_url

__all__ = ["create_hook_app", "hook_job_settings"]

_SERVICE = "ingest"
_DAY_S = 86_400
_AT_ONCE = 8
"""Requests that are worked on at once: some wait for files that are half written."""


def hook_job_settings(settings: JobSettings) -> JobSettings:
    """Give the limits of what the hook accepts: one caller with any number of requests."""
    return settings.model_copy(
        update={
            "concurrency": _AT_ONCE,
            "per_user": _AT_ONCE * 1000,
            "max_jobs_per_user": settings.max_jobs,
            "retention_s": min(settings.retention_s, _DAY_S),
        }
    )


def create_hook_app(
    *,
    backend: Backend,
    settings: ObsCoreSettings,
    jobs: Runner,
    public_url: str | None,
    storage: Storage = LOCAL,
) -> Starlette:
    """Make the app that serves ``/ingest`` and what is below it, at its own paths.

    Parameters
    ----------
    backend
        The store.
    settings
        Of the catalogue, with a token.
    jobs
        Runs what is accepted, and nothing else, so that no other job is waited for; started and
        stopped with the app.
    public_url
        Of the site, without a trailing slash; by default taken from requests.
    storage
        Reads files on servers.
    """
    token = settings.ingest.hook_token
    assert token is not None
    work = LandingJobs(backend, settings, storage=storage)
    service = JobService(jobs, _SERVICE, work, default_duration_s=_DAY_S, max_duration_s=_DAY_S)
    routes = hook_routes(
        service, work, token.get_secret_value(), lambda request: site_url(request, public_url)
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with work.running(), jobs:
            yield

    return service_app(routes, render_error, lifespan=lifespan)
