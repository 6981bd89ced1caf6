"""A job of files that a pipeline has named: each is read when it is whole, and written."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TypeVar

from typing_extensions import override

from obscore.assembly.batch import RETRACTED
from obscore.assembly.delivery import Delivery, Read
from obscore.assembly.landing import INCOMPLETE
from obscore.assembly.outcome import Outcome
from obscore.assembly.readers import read_elsewhere, reading_pool
from obscore.assembly.recording import RecordedRun, counted
from obscore.assembly.refusal import Refusal
from obscore.assembly.report import FileReport, Status
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.rulewatch import RuleWatch
from obscore.hook.naming import NamedFile, named_file
from obscore.settings import ObsCoreSettings
from obscore.sources.base import Candidate, Problem
from obscore.sources.choice import configured_trees
from obscore.store.base import Backend, Store
from vodal.errors import ServiceUnavailable, UsageError
from vodal.params import Params
from vodal.pool import WarmPool
from vodal.storage import LOCAL, Storage
from vodal.uws.loop import ServiceLoop
from vodal.uws.results import StoppedError
from vodal.uws.tasks import Task, Work

__all__ = ["FILE", "RESULT", "LandingJobs"]

FILE = "FILE"
"""Name of the parameter of a job that names a file; repeated."""
RESULT = "files"
"""Name of the result: what became of each file, JSON lines."""

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

_LOOK_S = 0.1
_FAR_LOOK_S = 1.0
"""Between looks at a file that is not whole, here and on a server."""
_PAUSE_S = 1.0
"""Between tries to reach the store."""
_TRIES = 3


class LandingJobs(Work):
    """Catalogues the files of jobs.

    Parameters
    ----------
    backend
        The store.
    settings
        Of the catalogue.
    workers
        Processes that read headers.
    storage
        Reads files on servers.
    """

    def __init__(
        self,
        backend: Backend,
        settings: ObsCoreSettings,
        workers: int = 1,
        storage: Storage = LOCAL,
    ) -> None:
        self._backend, self._settings, self._workers = backend, settings, workers
        self._storage = storage
        self._sources = configured_trees(settings, storage)
        self._loop = ServiceLoop()
        self._pool: WarmPool | None = None
        self._turns = asyncio.Semaphore(workers)
        self._book = RuleBook(settings, storage)
        self._rules = RuleWatch(self._book, _LOG.warning)
        self._looked_s = time.monotonic()
        self._store: Store | None = None
        self._lock = threading.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the reading processes warm, within the block."""
        async with reading_pool(self._workers, self._settings.ingest) as pool:
            self._pool = pool
            self._loop.start()
            yield
        with self._lock:
            if self._store is not None:
                self._store.close()

    def named(self, text: str) -> NamedFile:
        """Find a file that was named.

        Raises
        ------
        UsageError
            If it may not be.
        """
        return named_file(text, self._sources)

    @override
    def run(self, task: Task) -> None:
        self._heed_rules()
        names = list(dict.fromkeys(Params(task.job.params).all(FILE)))
        reports: list[FileReport] = []
        runs: list[RecordedRun] = []
        todo: list[NamedFile] = []
        for name in names:
            try:
                todo.append(self.named(name))
            except UsageError as error:  # the settings, or a link, changed since it was accepted
                reports.append(_refused(name, "", "not-ours", error.message))
        todo = self._insist(task, lambda: self._without_known(todo, reports))
        for _ in range(_TRIES):
            items = self._wait_for(task, self._read_all(todo))
            stale = self._insist(task, lambda: self._deliver(items, reports, task.job.id, runs))  # noqa: B023 - called at once
            again = {read.uri for read in stale}
            todo = [one for one in todo if one.uri in again]
            if not todo:
                break
        for one in todo:
            message = "the file changes all the time"
            reports.append(_refused(one.uri, one.source.collection, "changed", message))
        for run in runs:
            with self._lock:
                self._insist(task, run.end)
        with task.result(RESULT, "application/x-ndjson", "jsonl") as sink:
            for report in reports:
                sink.write(report.to_json().encode() + b"\n")

    def _heed_rules(self) -> None:
        """Take up mapping files that have changed, if they were not looked at just now."""
        with self._lock:
            if time.monotonic() - self._looked_s >= self._settings.ingest.poll_seconds:
                self._rules.look()
                self._looked_s = time.monotonic()

    def _deliver(
        self,
        items: Sequence[Read | FileReport],
        reports: list[FileReport],
        job: str,
        runs: list[RecordedRun],
    ) -> tuple[Read, ...]:
        """Write files; gives those that changed since they were read.

        ``runs`` takes the job's run, when it is begun.
        """
        with self._lock:
            if not runs:
                what = f"POST /ingest, job {job}"
                runs.append(RecordedRun(self._opened(), self._book, "hook", what))
            tell = counted(reports.append, runs[0])
            return Delivery(runs[0], tell, self._skips, prune=False).deliver(items).stale

    @staticmethod
    def _insist(task: Task, do: Callable[[], T]) -> T:
        """Do something with the store, again and again while it does not answer."""
        while True:
            try:
                return do()
            except ServiceUnavailable as error:
                _LOG.warning("files of the hook are written later: %s", error)
            if task.cancelled.wait(_PAUSE_S):
                raise StoppedError("the job was stopped")

    def _opened(self) -> Store:
        if self._store is None:
            self._store = self._backend.writer()
        return self._store

    def _skips(self, candidate: Candidate) -> bool:
        return self._book.of(candidate.collection).skips(candidate.relative)

    def _without_known(
        self, named: Sequence[NamedFile], reports: list[FileReport]
    ) -> list[NamedFile]:
        """Give what is to be read: not what is left out, nor what is catalogued as it is."""
        with self._lock:
            known = self._opened().known_among([one.uri for one in named])
        todo = []
        for one in named:
            found = one.source.look(one.uri)
            if not isinstance(found, Candidate):
                todo.append(one)
                continue
            before = known.get(found.uri)
            rules = self._book.of(found.collection)
            if self._skips(found):
                reports.append(_about(found, "skipped", "left out by the settings"))
            elif before and rules.is_unchanged(found, before.version, before.mapping_digest):
                reports.append(
                    _about(found, "unchanged")
                    if before.products
                    else _about(found, "skipped", RETRACTED, "retracted")
                )
            else:
                todo.append(one)
        return todo

    def _wait_for(
        self, task: Task, reading: Coroutine[None, None, list[Read | FileReport]]
    ) -> list[Read | FileReport]:
        """Have files read on the service's loop, from the job's own thread."""
        future: Future[list[Read | FileReport]]
        future = asyncio.run_coroutine_threadsafe(reading, self._loop.get())
        while True:
            try:
                return future.result(_LOOK_S)
            except TimeoutError:
                if task.cancelled.is_set():
                    future.cancel()
                    raise StoppedError("the job was stopped") from None

    async def _read_all(self, named: Sequence[NamedFile]) -> list[Read | FileReport]:
        until_s = time.monotonic() + self._settings.ingest.incomplete_seconds
        return list(await asyncio.gather(*(self._read(one, until_s) for one in named)))

    async def _read(self, named: NamedFile, until_s: float) -> Read | FileReport:
        """Read a file when it is whole, or when its time is over."""
        source, uri = named.source, named.uri
        refusal = Refusal("unreadable", "there is no such file")
        seen = ""
        while True:
            found = await asyncio.to_thread(source.look, uri)
            if isinstance(found, Problem):
                return FileReport(
                    found.uri, "", source.collection, "refused", found.reason, found.message
                )
            if found is not None and found.stat.version != seen:
                seen = found.stat.version
                outcome = await self._outcome(found)
                if outcome.refusal is None or outcome.refusal.reason not in INCOMPLETE:
                    return Read(source, found, outcome)
                refusal = outcome.refusal
            elif time.monotonic() >= until_s:
                if found is not None:
                    return Read(source, found, Outcome(refusal=refusal))
                return _refused(uri, source.collection, refusal.reason, refusal.message)
            else:
                await asyncio.sleep(_FAR_LOOK_S if source.is_remote else _LOOK_S)

    async def _outcome(self, candidate: Candidate) -> Outcome:
        assert self._pool is not None, "the service has started"
        async with self._turns:
            return await read_elsewhere(
                self._pool, candidate, self._book.of(candidate.collection),
                self._settings.ingest.file_seconds, self._storage,
            )  # fmt: skip


def _refused(uri: str, collection: str, reason: str, message: str) -> FileReport:
    return FileReport(uri, "", collection, "refused", reason, message)


def _about(found: Candidate, status: Status, message: str = "", reason: str = "") -> FileReport:
    return FileReport(found.uri, found.relative, found.collection, status, reason, message)
