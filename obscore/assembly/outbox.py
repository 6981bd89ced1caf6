"""What the running line has read and waits to be written, as batches that grow with the backlog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from obscore.assembly.delivery import Delivered, Delivery, Lost, Read
from obscore.assembly.report import FileReport
from obscore.settings import IngestSettings
from vodal.errors import ServiceUnavailable

__all__ = ["Item", "Outbox"]

Item = Read | Lost | FileReport

_EACH_S = 0.002
"""A batch waits so long for each file that is on its way, up to ``batch_seconds``."""
_PATIENCE_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between tries to write to a store that does not answer."""


class Outbox:
    """Where files wait to be written. Belongs to one event loop.

    Parameters
    ----------
    delivery
        Writes.
    limits
        Of a batch.
    notice
        Told what an operator should know.
    backlog
        Gives the number of files that are read, or wait to be read or written.
    done
        Told of each batch.
    """

    def __init__(
        self,
        delivery: Delivery,
        limits: IngestSettings,
        notice: Callable[[str], None],
        *,
        backlog: Callable[[], int],
        done: Callable[[Sequence[Item], Delivered], None],
    ) -> None:
        self._delivery, self._limits, self._notice = delivery, limits, notice
        self._backlog, self._done = backlog, done
        self._items: asyncio.Queue[Item | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self.stopping = False
        """Whether a store that does not answer is to be given up."""

    def put(self, item: Item) -> None:
        """Put something in line."""
        self._items.put_nowait(item)
        if self._items.qsize() > 2 * self._limits.batch_files:
            self._room.clear()

    async def room(self) -> None:
        """Wait while readers are too far ahead of the store."""
        await self._room.wait()

    def close(self) -> None:
        """Have `run` end when all is written."""
        self._items.put_nowait(None)

    async def run(self) -> None:
        """Write what is put in line, until it is closed.

        Raises
        ------
        SkylaneError
            If the store cannot be written.
        """
        while True:
            batch = await self._gather()
            items = [item for item in batch if item is not None]
            if items:
                self._done(items, await self._insist(items))
            if len(items) < len(batch):
                return

    async def _gather(self) -> list[Item | None]:
        """Give what is to be written together.

        A file alone is written at once. With others on their way it waits for them a little, the
        longer the more they are, as a transaction costs as much as many files in one.
        """
        loop, most = asyncio.get_running_loop(), self._limits.batch_files
        batch = [await self._items.get()]
        until_s = loop.time() + min(self._limits.batch_seconds, _EACH_S * self._backlog())
        while len(batch) < most and None not in batch:
            if not self._items.empty():
                batch.append(self._items.get_nowait())
                continue
            if self._backlog() <= sum(isinstance(item, Read) for item in batch):
                break
            try:
                async with asyncio.timeout_at(until_s):
                    batch.append(await self._items.get())
            except TimeoutError:
                break
        self._room.set()
        return batch

    async def _insist(self, items: Sequence[Item]) -> Delivered:
        """Write a batch, again and again while the store does not answer."""
        tries = 0
        while True:
            try:
                return await asyncio.to_thread(self._delivery.deliver, items)
            except ServiceUnavailable as error:
                if self.stopping:
                    raise
                self._notice(f"{error.message}; {len(items)} files are written when it answers")
            await asyncio.sleep(_PATIENCE_S[min(tries, len(_PATIENCE_S) - 1)])
            tries += 1
