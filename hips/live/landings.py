"""Previews of images soon after they have landed in the catalogue, before a tile needs them."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import Final

from hips.live.selection import is_picture
from hips.live.settings import LiveSettings
from hips.live.sources import Sources
from vodal.errors import SkylaneError
from vodal.products import Catalogue, Product
from vodal.web.threads import in_thread

__all__ = ["Landings"]

_LOG = logging.getLogger(__name__)

_PAGE: Final = 20
_REST: Final = 3.0
"""Times as long as an earlier image took nothing is done: those that were there have time."""
_AGAIN: Final = 100
"""Numbers below the highest that may have been given anew: to files that were replaced."""
_PREVIEW_BYTES: Final = 4 << 20


class Landings:
    """Follows the catalogue, whoever writes it. Belongs to one event loop.

    Of the processes that share a folder of previews one follows; another takes over when it ends.
    Images that come while it runs are prepared first, then those that were there, the latest first,
    for a quarter of the time and no more than the folder has room for. Nothing is noted: what has a
    preview is passed over.

    Parameters
    ----------
    catalogue
        Where images are known.
    sources
        Have previews made.
    settings
        How often to look.
    lock
        A file that the process that follows holds.
    """

    def __init__(
        self, catalogue: Catalogue, sources: Sources, settings: LiveSettings, lock: Path
    ) -> None:
        self._catalogue, self._sources = catalogue, sources
        self._every_s, self._lock = settings.prepare_every_s, lock
        self._descriptor: int | None = None
        self._highest: tuple[int, str, str] | None = None
        """Number, identifier and version of the product that was written last."""
        self._lowest: int | None = None
        """Number down to which earlier products have been prepared."""
        self._room = settings.preview_cache_bytes // _PREVIEW_BYTES
        """Earlier products that are still prepared."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless the settings say not to."""
        if self._every_s > 0.0:
            self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """End, and let another process follow."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _follow(self) -> None:
        while True:
            pause_s = self._every_s
            try:
                if await in_thread(self._alone):
                    pause_s = await self._look()
            except SkylaneError as error:
                _LOG.info("no previews were prepared: %s", error)
            await asyncio.sleep(pause_s)

    def _alone(self) -> bool:
        """Tell whether this process is the one that follows."""
        if self._descriptor is not None:
            return True
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            # Where nothing can be written there will be no previews either.
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    async def _look(self) -> float:
        """Prepare what is new, then one of what was there; gives seconds until the next look."""
        last = await self._newest(1)
        if not last:
            return self._every_s
        number, product = last[0]
        highest = number, product.did, product.version
        if self._lowest is None:
            self._lowest = number + 1
        elif highest != self._highest and self._highest is not None:
            await self._down_to(min(number, self._highest[0]) - _AGAIN)
        self._highest = highest
        begun = time.monotonic()
        more = await self._earlier()
        rest_s = _REST * (time.monotonic() - begun)
        return min(self._every_s, rest_s) if more else self._every_s

    async def _down_to(self, number: int) -> None:
        """Prepare the products above a number, the latest first."""
        before: int | None = None
        while page := await self._newest(_PAGE, before):
            for before, product in page:
                if before <= number:
                    return
                await self._prepare(product)

    async def _earlier(self) -> bool:
        """Prepare the next of those that were there; tells whether there may be more."""
        if self._room <= 0:
            return False
        page = await self._newest(1, self._lowest)
        for self._lowest, product in page:
            self._room -= await self._prepare(product)
        return bool(page)

    async def _newest(self, limit: int, before: int | None = None) -> list[tuple[int, Product]]:
        return await in_thread(partial(self._catalogue.newest, limit, before))

    async def _prepare(self, product: Product) -> bool:
        """Have an image's preview made; tells whether it is an image."""
        if not is_picture(product) or product.region is None:
            return False
        try:
            await self._sources.prepare(product)
        except SkylaneError as error:
            # It is made when a tile needs it.
            _LOG.info("no preview of %s: %s", product.did, error)
        return True
