"""Live HiPS over HTTP."""

from __future__ import annotations

import re
import threading
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from hips.archive import Archive
from hips.behind import Behind, Place
from hips.live.images import KnownRecipe
from hips.live.regions import MAX_DEPTH
from hips.live.selection import Selection, Selections
from hips.live.sources import Sources
from hips.live.summary import Summaries, Summary, describe, live_properties
from hips.live.tiles import LiveTiles, Recipes
from hips.names import MAX_ORDER, tile_count, tile_path
from hips.page import index_page
from hips.properties import format_properties, minute
from hips.settings import HipsSettings
from vodal.errors import ArchiveError, NotFoundError
from vodal.regions import Circle
from vodal.web.presence import unless_gone
from vodal.web.threads import in_thread

__all__ = ["LiveHips"]

_TILE: Final = re.compile(r"Norder(\d{1,2})/Dir\d{1,19}/Npix(\d{1,19})\.(fits|png)")
_TYPES: Final = {"fits": "image/fits", "png": "image/png"}
_POINT_DEG: Final = 1e-6
_SITE_AUTHORITY: Final = re.compile(r"ivo://([^/?#]+)")


class LiveHips:
    """The live HiPS of a site. Belongs to one event loop.

    Parameters
    ----------
    archive
        Where images are known, and what tiles are made with.
    settings
        Of HiPS.
    root
        Holds the built HiPS, whose recipes live ones of the same names follow.
    """

    def __init__(self, archive: Archive, settings: HipsSettings, root: Path) -> None:
        self._settings = settings
        folder = archive.cache / "live"
        self.selections = Selections(
            archive.catalogue, archive.resolver, archive.searcher, settings.live.selections
        )
        self._sources = Sources(
            archive.resolver, archive.pool, settings, folder / "previews", archive.storage,
            archive.refresher,
        )  # fmt: skip
        self._recipes = Recipes(
            self.selections, self._sources, archive.pool, settings, root, folder / "recipes"
        )
        self._tiles = LiveTiles(
            self.selections, self._recipes, self._sources, archive.pool, settings,
            folder / "tiles",
        )  # fmt: skip
        self._summaries = Summaries(self.selections)

    def routes(self) -> list[BaseRoute]:
        """Make the routes of one live HiPS, below ``/live``."""
        return [
            Route("/live/{name}", self._folder),
            Route("/live/{name}/", self._page),
            Route("/live/{name}/index.html", self._page),
            Route("/live/{name}/properties", self._properties),
            Route("/live/{name}/Moc.fits", self._moc),
            Route("/live/{name}/{path:path}", self._tile),
        ]

    async def close(self) -> None:
        """Stop what is done in the background."""
        await self._sources.close()

    def behind(self, name: str, place: Place) -> Behind:
        """Give the images of a live HiPS behind a tile or a point.

        Raises
        ------
        NotFoundError
            If there is no such HiPS.
        """
        limit = self._settings.live.max_progenitors
        selection = self.selections.find(name)
        if place.point is not None:
            near = Circle(place.point.ra_deg, place.point.dec_deg, _POINT_DEG)
            products = self.selections.products(selection, near)
        else:
            assert place.order is not None
            assert place.npix is not None
            products = self._tiles.touching(selection, place.order, place.npix, limit + 1)
        return Behind.of(products, place, limit)

    async def records(self, base_url: str) -> str:
        """Give a record each for the list (HiPS 1.0 section 5.2).

        Parameters
        ----------
        base_url
            Where live HiPS are seen by clients, without a trailing slash.
        """
        records = []
        for selection in await in_thread(self.selections.named):
            try:
                summary = await self._summaries.of(selection, MAX_ORDER)
            except ArchiveError:
                # One that is wrong must not hide the others.
                continue
            if summary is None:
                continue
            view = summary.view
            record = {
                "creator_did": await self._did(selection),
                "obs_title": selection.title,
                "obs_description": describe(selection, summary),
                "dataproduct_type": "image",
                "hips_release_date": minute(summary.changed),
                "hips_status": f"{self._settings.status} master unclonable",
                "hips_service_url": f"{base_url}/{quote(selection.name)}",
                "hips_tile_format": "png fits",
                "hips_frame": "equatorial",
                "hips_initial_ra": f"{view.ra_deg:.6f}",
                "hips_initial_dec": f"{view.dec_deg:.6f}",
                "hips_initial_fov": f"{view.fov_deg:.6g}",
            }
            records.append(format_properties(record))
        return "\n".join(records)

    async def _did(self, selection: Selection) -> str:
        products = await in_thread(partial(self.selections.products, selection, limit=1))
        match = _SITE_AUTHORITY.match(products[0].did) if products else None
        return f"ivo://{match[1] if match else 'skylane.invalid'}/hips/live/{selection.name}"

    async def _known(self, request: Request) -> tuple[Selection, KnownRecipe, Summary]:
        name = request.path_params["name"]
        selection = await in_thread(partial(self.selections.find, name))
        recipe = await self._recipes.of(selection)
        summary = None if recipe is None else await self._summaries.of(selection, recipe.order)
        if recipe is None or summary is None:
            raise NotFoundError(f"the live HiPS '{selection.name}' has no image that can be shown")
        return selection, recipe, summary

    async def _folder(self, request: Request) -> Response:
        name = request.path_params["name"]
        selection = await in_thread(partial(self.selections.find, name))
        return RedirectResponse(f"{quote(selection.name)}/", status_code=301)

    async def _page(self, request: Request) -> Response:
        selection, _, summary = await self._known(request)
        page = index_page(
            selection.title, describe(selection, summary), summary.view,
            self._settings.aladin_lite_url,
        )  # fmt: skip
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

    async def _properties(self, request: Request) -> Response:
        selection, recipe, summary = await self._known(request)
        did = await self._did(selection)
        text = live_properties(selection, recipe, summary, self._settings, did)
        return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})

    async def _moc(self, request: Request) -> Response:
        _, _, summary = await self._known(request)
        headers = {"Cache-Control": "no-cache"}
        return Response(summary.moc, media_type="image/fits", headers=headers)

    async def _tile(self, request: Request) -> Response:
        # Aladin Lite doubles the slash if its user ends the address with one.
        path = request.path_params["path"].lstrip("/")
        match = _TILE.fullmatch(path)
        if match is None:
            raise NotFoundError("there is no such tile or file of a live HiPS")
        order, npix, extension = int(match[1]), int(match[2]), match[3]
        if (
            order > MAX_DEPTH
            or npix >= tile_count(order)
            or path != tile_path(order, npix, extension)
        ):
            raise NotFoundError("there is no such tile")
        tags = {
            tag.strip().removeprefix("W/")
            for tag in request.headers.get("if-none-match", "").split(",")
        }
        tile = await unless_gone(
            request, threading.Event(),
            lambda: self._tiles.tile(
                request.path_params["name"], order, npix, extension, tags.__contains__
            ),
        )  # fmt: skip
        headers = {"Cache-Control": "no-store"}
        if tile.etag:
            age = self._settings.live.tile_max_age_s
            headers = {"ETag": tile.etag, "Cache-Control": f"public, max-age={age}"}
            if not tile.body:
                return Response(status_code=304, headers=headers)
        return Response(tile.body, media_type=_TYPES[extension], headers=headers)
