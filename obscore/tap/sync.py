"""The resource of synchronous queries: a request's turn, its query, its answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from obscore.store.pace import Lane
from obscore.tap.answer import write_answer
from obscore.tap.explained import explanation_answer, limits_of
from obscore.tap.metrics import QueryMetrics, stream_outcome
from obscore.tap.query import QueryRunner
from obscore.tap.request import QueryRequest, read_request
from obscore.tap.settings import TapSettings
from obscore.tap.turns import Place, Turns, client_address
from vodal.access.asking import asking_of
from vodal.access.rules import Rights
from vodal.links import Annotator, ServiceDescriptor
from vodal.outcomes import outcome_of
from vodal.params import Params
from vodal.tables.columns import ResultStream
from vodal.tables.uploads import UploadedTable
from vodal.uploads.tables import TableUploads, Taken
from vodal.uws.callers import Identify, anonymous
from vodal.web.presence import unless_gone
from vodal.web.requests import site_url
from vodal.web.responses import stream

__all__ = ["Describe", "ReadRequest", "SyncQueries"]

ReadRequest = Callable[[Params, str | None], QueryRequest]
"""Reads parameters and the Accept header as a query."""
Describe = Callable[[Rights], Sequence[ServiceDescriptor]]
"""Gives descriptors that go with an answer whatever its columns, for who has some rights."""

_BUFFERED_BYTES = 64 * 1024
"""What the server takes of an answer before it waits for the client to read."""

_SLOW_CLIENT_S = 1.0
"""Seconds that a client takes for one piece before its query lends its place to another."""


class _Query:
    """One synchronous query on its way, with its account."""

    def __init__(self, metrics: QueryMetrics) -> None:
        self.cancelled = threading.Event()
        self.result: ResultStream | None = None
        self.place: Place | None = None
        self._metrics = metrics
        self._began = self._last = time.monotonic()
        self._stages: list[tuple[str, float]] = []

    def stage(self, name: str) -> None:
        """Say that a stage has just ended."""
        now = time.monotonic()
        self._stages.append((name, now - self._last))
        self._last = now

    @property
    def server_timing(self) -> str:
        """The stages as the header that browsers' tools show (W3C Server Timing)."""
        return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in self._stages)

    def end(self, outcome: str) -> None:
        """Count the query."""
        self._metrics.ended(outcome, time.monotonic() - self._began)


class SyncQueries:
    """Answers the requests to ``/sync``, and others that are queries too.

    Parameters
    ----------
    runner
        Runs the queries.
    settings
        Limits.
    metrics
        Where queries are counted.
    uploads
        Reads the tables that come with queries; closed by who made it.
    annotators
        Make the service descriptors that go with an answer.
    public_url
        Where clients see the site, if not by the Host header.
    identify
        Knows who asks: whoever has the same name shares the limits of one user. Who has none
        counts by address.
    has_jobs
        Whether there are asynchronous queries too.
    """

    def __init__(
        self,
        runner: QueryRunner,
        settings: TapSettings,
        metrics: QueryMetrics,
        uploads: TableUploads,
        *,
        annotators: Sequence[Annotator] = (),
        public_url: str | None = None,
        identify: Identify = anonymous,
        has_jobs: bool = False,
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._metrics = metrics
        self._uploads = uploads
        self._annotators = tuple(annotators)
        self._public_url = public_url
        self._identify = identify
        self._has_jobs = has_jobs
        self._lane = Lane(settings.long_at_once)
        self._turns = Turns(
            settings.connections,
            per_user=settings.queries_per_user,
            waiting=settings.waiting,
            waiting_per_user=settings.waiting_per_user,
            wait_limit_s=settings.wait_limit_s,
            parked=settings.slow_clients,
            young=runner.young,
        )
        metrics.watch(lambda: self._turns.running, lambda: self._turns.waiting)

    async def answer(self, request: Request) -> Response:
        """Answer a request."""

        def read(params: Params, accept: str | None) -> QueryRequest:
            return read_request(params, self._settings, accept)

        return await self.answer_as(request, read)

    async def answer_as(
        self, request: Request, read: ReadRequest, describe: Describe | None = None
    ) -> Response:
        """Answer a request that is read in a way of its own.

        Parameters
        ----------
        request
            With its parameters.
        read
            Makes a query of them.
        describe
            Gives further descriptors, in a thread.
        """
        query = _Query(self._metrics)
        try:
            async with self._uploads.taking(request) as taken:
                asked = read(taken.params, request.headers.get("accept"))
                base_url = site_url(request, self._public_url)
                response = await unless_gone(
                    request,
                    query.cancelled,
                    lambda: self._answer(query, request, taken, asked, base_url, describe),
                )
        except BaseException as error:
            if query.place is not None:
                self._turns.give_back(query.place)
            query.end("gone" if query.cancelled.is_set() else outcome_of(error))
            raise
        return _Guarded(response, query, self._turns, self._settings.stall_limit_s)

    async def _answer(
        self,
        query: _Query,
        request: Request,
        taken: Taken,
        asked: QueryRequest,
        base_url: str,
        describe: Describe | None,
    ) -> Response:
        name = self._identify(request)
        user = f"at {client_address(request)}" if name is None else f"user {name}"
        # Waiting here and not in a thread: the threads are shared with the other services.
        query.place = await self._turns.take(user)
        query.stage("queue")
        # The database has loaded them when the first piece is there.
        uploads = await self._uploads.tables(taken)
        if uploads:
            query.stage("uploads")
        pace = self._lane.pace()
        rights = asking_of(request).rights

        def pieces() -> Iterator[bytes]:
            if asked.explain:
                query.result, written = self._explained(asked, uploads, rights)
                return written
            result = self._runner.run(
                asked.query,
                asked.max_rows,
                base_url,
                query.cancelled,
                uploads=uploads,
                pace=pace,
                rights=rights,
            )
            query.result = result
            query.stage("translate")
            result.batches = self._metrics.counted(result.batches)
            further = () if describe is None else describe(rights)
            written = write_answer(result, asked, self._annotators, base_url, further)
            return pace.over(written, query.cancelled.is_set)

        headers = {"Content-Disposition": asked.format.disposition, "Vary": "Accept"}
        response = await stream(pieces, asked.format.media_type, headers)
        query.stage("first-rows")
        response.headers["Server-Timing"] = query.server_timing
        response.headers["Timing-Allow-Origin"] = "*"
        return response

    def _explained(
        self, asked: QueryRequest, uploads: Sequence[UploadedTable], rights: Rights
    ) -> tuple[ResultStream, Iterator[bytes]]:
        explanation = self._runner.explain(
            asked.query, asked.max_rows, uploads=uploads, rights=rights
        )
        limits = limits_of(asked, self._settings, jobs=self._has_jobs)
        return explanation_answer(explanation, asked, limits)


class _Guarded(Response):
    """An answer that gives its place free when it ends.

    It ends early if the client goes away, which also stops the query, or stops reading. While the
    client reads slowly, the place is lent to another query.

    Parameters
    ----------
    response
        The answer.
    query
        What it answers.
    turns
        Where the query has its place.
    stall_limit_s
        Seconds that the client may take to accept one piece.
    """

    def __init__(
        self, response: Response, query: _Query, turns: Turns, stall_limit_s: float
    ) -> None:
        assert query.place is not None
        self._response = response
        self._query = query
        self._place = query.place
        self._turns = turns
        self._stall_limit_s = stall_limit_s

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_on() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._query.cancelled.set()
            return message

        is_complete = False

        async def send_on(message: Message) -> None:
            nonlocal is_complete
            await self._send(send, message)
            is_complete = message["type"] == "http.response.body" and not message.get("more_body")

        # A whole answer that the server's buffer holds is sent without waiting for the client.
        whole = len(self._response.body) if hasattr(self._response, "body") else _BUFFERED_BYTES
        outcome = "gone"
        try:
            guarded = send if whole < _BUFFERED_BYTES else send_on
            await self._response(scope, receive_on, guarded)
            assert self._query.result is not None
            # Who has the whole answer may go away.
            gone = self._query.cancelled.is_set() and not is_complete
            outcome = stream_outcome(self._query.result, gone=gone)
        except Exception as error:
            if not isinstance(error, OSError):
                outcome = outcome_of(error)
            raise
        finally:
            self._query.cancelled.set()
            self._turns.give_back(self._place)
            self._query.end(outcome)

    async def _send(self, send: Send, message: Message) -> None:
        """Send a piece; gives up on a client that takes too long for it."""
        slow = asyncio.get_running_loop().call_later(_SLOW_CLIENT_S, self._turns.park, self._place)
        try:
            with anyio.fail_after(self._stall_limit_s):
                await send(message)
        finally:
            slow.cancel()
        if not self._place.held:
            await self._turns.resume(self._place)
