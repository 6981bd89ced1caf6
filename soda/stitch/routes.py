"""The resource ``/stitched``: several images on one grid, an extension of ours to SODA."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from soda.answers import Answers
from soda.finding import Finder
from soda.formats import accepted_format
from soda.metrics import CutoutMetrics
from soda.names import stitched_name
from soda.renewing import cut_as_found
from soda.sending import Unsent
from soda.settings import SodaSettings
from soda.stitch.choose import choose
from soda.stitch.request import Rules, StitchInput, StitchParams, parse_stitch
from soda.worker import make_stitched
from vodal.access.asking import asking_of
from vodal.access.rules import Rights
from vodal.access.seen import had_by
from vodal.pool import WarmPool
from vodal.products import Catalogue
from vodal.web.presence import unless_gone
from vodal.web.requests import read_params
from vodal.web.responses import no_content
from vodal.web.threads import in_thread

__all__ = ["stitch_routes"]


def stitch_routes(
    finder: Finder,
    catalogue: Catalogue,
    pool: WarmPool,
    settings: SodaSettings,
    metrics: CutoutMetrics,
    unsent: Unsent,
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
    metrics
        Counts what is given.
    unsent
        Answers on their way.
    """
    answers = Answers(finder, pool, metrics, unsent, "stitched")
    rules = Rules(settings.mask_names, settings.zero_point_keywords)

    async def make(asked: StitchParams, rights: Rights) -> Response:
        most, form = settings.max_stitched, asked.image.output.format
        began = time.perf_counter()
        seen = finder.within(rights), had_by(rights, catalogue)

        async def find() -> tuple[StitchInput, ...]:
            return await in_thread(partial(choose, asked, *seen, most))

        async def stitch(inputs: tuple[StitchInput, ...]) -> Response:
            if not inputs:
                return no_content()
            return await answers.made(
                make_stitched,
                inputs,
                asked.image,
                rules,
                settings.max_output_bytes,
                find_s=time.perf_counter() - began,
                name=stitched_name(asked.collection, asked.image.stencil, form.suffix),
                form=form,
            )

        return await cut_as_found(find, stitch, _state)

    async def stitched(request: Request) -> Response:
        params = await read_params(request)
        accepted = accepted_format(request.headers.get("accept", ""))
        asked = parse_stitch(params, accepted, settings.max_picture_side)
        work = partial(make, asked, asking_of(request).rights)
        return await unless_gone(request, threading.Event(), lambda: answers.counted(work))

    return [Route("/stitched", stitched, methods=["GET", "POST"])]


def _state(inputs: Sequence[StitchInput]) -> list[tuple[str, str, tuple[int, ...]]]:
    sources = [one.source for one in inputs]
    return [(source.uri, source.index.version, source.hdus) for source in sources]
