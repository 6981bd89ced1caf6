"""A tile of a live HiPS in colour: painted from the live tiles of its bands."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from hips.color.scale import COLOR_FILE, ColorScale, Samples, choose_scale, kept_scale
from hips.encode import read_fits
from hips.formats import Encoding
from hips.keywords import Survey
from hips.live.images import KnownRecipe
from hips.live.paint import paint_tile
from hips.live.palette import changed_ns
from hips.live.regions import tile_at
from hips.live.selection import Color, Selection, Selections
from hips.live.sources import digest_of_texts
from hips.live.tiles import LiveTile, LiveTiles, Recipes, absent, never
from hips.settings import HipsSettings
from vodal.errors import NotFoundError
from vodal.pool import WarmPool
from vodal.sphere import bounding_cap
from vodal.web.threads import in_thread

__all__ = ["ColorRecipe", "ColorTiles", "in_colour"]

_SAMPLE_TILES: Final = 6
"""By which a scale is chosen."""
_LISTED: Final = 2000
"""Images by whose places these are chosen, and of them so many:"""
_LOOKED_AT: Final = 48
_REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class ColorRecipe:
    """What tiles are painted by."""

    order: int
    """Of the deepest tiles."""
    scale: ColorScale

    @property
    def digest(self) -> str:
        """Tells recipes apart."""
        return digest_of_texts(self.order, self.scale.to_json())

    def cards(self) -> dict[str, str]:
        """Say what red, green and blue are made of."""
        return dict(zip(("RED", "GREEN", "BLUE"), self.scale.mix.words(), strict=True))


class ColorTiles:
    """Paints tiles. Belongs to one event loop.

    The tiles of the bands are made one after the other, so that a view of many tiles in colour
    fills the pool's queue no more than one in grey does.

    Parameters
    ----------
    selections, recipes, tiles, pool
        Which images, how, the bands' tiles, and who paints.
    settings
        Of HiPS.
    root
        Holds the built HiPS, whose colours live ones of the same names have.
    folder
        Where chosen scales are kept.
    """

    def __init__(
        self, selections: Selections, recipes: Recipes, tiles: LiveTiles, pool: WarmPool,
        settings: HipsSettings, root: Path, folder: Path,
    ) -> None:  # fmt: skip
        self._selections, self._recipes, self._tiles, self._pool = selections, recipes, tiles, pool
        self._settings, self._root, self._folder = settings, root, folder
        self.encoding = Encoding.of_color(settings)
        self._known: OrderedDict[tuple[Path, ...], tuple[tuple[int, ...], ColorScale]] = (
            OrderedDict()
        )
        self._choosing: dict[Path, asyncio.Lock] = {}

    async def recipe(self, selection: Selection) -> ColorRecipe | None:
        """Give the scale and the order that all bands have; None if one has no image of use.

        The scale is the built HiPS's of the same name, or its own, chosen when first asked for.

        Raises
        ------
        ServiceUnavailable
            If too many requests wait, or storage does not answer.
        """
        color = _color_of(selection)
        bands = await self._bands(color)
        if bands is None:
            return None
        order = min(band.order for band in bands)
        return ColorRecipe(order, await self._scale(selection, color, bands, order))

    async def _bands(self, color: Color) -> list[KnownRecipe] | None:
        found = [await self._recipes.of(band) for band in color.bands]
        known = [recipe for recipe in found if recipe is not None]
        return known if len(known) == len(found) else None

    async def tile(
        self, selection: Selection, order: int, npix: int, extension: str,
        known: Callable[[str], bool],
    ) -> LiveTile:  # fmt: skip
        """Give a tile to a client; parameters and errors are those of `LiveTiles.tile`."""
        if extension not in self.encoding.marks:
            words = ", ".join(self.encoding.words)
            raise NotFoundError(f"the tiles of live HiPS in colour here are {words}")
        return await self.of(selection, order, npix, extension, known)

    async def of(
        self, selection: Selection, order: int, npix: int, extension: str,
        known: Callable[[str], bool] = never, new_previews: int | None = None,
    ) -> LiveTile:  # fmt: skip
        """Give a tile; parameters and errors are those of `LiveTiles.of`."""
        color = _color_of(selection)
        bands = await self._bands(color)
        if bands is None or order > min(band.order for band in bands):
            raise absent()
        tags = await self._tags(color, order, npix)
        if not any(tags):
            raise absent()
        recipe = await self.recipe(selection)
        if recipe is None:
            raise absent()
        mark = self.encoding.marks[extension]
        key = digest_of_texts(recipe.scale.to_json(), mark, order, npix, *tags)
        etag = f'"{key}-{extension}"'
        if known(etag):
            return LiveTile(b"", etag)
        body, new = await in_thread(partial(self._tiles.kept.get, key, extension)), 0
        if body is None:
            made = await self._made(color, order, npix, new_previews)
            new = sum(tile.new_previews for tile in made if tile is not None)
            body = await self._painted(recipe.scale, made, extension)
            # Images may have come since the tags were made.
            if tags == [tile.etag if tile is not None else "" for tile in made]:
                await in_thread(partial(self._tiles.kept.put, key, extension, body))
            else:
                etag = ""
        if not body:
            raise absent()
        return LiveTile(body, etag, new)

    async def _tags(self, color: Color, order: int, npix: int) -> list[str]:
        """Give the ETags of the bands' tiles, without making any; empty where no image is."""
        found = [
            await self._tiles.found(band, order, npix, "fits", lambda _: True)
            for band in color.bands
        ]
        return [tile.etag if tile is not None else "" for tile in found]

    async def _made(
        self, color: Color, order: int, npix: int, new_previews: int | None = None
    ) -> list[LiveTile | None]:
        made: list[LiveTile | None] = []
        left = self._settings.live.new_previews if new_previews is None else new_previews
        for band in color.bands:
            tile = await self._tiles.found(band, order, npix, "fits", new_previews=left)
            left -= tile.new_previews if tile is not None else 0
            made.append(tile)
        return made

    async def _painted(
        self, scale: ColorScale, made: Sequence[LiveTile | None], extension: str
    ) -> bytes:
        bodies = [(tile.body or None) if tile is not None else None for tile in made]
        if not any(bodies):
            return b""
        return await self._pool.run(paint_tile, bodies, scale.to_json(), self.encoding, extension)

    async def _scale(
        self, selection: Selection, color: Color, bands: Sequence[KnownRecipe], order: int
    ) -> ColorScale:
        places = self._places(selection, color, bands)
        known = await self._kept(color, places)
        if known is not None:
            return known
        async with self._choosing.setdefault(places[-1], asyncio.Lock()):
            known = await self._kept(color, places)
            if known is None:
                samples = await self._samples(color, order)
                known = await in_thread(partial(choose_scale, color.mix, color.asked, samples))
                await in_thread(partial(_keep, places[-1], known))
            return known

    def _places(
        self, selection: Selection, color: Color, bands: Sequence[KnownRecipe]
    ) -> tuple[Path, ...]:
        """Give where a scale may be kept: of a part of the images there is one of its own."""
        mark = digest_of_texts(color.mix, color.mark, *(band.digest for band in bands))[:8]
        kept = self._folder / f"{selection.name}-{mark}"
        if selection.rights.all_had:
            return self._root / selection.name, kept
        return (kept.with_name(f"{kept.name}-{digest_of_texts(selection.rights)[:16]}"),)

    async def _kept(self, color: Color, places: tuple[Path, ...]) -> ColorScale | None:
        stamp = tuple(changed_ns(folder / COLOR_FILE) for folder in places)
        known = self._known.get(places)
        if known is not None and known[0] == stamp:
            return known[1]
        for folder in places:
            scale = await in_thread(partial(kept_scale, folder, color.mix, color.mark))
            if scale is not None:
                self._known[places] = stamp, scale
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
                return scale
        return None

    async def _samples(self, color: Color, order: int) -> Samples:
        """Make some of the deepest tiles, where all bands have images if there is such a place."""
        samples = []
        for npix in await in_thread(partial(self._sampled, color, order)):
            tiles = await self._made(color, order, npix)
            bodies = [tile.body if tile is not None else b"" for tile in tiles]
            samples.append([read_fits(body) if body else None for body in bodies])
        return samples

    def _sampled(self, color: Color, order: int) -> Sequence[int]:
        """Choose the tiles, in the middle of images."""
        products = self._selections.products(color.bands[0], limit=_LISTED)
        regions = [one.region for one in sorted(products, key=lambda one: one.did) if one.region]
        found: dict[int, None] = {}
        for region in regions[:: max(1, -(-len(regions) // _LOOKED_AT))]:
            (x, y, z), _ = bounding_cap(region)
            ra, dec = (
                math.degrees(math.atan2(y, x)),
                math.degrees(math.asin(min(1.0, max(-1.0, z)))),
            )
            found[tile_at(order, ra % 360.0, dec, self._settings.frame)] = None
        whole = [
            npix for npix in found
            if all(self._tiles.behind(band, order, npix) for band in color.bands)
        ]  # fmt: skip
        best = whole or list(found)
        return best[:: max(1, -(-len(best) // _SAMPLE_TILES))]


def in_colour(about: Survey, encoding: Encoding, recipe: ColorRecipe | None) -> Survey:
    """Say of a live HiPS in colour what it is; without a recipe no more than goes into a list."""
    extra: dict[str, object] = {"dataproduct_subtype": "color live"}
    if recipe is not None:
        extra["hips_hierarchy"] = "mean"
        red, green, blue = recipe.scale.mix.words()
        extra |= {"hips_rgb_red": red, "hips_rgb_green": green, "hips_rgb_blue": blue}
    order = None if recipe is None else recipe.order
    return replace(about, formats=encoding.words, order=order, extra=extra)


def _color_of(selection: Selection) -> Color:
    assert selection.color is not None
    return selection.color


def _keep(folder: Path, scale: ColorScale) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{COLOR_FILE}.part"
    unfinished.write_text(scale.to_json(), "utf-8")
    unfinished.replace(folder / COLOR_FILE)
