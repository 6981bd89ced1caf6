"""The process in which the pixels of files are decoded: for previews and uncompressed images."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from datalink.settings import DatalinkSettings
from vodal.pool import WarmPool

__all__ = ["DecodingProcess"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class DecodingProcess:
    """A process that starts when it is first needed, so that a site that needs none has none.

    Belongs to the event loop that uses it.

    Parameters
    ----------
    settings
        Its limits.
    """

    def __init__(self, settings: DatalinkSettings) -> None:
        self._settings = settings
        self._pool: WarmPool | None = None
        self._starting = asyncio.Lock()

    async def run(self, function: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        """Run a function in it, with errors as of `vodal.pool.WarmPool.run`."""
        pool = await self._started()
        return await pool.run(function, *args)

    async def _started(self) -> WarmPool:
        async with self._starting:
            if self._pool is None:
                pool = WarmPool(
                    1,
                    preload=("datalink.picture", "datalink.unpacking"),
                    deadline_s=self._settings.preview_deadline_s,
                    memory_limit_bytes=self._settings.preview_memory_bytes,
                    max_queue=256,
                    name="preview",
                )
                await pool.start()
                self._pool = pool
            return self._pool

    async def close(self) -> None:
        """Stop it."""
        if self._pool is not None:
            await self._pool.stop()
            self._pool = None
