"""The TAP service as an app, to be mounted at ``/tap``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from obscore.store.base import Backend
from obscore.tap.query import QueryRunner
from obscore.tap.routes import TapRoutes, votable_error
from obscore.tap.settings import TapSettings
from vodal.links import Annotator
from vodal.web.app import service_app

__all__ = ["create_app"]


def create_app(
    *,
    backend: Backend,
    settings: TapSettings | None = None,
    annotators: Sequence[Annotator] = (),
    public_url: str | None = None,
) -> Starlette:
    """Make the TAP service.

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
    """
    limits = settings or TapSettings()
    engine = backend.engine(
        connections=limits.connections,
        wait_s=limits.wait_limit_s,
        batch_rows=limits.batch_rows,
    )
    runner = QueryRunner(engine, limits)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        runner.close()

    app = service_app(
        TapRoutes(runner, limits, annotators, public_url).routes(), render=votable_error
    )
    app.router.lifespan_context = lifespan
    return app
