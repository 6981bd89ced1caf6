"""What a run does at once: the source is walked, files are read, what was read is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from obscore.assembly.ahead import FAR_PORTION
from obscore.assembly.columnwise import Made
from obscore.assembly.outcome import Outcome
from obscore.assembly.readers import Readers
from obscore.assembly.rules import Rules
from obscore.assembly.survey import MetColumns
from obscore.sources.base import Candidate
from obscore.store.base import KnownFile
from vodal.storage import is_local

__all__ = ["Part", "Readable", "Taker", "flow"]

Readable: TypeAlias = tuple[Candidate, KnownFile | None]
"""A file to be read, and what the catalogue has of it."""

Part: TypeAlias = Sequence[Readable] | MetColumns
"""What a walk gives at a time."""


@dataclass(frozen=True, slots=True)
class _MadeColumns:
    """What came of files by column."""

    met: MetColumns
    made: Made


_Taken: TypeAlias = Sequence[tuple[Candidate, KnownFile | None, Outcome]] | _MadeColumns

_PORTION = 16
"""Files that are read at a time; of those on servers more."""
_TOLD_PORTION = 500
"""Files that are not read, of which rows are made at a time."""
_AHEAD = 2
"""Parts by column, of thousands of rows, that may wait to be written beside those being made."""


class Taker(Protocol):
    """What files are read for."""

    def rules(self, collection: str) -> Rules:
        """Give the rules of a collection; safe to call from any thread."""
        ...

    def take(self, candidate: Candidate, known: KnownFile | None, outcome: Outcome) -> None:
        """Take what reading a file gave."""
        ...

    def take_made(self, met: MetColumns, made: Made) -> None:
        """Take the rows that were made of files by column."""
        ...

    def tick(self) -> None:
        """Write what has waited long enough."""
        ...


async def flow(taker: Taker, parts: Iterator[Part], readers: Readers, tick_s: float) -> None:
    """Have all files read, and taken as they come.

    Parameters
    ----------
    taker
        Takes them, in threads; never at once with another call, nor while a part is asked for.
    parts
        Files, some at a time; asked for as there is room.
    readers
        Read them; not entered yet.
    tick_s
        How often the taker is ticked while nothing comes.

    Raises
    ------
    SkylaneError
        The first that the taker or ``parts`` raises; all else is ended.
    """
    async with readers:
        work = _Flow(taker, parts, readers, tick_s)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(work.walk())
                group.create_task(work.read())
                group.create_task(work.write())
        except BaseExceptionGroup as faults:
            raise _first(faults) from None


class _Flow:
    """The queues between the three, each so long that memory stays bounded."""

    def __init__(
        self, taker: Taker, parts: Iterator[Part], readers: Readers, tick_s: float
    ) -> None:
        self._taker, self._parts, self._readers, self._tick_s = taker, parts, readers, tick_s
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(readers.at_once + _AHEAD)
        self._todo: asyncio.Queue[Part | None] = asyncio.Queue(readers.at_once)
        self._done: asyncio.Queue[_Taken | None] = asyncio.Queue(4 * readers.at_once)

    async def walk(self) -> None:
        """Cut into portions what there is to read."""
        while True:
            async with self._turn:
                part = await asyncio.to_thread(next, self._parts, None)
            if part is None:
                break
            if isinstance(part, MetColumns):
                await self._todo.put(part)
                continue
            start = 0
            while start < len(part):
                stop = start + self._size(part[start][0])
                await self._todo.put(part[start:stop])
                start = stop
        for _ in range(self._readers.at_once):
            await self._todo.put(None)

    def _size(self, first: Candidate) -> int:
        """Tell how many files to give to a reader at a time."""
        if not self._taker.rules(first.collection).headers:
            return _TOLD_PORTION
        return _PORTION if is_local(first.uri) else FAR_PORTION

    async def read(self) -> None:
        """Have portions read, several at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._readers.at_once):
                group.create_task(self._read())
        await self._done.put(None)

    async def _read(self) -> None:
        while (portion := await self._todo.get()) is not None:
            if isinstance(portion, MetColumns):
                await self._room.acquire()
                rules = self._taker.rules(portion.candidates.collection)
                made = await self._readers.make(portion.candidates, rules)
                await self._done.put(_MadeColumns(portion, made))
                continue
            wanted = [(one, self._taker.rules(one.collection)) for one, _ in portion]
            outcomes = await self._readers.read(wanted)
            await self._done.put(
                [(*one, outcome) for one, outcome in zip(portion, outcomes, strict=True)]
            )

    async def write(self) -> None:
        """Have what was read taken."""
        while True:
            taken: _Taken | None = ()
            try:
                async with asyncio.timeout(self._tick_s):
                    taken = await self._done.get()
            except TimeoutError:
                pass  # nothing came
            if taken is None:
                return
            async with self._turn:
                await asyncio.to_thread(self._take, taken)
            if isinstance(taken, _MadeColumns):
                self._room.release()

    def _take(self, taken: _Taken) -> None:
        if isinstance(taken, _MadeColumns):
            self._taker.take_made(taken.met, taken.made)
        else:
            for one in taken:
                self._taker.take(*one)
        self._taker.tick()


def _first(fault: BaseException) -> BaseException:
    """Give the fault (of the store, of the report) that has ended the others."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault
