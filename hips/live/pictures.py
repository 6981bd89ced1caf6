"""The pictures of a live HiPS as a whole: Allsky and preview, from its tiles."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from hips.live.color import ColorRecipe, ColorTiles
from hips.live.images import AllskyJob, KnownRecipe, PreviewJob
from hips.live.paint import paint_allsky
from hips.live.selection import Selection
from hips.live.sources import digest_of_texts
from hips.live.summary import Summary
from hips.live.tiles import LiveTile, LiveTiles
from hips.live.worker import draw_preview, make_allsky
from hips.preview import PreviewGrid
from hips.settings import HipsSettings
from vodal.diskcache import DiskCache
from vodal.errors import NotFoundError
from vodal.pool import WarmPool
from vodal.web.threads import in_thread

__all__ = ["ALLSKY_ORDER", "LivePictures"]

ALLSKY_ORDER: Final = 3
_BEST_FIRST: Final = ("png", "webp", "jpg")
_REST: Final = 10.0
"""A picture is used for so many times the time that it took; a second at least."""
_REMEMBERED: Final = 256


class LivePictures:
    """Makes pictures of the whole. Belongs to one event loop.

    Parameters
    ----------
    tiles
        What they are made of.
    pool
        Puts them together.
    settings
        Of HiPS.
    folder
        Where they are kept.
    """

    def __init__(
        self, tiles: LiveTiles | ColorTiles, pool: WarmPool, settings: HipsSettings, folder: Path
    ) -> None:
        self._tiles, self._pool, self._settings = tiles, pool, settings
        self._encoding = tiles.encoding
        self._kept = DiskCache(folder, settings.live.cache_bytes)
        self._fresh: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._alone: dict[str, asyncio.Lock] = {}

    async def allsky(
        self, selection: Selection, recipe: KnownRecipe | ColorRecipe, summary: Summary,
        extension: str,
    ) -> LiveTile:  # fmt: skip
        """Give the picture of order 3, each tile of it averaged to 64 x 64 pixels.

        Of all its tiles together no more new previews are made than while a client waits for one.

        Raises
        ------
        NotFoundError
            If tiles have no such format.
        ServiceUnavailable
            If too many requests wait, or storage does not answer.
        """
        if extension not in self._encoding.marks:
            raise NotFoundError(f"there is no Allsky.{extension}")

        async def make() -> LiveTile:
            kind = self._best if isinstance(recipe, ColorRecipe) else "cell"
            cells = await self._gather(selection, ALLSKY_ORDER, summary.top, kind)
            bodies = tuple((npix, cell.body) for npix, cell in cells.items())
            if isinstance(recipe, ColorRecipe):
                paint = partial(self._pool.run, paint_allsky, bodies, self._encoding, extension)
                return await self._drawn(cells, paint)
            job = AllskyJob(recipe.text, self._settings, extension, bodies)
            return await self._drawn(cells, partial(self._pool.run, make_allsky, job))

        mark = self._encoding.marks[extension]
        key = digest_of_texts("allsky", selection, recipe.digest, extension, mark)
        return await self._lately(key, make)

    async def preview(
        self, selection: Selection, recipe: KnownRecipe | ColorRecipe, summary: Summary
    ) -> LiveTile:
        """Give ``preview.jpg``: the first view, 256 x 256 pixels.

        Raises
        ------
        ServiceUnavailable
            If too many requests wait, or storage does not answer.
        """
        frame, quality = self._settings.frame, self._settings.jpeg_quality

        async def make() -> LiveTile:
            grid = await in_thread(partial(PreviewGrid, summary.view, recipe.order, frame))
            tiles = await self._gather(selection, grid.order, grid.tiles(), self._best)
            job = PreviewJob(
                summary.view, recipe.order, frame, quality,
                tuple((npix, tile.body) for npix, tile in tiles.items()),
            )  # fmt: skip
            return await self._drawn(tiles, partial(self._pool.run, draw_preview, job))

        key = digest_of_texts("preview", selection, recipe.digest, summary.view, quality)
        return await self._lately(key, make)

    @property
    def _best(self) -> str:
        """The format of pictures that loses least."""
        return next((one for one in _BEST_FIRST if one in self._encoding.marks), _BEST_FIRST[0])

    async def _gather(
        self, selection: Selection, order: int, numbers: Iterable[int], extension: str
    ) -> dict[int, LiveTile]:
        """Give those tiles that there are, one made after the other: others want theirs too."""
        left = self._settings.live.new_previews
        found: dict[int, LiveTile] = {}
        for npix in numbers:
            with suppress(NotFoundError):
                tile = await self._tiles.of(selection, order, npix, extension, new_previews=left)
                left -= tile.new_previews
                found[npix] = tile
        return found

    async def _drawn(
        self, tiles: dict[int, LiveTile], draw: Callable[[], Awaitable[bytes]]
    ) -> LiveTile:
        if not tiles:
            raise NotFoundError("no image of this live HiPS can be shown")
        tags = [tile.etag for tile in tiles.values()]
        etag = f'"{digest_of_texts(*tiles, *tags)}"' if all(tags) else ""
        return LiveTile(await draw(), etag)

    async def _lately(self, key: str, make: Callable[[], Awaitable[LiveTile]]) -> LiveTile:
        """Give a picture that was made lately, or make it, once for all who want it."""
        try:
            async with self._alone.setdefault(key, asyncio.Lock()):
                until, etag = self._fresh.get(key, (0.0, ""))
                if time.monotonic() < until:
                    body = await in_thread(partial(self._kept.get, key, "picture"))
                    if body is not None:
                        return LiveTile(body, etag)
                began = time.monotonic()
                made = await make()
                if made.etag:
                    await in_thread(partial(self._kept.put, key, "picture", made.body))
                    rest = max(1.0, _REST * (time.monotonic() - began))
                    self._fresh[key] = time.monotonic() + rest, made.etag
        finally:
            # Of what is not kept nothing is remembered.
            if key not in self._fresh:
                self._alone.pop(key, None)
        while len(self._fresh) > _REMEMBERED:
            forgotten, _ = self._fresh.popitem(last=False)
            self._alone.pop(forgotten, None)
        return made
