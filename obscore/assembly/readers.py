"""Where headers are read: in processes of this machine that are kept warm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from typing_extensions import override

from obscore.assembly.columnwise import Made, make_columns
from obscore.assembly.outcome import Outcome
from obscore.assembly.portion import Portion, read_some, timeout
from obscore.assembly.refusal import Refusal
from obscore.assembly.rules import Rules
from obscore.settings import IngestSettings
from obscore.sources.base import Candidate
from obscore.sources.columns import CandidateColumns
from vodal.errors import DeadlineError, ServiceUnavailable, SkylaneError, TooLargeError
from vodal.pool import WarmPool
from vodal.storage import LOCAL, Storage

__all__ = [
    "MakingReaders",
    "PoolReaders",
    "Readers",
    "in_parts",
    "read_elsewhere",
    "read_portion",
    "reading_pool",
]

_GRACE_S = 60.0
"""A process that does not end by itself when a file's time is over is killed after so much more;
a new process has so long to start."""


class Readers(AbstractAsyncContextManager["Readers"], Protocol):
    """What reads files; to be entered as a context. Belongs to one event loop."""

    @property
    def at_once(self) -> int:
        """How many portions are worth being asked for at once."""
        ...

    async def read(self, portion: Portion) -> list[Outcome]:
        """Read files; what befalls the process that reads one becomes its refusal."""
        ...

    async def make(self, candidates: CandidateColumns, rules: Rules) -> Made:
        """Make rows of what a source tells of files of one collection, which are not opened."""
        ...


def reading_pool(workers: int, limits: IngestSettings) -> WarmPool:
    """Make the processes that read headers, to be entered as a context."""
    return WarmPool(
        workers,
        preload=("obscore.assembly.portion",),
        deadline_s=limits.file_seconds + _GRACE_S,
        memory_limit_bytes=limits.memory_mb << 20,
        max_queue=workers + 1,
        name="header reading",
    )


class PoolReaders(Readers):
    """Processes of this machine.

    Parameters
    ----------
    workers
        How many.
    limits
        Of each file.
    storage
        Opens files that lie on servers.
    """

    def __init__(self, workers: int, limits: IngestSettings, storage: Storage = LOCAL) -> None:
        self._workers, self._limits, self._storage = workers, limits, storage
        self._pool = reading_pool(workers, limits)

    @property
    @override
    def at_once(self) -> int:
        """One for each process: what waits for one would be counted as slow."""
        return self._workers

    @override
    async def read(self, portion: Portion) -> list[Outcome]:
        """Read files, as `read_portion` does."""
        return await read_portion(self._pool, portion, self._limits.file_seconds, self._storage)

    @override
    async def make(self, candidates: CandidateColumns, rules: Rules) -> Made:
        """Make rows; one by one where anything befalls the process that makes them all."""
        try:
            return await self._pool.run(make_columns, candidates, rules, retry=False)
        except SkylaneError:
            # They stay together no longer: it would only die again.
            outcomes = [(await self.read([(one, rules)]))[0] for one in candidates]
            return Made([], list(enumerate(outcomes)))

    @override
    async def __aenter__(self) -> Self:
        await self._pool.start()
        return self

    @override
    async def __aexit__(self, *fault: object) -> None:
        await self._pool.stop()


class MakingReaders(PoolReaders):
    """Processes of this machine that make rows; these are made here until one has started."""

    @override
    async def make(self, candidates: CandidateColumns, rules: Rules) -> Made:
        """Make rows, as `PoolReaders` does."""
        if not self._start.done():
            return await asyncio.to_thread(make_columns, candidates, rules)
        await self._start
        return await super().make(candidates, rules)

    @override
    async def read(self, portion: Portion) -> list[Outcome]:
        await self._start
        return await super().read(portion)

    @override
    async def __aenter__(self) -> Self:
        self._start = asyncio.create_task(self._pool.start())
        return self

    @override
    async def __aexit__(self, *fault: object) -> None:
        self._start.cancel()
        await asyncio.wait([self._start])
        await self._pool.stop()


async def read_elsewhere(
    pool: WarmPool,
    candidate: Candidate,
    rules: Rules,
    seconds: float,
    storage: Storage = LOCAL,
) -> Outcome:
    """Have a file read by a process; what befalls the process becomes a refusal."""
    return (await read_portion(pool, [(candidate, rules)], seconds, storage))[0]


async def read_portion(
    pool: WarmPool, portion: Portion, seconds: float, storage: Storage = LOCAL
) -> list[Outcome]:
    """Have files read by a process; if anything befalls it, the rest one by one.

    So a file that a process dies of costs itself alone.

    Parameters
    ----------
    pool
        Of `reading_pool`.
    portion
        What to read.
    seconds
        That a file may take at most.
    storage
        Opens files that lie on servers.
    """

    async def ask(part: Portion) -> list[Outcome] | Refusal:
        try:
            return await pool.run(read_some, part, seconds, storage, retry=False)
        except SkylaneError as error:
            return _refusal(error, seconds)

    return await in_parts(portion, ask)


async def in_parts(
    portion: Portion, ask: Callable[[Portion], Awaitable[list[Outcome] | Refusal]]
) -> list[Outcome]:
    """Have files read together, and one by one from where anything befalls that.

    Parameters
    ----------
    portion
        What to read.
    ask
        Has the first of some files read; gives a refusal if that came to nothing, which is that of
        the file if it was alone.
    """
    outcomes: list[Outcome] = []
    together = len(portion)
    while len(outcomes) < len(portion):
        part = portion[len(outcomes) : len(outcomes) + together]
        found = await ask(part)
        if not isinstance(found, Refusal):
            outcomes += found
            continue
        if len(part) == 1:
            outcomes.append(Outcome(refusal=found))
        together = 1
    return outcomes


def _refusal(error: SkylaneError, seconds: float) -> Refusal:
    match error:
        case DeadlineError():
            return timeout(seconds)
        case TooLargeError():
            return Refusal("memory", "reading the headers needed too much memory")
        case ServiceUnavailable():
            return Refusal("crashed", "the process that read the file died of it")
        case _:
            return Refusal("internal", error.message)
