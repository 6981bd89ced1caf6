"""The resources of the cutout service: ``/sync`` and the VOSI ones."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from soda.filters import passes
from soda.links import STANDARD_ID
from soda.params import parse_params
from soda.selection import Selection
from soda.settings import SodaSettings
from soda.source import Source, source_of
from soda.worker import CutAnswer, make_cutout
from vodal.errors import NotFoundError
from vodal.pool import WarmPool
from vodal.products import Product, Resolver
from vodal.regions import Circle, Polygon, Range, Region
from vodal.vosi.availability import Availability
from vodal.vosi.capabilities import Capability, capability, vosi_capabilities
from vodal.vosi.routes import vosi_routes
from vodal.web.requests import read_params, site_url
from vodal.web.responses import no_content

__all__ = ["soda_routes"]

_T = TypeVar("_T")

_CHUNK_BYTES = 1 << 20
_CACHED_SOURCES = 128


class _FitsResponse(Response):
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


class _Sources:
    """Finds products and what a worker needs of them; keeps the last ones found."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._known: OrderedDict[tuple[str, str, tuple[int, ...]], Source] = OrderedDict()

    def product(self, did: str) -> Product:
        product = self._resolver.resolve([did]).get(did)
        if product is None:
            raise NotFoundError(f"there is no dataset '{did[:200]}' here")
        return product

    def source(self, product: Product) -> Source:
        """Give what a worker needs; runs in a thread."""
        key = (product.did, product.version, product.hdus)
        source = self._known.get(key)
        if source is None:
            source = source_of(product, self._resolver.index(product))
            self._known[key] = source
            while len(self._known) > _CACHED_SOURCES:
                self._known.popitem(last=False)
        return source


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


def _centre(stencil: Region | None) -> str:
    """Give a place to name a file by."""
    match stencil:
        case Circle(ra, dec, _):
            return f"_{ra:.5f}{dec:+.5f}"
        case Polygon(vertices):
            ra, dec = vertices[0]
            return f"_{ra:.5f}{dec:+.5f}"
        case Range(ra_min, _, dec_min, _):
            return f"_{ra_min:.5f}{dec_min:+.5f}"
        case None:
            return ""


def file_name(product: Product, stencil: Region | None) -> str:
    """Make the name that a cutout is saved under, of plain ASCII characters."""
    stem = re.sub(r"(\.(fits?|fts|fz|gz|imz))+$", "", product.file_name, flags=re.IGNORECASE)
    extension = re.search(r":([^:,/?]+),(\d+)$", product.did)
    part = f"_{extension[1]}{extension[2]}" if extension else ""
    name = f"{stem}{part}_cutout{_centre(stencil)}"
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[-120:] + ".fits"


def _timing(answer: CutAnswer, total_s: float) -> str:
    spent = {**answer.seconds, "queue": max(0.0, total_s - sum(answer.seconds.values()))}
    order = ("queue", "index", "read", "encode")
    return ", ".join(f"{name};dur={1e3 * spent[name]:.2f}" for name in order if name in spent)


def _media_type(requested: Sequence[str]) -> str:
    # Firefly takes image/fits for an image without looking, application/fits only perhaps.
    wanted = {value.partition(";")[0].strip().lower() for value in requested}
    return "application/fits" if wanted == {"application/fits"} else "image/fits"


def soda_routes(
    resolver: Resolver, pool: WarmPool, settings: SodaSettings, public_url: str | None
) -> list[BaseRoute]:
    """Make the routes below ``/soda``.

    Parameters
    ----------
    resolver
        Finds datasets.
    pool
        Where cutouts are made; started and stopped by the site.
    settings
        Limits.
    public_url
        Of the site, without a trailing slash; by default taken from requests.
    """
    sources = _Sources(resolver)

    def look_up(did: str, selection: Selection) -> tuple[Product, Source | None]:
        product = sources.product(did)
        return product, sources.source(product) if passes(product, selection) else None

    async def sync(request: Request) -> Response:
        given = await read_params(request)
        did, selection = parse_params(given).single()
        product, source = await run_in_threadpool(look_up, did, selection)
        if source is None:
            return no_content()
        begin = time.perf_counter()
        work = pool.run(make_cutout, source, selection, settings.max_output_bytes)
        answer = await _unless_gone(request, work)
        if answer is None:
            return no_content()
        assert isinstance(answer.body, bytearray)
        media_type = _media_type([*given.all("RESPONSEFORMAT"), *given.all("FORMAT")])
        name = file_name(product, selection.stencil)
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Server-Timing": _timing(answer, time.perf_counter() - begin),
        }
        return _FitsResponse(answer.body, media_type, headers)

    def capabilities(request: Request) -> Sequence[Capability]:
        service = f"{site_url(request, public_url)}/soda"
        cut = capability(
            STANDARD_ID,
            f"{service}/sync",
            query_types=("GET", "POST"),
            result_type="image/fits",
            version="1.0",
        )
        return (*vosi_capabilities(service), cut)

    def availability() -> Availability:
        if pool.stats.workers:
            return Availability(available=True)
        return Availability(available=False, notes=("no worker process is ready",))

    return [
        Route("/sync", sync, methods=["GET", "POST"]),
        *vosi_routes(capabilities, availability=availability),
    ]
