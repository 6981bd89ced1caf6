"""The resources of the cutout service: ``/sync``, ``/examples`` and the VOSI ones."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from soda.capabilities import soda_capabilities
from soda.examples import SiteExamples, examples_page
from soda.finding import Finder
from soda.formats import accepted_format
from soda.many import ManyCutouts
from soda.metrics import CutoutMetrics
from soda.one import OneCutout
from soda.packing import read_packing
from soda.params import CutoutParams, parse_params
from soda.selection import Selection
from soda.sending import Unsent
from soda.settings import SodaSettings
from vodal.access.asking import asking_of
from vodal.errors import MultiValuedParamNotSupported
from vodal.pool import WarmPool
from vodal.vosi.availability import Availability
from vodal.vosi.capabilities import Capability
from vodal.vosi.routes import vosi_routes
from vodal.web.presence import unless_gone
from vodal.web.requests import read_params, site_url

__all__ = ["soda_routes"]


def _single(asked: CutoutParams) -> tuple[str, Selection]:
    try:
        return asked.single()
    except MultiValuedParamNotSupported as error:
        raise MultiValuedParamNotSupported(
            f"{error}; MULTI=mef, MULTI=tar or MULTI=zip puts several cutouts into one answer, a"
            " job (/async) makes one result of each, and /stitched one image of several datasets"
        ) from None


def soda_routes(
    finder: Finder,
    pool: WarmPool,
    settings: SodaSettings,
    public_url: str | None,
    *,
    has_jobs: bool,
    metrics: CutoutMetrics,
    unsent: Unsent,
    site_examples: SiteExamples | None,
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
    metrics
        Counts cutouts.
    unsent
        Answers on their way.
    site_examples
        What ``/examples`` shows; None where there is no catalogue, and no ``/stitched`` either.
    """
    one = OneCutout(finder, pool, settings, metrics, unsent)
    many = ManyCutouts(finder, pool, settings, metrics)

    async def sync(request: Request) -> Response:
        packing, given = read_packing(await read_params(request))
        accepted = accepted_format(request.headers.get("accept", ""))
        asked = parse_params(given, accepted, settings.max_picture_side)
        rights = asking_of(request).rights
        if packing is not None:
            answer = partial(many.answer, asked, packing, rights)
            return await unless_gone(request, threading.Event(), answer)
        selection = asked.selection() if asked.output.color else _single(asked)[1]
        work = partial(one.answer, asked.dids, selection, asked.output, rights)
        return await unless_gone(request, threading.Event(), work)

    def capabilities(request: Request) -> Sequence[Capability]:
        service = f"{site_url(request, public_url)}/soda"
        return soda_capabilities(
            service, has_jobs=has_jobs, has_catalogue=site_examples is not None
        )

    async def examples(_: Request) -> Response:
        assert site_examples is not None
        page = examples_page(await run_sync(site_examples.examples))
        return Response(page, media_type="application/xhtml+xml")

    def availability() -> Availability:
        if pool.stats.workers:
            return Availability(available=True)
        return Availability(available=False, notes=("no worker process is ready",))

    return [
        Route("/sync", sync, methods=["GET", "POST"]),
        *([] if site_examples is None else [Route("/examples", examples, methods=["GET"])]),
        *vosi_routes(capabilities, availability=availability),
    ]
