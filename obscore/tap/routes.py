"""The resources of the TAP service."""

from __future__ import annotations

from collections.abc import Sequence

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from obscore.tap.capabilities import tap_capabilities
from obscore.tap.examples import SiteExamples, examples_page
from obscore.tap.metadata import PUBLISHED, tableset
from obscore.tap.page import service_page
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from obscore.tap.sync import SyncQueries
from vodal.access.asking import asking_of
from vodal.access.rules import EVERYTHING, Rights
from vodal.errors import SkylaneError
from vodal.tables.html import write_error_page
from vodal.tables.negotiation import is_browser
from vodal.tables.votable import write_error
from vodal.uws.settings import JobSettings
from vodal.vosi.capabilities import Capability
from vodal.vosi.routes import vosi_routes
from vodal.vosi.tableset import TableSchema
from vodal.web.requests import service_url, site_url
from vodal.web.responses import error_headers

__all__ = ["TapRoutes", "votable_error"]


def votable_error(request: Request, error: SkylaneError) -> Response:
    """Tell an error by a VOTable, as DALI 1.1 section 4.2 wants it, and to a browser on a page."""
    if is_browser(request.headers.get("accept", "")):
        return Response(
            write_error_page(f"{error.label}: {error}"),
            status_code=error.status,
            media_type="text/html",
            headers=error_headers(error),
        )
    return Response(
        write_error(f"{error.label}: {error}"),
        status_code=error.status,
        media_type="application/x-votable+xml",
        headers=error_headers(error),
    )


class TapRoutes:
    """The handlers and what they share.

    Parameters
    ----------
    runner
        Runs the queries.
    settings
        Limits.
    sync
        Answers synchronous queries.
    public_url
        Where clients see the site, if not by the Host header.
    jobs
        Limits of asynchronous queries, if there are any.
    public
        What examples may show.
    moc_path
        Where the site serves coverage maps, if it does.
    """

    def __init__(
        self,
        runner: QueryRunner,
        settings: TapSettings,
        sync: SyncQueries,
        public_url: str | None = None,
        jobs: JobSettings | None = None,
        public: Rights = EVERYTHING,
        moc_path: str | None = None,
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._sync = sync
        self._public_url = public_url
        self._jobs = jobs
        self._moc_path = moc_path
        self._site_examples = SiteExamples(runner, public)

    def routes(self) -> list[BaseRoute]:
        """Give the routes, relative to where the service is mounted."""
        return [
            Route("/", self._page, methods=["GET"]),
            Route("/sync", self._sync.answer, methods=["GET", "POST"]),
            Route("/examples", self._examples, methods=["GET"]),
            *vosi_routes(
                self._capabilities,
                availability=self._runner.availability,
                tables=self._tables,
            ),
        ]

    def _capabilities(self, request: Request) -> tuple[Capability, ...]:
        url, moc_url = service_url(request, self._public_url), None
        if self._moc_path is not None:
            moc_url = site_url(request, self._public_url) + self._moc_path
        return tap_capabilities(url, self._settings, self._jobs, moc_url)

    def _tables(self, request: Request) -> Sequence[TableSchema]:
        return tableset(self._runner.published(rights=asking_of(request).rights).beside)

    async def _page(self, request: Request) -> Response:
        page = await run_sync(self._written_page, asking_of(request).rights)
        return Response(page, media_type="text/html")

    def _written_page(self, rights: Rights) -> str:
        try:
            schema = self._runner.published(rights=rights).schema
        except SkylaneError:
            # The form may be filled in while the store is away.
            schema = PUBLISHED
        examples = self._site_examples.examples()
        return service_page(
            schema,
            examples,
            self._settings,
            jobs=self._jobs is not None,
            moc_path=self._moc_path,
        )

    async def _examples(self, _: Request) -> Response:
        page = examples_page(await run_sync(self._site_examples.examples))
        return Response(page, media_type="application/xhtml+xml")
