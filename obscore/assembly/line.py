"""The run over a source: what is new is read in processes and written in batches.

    source.walk -> known and unchanged?  -> read_file, in processes -> store.write, in batches
                                                 -> refusals                  -> report, summary

The walk, the readers and the writer go on at once, each a little ahead of the next, so that memory
does not grow with the source. The run keeps these promises:

- a file whose version and whose rules are those of the catalogue is not opened;
- a file is written with all its rows and its byte index in one transaction, or not at all;
- a file that is refused leaves no rows, also none that it had before it changed;
- a file that crashes, hangs or exhausts a reading process costs itself alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice

from obscore.assembly.batch import RETRACTED, Batch
from obscore.assembly.cluster import ClusterReaders
from obscore.assembly.columnwise import Made, make_columns
from obscore.assembly.flow import Part, Readable, flow
from obscore.assembly.garbage import few_looks
from obscore.assembly.outcome import Outcome
from obscore.assembly.read import read_each
from obscore.assembly.readers import MakingReaders, PoolReaders, Readers
from obscore.assembly.report import (
    FileReport,
    Reporter,
    Status,
    Summary,
    WrittenColumns,
    tell_columns,
)
from obscore.assembly.rulebook import RuleBook
from obscore.assembly.rules import Rules
from obscore.assembly.survey import (
    ANOTHER_NAME,
    VANISHED,
    Met,
    MetColumns,
    Survey,
    vanished_message,
)
from obscore.settings import IngestSettings, ObsCoreSettings
from obscore.sources.base import Candidate, Problem, Source
from obscore.store.base import KnownFile, Store
from vodal.storage import LOCAL, Storage, is_local, local_path

__all__ = ["OURS", "SKIPPED", "Progress", "ingest", "worker_count"]

Progress = Callable[[int, int], None]
"""Told the number of files done and the total; a total of 0 is not known yet."""

SKIPPED = {"duplicate"}
"""Problems of a source that are no fault of a file."""
_MAX_WORKERS = 8
_REMOVED = 1000
"""Vanished files that are removed at a time."""
_FEW = 10_000
"""Files that are not read of which rows are made before a process is started for that."""
_TOLD_FILES = 5000
"""Files that are not read, written in one transaction at most."""
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
    scheduler: str | None = None,
    book: RuleBook | None = None,
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
    scheduler
        Of a Dask cluster whose workers read headers (`obscore.assembly.cluster`), in the place of
        processes of this machine.
    book
        Has the rules by the same settings; None for one of the run's own.

    Raises
    ------
    UsageError
        If the source is not there, or Dask is not.
    ArchiveError, ServiceUnavailable
        If the store cannot be written, or the cluster fails; what was written before stays.
    """
    started = time.monotonic()
    run = _Run(
        source, store, settings, storage, book or RuleBook(settings, storage),
        dry_run=dry_run, progress=progress, report=report,
    )  # fmt: skip
    count = worker_count(workers, settings)
    # What the source has open is closed at once if the run fails.
    with closing(run.parts()) as parts:
        if run.rules(source.collection).headers:
            _open_all(run, parts, source, scheduler, count, settings.ingest)
        else:
            with few_looks():
                _make_all(run, parts, count, settings.ingest)
    run.finish(prune=prune)
    return replace(run.summary, seconds=time.monotonic() - started)


def _open_all(
    run: _Run, parts: Iterator[Part], source: Source, scheduler: str | None, count: int,
    limits: IngestSettings,
) -> None:  # fmt: skip
    """Have all files opened that need be."""
    first = next(parts, None)
    if first is None:
        return  # no process is started for nothing
    readers: Readers | None = None
    if scheduler is not None:
        folder = local_path(source.under_uri) if is_local(source.under_uri) else None
        readers = ClusterReaders(scheduler, limits, folder, run.storage, workers=count)
    elif count:
        readers = PoolReaders(min(count, len(first)), limits, run.storage)
    _work_off(run, chain([first], parts), readers, limits)


def _make_all(run: _Run, parts: Iterator[Part], count: int, limits: IngestSettings) -> None:
    """Have the rows of all files made of what the source tells: of few here, of many elsewhere."""
    here = 0
    for part in parts:
        if count and here >= _FEW:
            # Writing takes longer than making, and is busy with a processor of its own.
            readers = MakingReaders(max(1, count - 1), limits, run.storage)
            _work_off(run, chain([part], parts), readers, limits)
            return
        run.read(part)
        here += len(part)


def _work_off(
    run: _Run, parts: Iterator[Part], readers: Readers | None, limits: IngestSettings
) -> None:
    if readers is not None:
        asyncio.run(flow(run, parts, readers, limits.batch_seconds))
        return
    for part in parts:
        run.read(part)


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
        storage: Storage,
        book: RuleBook,
        *,
        dry_run: bool,
        progress: Progress | None,
        report: Reporter | None,
    ) -> None:
        self._source, self._store = source, store
        self._dry_run, self._progress, self._report = dry_run, progress, report
        self.storage, self._book = storage, book
        self._survey = Survey(source, store, book.of)
        self._done = 0
        self._is_walked = False
        self.summary = Summary(dry_run=dry_run)
        limits = settings.ingest
        most = limits.batch_files
        if not self.rules(source.collection).headers:
            most = max(most, _TOLD_FILES)
        self._batch = Batch(
            store, self._tell, most, limits.batch_seconds,
            gone=lambda uri: not source.exists(uri), dry_run=dry_run,
            tell_columns=self._tell_columns,
        )  # fmt: skip

    def rules(self, collection: str) -> Rules:
        """Give the rules of a collection."""
        return self._book.of(collection)

    def parts(self) -> Generator[Part, None, None]:
        """Walk the source and tell of what needs no reading; give the rest, some at a time."""
        for part in self._survey.parts():
            if isinstance(part, MetColumns):
                yield part
                continue
            todo = [found for met in part if (found := self._sort(met)) is not None]
            if todo:
                yield todo
        self._is_walked = True
        self.summary.passed_over = self._source.passed_over

    def _sort(self, met: Met) -> Readable | None:
        """Tell of what needs no reading; give it else."""
        item, verdict, known = met
        if isinstance(item, Problem):
            self._problem(item, known)
        elif verdict == "skipped":
            self._tell(_about(item, "skipped", message="left out by the settings"))
        elif verdict == "retracted":
            self._tell(_about(item, "skipped", message=RETRACTED, reason="retracted"))
        elif verdict == "unchanged":
            self._tell(_about(item, "unchanged"))
        else:
            return item, known
        return None

    def take(self, candidate: Candidate, known: KnownFile | None, outcome: Outcome) -> None:
        """Take what reading a file gave."""
        was_known = known is not None
        if outcome.file is not None:
            self._batch.add(candidate, outcome.file, was_known=was_known)
        elif outcome.refusal is not None:
            unchanged = known is not None and known.version == candidate.stat.version
            keep = unchanged and outcome.refusal.reason in OURS
            self._batch.refuse(candidate, outcome.refusal, was_known=was_known, keep=keep)
        self._batch.flush_if_due()

    def take_made(self, met: MetColumns, made: Made) -> None:
        """Take the rows that were made of files by column."""
        for numbers, files in made.columns:
            known = [met.known[at] is not None for at in numbers]
            if files:
                self._batch.write_columns(met.candidates.chosen(numbers), files, known)
        for at, outcome in made.others:
            self.take(met.candidates[at], met.known[at], outcome)

    def read(self, part: Part) -> None:
        """Read files in this process, and take what that gives."""
        if isinstance(part, MetColumns):
            rules = self.rules(part.candidates.collection)
            self.take_made(part, make_columns(part.candidates, rules))
            return
        wanted = [(candidate, self.rules(candidate.collection)) for candidate, _ in part]
        outcomes = read_each(wanted, self.storage)
        for (candidate, known), outcome in zip(part, outcomes, strict=True):
            self.take(candidate, known, outcome)

    def tick(self) -> None:
        """Write what has waited long enough."""
        self._batch.flush_if_due()

    def finish(self, *, prune: bool) -> None:
        """Write the rest, and see to what has vanished."""
        self._batch.flush()
        gone = self._survey.vanished()
        first = list(islice(gone, 2))
        why_kept = self._survey.why_kept(len(first))
        prune = prune and not self._dry_run and not why_kept
        gone = chain(first, gone)
        status: Status = "removed" if prune else "vanished"
        while page := list(islice(gone, _REMOVED)):
            if prune:
                self._store.remove([file.uri for file in page], VANISHED)
            for file in page:
                message = vanished_message(self._source, file.uri) + why_kept
                self._tell(FileReport(file.uri, "", file.collection, status, message=message))
        self._show(always=True)

    def _problem(self, problem: Problem, known: KnownFile | None) -> None:
        """Tell of a place that could not be looked into."""
        status: Status = "skipped" if problem.reason in SKIPPED else "refused"
        notes: tuple[str, ...] = ()
        if known is not None and status == "skipped" and not self._dry_run:
            self._store.remove([problem.uri], ANOTHER_NAME)
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

    def _tell_columns(self, some: WrittenColumns) -> None:
        self.summary.add_columns(some)
        self._done += len(some)
        if self._report is not None:
            tell_columns(self._report, some)
        self._show(always=True)

    def _show(self, *, always: bool = False) -> None:
        if self._progress is not None and (always or self._done % 16 == 0):
            self._progress(self._done, self._survey.total if self._is_walked else 0)


def _about(item: Candidate, status: Status, message: str = "", reason: str = "") -> FileReport:
    return FileReport(item.uri, item.relative, item.collection, status, reason, message)
