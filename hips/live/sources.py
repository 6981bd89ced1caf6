"""Images and previews ready for a tile."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hips.live.images import LiveImage, MadePreview
from hips.live.worker import make_preview
from hips.settings import HipsSettings
from vodal.diskcache import DiskCache
from vodal.errors import DataError, NotFoundError, SkylaneError
from vodal.pool import WarmPool
from vodal.products import Product, Refresher, Resolver
from vodal.storage import Storage
from vodal.web.threads import in_thread

__all__ = ["Coarse", "Sources", "digest_of_texts"]

_IMAGES: Final = 1024
"""Kept in memory."""
_WAITING: Final = 20_000
"""Previews that are to be made in the background at most."""
_PREVIEW_VERSION: Final = 2
"""Of the code that makes previews: to be raised when the same images would give others."""


def digest_of_texts(*parts: object) -> str:
    """Give 32 hexadecimal digits that differ where the parts do."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


@dataclass(slots=True)
class Coarse:
    """Images as a tile above the deepest order takes them."""

    previews: list[Path]
    direct: list[Product]
    """Whose preview is too coarse."""
    missing: int = 0
    """Images whose previews are not there yet."""
    made: int = 0
    """Previews that were made for it."""


class Sources:
    """Makes images and previews ready. Belongs to one event loop.

    Parameters
    ----------
    resolver
        Gives the byte index of a product's file.
    pool
        Makes previews.
    settings
        Of HiPS.
    folder
        Where previews are kept.
    storage
        Opens files.
    refresher
        Told of files that changed.
    """

    def __init__(
        self, resolver: Resolver, pool: WarmPool, settings: HipsSettings, folder: Path,
        storage: Storage, refresher: Refresher | None,
    ) -> None:  # fmt: skip
        self._resolver, self._pool, self._settings = resolver, pool, settings
        self._storage, self._refresher = storage, refresher
        self._kept = DiskCache(folder, settings.live.preview_cache_bytes)
        self._images: OrderedDict[tuple[str, str], LiveImage] = OrderedDict()
        self._orders: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[str, asyncio.Task[None]] = {}
        self._later: OrderedDict[str, Product] = OrderedDict()
        self._filling: asyncio.Task[None] | None = None
        self._by = digest_of_texts(
            _PREVIEW_VERSION, settings.frame, settings.background, settings.conserve,
            settings.mask_names, settings.mask_bits, settings.zero_point_keywords,
            settings.weights == "variance",
        )  # fmt: skip

    def image(self, product: Product) -> LiveImage:
        """Give an image as workers take it.

        Raises
        ------
        NotFoundError
            If it has been withdrawn meanwhile.
        DataError, ServiceUnavailable
            If its file is opened for the first time, and cannot be.
        """
        key = product.did, product.version
        with self._lock:
            found = self._images.get(key)
            if found is not None:
                self._images.move_to_end(key)
                return found
        ready = self._resolver.ready(product)
        made = LiveImage.of(ready, self._resolver.index(ready), self._storage)
        with self._lock:
            kept = self._images.setdefault(key, made)
            if len(self._images) > _IMAGES:
                self._images.popitem(last=False)
        return kept

    def images(self, products: Sequence[Product]) -> tuple[LiveImage, ...]:
        """Give images as workers take them; those withdrawn or unusable meanwhile are left out."""
        found = []
        for product in products:
            with suppress(NotFoundError, DataError):
                found.append(self.image(product))
        return tuple(found)

    def changed(self, files: Sequence[tuple[str, str]]) -> None:
        """Tell of files that were not of the version that the catalogue has."""
        if self._refresher is not None:
            for uri, version in dict.fromkeys(files):
                self._refresher.refresh(uri, version)

    async def coarse(self, products: Sequence[Product], order: int, new: int) -> Coarse:
        """Give what a tile of an order is made of, so many previews at most being made for it.

        Raises
        ------
        ServiceUnavailable
            If too many requests wait.
        """
        absent = await in_thread(partial(self._absent, products))
        if absent:
            await asyncio.gather(*(self._made(product) for product in absent[:new]))
            self._do_later(absent[new:])
        found = await in_thread(partial(self._ready, products, order))
        found.made = len(absent[:new])
        return found

    async def prepare(self, product: Product) -> None:
        """Have the preview of an image made behind all other work, unless it is there.

        Raises
        ------
        ServiceUnavailable
            If the storage of the image does not answer.
        """
        if await in_thread(partial(self._lacks, product)):
            await self._made(product, bulk=True)

    def _lacks(self, product: Product) -> bool:
        """Tell whether a preview is to be made; that is no use of the one there is."""
        key = self._key(product)
        return not any(self._kept.path(key, kind).exists() for kind in ("preview", "none"))

    def _key(self, product: Product) -> str:
        return digest_of_texts(product.did, product.version, self._by)

    def _absent(self, products: Sequence[Product]) -> list[Product]:
        return [
            product
            for product in products
            if not self._kept.has(self._key(product), "preview")
            and not self._kept.has(self._key(product), "none")
        ]

    def _ready(self, products: Sequence[Product], order: int) -> Coarse:
        found = Coarse([], [])
        for product in products:
            key = self._key(product)
            deepest = self._order(key)
            if deepest is None:
                found.missing += not self._kept.has(key, "none")
            elif deepest >= order:
                found.previews.append(self._kept.path(key, "preview"))
            else:
                found.direct.append(product)
        return found

    def _order(self, key: str) -> int | None:
        """Give the deepest order of a preview; None if it is not there."""
        path = self._kept.path(key, "preview")
        with self._lock:
            order = self._orders.get(key)
        try:
            if order is not None:
                path.stat()
                return order
            with path.open("rb") as file:
                told = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        except (OSError, ValueError):
            return None
        with self._lock:
            self._orders[key] = order = int(told["order"])
            if len(self._orders) > 50 * _IMAGES:
                self._orders.popitem(last=False)
        return order

    async def _made(self, product: Product, *, bulk: bool = False) -> None:
        """Have the preview of an image made, once for all who want it."""
        key = self._key(product)
        task = self._making.get(key)
        if task is None:
            self._later.pop(key, None)
            task = self._making[key] = asyncio.create_task(self._make(product, key, bulk=bulk))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        await asyncio.shield(task)

    async def _make(self, product: Product, key: str, *, bulk: bool) -> None:
        try:
            image = await in_thread(partial(self.image, product))
        except NotFoundError:
            return
        except DataError as error:
            await in_thread(partial(self._kept.put, key, "none", error.message.encode()))
            return
        path = self._kept.path(key, "preview")
        made: MadePreview = await self._pool.run(
            make_preview, image, self._settings, path, bulk=bulk
        )
        self.changed(made.changed)
        if made.reason:
            await in_thread(partial(self._kept.put, key, "none", made.reason.encode()))
        elif made.size_bytes:
            await in_thread(partial(self._kept.added, made.size_bytes))

    def _do_later(self, products: Sequence[Product]) -> None:
        for product in products:
            if len(self._later) < _WAITING:
                self._later[self._key(product)] = product
        if self._later and self._filling is None:
            self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        try:
            while self._later:
                _, product = self._later.popitem(last=False)
                # What fails is tried again when a tile asks for it.
                with suppress(SkylaneError):
                    await self._made(product, bulk=True)
        finally:
            self._filling = None

    async def close(self) -> None:
        """Stop what is done in the background."""
        self._later.clear()
        tasks = [*self._making.values(), *([self._filling] if self._filling else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
