"""``/hips/{name}/cutout``: a HiPS on any grid of the sky, as CDS's hips2fits gives it."""

from __future__ import annotations

import threading
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hips.cutout.request import CutoutFormat, parse_cutout
from hips.cutout.worker import make_cutout
from hips.settings import HipsSettings
from hips.shelf import Shelf
from vodal.access.asking import asking_of
from vodal.pool import WarmPool
from vodal.web.presence import unless_gone
from vodal.web.requests import read_params
from vodal.web.threads import in_thread

__all__ = ["cutout_routes"]


def cutout_routes(shelf: Shelf, settings: HipsSettings, pool: WarmPool) -> list[BaseRoute]:
    """Make the routes below where the app is mounted.

    Parameters
    ----------
    shelf
        The HiPS that are served.
    settings
        Limits.
    pool
        Where cutouts are made; must run while the app serves.
    """

    async def cutout(request: Request) -> Response:
        name = str(request.path_params["name"])
        folder = await in_thread(partial(shelf.folder, name, asking_of(request)))
        params = await read_params(request)
        asked = parse_cutout(params, settings.max_cutout_pixels)
        answer = await unless_gone(
            request, threading.Event(), lambda: pool.run(make_cutout, folder, asked)
        )
        headers = {"Content-Disposition": _disposition(name, asked.format)}
        return Response(answer.data, media_type=answer.media_type, headers=headers)

    return [Route("/{name}/cutout", cutout, methods=["GET", "POST"])]


def _disposition(name: str, extension: CutoutFormat) -> str:
    # Names of HiPS have no signs that would need quoting.
    shown = "inline" if extension != "fits" else "attachment"
    return f'{shown}; filename="{name}-cutout.{extension}"'
