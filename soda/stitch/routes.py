"""The resource ``/stitched``: several images on one grid, an extension of ours to SODA."""

from __future__ import annotations

import threading
import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from soda.finding import Finder
from soda.formats import accepted_format
from soda.names import stitched_name
from soda.sending import FileResponse, Unsent, cut_headers
from soda.settings import SodaSettings
from soda.stitch.choose import choose
from soda.stitch.request import Rules, StitchParams, parse_stitch
from soda.worker import make_stitched
from vodal.pool import WarmPool
from vodal.products import Catalogue
from vodal.web.presence import unless_gone
from vodal.web.requests import read_params
from vodal.web.responses import no_content
from vodal.web.threads import in_thread

__all__ = ["stitch_routes"]


def stitch_routes(
    finder: Finder, catalogue: Catalogue, pool: WarmPool, settings: SodaSettings, unsent: Unsent
) -> list[BaseRoute]:
    """Make the routes of stitched images.

    Parameters
    ----------
    finder
        Finds datasets.
    catalogue
        Finds the datasets of a collection that a region meets.
    pool
        Where images are stitched.
    settings
        Limits.
    unsent
        Answers on their way.
    """
    rules = Rules(settings.mask_names, settings.zero_point_keywords)

    async def make(asked: StitchParams) -> Response:
        unsent.check()
        most, output = settings.max_stitched, asked.image.output
        began = time.perf_counter()
        inputs = await in_thread(partial(choose, asked, finder, catalogue, most))
        if not inputs:
            return no_content()
        found = time.perf_counter()
        limit = settings.max_output_bytes
        answer = await pool.run(make_stitched, inputs, asked.image, rules, limit)
        if answer is None:
            return no_content()
        assert isinstance(answer.body, bytearray)
        waited = time.perf_counter() - found - sum(answer.seconds.values())
        spent = {"find": found - began, "queue": max(0.0, waited), **answer.seconds}
        # A browser shows pictures.
        place = "inline" if output.format.kind == "picture" else "attachment"
        name = stitched_name(asked.collection, asked.image.stencil, output.format.suffix)
        headers = cut_headers(f'{place}; filename="{name}"', spent)
        return FileResponse(answer.body, output.format.media_type, headers, unsent)

    async def stitched(request: Request) -> Response:
        params = await read_params(request)
        accepted = accepted_format(request.headers.get("accept", ""))
        asked = parse_stitch(params, accepted, settings.max_picture_side)
        return await unless_gone(request, threading.Event(), partial(make, asked))

    return [Route("/stitched", stitched, methods=["GET", "POST"])]
