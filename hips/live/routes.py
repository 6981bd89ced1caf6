"""Live HiPS over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from hips.archive import Archive
from hips.behind import Behind, Place
from hips.encode import value_cards
from hips.keywords import Survey, keywords_of
from hips.live.color import ColorRecipe, ColorTiles, in_colour
from hips.live.images import KnownRecipe
from hips.live.landings import Landings
from hips.live.palette import Palette
from hips.live.pictures import ALLSKY_ORDER, LivePictures
from hips.live.regions import MAX_DEPTH
from hips.live.selection import Selection, Selections
from hips.live.sources import Sources
from hips.live.summary import Summaries, Summary, describe, live_survey
from hips.live.tiles import LiveTile, LiveTiles, Recipes
from hips.media import TILE_EXTENSIONS, media_type
from hips.metadata import metadata_fits, metadata_xml, progenitor_table
from hips.names import MAX_ORDER, parse_tile_path, tile_count, tile_path
from hips.page import index_page
from hips.properties import format_properties
from hips.settings import HipsSettings
from vodal.access.asking import Asking, asking_of
from vodal.access.rules import EVERYTHING, Rights
from vodal.errors import ArchiveError, NotFoundError
from vodal.regions import Circle
from vodal.web.etags import listed_tags
from vodal.web.presence import unless_gone
from vodal.web.threads import in_thread

__all__ = ["LiveHips"]

Making = Callable[[Callable[[str], bool]], Awaitable[LiveTile]]
"""Is told which ETags the client has."""

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
        self._landings = Landings(
            archive.catalogue, self._sources, settings.live, folder / "previews.lock"
        )
        self._recipes = Recipes(
            self.selections, self._sources, archive.pool, settings, root, folder / "recipes"
        )
        self._tiles = LiveTiles(
            self.selections, self._recipes, self._sources, archive.pool, settings,
            folder / "tiles",
        )  # fmt: skip
        self._palette = Palette(self.selections, settings, root)
        self._colors = ColorTiles(
            self.selections, self._recipes, self._tiles, archive.pool, settings, root,
            folder / "recipes",
        )  # fmt: skip
        self._pictures, self._color_pictures = (
            LivePictures(tiles, archive.pool, settings, folder / "tiles")
            for tiles in (self._tiles, self._colors)
        )
        self._summaries = Summaries(self.selections, settings.frame)

    def routes(self) -> list[BaseRoute]:
        """Make the routes of one live HiPS, below ``/live``."""
        return [
            Route("/live/{name}", self._folder),
            Route("/live/{name}/", self._page),
            Route("/live/{name}/index.html", self._page),
            Route("/live/{name}/properties", self._properties),
            Route("/live/{name}/Moc.fits", self._moc),
            Route("/live/{name}/preview.jpg", self._preview),
            Route("/live/{name}/metadata.{extension:str}", self._metadata),
            Route(f"/live/{{name}}/Norder{ALLSKY_ORDER}/Allsky.{{extension:str}}", self._allsky),
            Route("/live/{name}/{path:path}", self._tile),
        ]

    def start(self) -> None:
        """Begin what is done in the background."""
        self._landings.start()

    async def close(self) -> None:
        """Stop what is done in the background."""
        await self._landings.close()
        await self._sources.close()

    def behind(self, name: str, place: Place, asking: Asking) -> Behind:
        """Give the images of a live HiPS behind a tile or a point, which who asks may have.

        Raises
        ------
        NotFoundError
            If there is no such HiPS.
        """
        limit = self._settings.live.max_progenitors
        selection = self._find(name, asking.rights)
        if place.point is not None:
            near = Circle(place.point.ra_deg, place.point.dec_deg, _POINT_DEG)
            products = self.selections.products(selection, near)
        else:
            assert place.order is not None
            assert place.npix is not None
            products = self._tiles.touching(selection, place.order, place.npix, limit + 1)
        return Behind.of(products, place, limit)

    def _find(self, name: str, rights: Rights) -> Selection:
        return self._palette.find(name, rights) or self.selections.find(name, rights)

    def _named(self, rights: Rights) -> list[Selection]:
        return [*self.selections.named(rights), *self._palette.named(rights)]

    async def records(self, base_url: str, rights: Rights = EVERYTHING) -> str:
        """Give a record each for the list (HiPS 1.0 section 5.2).

        Parameters
        ----------
        base_url
            Where live HiPS are seen by clients, without a trailing slash.
        rights
            Of who asks.
        """
        records = []
        for selection in await in_thread(partial(self._named, rights)):
            try:
                summary = await self._summaries.of(selection, MAX_ORDER)
            except ArchiveError:
                # One that is wrong must not hide the others.
                continue
            if summary is None:
                continue
            about = await self._survey(selection, summary, None)
            values = keywords_of(about, summary.view, summary.sky_fraction, self._settings)
            values["hips_service_url"] = f"{base_url}/{quote(selection.name)}"
            records.append(format_properties(values))
        return "\n".join(records)

    async def _survey(
        self, selection: Selection, summary: Summary, recipe: KnownRecipe | ColorRecipe | None
    ) -> Survey:
        did = await self._did(selection)
        if selection.color is None:
            assert not isinstance(recipe, ColorRecipe)
            return live_survey(selection, summary, self._settings, did, recipe)
        assert not isinstance(recipe, KnownRecipe)
        about = live_survey(selection, summary, self._settings, did)
        return in_colour(about, self._colors.encoding, recipe)

    async def _did(self, selection: Selection) -> str:
        products = await in_thread(partial(self.selections.products, selection, limit=1))
        match = _SITE_AUTHORITY.match(products[0].did) if products else None
        return f"ivo://{match[1] if match else 'skylane.invalid'}/hips/live/{selection.name}"

    async def _selection(self, request: Request) -> Selection:
        name, rights = request.path_params["name"], asking_of(request).rights
        return await in_thread(partial(self._find, name, rights))

    async def _known(
        self, request: Request
    ) -> tuple[Selection, KnownRecipe | ColorRecipe, Summary]:
        selection = await self._selection(request)
        recipe: KnownRecipe | ColorRecipe | None
        if selection.color is not None:
            recipe = await self._colors.recipe(selection)
        else:
            recipe = await self._recipes.of(selection)
        summary = None if recipe is None else await self._summaries.of(selection, recipe.order)
        if recipe is None or summary is None:
            raise NotFoundError(f"the live HiPS '{selection.name}' has no image that can be shown")
        return selection, recipe, summary

    async def _folder(self, request: Request) -> Response:
        selection = await self._selection(request)
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
        about = await self._survey(selection, summary, recipe)
        values = keywords_of(about, summary.view, summary.sky_fraction, self._settings)
        text = format_properties(values)
        return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})

    async def _moc(self, request: Request) -> Response:
        _, _, summary = await self._known(request)
        headers = {"Cache-Control": "no-cache"}
        return Response(summary.moc, media_type="image/fits", headers=headers)

    async def _metadata(self, request: Request) -> Response:
        selection, recipe, _ = await self._known(request)
        kind, limit = request.path_params["extension"], self._settings.live.max_progenitors
        if kind not in {"fits", "xml"}:
            raise _no_file()

        def write() -> bytes:
            products = self.selections.products(selection, limit=limit + 1)
            table = progenitor_table(products[:limit])
            if kind == "xml":
                return metadata_xml(table, selection.title, overflow=len(products) > limit)
            if isinstance(recipe, ColorRecipe):
                return metadata_fits(recipe.cards(), selection.title, table)
            cards = value_cards(recipe.pixel_arcsec, recipe.zero_point_mag)
            return metadata_fits(cards, selection.title, table)

        return Response(
            await in_thread(write), media_type=media_type(f"metadata.{kind}"),
            headers={"Cache-Control": "no-cache"},
        )  # fmt: skip

    async def _allsky(self, request: Request) -> Response:
        selection, recipe, summary = await self._known(request)
        extension = request.path_params["extension"]
        return await self._sent(
            request, f"Allsky.{extension}",
            lambda _: self._pictures_of(selection).allsky(selection, recipe, summary, extension),
        )  # fmt: skip

    async def _preview(self, request: Request) -> Response:
        selection, recipe, summary = await self._known(request)
        return await self._sent(
            request, "preview.jpg",
            lambda _: self._pictures_of(selection).preview(selection, recipe, summary),
        )  # fmt: skip

    def _pictures_of(self, selection: Selection) -> LivePictures:
        return self._pictures if selection.color is None else self._color_pictures

    async def _tile(self, request: Request) -> Response:
        # Aladin Lite doubles the slash if its user ends the address with one.
        path = request.path_params["path"].lstrip("/")
        tile = parse_tile_path(path)
        if tile is None or tile[2] not in TILE_EXTENSIONS:
            raise _no_file()
        order, npix, extension = tile
        if order > MAX_DEPTH or npix >= tile_count(order) or path != tile_path(*tile):
            raise NotFoundError("there is no such tile")
        selection = await self._selection(request)
        tiles = self._tiles if selection.color is None else self._colors
        return await self._sent(
            request, path, lambda known: tiles.tile(selection, order, npix, extension, known)
        )

    async def _sent(self, request: Request, path: str, make: Making) -> Response:
        """Answer with what is made."""
        tags = listed_tags(request.headers.get("if-none-match"))
        tile = await unless_gone(request, threading.Event(), lambda: make(tags.__contains__))
        headers = {"Cache-Control": "no-store"}
        if tile.etag:
            age = self._settings.live.tile_max_age_s
            headers = {"ETag": tile.etag, "Cache-Control": f"public, max-age={age}"}
            if tile.etag in tags:
                return Response(status_code=304, headers=headers)
        return Response(tile.body, media_type=media_type(path), headers=headers)


def _no_file() -> NotFoundError:
    return NotFoundError("there is no such tile or file of a live HiPS")
