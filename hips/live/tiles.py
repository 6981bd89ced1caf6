"""A tile of a live HiPS: from the cache, or made by a worker."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hips.background.kept import Backgrounds, Plane
from hips.formats import Encoding
from hips.live.images import KnownRecipe, TileJob
from hips.live.regions import meets, tile_circle, tile_outline
from hips.live.selection import Selection, Selections
from hips.live.sources import Coarse, Sources, digest_of_texts
from hips.live.worker import choose_recipe, make_tile, read_recipe
from hips.names import BUILD_FOLDER
from hips.settings import HipsSettings
from vodal.diskcache import DiskCache
from vodal.errors import NotFoundError
from vodal.pool import WarmPool
from vodal.products import Product
from vodal.web.threads import in_thread

__all__ = ["LiveTile", "LiveTiles", "Recipes", "absent", "never"]

_SURVEYED: Final = 64
"""Images by whose headers a recipe is chosen."""
_LISTED: Final = 2000
"""Images that these are chosen from."""
_DEEPER: Final = 5
"""Orders by which the images of a tile are looked for more finely, if they are too many."""
_FEW: Final = 4
_REMEMBERED: Final = 4096


class Recipes:
    """Knows the recipe of each selection.

    Parameters
    ----------
    selections, sources, pool
        Where images come from, and who looks at them.
    settings
        Of HiPS.
    root
        Holds the built HiPS.
    folder
        Where chosen recipes are kept.
    """

    def __init__(
        self, selections: Selections, sources: Sources, pool: WarmPool, settings: HipsSettings,
        root: Path, folder: Path,
    ) -> None:  # fmt: skip
        self._selections, self._sources, self._pool = selections, sources, pool
        self._settings, self._root, self._folder = settings, root, folder
        self._known: OrderedDict[Selection, tuple[object, KnownRecipe | None]] = OrderedDict()
        self._choosing: dict[str, asyncio.Lock] = {}

    async def of(self, selection: Selection) -> KnownRecipe | None:
        """Give the recipe of a selection: the built HiPS's of the same name, or its own.

        It is chosen when it is first asked for. None if no image can be used. Where some images
        are not for who asks, it is chosen by the others alone.
        """
        known = self._remembered(selection)
        if known is not None:
            return known[1]
        lock = self._choosing.setdefault(selection.name, asyncio.Lock())
        async with lock:
            known = self._remembered(selection)
            if known is not None:
                return known[1]
            return await self._find(selection)

    def _remembered(self, selection: Selection) -> tuple[object, KnownRecipe | None] | None:
        known = self._known.get(selection)
        return known if known is not None and known[0] == self._stamp(selection) else None

    def _places(self, selection: Selection) -> tuple[Path, Path]:
        mark = digest_of_texts(selection.collection, selection.band, selection.condition)[:8]
        kept = self._folder / f"{selection.name}-{mark}"
        if selection.rights.all_had:
            return self._root / selection.name, kept
        part = kept.with_name(f"{kept.name}-{digest_of_texts(selection.rights)[:16]}")
        return part, part

    def _stamp(self, selection: Selection) -> tuple[int, ...]:
        """Tell whether the files of recipes are the same as they were."""
        stamps = []
        for folder in self._places(selection):
            try:
                stamps.append((folder / BUILD_FOLDER / "recipe.json").stat().st_mtime_ns)
            except OSError:
                stamps.append(0)
        return tuple(stamps)

    async def _find(self, selection: Selection) -> KnownRecipe | None:
        built, kept = self._places(selection)
        stamp = self._stamp(selection)
        recipe: KnownRecipe | None = None
        for folder, there in zip((built, kept), stamp, strict=True):
            if recipe is None and there:
                recipe = await self._pool.run(read_recipe, folder, self._settings)
        if recipe is None:
            listed = await in_thread(partial(self._selections.products, selection, limit=_LISTED))
            if not listed:
                return None
            listed.sort(key=lambda product: product.did)
            some = listed[:: -(-len(listed) // _SURVEYED)]
            images = await in_thread(partial(self._sources.images, some))
            recipe = await self._pool.run(choose_recipe, images, self._settings, kept)
            if recipe is None:
                return None
        self._known[selection] = self._stamp(selection), recipe
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return recipe


@dataclass(frozen=True, slots=True)
class LiveTile:
    """A tile as it is sent."""

    body: bytes
    etag: str
    """Empty if the tile lacks images that will be there soon."""
    new_previews: int = 0
    """Previews of images that were made for it."""


def never(_etag: str) -> bool:
    """Tell of a client that has nothing."""
    return False


class LiveTiles:
    """Makes tiles. Belongs to one event loop.

    Parameters
    ----------
    selections, recipes, sources
        Which images, how, and from where.
    pool
        Makes tiles.
    settings
        Of HiPS.
    folder
        Where made tiles are kept.
    """

    def __init__(
        self, selections: Selections, recipes: Recipes, sources: Sources, pool: WarmPool,
        settings: HipsSettings, folder: Path,
    ) -> None:  # fmt: skip
        self._selections, self._recipes, self._sources = selections, recipes, sources
        self._pool, self._settings = pool, settings
        self.kept = DiskCache(folder, settings.live.cache_bytes)
        self.encoding = Encoding.of_band(settings)

    async def tile(
        self, selection: Selection, order: int, npix: int, extension: str,
        known: Callable[[str], bool],
    ) -> LiveTile:  # fmt: skip
        """Give a tile to a client.

        Parameters
        ----------
        selection
            The live HiPS; the tile is made of what its rights let have.
        order, npix, extension
            The tile; of one of the formats that `hips.settings` says.
        known
            Tells whether the client has the tile of an ETag; its body is empty then.

        Raises
        ------
        NotFoundError
            If there is no such format, or no image there.
        ServiceUnavailable
            If too many requests wait, or storage does not answer.
        """
        if extension not in self.encoding.marks:
            words = ", ".join(self.encoding.words)
            raise NotFoundError(f"the tiles of live HiPS here are {words}")
        return await self.of(selection, order, npix, extension, known)

    async def of(
        self, selection: Selection, order: int, npix: int, extension: str,
        known: Callable[[str], bool] = never, new_previews: int | None = None,
    ) -> LiveTile:  # fmt: skip
        """Give a tile.

        Parameters
        ----------
        selection, order, npix, known
            As of `tile`.
        extension
            As of `hips.live.images.TileJob`.
        new_previews
            How many may be made for it; by default as the settings say.

        Raises
        ------
        NotFoundError, ServiceUnavailable
            As of `tile`.
        """
        tile = await self.found(selection, order, npix, extension, known, new_previews)
        if tile is None or not (tile.body or (tile.etag and known(tile.etag))):
            raise absent()
        return tile

    async def found(
        self, selection: Selection, order: int, npix: int, extension: str,
        known: Callable[[str], bool] = never, new_previews: int | None = None,
    ) -> LiveTile | None:  # fmt: skip
        """Give a tile as `of` does; None where no image is, without a body where it is blank."""
        recipe = await self._recipes.of(selection)
        if recipe is None or order > recipe.order:
            return None
        products = await in_thread(partial(self.behind, selection, order, npix))
        if not products:
            return None
        versions = [text for product in products for text in (product.did, product.version)]
        mark = self.encoding.marks.get(extension, "")
        known_skies = recipe.backgrounds or Backgrounds()
        planes = {
            product.did: plane
            for product in products
            if (plane := known_skies.of(product.did, product.version)) is not None
        }
        skies = () if recipe.backgrounds is None else (known_skies.level, sorted(planes.items()))
        key = digest_of_texts(recipe.digest, order, npix, mark, *versions, *skies)
        etag = f'"{key}-{extension}"'
        if known(etag):
            return LiveTile(b"", etag)
        kept, made = await in_thread(partial(self.kept.get, key, extension)), 0
        if kept is None:
            new = self._settings.live.new_previews if new_previews is None else new_previews
            coarse = Coarse([], products)
            if order < recipe.order:
                coarse = await self._sources.coarse(products, order, new)
            made = coarse.made
            kept, whole = await self._made(recipe, planes, coarse, order, npix, extension)
            if whole:
                await in_thread(partial(self.kept.put, key, extension, kept))
            else:
                etag = ""
        return LiveTile(kept, etag, made)

    async def _made(
        self, recipe: KnownRecipe, planes: Mapping[str, Plane], coarse: Coarse, order: int,
        npix: int, extension: str,
    ) -> tuple[bytes, bool]:  # fmt: skip
        """Make a tile; tells too whether it has all its images."""
        images = await in_thread(partial(self._sources.images, coarse.direct))
        job = TileJob(
            order, npix, extension, recipe.text, self._settings, images, tuple(coarse.previews),
            planes, None if recipe.backgrounds is None else recipe.backgrounds.level,
        )  # fmt: skip
        made = await self._pool.run(make_tile, job)
        self._sources.changed(made.changed)
        whole = not coarse.missing and not made.lost and len(images) == len(coarse.direct)
        return made.body or b"", whole

    def behind(self, selection: Selection, order: int, npix: int) -> list[Product]:
        """Give the images whose footprints meet a tile or come near, by identifier.

        Of more than ``live.max_images``, about as many that are spread over the tile.
        """
        found: dict[str, Product] = {}
        self._gather(selection, order, npix, self._settings.live.max_images, _DEEPER, found)
        return sorted(found.values(), key=lambda product: product.did)

    def touching(self, selection: Selection, order: int, npix: int, limit: int) -> list[Product]:
        """Give the images whose footprints meet a tile, by identifier; some, if there are more."""
        frame = self._settings.frame
        outline = tile_outline(order, npix, frame)
        near = self._selections.products(selection, tile_circle(order, npix, frame), 4 * limit)
        found = [one for one in near if one.region is None or meets(one.region, outline)]
        return sorted(found, key=lambda product: product.did)[:limit]

    def _gather(
        self, selection: Selection, order: int, npix: int, limit: int, deeper: int,
        found: dict[str, Product],
    ) -> None:  # fmt: skip
        region = tile_circle(order, npix, self._settings.frame)
        listed = self._selections.products(selection, region, limit + 1)
        if len(listed) > limit and deeper and limit > _FEW:
            for child in range(4):
                self._gather(
                    selection, order + 1, 4 * npix + child, -(-limit // 4), deeper - 1, found
                )
            return
        found.update((product.did, product) for product in listed[:limit])


def absent() -> NotFoundError:
    """Give the error for a tile of nothing."""
    return NotFoundError("no image of this live HiPS is there")
