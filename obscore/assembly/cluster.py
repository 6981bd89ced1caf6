"""Headers read by the workers of a Dask cluster, in the place of processes of this machine.

Files and outcomes travel, pickled; all machines see the files under the same names. What a lost
worker was at is done again by another, as Dask does of itself. A file that kills its workers, one
after another, is refused, and those that were read with it are read one by one.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from typing_extensions import override

from obscore.assembly.columnwise import Made
from obscore.assembly.outcome import Outcome
from obscore.assembly.portion import Portion, read_some, timeout
from obscore.assembly.readers import Readers, in_parts
from obscore.assembly.refusal import Refusal
from obscore.assembly.rules import Rules
from obscore.settings import IngestSettings
from obscore.sources.columns import CandidateColumns
from vodal.dask import CONNECT_S, LOOK_S, WORKERS_S, Terms, connect
from vodal.errors import ServiceUnavailable
from vodal.storage import LOCAL, Storage

__all__ = ["LOCAL_CLUSTER", "ClusterReaders"]

LOCAL_CLUSTER: Final = "local"
"""In the place of an address: a cluster that is made on this machine for the run."""

_LEAST_AT_ONCE: Final = 16
"""Portions that a cluster is given at once, though it may have fewer threads yet."""
_HUNG: Final = 5
"""A portion that takes so many times longer than a file may hangs in a library."""
_DIED: Final = Refusal("crashed", "the Dask workers that read the file died of it")


def _read(terms: Terms, packed: bytes) -> list[Outcome] | str:
    """Read files on a worker, if it is one that can; tells why not otherwise."""
    fault = terms.fault()
    if fault:
        return fault
    # From the one who started this run, whom the cluster has let in.
    portion, seconds, storage = pickle.loads(packed)  # noqa: S301
    return read_some(portion, seconds, storage)


class ClusterReaders(Readers):
    """The workers of a Dask cluster.

    Parameters
    ----------
    scheduler
        Where the scheduler is, as `vodal.dask.connect` takes it, or `LOCAL_CLUSTER`.
    limits
        Of each file.
    folder
        That every worker must see; None where files lie on servers.
    storage
        Opens files on servers.
    workers
        Of a cluster that is made here.
    workers_s
        How many seconds the cluster may be without workers.
    connect_s
        How many seconds the scheduler may take to answer.
    """

    def __init__(
        self,
        scheduler: str,
        limits: IngestSettings,
        folder: Path | None,
        storage: Storage = LOCAL,
        *,
        workers: int = 1,
        workers_s: float = WORKERS_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._scheduler, self._limits, self._storage = scheduler, limits, storage
        self._workers, self._workers_s, self._connect_s = max(1, workers), workers_s, connect_s
        self._terms = Terms.of(folder)
        self._at_exit = AsyncExitStack()
        self._client: Any = None
        self._pool: Any = None
        self._at_once = _LEAST_AT_ONCE
        self._alone = asyncio.Lock()
        self._seen = self._looked = time.monotonic()

    @property
    @override
    def at_once(self) -> int:
        return self._at_once

    @override
    async def __aenter__(self) -> Self:
        """Connect.

        Raises
        ------
        UsageError
            If Dask is not installed, or the scheduler's name is neither address nor file.
        ServiceUnavailable
            If no scheduler answers.
        """
        try:
            self._client = await asyncio.to_thread(self._connected)
        except BaseException:
            await self._at_exit.aclose()
            raise
        self._pool = self._client.get_executor(pure=False)
        self._at_once = max(_LEAST_AT_ONCE, 2 * await asyncio.to_thread(self._threads))
        self._seen = self._looked = time.monotonic()
        return self

    @override
    async def __aexit__(self, *fault: object) -> None:
        self._pool.shutdown(wait=False)
        await asyncio.to_thread(self._client.close)
        await self._at_exit.aclose()

    @override
    async def read(self, portion: Portion) -> list[Outcome]:
        """Read files; what befalls the workers that read one becomes its refusal.

        Raises
        ------
        ServiceUnavailable
            If the cluster cannot do its part: the scheduler has gone, there are no workers and
            none comes, or they do not see the files.
        """

        async def ask(part: Portion) -> list[Outcome] | Refusal:
            if len(part) > 1 or len(portion) == 1:
                found = await self._ask(part)
                if len(part) > 1 or found != _DIED:
                    return found
            # Workers have died of it, or of files with it. Of such files one is read at a time, so
            # that none is told to be deadly that is read beside one that is.
            async with self._alone:
                return await self._ask(part)

        return await in_parts(portion, ask)

    @override
    async def make(self, candidates: CandidateColumns, rules: Rules) -> Made:
        """Make rows, as `read` has them made."""
        outcomes = await self.read([(one, rules) for one in candidates])
        return Made([], list(enumerate(outcomes)))

    def _connected(self) -> Any:
        address = self._scheduler
        if address == LOCAL_CLUSTER:
            # Without Dask the connection tells so.
            made = _local_cluster(self._workers)
            if made is not None:
                self._at_exit.push_async_callback(asyncio.to_thread, made.close)
                address = made.scheduler_address
        return connect(
            address, self._connect_s, name="skylane-ingest", what="runs on a Dask cluster"
        )

    async def _ask(self, part: Portion) -> list[Outcome] | Refusal:
        from distributed import KilledWorker  # noqa: PLC0415 - of an extra

        packed = pickle.dumps((part, self._limits.file_seconds, self._storage))
        try:
            future = asyncio.wrap_future(self._pool.submit(_read, self._terms, packed))
            if not await self._is_done(future):
                future.cancel()
                return timeout(self._limits.file_seconds)
            found: list[Outcome] | str = future.result()
        except KilledWorker:
            return _DIED
        except (CancelledError, asyncio.CancelledError) as error:
            if self._client.status == "running" and isinstance(error, asyncio.CancelledError):
                raise
            raise self._gone() from None
        except (OSError, RuntimeError) as error:
            raise ServiceUnavailable(
                f"the Dask cluster at {self._scheduler} cannot do its part "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); its scheduler "
                "and workers need the same Skylane and Dask as this command"
            ) from None
        if isinstance(found, str):
            raise ServiceUnavailable(found)
        return found

    async def _is_done(self, future: asyncio.Future[Any]) -> bool:
        """Wait for a portion; tells whether it came to an end before it must hang."""
        until = time.monotonic() + _HUNG * (self._limits.file_seconds + 60.0)
        while time.monotonic() < until:
            done, _ = await asyncio.wait({future}, timeout=LOOK_S)
            if done:
                self._seen = time.monotonic()
                return True
            await self._look()
        return False

    async def _look(self) -> None:
        """See that the cluster has workers, or had lately."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        if self._client.status not in {"running", "connecting"}:
            raise self._gone()
        if await asyncio.to_thread(self._threads):
            self._seen = time.monotonic()
        elif now - self._seen > self._workers_s:
            raise ServiceUnavailable(
                f"the Dask cluster at {self._scheduler} has had no worker for "
                f"{self._workers_s:g} s; start some and run again: it goes on from here"
            )

    def _threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, ValueError, RuntimeError):
            return 0

    def _gone(self) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the Dask scheduler at {self._scheduler} has gone; run again to go on"
        )


def _local_cluster(workers: int) -> Any:
    """Make a cluster on this machine; None without Dask."""
    try:
        from distributed import LocalCluster  # noqa: PLC0415 - of an extra
    except ImportError:
        return None
    make: Any = partial(LocalCluster, dashboard_address="127.0.0.1:0", processes=True)
    return make(n_workers=workers, threads_per_worker=1)
