"""The resources of the TAP service."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from obscore.tap.answer import write_answer
from obscore.tap.capabilities import tap_capabilities
from obscore.tap.examples import SiteExamples, examples_page
from obscore.tap.metadata import tableset
from obscore.tap.query import QueryRunner
from obscore.tap.request import QueryRequest, read_request
from obscore.tap.settings import TapSettings
from obscore.tap.uploads import TableUploads, Taken
from vodal.errors import ServiceUnavailable, SkylaneError
from vodal.links import Annotator
from vodal.tables.html import write_error_page
from vodal.tables.negotiation import is_browser
from vodal.tables.votable import write_error
from vodal.uws.settings import JobSettings
from vodal.vosi.availability import Availability
from vodal.vosi.routes import vosi_routes
from vodal.web.presence import unless_gone
from vodal.web.requests import service_url, site_url
from vodal.web.responses import error_headers, stream

__all__ = ["TapRoutes", "votable_error"]


_BUFFERED_BYTES = 64 * 1024
"""What the server takes of an answer before it waits for the client to read."""


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


class _Guarded:
    """An answer that gives its place free when it ends.

    It ends early if the client goes away, which also stops the query, or stops reading.

    Parameters
    ----------
    response
        The answer.
    places
        Where a place was taken for it.
    stall_limit_s
        Seconds that the client may take to accept one piece.
    cancelled
        Stops the query.
    """

    def __init__(
        self,
        response: Response,
        places: anyio.Semaphore,
        stall_limit_s: float,
        cancelled: threading.Event,
    ) -> None:
        self._response = response
        self._places = places
        self._stall_limit_s = stall_limit_s
        self._cancelled = cancelled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer (the ASGI interface)."""

        async def send_in_time(message: Message) -> None:
            with anyio.fail_after(self._stall_limit_s):
                await send(message)

        async def receive_on() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._cancelled.set()
            return message

        # A whole answer that the server's buffer holds is sent without waiting for the client.
        whole = len(self._response.body) if hasattr(self._response, "body") else _BUFFERED_BYTES
        guarded = send if whole < _BUFFERED_BYTES else send_in_time
        try:
            await self._response(scope, receive_on, guarded)
        finally:
            self._places.release()


class TapRoutes:
    """The handlers and what they share.

    Parameters
    ----------
    runner
        Runs the queries.
    settings
        Limits.
    annotators
        Make the service descriptors that go with an answer.
    public_url
        Where clients see the site, if not by the Host header.
    jobs
        Limits of asynchronous queries, if there are any.
    uploads
        Reads the tables that come with queries; closed by who made it.
    """

    def __init__(
        self,
        runner: QueryRunner,
        settings: TapSettings,
        annotators: Sequence[Annotator] = (),
        public_url: str | None = None,
        jobs: JobSettings | None = None,
        uploads: TableUploads | None = None,
    ) -> None:
        self._uploads = uploads or TableUploads(settings.uploads)
        self._runner = runner
        self._settings = settings
        self._annotators = tuple(annotators)
        self._public_url = public_url
        self._jobs = jobs
        self._places = anyio.Semaphore(settings.connections)
        self._site_examples = SiteExamples(runner)
        self._up_since = datetime.now(UTC)

    def routes(self) -> list[BaseRoute]:
        """Give the routes, relative to where the service is mounted."""
        return [
            Route("/sync", self._sync, methods=["GET", "POST"]),
            Route("/examples", self._examples, methods=["GET"]),
            *vosi_routes(
                lambda request: tap_capabilities(
                    service_url(request, self._public_url), self._settings, self._jobs
                ),
                availability=self._availability,
                tables=tableset,
            ),
        ]

    async def _sync(self, request: Request) -> _Guarded:
        async with self._uploads.taking(request) as taken:
            return await self._sync_answer(request, taken)

    async def _sync_answer(self, request: Request, taken: Taken) -> _Guarded:
        asked = read_request(taken.params, self._settings, request.headers.get("accept"))
        base_url = site_url(request, self._public_url)
        # Waiting here and not in a thread: the threads are shared with the other services.
        with anyio.move_on_after(self._settings.wait_limit_s) as waiting:
            await self._places.acquire()
        if waiting.cancelled_caught:
            raise ServiceUnavailable("too many queries are running; try again in a few seconds")
        cancelled = threading.Event()
        try:
            response = await unless_gone(
                request, cancelled, lambda: self._answer(asked, taken, base_url, cancelled)
            )
        except BaseException:
            self._places.release()
            raise
        return _Guarded(response, self._places, self._settings.stall_limit_s, cancelled)

    async def _answer(
        self, asked: QueryRequest, taken: Taken, base_url: str, cancelled: threading.Event
    ) -> Response:
        # The database has loaded them when the first piece is there.
        uploads = await self._uploads.tables(taken)

        def pieces() -> Iterator[bytes]:
            result = self._runner.run(
                asked.query, asked.max_rows, base_url, cancelled, uploads=uploads
            )
            return write_answer(result, asked, self._annotators, base_url)

        headers = {"Content-Disposition": asked.format.disposition, "Vary": "Accept"}
        return await stream(pieces, asked.format.media_type, headers)

    async def _examples(self, _: Request) -> Response:
        page = examples_page(await run_sync(self._site_examples.examples))
        return Response(page, media_type="application/xhtml+xml")

    def _availability(self) -> Availability:
        try:
            self._runner.check()
        except SkylaneError as error:
            return Availability(available=False, up_since=self._up_since, notes=(str(error),))
        return Availability(available=True, up_since=self._up_since)
