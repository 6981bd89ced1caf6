"""The run over a source: what is new is read in processes and written in batches.

    source.walk -> known and unchanged?  -> read_file, in processes -> store.write, in batches
                                                 -> refusals                  -> report, summary

The run keeps these promises:

- a file whose version and whose rules are those of the catalogue is not opened;
- a file is written with all its rows and its byte index in one transaction, or not at all;
- a file that is refused leaves no rows, also none that it had before it changed;
- a file that crashes, hangs or exhausts a reading process costs itself alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace

from obscore.assembly.batch import Batch
from obscore.assembly.read import Outcome, read_file, read_file_within
from obscore.assembly.refusal import Refusal
from obscore.assembly.report import FileReport, Reporter, Status, Summary
from obscore.assembly.rules import Rules, rules_for
from obscore.assembly.survey import Survey, vanished_message
from obscore.settings import IngestSettings, ObsCoreSettings
from obscore.sources.base import Candidate, Problem, Source
from obscore.store.base import KnownFile, Store
from vodal.errors import DeadlineError, ServiceUnavailable, SkylaneError, TooLargeError
from vodal.pool import WarmPool
from vodal.storage import LOCAL, Storage

__all__ = [
    "OURS",
    "SKIPPED",
    "Progress",
    "ingest",
    "read_elsewhere",
    "reading_pool",
    "worker_count",
]

Progress = Callable[[int, int], None]
"""Told the number of files done and the total; a total of 0 is not known yet."""

SKIPPED = {"duplicate"}
"""Problems of a source that are no fault of a file."""
_MAX_WORKERS = 8
_GRACE_S = 60.0
"""A process that does not end by itself when a file's time is over is killed after so much more;
a new process has so long to start."""
OURS = {"timeout", "crashed", "memory", "unreadable", "internal"}
"""Refusals that may be the machine's fault: a file that has not changed keeps its rows."""


def ingest(
    source: Source,
    store: Store,
    settings: ObsCoreSettings,
    *,
    workers: int | None = None,
    dry_run: bool = False,
    prune: bool = False,
    progress: Progress | None = None,
    report: Reporter | None = None,
    storage: Storage = LOCAL,
) -> Summary:
    """Bring the catalogue to what a source holds.

    Must not be called from a running event loop; use `asyncio.to_thread` there.

    Parameters
    ----------
    source
        What there is to catalogue.
    store
        Where rows are written.
    settings
        Of the catalogue.
    workers
        Processes that read headers; None for the setting's number. 0 reads in this process.
    dry_run
        Read and report, but write nothing.
    prune
        Remove files from the catalogue that have vanished; without it they are only reported.
    progress
        Called now and then.
    report
        Told of each file.
    storage
        Opens files on servers.

    Raises
    ------
    UsageError
        If the source is not there.
    ArchiveError, ServiceUnavailable
        If the store cannot be written; what was written before stays.
    """
    run = _Run(source, store, settings, dry_run=dry_run, progress=progress, report=report)
    started = time.monotonic()
    todo = run.survey()
    count = min(worker_count(workers, settings), len(todo))
    if count == 0:
        for candidate in todo:
            run.take(candidate, read_file(candidate, run.rules(candidate.collection), storage))
    else:
        asyncio.run(_read_in_processes(run, todo, count, settings, storage))
    run.finish(prune=prune)
    return replace(run.summary, seconds=time.monotonic() - started)


def worker_count(asked: int | None, settings: ObsCoreSettings) -> int:
    """Give how many processes read headers: what is asked for, else the setting's number."""
    count = settings.ingest.workers if asked is None else asked
    if count is None:
        count = min(os.cpu_count() or 1, _MAX_WORKERS)
    return count


class _Run:
    """The state of one run, in the calling process."""

    def __init__(
        self,
        source: Source,
        store: Store,
        settings: ObsCoreSettings,
        *,
        dry_run: bool,
        progress: Progress | None,
        report: Reporter | None,
    ) -> None:
        self._source, self._store, self._settings = source, store, settings
        self._dry_run, self._progress, self._report = dry_run, progress, report
        self._rules: dict[str, Rules] = {}
        self._survey = Survey(source, store, self.rules)
        self._done = 0
        self.summary = Summary(dry_run=dry_run)
        limits = settings.ingest
        self._batch = Batch(
            store, self._tell, limits.batch_files, limits.batch_seconds,
            gone=lambda uri: not source.exists(uri), dry_run=dry_run,
        )  # fmt: skip

    def rules(self, collection: str) -> Rules:
        """Give the rules of a collection."""
        if collection not in self._rules:
            self._rules[collection] = rules_for(self._settings, collection)
        return self._rules[collection]

    def survey(self) -> list[Candidate]:
        """Walk the source and tell of what needs no reading; give the rest."""
        todo: list[Candidate] = []
        for item, verdict, known in self._survey.walk():
            if isinstance(item, Problem):
                self._problem(item, known)
            elif verdict == "skipped":
                self._tell(_about(item, "skipped", message="left out by the settings"))
            elif verdict == "unchanged":
                self._tell(_about(item, "unchanged"))
            else:
                todo.append(item)
            self._show()
        self.summary.passed_over = self._source.passed_over
        return todo

    def take(self, candidate: Candidate, outcome: Outcome) -> None:
        """Take what reading a file gave."""
        known = self._survey.known.get(candidate.uri)
        was_known = known is not None
        if outcome.file is not None:
            self._batch.add(candidate, outcome.file, was_known=was_known)
        elif outcome.refusal is not None:
            unchanged = known is not None and known.version == candidate.stat.version
            keep = unchanged and outcome.refusal.reason in OURS
            self._batch.refuse(candidate, outcome.refusal, was_known=was_known, keep=keep)
        self._batch.flush_if_due()

    def tick(self) -> None:
        """Write what has waited long enough."""
        self._batch.flush_if_due()

    def finish(self, *, prune: bool) -> None:
        """Write the rest, and see to what has vanished."""
        self._batch.flush()
        gone = {
            uri: file
            for uri, file in self._survey.vanished().items()
            if uri not in self._batch.moved
        }
        why_kept = self._survey.why_kept(len(gone))
        prune = prune and not self._dry_run and not why_kept
        if prune and gone:
            self._store.remove(gone)
        for uri, file in gone.items():
            message = vanished_message(self._source, uri) + why_kept
            status: Status = "removed" if prune else "vanished"
            self._tell(FileReport(uri, "", file.collection, status, message=message))
        self._show(always=True)

    def _problem(self, problem: Problem, known: KnownFile | None) -> None:
        """Tell of a place that could not be looked into."""
        status: Status = "skipped" if problem.reason in SKIPPED else "refused"
        notes: tuple[str, ...] = ()
        if known is not None and status == "skipped" and not self._dry_run:
            self._store.remove([problem.uri])
            notes = ("its rows were withdrawn",)
        collection = known.collection if known is not None else ""
        self._tell(
            FileReport(
                problem.uri, "", collection, status, problem.reason, problem.message, notes=notes
            )
        )

    def _tell(self, report: FileReport) -> None:
        self.summary.add(report)
        if report.status not in {"vanished", "removed"}:
            self._done += 1
        if self._report is not None:
            self._report(report)
        self._show()

    def _show(self, *, always: bool = False) -> None:
        if self._progress is not None and (always or self._done % 16 == 0):
            self._progress(self._done, self._survey.total)


def _about(item: Candidate, status: Status, message: str = "") -> FileReport:
    return FileReport(item.uri, item.relative, item.collection, status, message=message)


def reading_pool(workers: int, limits: IngestSettings) -> WarmPool:
    """Make the processes that read headers, to be entered as a context."""
    return WarmPool(
        workers,
        preload=("obscore.assembly.read",),
        deadline_s=limits.file_seconds + _GRACE_S,
        memory_limit_bytes=limits.memory_mb << 20,
        max_queue=workers + 1,
        name="header reading",
    )


async def _read_in_processes(
    run: _Run,
    todo: Sequence[Candidate],
    workers: int,
    settings: ObsCoreSettings,
    storage: Storage,
) -> None:
    """Have files read by processes, one in each at a time."""
    limits = settings.ingest
    async with reading_pool(workers, limits) as pool:
        queue: Iterator[Candidate] = iter(todo)

        async def consume() -> None:
            for candidate in queue:
                rules = run.rules(candidate.collection)
                outcome = await read_elsewhere(pool, candidate, rules, limits.file_seconds, storage)
                run.take(candidate, outcome)

        try:
            async with _ticking(run, limits.batch_seconds), asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(consume())
        except BaseExceptionGroup as faults:
            # The first fault (of the store, of the report) has ended the others.
            raise faults.exceptions[0] from None


@contextlib.asynccontextmanager
async def _ticking(run: _Run, seconds: float) -> AsyncIterator[None]:
    """Let batches be written in time, also while slow files are read."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(seconds)
            run.tick()

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()  # raises what the store raised


async def read_elsewhere(
    pool: WarmPool,
    candidate: Candidate,
    rules: Rules,
    seconds: float,
    storage: Storage = LOCAL,
) -> Outcome:
    """Have a file read by a process; what befalls the process becomes a refusal."""
    try:
        return await pool.run(read_file_within, candidate, rules, seconds, storage, retry=False)
    except DeadlineError:
        message = f"reading the headers took longer than {seconds:g} s"
        return Outcome(refusal=Refusal("timeout", message))
    except TooLargeError:
        return Outcome(refusal=Refusal("memory", "reading the headers needed too much memory"))
    except ServiceUnavailable:
        return Outcome(refusal=Refusal("crashed", "the process that read the file died of it"))
    except SkylaneError as error:
        return Outcome(refusal=Refusal("internal", error.message))
