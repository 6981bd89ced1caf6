"""The TAP service as an app, to be mounted at ``/tap``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

from obscore.tap.query import QueryRunner
from obscore.tap.routes import TapRoutes, votable_error
from obscore.tap.settings import TapSettings
from vodal.links import Annotator
from vodal.web.app import service_app

__all__ = ["create_app"]


def create_app(
    *,
    database: Path,
    settings: TapSettings | None = None,
    annotators: Sequence[Annotator] = (),
    public_url: str | None = None,
) -> Starlette:
    """Make the TAP service.

    Parameters
    ----------
    database
        The embedded store's file; it need not exist yet.
    settings
        Limits.
    annotators
        Make the service descriptors that go with an answer, from its columns.
    public_url
        Where clients see the site, without a trailing slash; by default taken from each request.
    """
    limits = settings or TapSettings()
    runner = QueryRunner(database, limits)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        runner.close()

    app = service_app(
        TapRoutes(runner, limits, annotators, public_url).routes(), render=votable_error
    )
    app.router.lifespan_context = lifespan
    return app
