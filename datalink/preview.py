"""Pictures of three sizes: made in a process of their own when first asked for, and kept."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Literal

from anyio.to_thread import run_sync

from datalink.process import DecodingProcess
from datalink.settings import DatalinkSettings
from vodal.diskcache import DiskCache
from vodal.errors import NotFoundError
from vodal.products import Product, Resolver
from vodal.storage import LOCAL, Storage

__all__ = ["PictureSize", "Previews"]

PictureSize = Literal["preview", "preview-image", "thumbnail"]
"""As in the path of its address."""


class Previews:
    """Makes previews in a process of its own and keeps them.

    Belongs to the event loop that uses it.

    Parameters
    ----------
    resolver
        Gives the byte index of a product's file.
    settings
        Size, limits.
    folder
        Where pictures are kept; may be deleted at any time.
    process
        Makes them.
    storage
        Opens the products' files.
    """

    def __init__(
        self,
        resolver: Resolver,
        settings: DatalinkSettings,
        folder: Path,
        process: DecodingProcess,
        storage: Storage = LOCAL,
    ) -> None:
        self._storage = storage
        self._resolver = resolver
        self._settings = settings
        self._pixels: dict[PictureSize, int] = {
            "preview": settings.preview_pixels,
            "preview-image": settings.preview_image_pixels,
            "thumbnail": settings.thumbnail_pixels,
        }
        self._kept = DiskCache(folder, settings.preview_cache_bytes)
        self._process = process
        self._making: dict[str, asyncio.Task[bytes]] = {}

    def key(self, product: Product, size: PictureSize = "preview") -> str:
        """Give what identifies the picture of a product as its file is now."""
        parts = (product.did, product.version, str(self._pixels[size]))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    async def png(self, product: Product, size: PictureSize = "preview") -> bytes:
        """Give the picture of a product, no larger than the image itself.

        Raises
        ------
        DataError
            If it has no image or its file cannot be read.
        ServiceUnavailable
            If too many wait or its making takes too long.
        """
        key = self.key(product, size)
        kept = await run_sync(self._kept.get, key, "png")
        if kept is not None:
            return kept
        task = self._making.get(key)
        if task is None:
            # One making for all who ask meanwhile; it goes on if the first of them goes away.
            task = self._making[key] = asyncio.create_task(
                self._make(product, key, self._pixels[size])
            )
            task.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(task)

    async def _make(self, product: Product, key: str, pixels: int) -> bytes:
        product = await run_sync(self._resolver.ready, product)
        if not product.hdus:
            raise NotFoundError("the product has no image to show")
        # Decoders are loaded by a server that shows previews, not by every one.
        from datalink.picture import make_preview  # noqa: PLC0415

        index = await run_sync(self._resolver.index, product)
        data = await self._process.run(
            make_preview,
            product.uri,
            index,
            product.hdus[0],
            pixels,
            self._storage,
        )
        await run_sync(self._kept.put, key, "png", data)
        return data

    async def close(self) -> None:
        """Make no more of them."""
        for task in tuple(self._making.values()):
            task.cancel()
