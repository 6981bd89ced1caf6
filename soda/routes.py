"""The resources of the cutout service: ``/sync`` and the VOSI ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from soda.finding import Finder
from soda.formats import accepted_format
from soda.links import ASYNC_ID, STANDARD_ID
from soda.many import ManyCutouts
from soda.names import file_name
from soda.packing import read_packing
from soda.params import CutoutParams, parse_params
from soda.selection import Selection
from soda.settings import SodaSettings
from soda.worker import CutAnswer, make_color, make_cutout
from vodal.errors import MultiValuedParamNotSupported
from vodal.pool import WarmPool
from vodal.vosi.availability import Availability
from vodal.vosi.capabilities import Capability, capability, vosi_capabilities
from vodal.vosi.routes import vosi_routes
from vodal.web.requests import read_params, site_url
from vodal.web.responses import no_content

__all__ = ["soda_routes"]

_T = TypeVar("_T")

_CHUNK_BYTES = 1 << 20


class _FileResponse(Response):
    """Sends a large body in pieces, so that no more than a piece waits for a slow client."""

    def __init__(self, body: bytearray, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(
            headers={**headers, "Content-Length": str(len(body))}, media_type=media_type
        )
        self._whole = memoryview(body)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for start in range(0, len(self._whole), _CHUNK_BYTES):
            piece = bytes(self._whole[start : start + _CHUNK_BYTES])
            more = start + _CHUNK_BYTES < len(self._whole)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


async def _unless_gone(request: Request, work: Awaitable[_T]) -> _T:
    """Wait for work, and cancel it if the client goes away meanwhile."""

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.ensure_future(work)
    listener = asyncio.ensure_future(listen())
    try:
        await asyncio.wait({task, listener}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        listener.cancel()
        task.cancel()
        await asyncio.gather(task, listener, return_exceptions=True)


def _timing(answer: CutAnswer, total_s: float) -> str:
    spent = {**answer.seconds, "queue": max(0.0, total_s - sum(answer.seconds.values()))}
    order = ("queue", "index", "read", "encode")
    return ", ".join(f"{name};dur={1e3 * spent[name]:.2f}" for name in order if name in spent)


def _single(asked: CutoutParams) -> tuple[str, Selection]:
    try:
        return asked.single()
    except MultiValuedParamNotSupported as error:
        raise MultiValuedParamNotSupported(
            f"{error}; MULTI=mef, MULTI=tar or MULTI=zip puts several cutouts into one answer, and"
            " a job (/async) makes one result of each"
        ) from None


async def _one_answer(
    request: Request, asked: CutoutParams, finder: Finder, pool: WarmPool, settings: SodaSettings
) -> Response:
    """Answer with one cutout, or one picture of three datasets."""
    output, limit = asked.output, settings.max_output_bytes
    selection = asked.selection() if output.color else _single(asked)[1]
    found = [await run_in_threadpool(finder.look_up, did, selection) for did in asked.dids]
    sources = [source for _, source in found if source is not None]
    if len(sources) < len(found):
        return no_content()
    begin = time.perf_counter()
    work = (
        pool.run(make_color, sources, selection, limit, output)
        if output.color
        else pool.run(make_cutout, sources[0], selection, limit, output)
    )
    answer = await _unless_gone(request, work)
    if answer is None:
        return no_content()
    assert isinstance(answer.body, bytearray)
    name = file_name(found[0][0], selection.stencil, output.format.suffix)
    # A browser shows pictures.
    place = "inline" if output.format.kind == "picture" else "attachment"
    headers = {
        "Content-Disposition": f'{place}; filename="{name}"',
        "Server-Timing": _timing(answer, time.perf_counter() - begin),
        "Vary": "Accept",
    }
    return _FileResponse(answer.body, output.format.media_type, headers)


def soda_routes(
    finder: Finder,
    pool: WarmPool,
    settings: SodaSettings,
    public_url: str | None,
    *,
    has_jobs: bool,
) -> list[BaseRoute]:
    """Make the routes below ``/soda``.

    Parameters
    ----------
    finder
        Finds datasets.
    pool
        Where cutouts are made; started and stopped by the site.
    settings
        Limits.
    public_url
        Of the site, without a trailing slash; by default taken from requests.
    has_jobs
        Whether there is ``/async``.
    """
    many = ManyCutouts(finder, pool, settings)

    async def sync(request: Request) -> Response:
        packing, given = read_packing(await read_params(request))
        accepted = accepted_format(request.headers.get("accept", ""))
        asked = parse_params(given, accepted, settings.max_picture_side)
        if packing is None:
            return await _one_answer(request, asked, finder, pool, settings)
        return await _unless_gone(request, many.answer(asked, packing))

    def capabilities(request: Request) -> Sequence[Capability]:
        service = f"{site_url(request, public_url)}/soda"
        cut = capability(
            STANDARD_ID,
            f"{service}/sync",
            query_types=("GET", "POST"),
            result_type="image/fits",
            version="1.0",
        )
        later = capability(
            ASYNC_ID,
            f"{service}/async",
            query_types=("GET", "POST"),
            result_type="image/fits",
            version="1.0",
        )
        return (*vosi_capabilities(service), cut, *((later,) if has_jobs else ()))

    def availability() -> Availability:
        if pool.stats.workers:
            return Availability(available=True)
        return Availability(available=False, notes=("no worker process is ready",))

    return [
        Route("/sync", sync, methods=["GET", "POST"]),
        *vosi_routes(capabilities, availability=availability),
    ]
