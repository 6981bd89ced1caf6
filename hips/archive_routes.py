"""What HiPS over HTTP has of the archive: live HiPS, and the images behind tiles and points."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hips.archive import Archive
from hips.behind import Behind, LinksWriter, Place, dids_behind, parse_place, told
from hips.frames import Frame
from hips.live.regions import tile_at
from hips.live.routes import LiveHips
from hips.properties import parse_properties
from hips.routes import hips_list, hips_mount
from hips.settings import HipsSettings
from hips.shelf import Shelf
from vodal.access.asking import Asking, asking_of
from vodal.access.seen import known_to
from vodal.errors import UsageError
from vodal.params import Params
from vodal.products import Resolver
from vodal.web.requests import read_params, site_url
from vodal.web.threads import in_thread

__all__ = ["archive_routes"]

_LINKS_FORMATS: Final = frozenset({"datalink", "votable", "application/x-votable+xml"})
_JSON_FORMATS: Final = frozenset({"json", "application/json"})


def archive_routes(
    shelf: Shelf,
    settings: HipsSettings,
    public_url: str | None,
    archive: Archive,
    live: LiveHips | None,
) -> list[BaseRoute]:
    """Make the routes, which go before those of built HiPS.

    Parameters
    ----------
    shelf
        The built HiPS that are served.
    settings
        Of HiPS.
    public_url
        Of the site, as clients see it; by default taken from each request.
    archive
        Where images are known.
    live
        The live HiPS, if there are any.
    """

    def built(name: str, place: Place, asking: Asking) -> Behind:
        folder = shelf.folder(name, asking)
        resolver = known_to(asking.rights, archive.resolver)
        return _behind_built(folder, place, settings.live.max_progenitors, resolver)

    async def answer(request: Request, *, of_live: bool) -> Response:
        params = await read_params(request)
        writer = _writer(params, archive.write_links)
        place = parse_place(params)
        name = request.path_params["name"]
        find = live.behind if of_live and live is not None else built
        found = await in_thread(partial(find, name, place, asking_of(request)))
        base_url = site_url(request, public_url)
        media_type, document = await in_thread(partial(told, found, name, place, base_url, writer))
        headers = {"Cache-Control": "no-cache"}
        return Response(document, media_type=media_type, headers=headers)

    routes: list[BaseRoute] = []
    if live is not None:

        def live_url(request: Request) -> str:
            return f"{site_url(request, public_url)}{hips_mount(request)}"

        async def live_list(request: Request) -> Response:
            text = await live.records(f"{live_url(request)}/live", asking_of(request).rights)
            return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})

        async def whole_list(request: Request) -> Response:
            base = live_url(request)
            rights = asking_of(request).rights
            text = await in_thread(partial(hips_list, shelf, base, rights))
            more = await live.records(f"{base}/live", rights)
            listed = "\n".join(part for part in (text, more) if part)
            return PlainTextResponse(listed, headers={"Cache-Control": "no-cache"})

        async def live_behind(request: Request) -> Response:
            return await answer(request, of_live=True)

        if settings.live.listed:
            routes += [Route("/", whole_list), Route("/list", whole_list)]
        routes += [
            Route("/live/", live_list),
            Route("/live/list", live_list),
            Route("/live/{name}/progenitors", live_behind),
            *live.routes(),
        ]

    async def built_behind(request: Request) -> Response:
        return await answer(request, of_live=False)

    return [*routes, Route("/{name}/progenitors", built_behind)]


def _writer(params: Params, write_links: LinksWriter | None) -> LinksWriter | None:
    """Give what writes the answer as asked for; None is JSON."""
    asked = params.one("RESPONSEFORMAT")
    kind = (asked or "json").partition(";")[0].strip().lower()
    if kind in _JSON_FORMATS:
        return None
    if kind in _LINKS_FORMATS and write_links is not None:
        return write_links
    raise UsageError(
        f"RESPONSEFORMAT takes json or datalink (a VOTable of links), not '{(asked or '')[:40]}'"
    )


def _behind_built(folder: Path, place: Place, limit: int, resolver: Resolver) -> Behind:
    order, npix = place.order, place.npix
    if place.point is not None:
        values = parse_properties((folder / "properties").read_text("utf-8"))
        order = int(values["hips_order"])
        galactic = values.get("hips_frame") == "galactic"
        frame: Frame = "galactic" if galactic else "equatorial"
        npix = tile_at(order, place.point.ra_deg, place.point.dec_deg, frame)
    assert order is not None
    assert npix is not None
    dids = dids_behind(folder, order, npix, limit + 1)
    known = resolver.resolve(dids)
    return Behind.of([known[did] for did in dids if did in known], place, limit)
